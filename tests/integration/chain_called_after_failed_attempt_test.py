"""smtp_should_session_shutdown is called after every transaction, failed ones included."""

import unittest

from postern.v1 import types_pb2
from scenario import LASTING_CONNECTION, Scenario


class ChainCalledAfterFailedAttempt(Scenario):
    config = LASTING_CONNECTION

    def test_after_550_at_mail(self):
        self.check("mail", 550, "FAILED")

    def test_after_550_for_the_only_recipient(self):
        self.check("rcpt", 550, "FAILED")

    def test_after_550_at_the_final_dot(self):
        self.check("body", 550, "FAILED")

    def test_after_451_at_the_final_dot(self):
        self.check("body", 451, "DEFERRED")

    def check(self, stage, code, disposition):
        self.dns.domain("a.test")
        self.sink.rule(stage, times=1, reply=f"{code} {code // 100}.7.1 Not today")
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        self.daemon.submit(["one@a.test"])
        question = policy.wait_question()
        self.assertEqual((question.reply.code, question.deliveries, question.attempts),
                         (code, 0, 1))
        self.assertEqual(types_pb2.Disposition.Name(question.disposition),
                         "DISPOSITION_" + disposition)
        verdict = policy.answer(question, "SHUTDOWN", "it refuses")
        self.assertEqual(policy.wait_result(verdict), "APPLIED")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy",
                           "it refuses")
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")

    def test_once_per_transaction_and_not_per_recipient(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", recipient="^bad", reply="550 5.1.1 No")
        watch = self.daemon.watch()
        policy = self.daemon.policy(on_question=lambda q: "KEEP")
        ident = self.daemon.submit(["bad1@a.test", "good@a.test", "bad2@a.test"])
        self.daemon.wait_dispositions(ident, {"bad1@a.test": "FAILED", "bad2@a.test": "FAILED",
                                              "good@a.test": "DELIVERED"})
        self.deliver("next@a.test")
        self.assertEqual([q.number for q in policy.wait_questions(2)], [1, 2])
        # DELIVERED when at least one recipient was.
        self.assertEqual(policy.questions[0].disposition, types_pb2.DISPOSITION_DELIVERED)
        self.assertEqual(len(watch.wait_events("verdict", 2)), 2)


if __name__ == "__main__":
    unittest.main()
