"""A receiver that never answers the SYN: CONN_ERR_CONNECT_TIMEOUT, and the next host is tried."""

import unittest

from scenario import Scenario, reason_of
from sink_rules import FullBacklog


class ConnectTimeout(Scenario):
    config = {"options": {"connect_timeout": "300ms"}}

    def test_raises_the_hook_with_connect_timeout(self):
        with FullBacklog("127.0.0.9", self.sink.port):
            self.dns.domain("a.test", "127.0.0.9")
            watch = self.daemon.watch()
            ident = self.daemon.submit(["r@a.test"])
            event = self.wait_connect_error(watch, "CONNECT_TIMEOUT")
            self.assertEqual(event.connection.remote_address, f"127.0.0.9:{self.sink.port}")
            self.daemon.wait_message(ident, lambda m: reason_of(m) == "CONNECT_FAILED",
                                     what="reason CONNECT_FAILED")

    def test_goes_on_to_the_next_host(self):
        with FullBacklog("127.0.0.9", self.sink.port):
            self.dns.mx("a.test", "dead.a.test", 10)
            self.dns.mx("a.test", "live.a.test", 20)
            self.dns.a("dead.a.test", "127.0.0.9")
            self.dns.a("live.a.test", "127.0.0.1")
            watch = self.daemon.watch()
            self.deliver("r@a.test")
            self.wait_connect_error(watch, "CONNECT_TIMEOUT")


if __name__ == "__main__":
    unittest.main()
