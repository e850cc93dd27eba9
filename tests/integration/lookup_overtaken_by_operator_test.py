"""NXDOMAIN fails no mail of a domain that was suspended, or given a route, while it was looked up."""

import unittest

from scenario import Scenario, dispositions, ms, scope


class LookupOvertakenByOperator(Scenario):
    def setUp(self):
        super().setUp()
        self.config = {"options": {"mx_lookup_timeout": ms(60_000)}}

    def submit_until_looked_up(self):
        _ = self.sink  # the daemon is told its port
        self.dns.behave("a.test", "nxdomain", gate="lookup")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.dns.gates.wait_reached("lookup")
        return watch, ident

    def test_suspended(self):
        watch, first = self.submit_until_looked_up()
        self.suspend("a.test")
        second = self.daemon.submit(["q@a.test"])
        self.dns.gates.release("lookup")
        self.wait_connect_error(watch, "MX_LOOKUP_FAILED")
        self.assertEqual(self.queue("a.test").active, 2)
        for ident in (first, second):
            self.assertEqual(set(dispositions(self.daemon.message(ident)).values()), {"QUEUED"})
        self.control("Resume", scope=scope("a.test"))
        for ident in (first, second):
            self.daemon.wait_dispositions(ident, "FAILED")

    def test_given_a_route(self):
        _, ident = self.submit_until_looked_up()
        config = self.daemon.get_config().config
        route = config.routes.add()
        route.domain = "a.test"
        route.hosts.append(f"127.0.0.1:{self.sink.port}")
        self.daemon.apply_config(config=config)
        self.dns.gates.release("lookup")
        self.daemon.wait_dispositions(ident, "DELIVERED")


if __name__ == "__main__":
    unittest.main()
