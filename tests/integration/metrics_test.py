"""What /metrics shows passes Prometheus' own linter, and counts what happened."""
import shutil
import subprocess
import unittest

from scenario import Scenario


class Metrics(Scenario):
    def test_pass_promtool_and_count_the_delivery(self):
        self.dns.domain("a.test")
        self.deliver("one@a.test")
        _, text = self.daemon.get("/metrics")
        self.assertIn('postern_recipients_total{disposition="delivered"} 1', text)
        self.assertIn("postern_accepted_messages_total 1", text)
        self.assertNotIn("a.test", text)  # no label is a domain
        promtool = shutil.which("promtool")
        if promtool is None:
            self.skipTest("promtool is not installed")
        check = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                               capture_output=True, timeout=60)
        self.assertEqual((check.returncode, check.stdout + check.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
