"""A 451 defers the recipient; the retry delivers."""

import unittest

from scenario import Scenario, reason_of, recipient_states


class DeferredOn451ThenDelivered(Scenario):
    def test_after_the_final_dot(self):
        self.check("body")

    def test_at_rcpt(self):
        self.check("rcpt")

    def test_at_mail(self):
        self.check("mail")

    def check(self, stage):
        self.dns.domain("a.test")
        self.sink.rule(stage, nth=1, reply="451-4.3.0 Try\n451 4.3.0 again")
        # The second attempt stops at the gate, so that the state between the two can be seen.
        self.sink.rule(stage, nth=1, gate="retry")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        first = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertEqual(first.recipients[0].reply.code, 451)
        self.sink.gates.wait_reached("retry")
        # The retry may be faster than the disk.
        message = self.daemon.wait_message(ident, lambda m: reason_of(m) == "TRANSIENT_FAILURE",
                                           what="reason TRANSIENT_FAILURE")
        state = recipient_states(message)["r@a.test"]
        self.assertEqual(message.rows[0].attempts, 1)
        self.assert_reply(state, 451, stage, "Try\nagain")
        self.assertEqual(state.last_reply.enhanced_status, "4.3.0")
        self.sink.gates.release("retry")
        message = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(self.sink.messages), 1)
        attempts = watch.wait_events("delivery_attempt", 2)
        self.assertEqual(attempts[1].delivery_attempt.recipients[0].reply.code, 250)


if __name__ == "__main__":
    unittest.main()
