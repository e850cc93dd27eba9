"""policy.switch_file: while it exists no client is asked."""

import os
import unittest

from postern.v1 import types_pb2
from scenario import LASTING_CONNECTION, Scenario, eventually, merge


class SwitchFile(Scenario):
    def setUp(self):
        super().setUp()
        self.file = os.path.join(self.directory, "policy-off")
        self.config = merge(LASTING_CONNECTION, {"policy": {"switch_file": self.file}})

    def wait_position(self, position):
        wanted = types_pb2.PolicySwitch.Value("POLICY_SWITCH_" + position)
        eventually(lambda: self.daemon.remote_provider("policy").position == wanted, 20, position)

    def test_it_switches_all_remote_policy_off_while_it_exists(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy(on_question=lambda q: "KEEP")
        self.deliver("one@a.test")
        policy.wait_question(1)
        with open(self.file, "w", encoding="utf-8"):
            pass
        self.wait_position("OFF")
        self.deliver("two@a.test")
        self.assert_verdict(watch.wait_events("verdict", 2)[1], "KEEP", "DEFAULT", "policy",
                            "SWITCHED_OFF")
        os.remove(self.file)
        self.wait_position("ON")
        self.deliver("three@a.test")
        self.assertEqual(len(policy.wait_questions(2)), 2)

    def test_it_holds_from_the_first_question_of_a_start(self):
        self.dns.domain("a.test")
        with open(self.file, "w", encoding="utf-8"):
            pass
        policy = self.daemon.policy(on_question=lambda q: "SHUTDOWN")
        self.deliver("one@a.test")
        self.deliver("two@a.test")
        self.assertEqual(policy.questions, [])
        self.assertEqual(len(self.sink.connections), 1)


if __name__ == "__main__":
    unittest.main()
