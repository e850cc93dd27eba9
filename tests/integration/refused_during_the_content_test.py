"""A receiver that refuses in the middle of the content and closes: its word counts."""

import unittest

from scenario import Scenario, recipient_states


class RefusedDuringTheContent(Scenario):
    def test_a_552_fails_the_message(self):
        self.dns.domain("a.test")
        self.sink.rule("content", after_bytes=65536, reply="552 5.3.4 too big", close="after")
        line = b"x" * 78 + b"\r\n"
        ident = self.daemon.submit(["r@a.test"], content=b"Subject: big\r\n\r\n" + line * 100000)
        message = self.daemon.wait_dispositions(ident, "FAILED")
        reply = recipient_states(message)["r@a.test"].last_reply
        self.assertEqual((reply.code, reply.enhanced_status), (552, "5.3.4"))
        self.assertEqual(len(self.sink.connections), 1)


if __name__ == "__main__":
    unittest.main()
