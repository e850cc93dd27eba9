"""What /metrics shows passes Prometheus' own linter, and counts what happened."""
import shutil
import subprocess
import unittest

from scenario import Scenario, eventually


class Metrics(Scenario):
    config = {"bindings": [{"name": "bulk"}]}

    def count_of(self, histogram, **labels):
        return self.daemon.metric(histogram + "_count", **labels)

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

    def test_tell_phases_and_the_life_of_a_session(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.sink.rule("rcpt", domain="b.test", reply="550 5.1.1 no")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        refused = self.daemon.submit(["one@b.test"])
        self.daemon.wait_dispositions(refused, "FAILED")
        watch.wait_events("connection_closed", 2)
        for phase in ("connect", "greeting", "ehlo", "quit", "mail"):
            self.assertEqual(self.count_of("postern_smtp_phase_seconds", phase=phase), 2, phase)
        self.assertEqual(self.count_of("postern_smtp_phase_seconds", phase="body"), 1)
        self.assertEqual(self.count_of("postern_mx_lookup_seconds"), 2)
        self.assertEqual(self.count_of("postern_queue_seconds", disposition="delivered"), 1)
        self.assertEqual(self.count_of("postern_queue_seconds", disposition="failed"), 1)
        self.assertEqual(self.count_of("postern_session_deliveries"), 2)
        self.assertEqual(self.daemon.metric("postern_session_deliveries_sum"), 1)
        self.assertEqual(self.daemon.metric("postern_sessions_opened_total"), 2)
        self.assertEqual(self.daemon.metric("postern_sessions_closed_total"), 2)
        # A session is gone a little after it was said to be closed.
        eventually(lambda: self.daemon.metric("postern_open_sessions") == 0, what="no session")
        attempt = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertGreater(len(attempt.phases), 1, attempt)

    def test_sum_up_queues_by_binding(self):
        self.dns.domain("a.test")
        self.dns.behave("a.test", "servfail")
        for i in range(3):
            self.daemon.submit([f"r{i}@a.test"], binding="bulk")
        rows = lambda **labels: self.daemon.metric("postern_queue_rows", **labels)
        eventually(lambda: rows(binding="bulk") == 3, what="three rows of bulk")
        self.assertEqual(rows(binding="default"), 0)
        self.assertEqual(self.daemon.metric("postern_queues", binding="bulk"), 1)
        # Submitted with the clock as it is; the age is told to within 10 s.
        self.assertLess(self.daemon.metric("postern_queue_oldest_age_seconds"), 60)
        self.dns.forgive("a.test")
        eventually(lambda: rows() == 0, 20, "no rows")
        self.assertEqual(self.daemon.metric("postern_queue_oldest_age_seconds"), 0)


if __name__ == "__main__":
    unittest.main()
