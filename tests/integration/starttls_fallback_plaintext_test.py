"""A TLS handshake that fails where TLS is not required: a new connection, in plaintext."""

import unittest

from certificates import server_context
from scenario import Scenario, ms, reason_of


class Fallback(Scenario):
    def sink_tls(self):
        return server_context(self.ca.issue_for("mx.b.test"))

    def expect_plaintext(self, why):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        first, second = self.sink.connections
        self.assertIn("STARTTLS", first.commands())
        self.assertNotIn("STARTTLS", second.commands())
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "TLS_FAILED")
        self.assertRegex(closed.connection_closed.reason, why)
        # Both were connections, each told to the hook; only one was ever ready.
        watch.wait_events("post_initiate_connection_smtp", 2,
                          lambda e: not e.post_initiate_connection_smtp.error)
        ready = watch.wait_event("session_ready")
        self.assertNotEqual(ready.connection.connection_id, closed.connection.connection_id)
        self.assertEqual(ready.session_ready.tls_version, "")

    def test_when_the_connection_breaks(self):
        self.sink.rule("tls", drop=True)
        self.expect_plaintext("reset")

    def test_when_the_receiver_closes(self):
        self.sink.rule("tls", close="before")
        # An end of the stream, or a reset if it had not read what we said.
        self.expect_plaintext("closed during the TLS handshake|reset")

    def test_when_it_takes_too_long(self):
        # It holds for the reply to STARTTLS too, which must come in time.
        self.config = {"options": {"starttls_timeout": ms(2000)}}
        self.sink.rule("tls", hang=True)
        self.expect_plaintext("timed out in the TLS handshake")

    def test_when_the_certificate_is_not_good_enough(self):
        self.make_daemon(options={"tls_verify": "host"}).start()
        self.expect_plaintext("certificate: ")

    def test_not_with_tls_fallback_false(self):
        self.sink.rule("tls", times=1, drop=True)
        self.sink.rule("greeting", connection=2, gate="again")  # till then it waits
        self.make_daemon(options={"tls_fallback": False}).start()
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "TLS_FAILED",
                                 what="reason TLS_FAILED")
        self.assert_closed(watch.wait_event("connection_closed"), "TLS_FAILED")
        self.sink.gates.release("again")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertIsNotNone(self.sink.connections[1].tls)


if __name__ == "__main__":
    unittest.main()
