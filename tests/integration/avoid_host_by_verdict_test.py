"""A remote verdict's `then: AVOID_HOST` ends the session and sends what is left to another host."""

import unittest

from google.protobuf import duration_pb2
from postern.v1 import hooks_pb2
from scenario import ONE_CONNECTION, Scenario


class AvoidHostByVerdict(Scenario):
    sink_addresses = ("127.0.0.1", "127.0.0.2")
    config = ONE_CONNECTION

    def test_the_next_attempt_goes_to_the_other_host(self):
        for preference, number in ((10, 1), (20, 2)):
            self.dns.mx("a.test", f"mx{number}.a.test", preference)
            self.dns.a(f"mx{number}.a.test", f"127.0.0.{number}")
        watch = self.daemon.watch()
        policy = self.daemon.policy("router")
        # The question stays open until it is answered: both messages are queued by then.
        first = self.daemon.submit(["one@a.test"])
        question = policy.wait_question()
        second = self.daemon.submit(["two@a.test"])
        then = hooks_pb2.Then(action=hooks_pb2.THEN_ACTION_AVOID_HOST,
                              duration=duration_pb2.Duration(seconds=3600))
        verdict = policy.send_verdict("SHUTDOWN", reason="go elsewhere", then=then,
                                      question=hooks_pb2.QuestionTarget(
                                          connection_id=question.connection_id,
                                          number=question.number))
        self.assertEqual(policy.wait_result(verdict), "APPLIED")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REMOTE_POLICY", "router", "go elsewhere")
        self.assertTrue(closed.connection.remote_address.startswith("127.0.0.1:"), closed)
        self.daemon.wait_dispositions(first, "DELIVERED")
        self.daemon.wait_dispositions(second, "DELIVERED")
        self.assertEqual([c.local_address for c in self.sink.connections],
                         ["127.0.0.1", "127.0.0.2"])
        self.assertEqual([m.recipients for m in self.sink.messages],
                         [["one@a.test"], ["two@a.test"]])
        attempts = self.daemon.message(second).rows[0].attempts
        self.assertEqual(attempts, 1, "the verdict charged nothing")


if __name__ == "__main__":
    unittest.main()
