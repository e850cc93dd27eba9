"""Plaintext behind the reply to STARTTLS, put there by somebody in between, is not taken for what
the receiver says over TLS (CVE-2011-0411 and its kind)."""

import unittest

from certificates import server_context
from scenario import Scenario, dispositions


class Injection(Scenario):
    def sink_tls(self):
        return server_context(self.ca.issue_for("mx.a.test"))

    def test_is_a_protocol_error(self):
        self.violations_expected = True  # the receiver reads no TLS, but the end of the connection
        self.sink.rule("starttls", times=1,
                       reply="220 Go ahead\n250-injected\n250-AUTH PLAIN\n250 SIZE 1")
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "PROTOCOL_ERROR",
                           reason="input behind the reply to STARTTLS")
        self.assertIn(dispositions(self.daemon.message(ident))["r@a.test"],
                      ("QUEUED", "DEFERRED", "DELIVERED"))
        self.daemon.wait_dispositions(ident, "DELIVERED")
        first, second = self.sink.connections
        self.assertEqual(first.commands(), ["EHLO source.test", "STARTTLS"])
        # Tried again, and with TLS: the attacker has not talked it out of that.
        self.assertIsNotNone(second.tls)


if __name__ == "__main__":
    unittest.main()
