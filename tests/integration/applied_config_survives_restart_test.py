"""An applied configuration survives the process and ends when the file says something else."""

import unittest

from google.protobuf import duration_pb2
from postern.v1 import config_pb2
from scenario import Scenario


class AppliedConfigSurvivesRestart(Scenario):
    def apply(self, retries, **fields):
        config = config_pb2.Config()
        config.CopyFrom(self.daemon.get_config().config)
        config.options.max_retries = retries
        return self.daemon.apply_config(config=config, **fields)

    def test_it_comes_back_with_who_and_why_after_kill_9(self):
        self.assertEqual(self.apply(7, reason="weekend").generation, 2)
        applied = self.daemon.get_config().applied
        self.assertEqual(applied.reason, "weekend")
        self.assertIn("127.0.0.1", applied.by)
        self.assertFalse(applied.HasField("until"))
        self.daemon.restart(kill=True)
        answer = self.daemon.get_config()
        self.assertEqual((answer.generation, answer.config.options.max_retries), (2, 7))
        self.assertEqual(answer.applied, applied)
        self.daemon.wait_log("in force is what was applied by .*weekend")

    def test_a_file_that_says_something_else_wins_at_the_start(self):
        self.apply(7)
        self.daemon.stop()
        self.daemon.config["options"]["max_retries"] = 3
        self.daemon.start()
        answer = self.daemon.get_config()
        self.assertEqual((answer.generation, answer.config.options.max_retries), (3, 3))
        self.assertFalse(answer.HasField("applied"))

    def test_a_reload_with_the_same_file_leaves_it_and_with_another_ends_it(self):
        self.apply(7)
        self.daemon.reload()
        self.daemon.wait_log("generation 2 stays, applied by")
        self.assertEqual(self.daemon.get_config().config.options.max_retries, 7)
        self.daemon.reload(options={"max_retries": 3})
        self.assertEqual(self.daemon.wait_generation(3).config.options.max_retries, 3)
        self.daemon.restart()
        self.assertEqual(self.daemon.get_config().config.options.max_retries, 3)

    def test_the_file_can_be_put_in_force_again(self):
        self.apply(7)
        self.assertEqual(self.daemon.apply_config(file=True).generation, 3)
        self.daemon.restart()
        answer = self.daemon.get_config()
        self.assertFalse(answer.config.options.HasField("max_retries"))
        self.assertEqual(answer.generation, 3)

    def test_one_with_a_duration_ends_by_itself(self):
        self.apply(7, duration=duration_pb2.Duration(seconds=3600))
        self.assertTrue(self.daemon.get_config().applied.HasField("until"))
        # Nobody can look at it for sure before it is over.
        self.apply(8, duration=duration_pb2.Duration(seconds=1))
        answer = self.daemon.wait_generation(4, timeout=20)
        self.assertFalse(answer.config.options.HasField("max_retries"))

    def test_a_damaged_state_is_named_and_not_guessed_at(self):
        self.apply(7)
        self.daemon.stop()
        with open(f"{self.directory}/spool/control/config.json", "w", encoding="utf-8") as file:
            file.write("{")
        self.daemon.launch()
        self.assertEqual(self.daemon.wait_exit(), 1)
        self.daemon.wait_log("control/config.json: is damaged")
        self.daemon.process = None


if __name__ == "__main__":
    unittest.main()
