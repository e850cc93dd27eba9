"""A client does not answer in time; its default KEEP lets the session go on."""

import unittest

from postern.v1 import types_pb2
from scenario import LASTING_CONNECTION, Scenario, merge


class DefaultOnTimeoutKeep(Scenario):
    config = merge(LASTING_CONNECTION, {"policy": {"timeout": "100ms"}})

    def test_keeps_the_session_after_the_deadline(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.daemon.policy(default_verdict=types_pb2.DEFAULT_VERDICT_KEEP)
        self.deliver("one@a.test")
        verdict = watch.wait_event("verdict")
        self.assert_verdict(verdict, "KEEP", "DEFAULT", default_cause="TIMEOUT")
        waited = verdict.verdict.waited
        self.assertGreaterEqual(waited.seconds + waited.nanos / 1e9, 0.095)
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        watch.wait_events("verdict", 2)
        # Counted, whether or not its stream came to send them in time.
        self.assertEqual(self.daemon.remote_provider("policy").questions, 2)
        self.assertEqual(self.defaults("policy"), {"TIMEOUT": 2})
        self.assert_accounted("policy")

    def test_the_built_in_default_is_keep(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.daemon.policy()
        self.deliver("one@a.test")
        self.assert_verdict(watch.wait_event("verdict"), "KEEP", "DEFAULT",
                            default_cause="TIMEOUT")

    def test_a_client_can_shorten_the_deadline(self):
        self.dns.domain("a.test")
        self.make_daemon(policy={"timeout": "5s"}).start()
        watch = self.daemon.watch()
        policy = self.daemon.policy(timeout={"nanos": 20_000_000})
        self.deliver("one@a.test")
        verdict = watch.wait_event("verdict")
        self.assert_verdict(verdict, "KEEP", "DEFAULT", default_cause="TIMEOUT")
        self.assertLess(verdict.verdict.waited.seconds, 4)
        # Whose time is over before the stream comes to send it is not sent.
        for question in list(policy.questions):
            self.assertLessEqual(question.time_left_ms, 20)


if __name__ == "__main__":
    unittest.main()
