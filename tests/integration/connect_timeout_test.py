"""A receiver that never answers the SYN: CONN_ERR_CONNECT_TIMEOUT, and the next host is tried."""

import unittest

from postern.v1 import control_pb2, types_pb2
from scenario import Scenario, eventually, reason_of
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

    def test_an_attempt_is_listed_while_it_lasts(self):
        self.make_daemon(options={"connect_timeout": "60s", "mx_lookup_timeout": "60s"}).start()
        with FullBacklog("127.0.0.9", self.sink.port):
            self.dns.domain("a.test", "127.0.0.9")
            self.dns.behave("b.test", "timeout")
            self.daemon.submit(["r@a.test"])
            self.daemon.submit(["r@b.test"])
            dialing = {}

            def both():
                dialing.update((c.connection.domain, c)
                               for c in self.control("ListConnections").connections
                               if c.state == control_pb2.CONNECTION_STATE_DIALING)
                return len(dialing) == 2 and dialing["a.test"].stage

            eventually(both, what="two attempts")
            self.assertEqual(dialing["a.test"].stage, types_pb2.SMTP_STAGE_CONNECT)
            self.assertEqual(dialing["a.test"].connection.remote_address,
                             f"127.0.0.9:{self.sink.port}")
            self.assertEqual(dialing["b.test"].stage, types_pb2.SMTP_STAGE_UNSPECIFIED)
            self.assertEqual(dialing["b.test"].connection.remote_address, "")
            self.assertTrue(dialing["b.test"].connection.connection_id)


if __name__ == "__main__":
    unittest.main()
