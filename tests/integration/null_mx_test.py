"""A domain that publishes a null MX (RFC 7505) gets no mail: it fails at once."""

import unittest

from scenario import Scenario, recipient_states


class NullMx(Scenario):
    def test_fails_at_once_with_556(self):
        self.dns.null_mx("none.test")
        self.dns.a("none.test", "127.0.0.1")  # must not be used instead
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@none.test"])
        message = self.daemon.wait_dispositions(ident, "FAILED")
        state = recipient_states(message)["r@none.test"]
        self.assertEqual((state.last_reply.code, state.last_reply.enhanced_status),
                         (556, "5.1.10"))
        event = self.wait_connect_error(watch, "SMTP_NULL_MX")
        self.assertEqual(event.connection.remote_address, "")
        # Raised while the head of the queue was still there to be looked at.
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.assertEqual(self.sink.connections, [])


if __name__ == "__main__":
    unittest.main()
