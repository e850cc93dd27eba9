"""Any SHUTDOWN wins: the first one ends the question, and the others hear of it."""

import unittest

from postern.v1 import hooks_pb2
from scenario import ONE_CONNECTION, Scenario


class TwoClientsOneSaysShutdown(Scenario):
    config = ONE_CONNECTION

    def test_shutdown_wins_over_keep(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        keeper = self.daemon.policy("keeper", on_question=lambda q: "KEEP", priority=10)
        stopper = self.daemon.policy("stopper", priority=-10)
        self.daemon.submit(["one@a.test"])
        self.assertEqual(keeper.wait_result(1), "APPLIED")
        verdict = stopper.answer(stopper.wait_question(), "SHUTDOWN", "I say so")
        self.assertEqual(stopper.wait_result(verdict), "APPLIED")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "stopper",
                           "I say so")
        for name in ("keeper", "stopper"):
            self.assert_accounted(name)

    def test_the_others_are_not_waited_for(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        silent = self.daemon.policy("silent")
        self.daemon.policy("stopper", on_question=lambda q: "SHUTDOWN")
        self.daemon.submit(["one@a.test"])
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "stopper")
        # At the end of its time it would have had the default, and no word of that.
        cancelled = silent.wait_frame("question_cancelled")[0]
        question = silent.wait_question()
        self.assertEqual((cancelled.connection_id, cancelled.number, cancelled.cause),
                         (question.connection_id, question.number,
                          hooks_pb2.CANCEL_CAUSE_DECIDED))
        provider = self.daemon.remote_provider("silent")
        self.assertEqual((provider.questions, provider.cancelled), (1, 1))

    def test_keep_needs_all_of_them(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        one, two = self.daemon.policy("one"), self.daemon.policy("two")
        self.daemon.submit(["one@a.test"])
        one.answer(one.wait_question(), "KEEP")
        self.assertEqual(one.wait_result(1), "APPLIED")
        self.assertEqual(watch.of_kind("verdict"), [])
        two.answer(two.wait_question(), "ABSTAIN")
        self.assert_verdict(watch.wait_event("verdict"), "KEEP", "ANSWER")


if __name__ == "__main__":
    unittest.main()
