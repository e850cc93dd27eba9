"""max_retries: so many charged attempts after the first; what is refused once more has failed."""

import unittest

from postern.v1 import types_pb2
from scenario import ONE_CONNECTION, Scenario, merge, recipient_states, scope, short


class MaxRetries(Scenario):
    def configure(self, retries, **options):
        self.config = merge(ONE_CONNECTION, {"options": {
            "retry_schedule": ["50ms"], "max_retries": retries, **options}})
        self.dns.domain("a.test")

    def failed(self, ident, attempts):
        """The recipient's state, once the message has failed after so many attempts."""
        message = self.daemon.wait_dispositions(ident, "FAILED")
        self.assertEqual(message.rows[0].attempts, attempts)
        self.assertEqual(message.rows[0].reason, types_pb2.REQUEUE_REASON_UNSPECIFIED)
        self.assertFalse(message.rows[0].HasField("next_attempt"))
        state = recipient_states(message)["r@a.test"]
        self.assertEqual(state.attempts, attempts)
        return state

    def test_fails_with_the_last_reply(self):
        self.configure(2)
        for text in ("first", "second", "third"):
            self.sink.rule("body", times=1, reply=f"451 4.3.0 {text}")
        watch = self.daemon.watch()
        outcomes = self.daemon.outcomes(final_only=True)
        ident = self.daemon.submit(["r@a.test"])
        self.assert_reply(self.failed(ident, attempts=3), 451, "body", "third")
        told = [e.delivery_attempt.recipients[0].reply.text
                for e in watch.wait_events("delivery_attempt", 3)]
        self.assertEqual(told, ["first", "second", "third"])
        outcome, = outcomes.wait_outcomes(1)
        self.assertEqual((short(types_pb2.Disposition, outcome.disposition), outcome.reply.text,
                          outcome.attempts), ("FAILED", "third", 3))
        # The receiver would take it now; it is not offered any more.
        self.deliver("next@a.test")
        self.assertEqual(len(self.sink.transactions), 4)

    def test_the_last_attempt_is_told_as_a_failure(self):
        self.configure(1)
        self.sink.rule("body", reply="451 4.3.0 later")
        watch = self.daemon.watch()
        self.failed(self.daemon.submit(["r@a.test"]), attempts=2)
        told = [e.delivery_attempt.recipients[0] for e in watch.wait_events("delivery_attempt", 2)]
        # The reason is why it waits, and it does not wait any more.
        self.assertEqual([(short(types_pb2.Disposition, r.disposition),
                           short(types_pb2.RequeueReason, r.reason)) for r in told],
                         [("DEFERRED", "TRANSIENT_FAILURE"), ("FAILED", "UNSPECIFIED")])

    def test_with_0_the_first_refusal_is_the_last(self):
        self.configure(0)
        self.sink.rule("rcpt", reply="451 4.7.1 later")
        self.assert_reply(self.failed(self.daemon.submit(["r@a.test"]), attempts=1), 451, "rcpt")

    def test_only_the_recipients_that_are_left(self):
        self.configure(1)
        self.sink.rule("rcpt", recipient="^r@", reply="451 4.7.1 later")
        ident = self.daemon.submit(["r@a.test", "q@a.test"])
        self.daemon.wait_dispositions(ident, {"r@a.test": "FAILED", "q@a.test": "DELIVERED"})
        self.assertEqual([m.recipients for m in self.sink.messages], [["q@a.test"]])

    def test_what_holds_up_the_queue_is_no_attempt(self):
        self.configure(0)
        self.sink.rule("greeting", times=2, reply="451 4.3.2 not now")
        self.sink.rule("greeting", times=1, reply="421 4.3.2 nor now", close="after")
        message = self.daemon.wait_dispositions(self.daemon.submit(["r@a.test"]), "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)
        self.assertEqual(len(self.sink.connections), 4)

    def test_goes_on_counting_after_a_restart(self):
        self.configure(1, retry_schedule=["1h"])
        self.sink.rule("body", reply="451 4.3.0 later")
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_message(ident, lambda m: m.rows[0].attempts == 1)
        self.daemon.restart(kill=True)
        self.daemon.wait_dispositions(ident, "DEFERRED")
        self.assertEqual(self.control("Flush", scope=scope("a.test")).rows, 1)
        self.failed(ident, attempts=2)
        self.assertEqual(len(self.sink.transactions), 2)


if __name__ == "__main__":
    unittest.main()
