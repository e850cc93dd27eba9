"""`postern top` without a terminal: plain screens of queues, connections and verdicts."""

import os
import subprocess
import unittest

from scenario import ONE_CONNECTION, Scenario, scaled


class Top(Scenario):
    config = ONE_CONNECTION

    def test_shows_what_is_there(self):
        self.dns.domain("a.test")
        self.sink.rule("body", gate="go")
        self.daemon.policy()
        self.daemon.submit(["r@a.test"])
        self.sink.wait_transactions(1)
        done = subprocess.run([os.environ["POSTERN"], "--address", self.daemon.grpc_address, "top",
                               "--count", "2", "--interval", "10ms"], capture_output=True,
                              text=True, timeout=scaled(20), check=True)
        self.sink.gates.release("go")
        self.assertNotIn("\033", done.stdout)
        self.assertEqual(done.stdout.count("postern top:"), 2)
        self.assertIn("1 queues, 1 rows active", done.stdout)
        self.assertIn("a.test/default", done.stdout)
        self.assertIn(f"127.0.0.1:{self.sink.port}", done.stdout)
        self.assertIn("POLICY CLIENT", done.stdout)

    def test_says_why_it_cannot(self):
        done = subprocess.run([os.environ["POSTERN"], "--address", "127.0.0.1:1", "top"],
                              capture_output=True, text=True, timeout=scaled(20), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("UNAVAILABLE", done.stderr)


if __name__ == "__main__":
    unittest.main()
