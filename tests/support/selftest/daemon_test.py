"""The harness, tried on a stand-in for posternd."""

import os
import signal
import subprocess
import sys
import tempfile
import unittest

import grpc

from daemon import Daemon, config, dispositions, merge, parse_metrics, scalar, short, to_yaml
from postern.v1 import hooks_pb2, types_pb2

FAKE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_posternd.py")


class DaemonTest(unittest.TestCase):
    def setUp(self):
        os.environ["POSTERND"] = FAKE
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.daemon = Daemon(directory.name, config())

    def misbehave(self, word):
        with open(os.path.join(self.daemon.directory, "misbehave"), "w", encoding="utf-8") as file:
            file.write(word)

    def start(self):
        self.addCleanup(self.daemon.stop)
        return self.daemon.start()

    def test_starts_submits_and_stops(self):
        daemon = self.start()
        ident = daemon.submit(["a@b.test", "c@d.test"])
        message = daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(dispositions(message), {"a@b.test": "DELIVERED", "c@d.test": "DELIVERED"})
        self.assertEqual(daemon.stop(), 0)
        self.assertIsNone(daemon.process)

    def test_says_what_was_wanted_when_a_wait_fails(self):
        daemon = self.start()
        ident = daemon.submit(["a@b.test"])
        with self.assertRaisesRegex(AssertionError, r"(?s)FAILED.*a@b\.test"):
            daemon.wait_dispositions(ident, "FAILED", timeout=0.1)

    def test_reports_the_exit_code_and_survives_kill(self):
        self.misbehave("exit3")
        daemon = self.start()
        daemon.kill9()
        daemon.start()
        self.assertEqual(daemon.stop(), 3)

    def test_restarts(self):
        daemon = self.start()
        first = daemon.process.pid
        daemon.restart()
        second = daemon.process.pid
        daemon.restart(kill=True)
        self.assertEqual(len({first, second, daemon.process.pid}), 3)
        daemon.submit(["a@b.test"])

    def test_ends_with_the_test_that_started_it(self):
        started = subprocess.Popen(
            [sys.executable, "-c", "import signal\nfrom running import spawn\n"
             "child = spawn(['sh', '-c', 'echo $$; exec cat'])\nsignal.pause()\n"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(started.stdin.close)
        self.addCleanup(started.stdout.close)
        child = int(started.stdout.readline())  # of the child itself: the bond is made
        started.kill()
        # The pipe's last holder is the child, which ends of its own accord only at end of input.
        self.assertEqual(started.stdout.read(), b"", f"process {child} lives on")
        self.assertEqual(started.wait(10), -signal.SIGKILL)

    def test_fails_on_a_sanitizer_report(self):
        self.misbehave("sanitizer")
        daemon = self.daemon.start()
        with self.assertRaisesRegex(AssertionError, "signed integer overflow"):
            daemon.stop()
        self.assertIsNone(daemon.process)

    def test_shows_why_it_did_not_start(self):
        self.misbehave("refuse")
        with self.assertRaisesRegex(AssertionError, r"(?s)exited 1.*postern\.yaml:1: no"):
            self.daemon.start()
        self.daemon.stop()

    def test_collects_events_in_the_background(self):
        daemon = self.start()
        watch = daemon.watch()
        ident = daemon.submit(["a@b.test"])
        event = watch.wait_event("delivery_attempt",
                                 lambda e: e.delivery_attempt.message_id == ident)
        self.assertEqual(event.sequence, 1)
        with self.assertRaisesRegex(AssertionError, "connection_closed"):
            watch.wait_event("connection_closed", timeout=0.05)

    def test_notices_a_hole_in_the_positions(self):
        daemon = self.start()
        watch = daemon.watch()
        daemon.submit(["a@b.test"])
        daemon.submit(["a@b.test"])  # the stand-in numbers this one 1 again
        watch.wait_ended()
        self.assertIn("hole in the positions", watch.describe())

    def test_decides_by_callback_and_by_hand(self):
        daemon = self.start()
        policy = daemon.policy(on_question=lambda q: "SHUTDOWN")
        daemon.submit(["a@b.test"])
        self.assertEqual(policy.wait_result(1), "APPLIED")
        by_hand = daemon.policy("other")
        daemon.submit(["a@b.test"])
        verdict = by_hand.answer(by_hand.wait_question(), "KEEP", "fine", verdict_id=77)
        self.assertEqual(verdict, 77)
        self.assertEqual(by_hand.wait_result(77), "APPLIED")
        by_hand.half_close()
        self.assertEqual(by_hand.wait_ended(), grpc.StatusCode.OK)
        policy.cancel()
        self.assertEqual(policy.wait_ended(), grpc.StatusCode.CANCELLED)

    def test_sends_frames_before_attach_when_told(self):
        daemon = self.start()
        policy = daemon.policy(attach=False)
        policy.send(acknowledge=hooks_pb2.Acknowledge(position=1))
        self.assertEqual(policy.wait_ended(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_reads_metrics(self):
        daemon = self.start()
        self.assertEqual(daemon.metric("x_total"), 5.5)
        self.assertEqual(daemon.metric("x_total", what="a b", who='q"q'), 2)
        self.assertEqual(daemon.metric("y"), 1000)
        self.assertEqual(daemon.metric("z"), 0)
        with self.assertRaises(AssertionError):
            parse_metrics("not a metric at all\n")


class YamlTest(unittest.TestCase):
    def test_writes_what_yaml_reads_back(self):
        text = to_yaml({"a": {"b": ["x", {"c": 1, "d": [True, "1:2"]}], "e": []}, "f": "*.test",
                        "g": ""})
        self.assertEqual(text, 'a:\n  b:\n    - x\n    - c: 1\n      d:\n        - true\n'
                               '        - "1:2"\n  e: []\nf: "*.test"\ng: ""\n')

    def test_quotes_where_needed(self):
        self.assertEqual([scalar(v) for v in ("30s", "keep", "a: b", "-", 5, False)],
                         ["30s", "keep", '"a: b"', '"-"', "5", "false"])

    def test_merges_dictionaries_deeply(self):
        self.assertEqual(merge({"a": {"b": 1, "c": 2}, "d": [1], "e": 3},
                               {"a": {"b": 9}, "d": [2], "e": None}),
                         {"a": {"b": 9, "c": 2}, "d": [2]})

    def test_shortens_names_of_enum_values(self):
        self.assertEqual(short(types_pb2.ConnError, 12), "CONNECT_TIMEOUT")
        self.assertEqual(short(types_pb2.CloseCause, 5), "REMOTE_POLICY")


if __name__ == "__main__":
    unittest.main()
