"""A verdict's `then: HOLD` keeps the pair from opening connections, until it is over or lifted."""

import unittest

from google.protobuf import duration_pb2
from postern.v1 import hooks_pb2, types_pb2
from scenario import Scenario, eventually, merge, module, reason_of, scope, short


def hold(**duration):
    return hooks_pb2.Then(action=hooks_pb2.THEN_ACTION_HOLD,
                          duration=duration_pb2.Duration(**duration))


class HoldByVerdict(Scenario):
    def end_session(self, then):
        """The first delivery's question is answered with SHUTDOWN and this."""
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy("warmup")
        self.deliver("one@a.test")
        question = policy.wait_question()
        verdict = policy.send_verdict(
            "SHUTDOWN", reason="slow down", then=then, question=hooks_pb2.QuestionTarget(
                connection_id=question.connection_id, number=question.number))
        self.assertEqual(policy.wait_result(verdict), "APPLIED")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "warmup")

    def held(self, then):
        """A message that was submitted while the hold was in force."""
        self.end_session(then)
        eventually(lambda: self.control("ListQueues").suspensions, what="the hold is in force")
        return self.daemon.submit(["two@a.test"])

    def check_waits(self, ident):
        message = self.daemon.message(ident)
        self.assertEqual(reason_of(message), "POLICY_HOLD")
        self.assertEqual(message.rows[0].attempts, 0)
        queue = eventually(lambda: self.queue("a.test"), what="the queue of a.test")
        self.assertFalse(queue.suspended)
        self.assertEqual(short(types_pb2.RequeueReason, queue.reason), "POLICY_HOLD")
        self.assertEqual((queue.suspension.who, queue.suspension.reason), ("warmup", "slow down"))
        self.assertTrue(queue.suspension.HasField("until"))
        self.assertEqual(len(self.sink.messages), 1)

    def test_is_listed_survives_a_restart_and_is_lifted_by_resume(self):
        ident = self.held(hold(seconds=3600))
        self.check_waits(ident)
        self.daemon.restart(kill=True)
        self.check_waits(ident)
        self.assertEqual(self.control("Resume", scope=scope("a.test")).queues, 1)
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(list(self.control("ListQueues").suspensions), [])

    def test_ends_by_itself(self):
        self.end_session(hold(nanos=500_000_000))
        # It may be over before anybody can list it.
        self.daemon.wait_log(r"warmup holds a\.test\S* for 500ms: slow down")
        ident = self.daemon.submit(["two@a.test"])
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(self.sink.connections), 2)

    def test_is_at_most_an_hour(self):
        self.dns.domain("a.test")
        policy = self.daemon.policy()
        self.deliver("one@a.test")
        question = policy.wait_question()
        target = hooks_pb2.QuestionTarget(connection_id=question.connection_id,
                                          number=question.number)
        verdict = policy.send_verdict("SHUTDOWN", then=hold(seconds=3601), question=target)
        self.assertEqual(policy.wait_result(verdict), "DENIED")

    def test_avoid_host_is_taken(self):
        self.dns.domain("a.test")
        policy = self.daemon.policy()
        self.deliver("one@a.test")
        question = policy.wait_question()
        then = hooks_pb2.Then(action=hooks_pb2.THEN_ACTION_AVOID_HOST,
                              duration=duration_pb2.Duration(seconds=60))
        verdict = policy.send_verdict("SHUTDOWN", then=then, question=hooks_pb2.QuestionTarget(
            connection_id=question.connection_id, number=question.number))
        self.assertEqual(policy.wait_result(verdict), "APPLIED")

    def test_a_native_module_holds_too(self):
        self.config = merge(self.config, {"modules": [module("end_session", deliveries=1,
                                                             hold=3600)]})
        self.dns.domain("a.test")
        self.deliver("one@a.test")
        held, = eventually(lambda: self.control("ListQueues").suspensions, what="the hold")
        self.assertEqual((held.scope.domain, held.who), ("a.test", "end_session"))
        ident = self.daemon.submit(["two@a.test"])
        self.assertEqual(reason_of(self.daemon.message(ident)), "POLICY_HOLD")


if __name__ == "__main__":
    unittest.main()
