"""`postern top` without a terminal: plain screens of queues, connections and verdicts."""

import os
import signal
import subprocess
import unittest

from callers import token_file
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

    def test_says_that_the_rates_are_not_known_to_who_may_not_watch(self):
        path, _ = token_file(self.directory, "operator")
        self.make_daemon(identities=[
            {"name": "operator", "token_file": path, "rights": {"control": True}},
            {"name": "local", "local": ["loopback"], "rights": {"watch": {}, "submit": {}}}]).start()
        with subprocess.Popen([os.environ["POSTERN"], "--address", self.daemon.grpc_address,
                               "--token-file", path, "top", "--interval", "50ms"],
                              stdout=subprocess.PIPE, text=True) as process:
            self.addCleanup(process.kill)
            # At the latest a few screens after the refusal has come.
            line = next(line for line in process.stdout if "not known" in line)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=scaled(20))
        self.assertIn("Watch ended: PERMISSION_DENIED: watch", line)

    def test_says_why_it_cannot(self):
        done = subprocess.run([os.environ["POSTERN"], "--address", "127.0.0.1:1", "top"],
                              capture_output=True, text=True, timeout=scaled(20), check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("UNAVAILABLE", done.stderr)


if __name__ == "__main__":
    unittest.main()
