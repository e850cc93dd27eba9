"""Plaintext after a TLS handshake that failed: the place at the host is kept for it."""

import unittest

from certificates import server_context
from scenario import Scenario


class FallbackKeepsItsPlace(Scenario):
    config = {"options": {"max_connections_per_host": 1, "max_outbound_connections": 1,
                          "idle_timeout": "0s", "retry_schedule": ["1h"]}}

    def sink_tls(self):
        return server_context(self.ca.issue_for("mx.a.test"))

    def test_although_another_queue_waits_for_it(self):
        for name in ("a.test", "b.test"):
            self.dns.domain(name, "127.0.0.1")
        self.sink.rule("greeting", connection=1, gate="go")
        self.sink.rule("tls", drop=True)
        watch = self.daemon.watch()
        idents = [self.daemon.submit(["r@a.test"])]
        self.sink.gates.wait_reached("go")
        idents.append(self.daemon.submit(["r@b.test"]))
        self.wait_connect_error(watch, "HOST_MAX_REACHED")
        self.sink.gates.release("go")
        for ident in idents:
            self.daemon.wait_dispositions(ident, "DELIVERED")


if __name__ == "__main__":
    unittest.main()
