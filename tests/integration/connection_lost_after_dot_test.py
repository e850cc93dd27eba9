"""The connection breaks around the final dot: before it the message is safe, behind it in doubt."""

import unittest

from scenario import Scenario, reason_of


class ConnectionLostAfterDot(Scenario):
    def test_marks_the_attempt_in_doubt_and_tries_again(self):
        self.lost_behind_the_dot(drop=True)

    def test_the_same_when_the_peer_closes_in_good_order(self):
        self.lost_behind_the_dot(close="before")

    def lost_behind_the_dot(self, **how):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, **how)
        self.sink.rule("greeting", connection=2, gate="retry")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        attempt = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertTrue(attempt.in_doubt)
        self.assert_closed(watch.wait_event("connection_closed"), "IO_ERROR")
        self.sink.gates.wait_reached("retry")
        # The next connection may be faster than the disk.
        message = self.daemon.wait_message(ident, lambda m: reason_of(m) == "IN_DOUBT",
                                           what="reason IN_DOUBT")
        self.assertTrue(message.rows[0].in_doubt)
        self.sink.gates.release("retry")
        message = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertFalse(message.rows[0].in_doubt)
        # The receiver may have it twice: that is what in doubt says.
        self.assertEqual(len(self.sink.transactions), 2)

    def test_is_not_in_doubt_when_it_breaks_within_the_content(self):
        self.dns.domain("a.test")
        self.sink.rule("content", connection=1, after_bytes=1000, drop=True)
        self.sink.rule("greeting", connection=2, gate="retry")
        watch = self.daemon.watch()
        # Large enough that the dot cannot have been sent when the receiver gives up.
        content = b"A: b\r\n\r\n" + (b"x" * 70 + b"\r\n") * 300000
        ident = self.daemon.submit(["r@a.test"], content=content)
        attempt = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertFalse(attempt.in_doubt)
        self.sink.gates.wait_reached("retry")
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "CONNECTION_LOST",
                                 what="reason CONNECTION_LOST")
        self.sink.gates.release("retry")
        self.daemon.wait_dispositions(ident, "DELIVERED", timeout=30)
        self.assertEqual(len(self.sink.transactions), 1)


if __name__ == "__main__":
    unittest.main()
