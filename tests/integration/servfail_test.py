"""A name server that fails: CONN_ERR_MX_LOOKUP_FAILED, the mail waits and is delivered later."""

import unittest

from scenario import Scenario, dispositions, eventually, reason_of


class Servfail(Scenario):
    def test_defers_on_servfail(self):
        self.defers("servfail")

    def test_defers_on_refused(self):
        self.defers("refused")

    def test_defers_when_no_answer_comes(self):
        self.defers("timeout")

    def defers(self, what):
        self.dns.domain("a.test")
        # The lookup may be repeated before it is given up: fail until the test says otherwise.
        self.dns.behave("a.test", what)
        self.make_daemon(options={"mx_lookup_timeout": "500ms"}).start()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.wait_connect_error(watch, "MX_LOOKUP_FAILED")
        message = self.daemon.wait_message(ident, lambda m: reason_of(m) == "MX_LOOKUP",
                                           what="reason MX_LOOKUP")
        self.assertIn(dispositions(message)["r@a.test"], ("QUEUED", "DEFERRED"))
        eventually(lambda: self.reason_of_queue("a.test") == "MX_LOOKUP", what="the queue's reason")
        self.assertEqual(self.sink.connections, [])
        self.dns.forgive("a.test")
        self.daemon.wait_dispositions(ident, "DELIVERED", timeout=20)

    def test_asks_over_tcp_when_the_answer_is_truncated(self):
        self.dns.domain("a.test")
        self.dns.behave("a.test", "truncate")
        self.deliver("r@a.test")
        self.assertGreaterEqual(self.dns.count("a.test", "MX", "tcp"), 1)


if __name__ == "__main__":
    unittest.main()
