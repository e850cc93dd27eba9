"""A client is asked after each transaction and says when the session ends."""

import unittest

from postern.v1 import types_pb2
from scenario import LASTING_CONNECTION, Scenario


class EndedByRemoteVerdictForQuestion(Scenario):
    config = LASTING_CONNECTION

    def test_shutdown_ends_the_session_with_quit(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        first = self.daemon.submit(["one@a.test"])
        question = policy.wait_question(1)
        self.assertEqual((question.number, question.message_id, question.domain),
                         (1, first, "a.test"))
        self.assertEqual(question.disposition, types_pb2.DISPOSITION_DELIVERED)
        self.assertEqual((question.reply.code, question.deliveries, question.attempts),
                         (250, 1, 1))
        self.assertGreater(question.time_left_ms, 0)
        # The disposition does not wait for the verdict; the session does.
        self.daemon.wait_dispositions(first, "DELIVERED")
        self.assertEqual(len(self.sink.open_connections), 1)

        verdict = policy.answer(question, "SHUTDOWN", "enough for now")
        self.assertEqual(policy.wait_result(verdict), "APPLIED")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REMOTE_POLICY", "policy", "enough for now")
        self.assertEqual(closed.connection.connection_id, question.connection_id)
        self.assert_verdict(watch.wait_event("verdict"), "SHUTDOWN", "ANSWER", "policy")
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")

        # The next message gets a connection of its own, and a first question again.
        self.daemon.submit(["two@a.test"])
        self.assertEqual(policy.wait_question(2).number, 1)
        self.assertEqual(len(self.sink.connections), 2)

    def test_keep_and_abstain_go_on_with_the_session(self):
        self.dns.domain("a.test")
        answers = iter(("KEEP", "ABSTAIN", "SHUTDOWN"))
        policy = self.daemon.policy(on_question=lambda q: next(answers))
        for i in range(3):
            self.deliver(f"r{i}@a.test")
        self.assertEqual([q.number for q in policy.wait_questions(3)], [1, 2, 3])
        self.sink.wait_closed(1)
        self.assertEqual(len(self.sink.connections), 1)
        self.assertEqual(policy.wait_result(3), "APPLIED")
        self.assert_accounted("policy")

    def test_the_event_of_the_connection_precedes_its_question(self):
        self.dns.domain("a.test")
        policy = self.daemon.policy(on_question=lambda q: "SHUTDOWN")
        self.deliver("r@a.test")
        question = policy.wait_question()
        kinds = [f.WhichOneof("frame") for f in policy.frames]
        self.assertIn("events", kinds[:kinds.index("questions")])
        connected = [e for e in policy.of_kind("post_initiate_connection_smtp")
                     if e.connection.connection_id == question.connection_id]
        self.assertEqual(len(connected), 1)

    def test_other_sessions_go_on_while_one_waits(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        policy = self.daemon.policy(domains=["a.test"])
        self.daemon.submit(["r@a.test"])
        question = policy.wait_question()
        for i in range(3):
            self.deliver(f"r{i}@b.test")
        policy.answer(question, "KEEP")

    def test_a_client_is_not_asked_about_other_domains(self):
        self.dns.domain("a.test")
        self.dns.domain("x.b.test")
        policy = self.daemon.policy(domains=["*.b.test"], on_question=lambda q: "KEEP")
        self.deliver("r@a.test")
        self.deliver("r@x.b.test")
        self.assertEqual([q.domain for q in policy.wait_questions(1)], ["x.b.test"])


if __name__ == "__main__":
    unittest.main()
