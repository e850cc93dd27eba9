"""A verdict that comes after the deadline: counted, and it holds from the next question on."""

import unittest

from scenario import LASTING_CONNECTION, Scenario, merge


class LateVerdict(Scenario):
    config = merge(LASTING_CONNECTION, {"policy": {"timeout": "50ms"}})

    def test_for_a_question_is_counted_and_dropped(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        self.deliver("one@a.test")
        self.assert_verdict(watch.wait_event("verdict"), "KEEP", "DEFAULT",
                            default_cause="TIMEOUT")
        late = policy.answer(policy.wait_question(), "SHUTDOWN", "better late")
        self.assertEqual(policy.wait_result(late), "LATE")
        result, = [r for r in policy.results if r.verdict_id == late]
        self.assertGreater(result.late_by.seconds + result.late_by.nanos, 0)
        self.deliver("two@a.test")
        self.assert_verdict(watch.wait_events("verdict", 2)[1], "KEEP", "DEFAULT",
                            default_cause="TIMEOUT")
        # It idles until something else ends it.
        self.suspend("a.test")
        self.assert_closed(watch.wait_event("connection_closed"), "SUSPENDED")
        self.assertEqual([m.connection for m in self.sink.messages], [1, 1])
        self.assertEqual(self.results("policy"), {"LATE": 1})
        self.assert_accounted("policy")
        # The stream is as good as before.
        self.assertFalse(policy.ended)

    def test_is_unknown_once_the_connection_is_closed(self):
        self.dns.domain("a.test")
        self.make_daemon(options={"idle_timeout": "0s"}).start()
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        self.deliver("one@a.test")
        watch.wait_event("connection_closed")
        late = policy.answer(policy.wait_question(), "SHUTDOWN")
        self.assertIn(policy.wait_result(late), ("LATE", "UNKNOWN"))


if __name__ == "__main__":
    unittest.main()
