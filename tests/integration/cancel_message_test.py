"""CancelMessage withdraws what is not delivered; what is in a session is withdrawn after it."""

import unittest

from postern.v1 import delivery_pb2, types_pb2
from scenario import Scenario, dispositions, recipient_states, scaled, scope, short


class CancelMessage(Scenario):
    def cancel(self, ident, *recipients, reason="sent by mistake"):
        return self.daemon.delivery.CancelMessage(delivery_pb2.CancelMessageRequest(
            message_id=ident, recipients=recipients, reason=reason), timeout=scaled(20))

    def test_a_queued_message_and_a_single_recipient(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.suspend("*")
        whole = self.daemon.submit(["r@a.test", "r@b.test"])
        part = self.daemon.submit(["r@a.test", "q@a.test", "r@b.test"])
        message = self.cancel(whole)
        self.assertEqual(set(dispositions(message).values()), {"CANCELLED"})
        self.assert_reply(recipient_states(message)["r@a.test"], 550, text="sent by mistake")
        message = self.cancel(part, "q@A.test")
        self.assertEqual(dispositions(message),
                         {"r@a.test": "QUEUED", "q@a.test": "CANCELLED", "r@b.test": "QUEUED"})

        self.daemon.restart(kill=True)
        self.control("Resume", scope=scope("*"))
        self.daemon.wait_dispositions(
            part, {"r@a.test": "DELIVERED", "q@a.test": "CANCELLED", "r@b.test": "DELIVERED"})
        self.assertEqual(sorted(r for m in self.sink.messages for r in m.recipients),
                         ["r@a.test", "r@b.test"])

    def test_a_row_in_a_session_that_is_deferred(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot", reply="451 4.3.0 later")
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        message = self.cancel(ident)
        self.assertTrue(message.rows[0].in_session)
        self.assertEqual(dispositions(message), {"r@a.test": "QUEUED"})
        outcomes = self.daemon.outcomes()
        self.sink.gates.release("dot")
        message = self.daemon.wait_dispositions(ident, "CANCELLED")
        self.assertEqual(len(self.sink.transactions), 1)
        # What the receiver said is told, and what the operator did after it.
        told = [(short(types_pb2.Disposition, o.disposition), o.reply.code, o.attempts)
                for o in outcomes.wait_outcomes(2)]
        self.assertEqual(told, [("DEFERRED", 451, 1), ("CANCELLED", 550, 1)])
        self.assertEqual([r.reply.code for r in message.rows[0].history][0], 451)

    def test_two_calls_for_recipients_of_a_row_in_a_session(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot", reply="451 4.3.0 later")
        ident = self.daemon.submit(["r@a.test", "q@a.test", "z@a.test"])
        self.sink.gates.wait_reached("dot")
        self.cancel(ident, "r@a.test")
        self.cancel(ident, "q@a.test")
        self.sink.gates.release("dot")
        self.daemon.wait_dispositions(
            ident, {"r@a.test": "CANCELLED", "q@a.test": "CANCELLED", "z@a.test": "DELIVERED"})

    def test_a_row_in_a_session_that_is_delivered(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot")
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        self.cancel(ident)
        self.sink.gates.release("dot")
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def test_a_finished_message_is_answered_unchanged(self):
        self.dns.domain("a.test")
        ident = self.deliver("r@a.test")
        self.assertEqual(dispositions(self.cancel(ident)), {"r@a.test": "DELIVERED"})
        code, out, err = self.daemon.run_cli("cancel", ident)
        self.assertEqual(code, 0, err)
        self.assertIn("delivered", out)

    def test_refuses_what_it_does_not_know(self):
        self.dns.domain("a.test")
        ident = self.deliver("r@a.test")
        self.assert_refused("NOT_FOUND", self.cancel, "0" * 32)
        self.assertIn("recipients[0]", self.assert_refused(
            "INVALID_ARGUMENT", self.cancel, ident, "other@a.test"))


if __name__ == "__main__":
    unittest.main()
