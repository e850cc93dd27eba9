"""A client answers the event of the connection: the session never has to wait for it."""

import unittest

from google.protobuf import duration_pb2
from postern.v1 import hooks_pb2
from scenario import LASTING_CONNECTION, Scenario


class VerdictAheadForConnection(Scenario):
    config = LASTING_CONNECTION

    def attach(self, decision, ask=hooks_pb2.ASK_MODE_SYNC, status="STORED", **when):
        """A client that says this about the first connection, before the receiver's greeting."""
        self.dns.domain("a.test")
        self.sink.rule("greeting", connection=1, gate="greeting")
        policy = self.daemon.policy(ask=ask)
        self.first = self.daemon.submit(["one@a.test"])
        event = policy.wait_event(
            "post_initiate_connection_smtp",
            lambda e: e.post_initiate_connection_smtp.WhichOneof("result") == "conn_fd")
        verdict = policy.say(event.connection.connection_id, decision, "said ahead", **when)
        self.assertEqual(policy.wait_result(verdict), status)
        self.sink.gates.release("greeting")
        return policy

    def test_shutdown_after_the_first_transaction(self):
        watch = self.daemon.watch()
        policy = self.attach("SHUTDOWN", after_deliveries=1)
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REMOTE_POLICY", "policy", "said ahead")
        verdict = watch.wait_event("verdict")
        self.assert_verdict(verdict, "SHUTDOWN", "STANDING", "policy")
        self.assertEqual(verdict.verdict.waited, duration_pb2.Duration())
        self.assertEqual(policy.questions, [])
        self.daemon.wait_dispositions(self.first, "DELIVERED")

    def test_shutdown_now_ends_it_before_the_first_transaction(self):
        watch = self.daemon.watch()
        self.attach("SHUTDOWN", status="APPLIED")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REMOTE_POLICY", "policy", "said ahead")
        self.assertEqual(closed.connection_closed.attempts, 0)
        # The mail waits for no verdict: another connection takes it.
        self.daemon.wait_dispositions(self.first, "DELIVERED")

    def in_a_transaction(self):
        """A client, and the connection whose first transaction waits at the final dot."""
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot")
        policy = self.daemon.policy(ask=hooks_pb2.ASK_MODE_STANDING)
        self.daemon.submit(["one@a.test"])
        self.sink.gates.wait_reached("dot")
        connection, = self.control("ListConnections").connections
        return policy, connection.connection.connection_id

    def test_shutdown_in_a_transaction_decides_at_its_end(self):
        watch = self.daemon.watch()
        policy, connection = self.in_a_transaction()
        policy.wait_result(policy.say(connection, "SHUTDOWN", "enough"))
        self.sink.gates.release("dot")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy",
                           "enough")
        self.assert_verdict(watch.wait_event("verdict"), "SHUTDOWN", "STANDING", "policy")

    def test_what_was_said_in_a_transaction_can_be_taken_back(self):
        watch = self.daemon.watch()
        policy, connection = self.in_a_transaction()
        policy.wait_result(policy.say(connection, "SHUTDOWN", "enough"))
        policy.wait_result(policy.say(connection, "ABSTAIN"))
        self.sink.gates.release("dot")
        self.assert_verdict(watch.wait_event("verdict"), "KEEP", "DEFAULT")
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 1)

    def test_shutdown_after_two_deliveries(self):
        watch = self.daemon.watch()
        self.attach("SHUTDOWN", ask=hooks_pb2.ASK_MODE_STANDING, after_deliveries=2)
        self.daemon.wait_dispositions(self.first, "DELIVERED")
        self.deliver("two@a.test")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REMOTE_POLICY", "policy")
        self.assertEqual(closed.connection_closed.deliveries, 2)

    def test_keep_is_not_asked_again(self):
        policy = self.attach("KEEP")
        self.daemon.wait_dispositions(self.first, "DELIVERED")
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        self.assertEqual(policy.questions, [])

    def test_shutdown_ends_an_idle_session_at_once(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy(on_question=lambda q: "KEEP")
        self.deliver("one@a.test")
        watch.wait_event("verdict")
        question = policy.wait_question()
        self.assertEqual(policy.wait_result(1), "APPLIED")
        verdict = policy.say(question.connection_id, "SHUTDOWN", "idle long enough")
        self.assertIn(policy.wait_result(verdict), ("APPLIED", "STORED"))
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy")


if __name__ == "__main__":
    unittest.main()
