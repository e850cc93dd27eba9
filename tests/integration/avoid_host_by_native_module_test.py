"""A native module ends the session and says: not to this host for a while."""

import unittest

from scenario import ONE_CONNECTION, Scenario, merge, module, reason_of


class AvoidHostByNativeModule(Scenario):
    sink_addresses = ("127.0.0.1", "127.0.0.2")

    def setUp(self):
        super().setUp()
        self.config = merge(ONE_CONNECTION,
                            {"modules": [module("end_session", deliveries=1, avoid=3600)]})

    def test_goes_to_the_other_hosts_and_then_waits(self):
        for preference, number in ((10, 1), (20, 2)):
            self.dns.mx("a.test", f"mx{number}.a.test", preference)
            self.dns.a(f"mx{number}.a.test", f"127.0.0.{number}")
        watch = self.daemon.watch()
        for i in range(2):
            self.deliver(f"r{i}@a.test")
        self.assertEqual([c.local_address for c in self.sink.connections],
                         ["127.0.0.1", "127.0.0.2"])
        third = self.daemon.submit(["r3@a.test"])
        event = self.wait_connect_error(watch, "NO_MXS_REACHABLE")
        for host in ("127.0.0.1", "127.0.0.2"):
            self.assertIn(host, event.post_initiate_connection_smtp.detail)
        self.daemon.wait_message(third, lambda m: reason_of(m) == "HOST_BACKOFF",
                                 what="reason HOST_BACKOFF")
        self.assertEqual(len(self.sink.connections), 2)


if __name__ == "__main__":
    unittest.main()
