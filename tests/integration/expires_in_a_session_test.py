"""A message's deadline fires while it is in a session, too; not once its content has been sent."""

import unittest

from google.protobuf import duration_pb2
from scenario import Scenario, recipient_states

# Long enough for a busy machine to come as far as each scenario wants.
SHORT = duration_pb2.Duration(seconds=10)


class ExpiresInASession(Scenario):
    config = {"options": {"mailfrom_timeout": "10m", "rcptto_timeout": "10m",
                          "body_timeout": "10m", "retry_schedule": ["1h"]}}

    def test_before_the_content(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", hang=True)
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"], message_expiration=SHORT)
        message = self.daemon.wait_dispositions(ident, "EXPIRED", timeout=30)
        self.assertIn("expired", recipient_states(message)["r@a.test"].last_reply.text)
        self.assert_closed(watch.wait_event("connection_closed"), "TIMEOUT")
        self.assertIn("time was over",
                      watch.of_kind("connection_closed")[0].connection_closed.reason)
        # The host is not blamed: the next message does not wait for the retry schedule.
        self.sink.rules.clear()
        self.deliver("q@a.test")

    def test_who_may_have_taken_it_is_waited_for(self):
        self.dns.domain("a.test")
        self.sink.rule("body", gate="dot")
        self.sink.rule("mail", sender="^late@", hang=True)
        ident = self.daemon.submit(["r@a.test"], message_expiration=SHORT)
        self.sink.gates.wait_reached("dot")
        # A message of another queue, submitted later, runs out: so the first one's time is over.
        self.dns.domain("b.test")
        other = self.daemon.submit(["r@b.test"], sender="late@source.test",
                                   message_expiration=SHORT)
        self.daemon.wait_dispositions(other, "EXPIRED", timeout=30)
        self.sink.gates.release("dot")
        self.daemon.wait_dispositions(ident, "DELIVERED")


if __name__ == "__main__":
    unittest.main()
