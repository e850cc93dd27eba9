"""A client goes away while a session waits for it: the default is taken at once."""

import unittest

import grpc

from postern.v1 import types_pb2
from scenario import LASTING_CONNECTION, Scenario, eventually


class ClientDisconnectsBetweenQuestionAndAnswer(Scenario):
    config = LASTING_CONNECTION

    def test_the_session_goes_on_when_the_client_vanishes(self):
        self.check(lambda policy: policy.cancel())

    def test_the_session_goes_on_when_the_client_takes_its_leave(self):
        def half_close(policy):
            policy.half_close()
            self.assertEqual(policy.wait_ended(), grpc.StatusCode.OK)

        self.check(half_close)

    def check(self, leave):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        self.daemon.submit(["one@a.test"])
        policy.wait_question()
        leave(policy)
        verdict = watch.wait_event("verdict")
        self.assert_verdict(verdict, "KEEP", "DEFAULT", default_cause="DISCONNECT")
        # Well before the deadline of 5 s.
        self.assertLess(verdict.verdict.waited.seconds, 4)
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        self.assertEqual(self.defaults("policy")["DISCONNECT"], 1)
        self.assert_accounted("policy")

    def test_the_default_for_disconnect_can_be_shutdown(self):
        self.dns.domain("a.test")
        # The server's rule for the provider goes before what the client asked for.
        self.make_daemon(policy={"providers": [{"name": "policy", "cause_defaults": [
            {"cause": "disconnect", "verdict": "shutdown"}]}]}).start()
        watch = self.daemon.watch()
        policy = self.daemon.policy(default_verdict=types_pb2.DEFAULT_VERDICT_KEEP)
        self.daemon.submit(["one@a.test"])
        policy.wait_question()
        policy.cancel()
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy")

    def test_a_replica_takes_over_from_the_next_question_on(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        both = [self.daemon.policy(), self.daemon.policy()]
        self.daemon.submit(["one@a.test"])
        asked = self.wait_asked(both)
        other = both[1 - both.index(asked)]
        asked.cancel()
        self.assert_verdict(watch.wait_event("verdict"), "KEEP", "DEFAULT",
                            default_cause="DISCONNECT")
        self.daemon.submit(["two@a.test"])
        question = other.wait_question()
        self.assertEqual(question.number, 2)
        verdict = other.answer(question, "SHUTDOWN")
        self.assertEqual(other.wait_result(verdict), "APPLIED")

    def wait_asked(self, policies):
        return eventually(lambda: next((p for p in policies if p.questions), None), 10,
                          "a question to one of the replicas")


if __name__ == "__main__":
    unittest.main()
