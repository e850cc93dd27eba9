"""The audit log of policy: one JSON line for each question, with what each provider said."""

import json
import os
import unittest

from scenario import Scenario, eventually


class AuditLog(Scenario):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, "audit.log")
        self.config = {"policy": {"audit_log": {"path": self.path},
                                  "providers": [{"name": "absent", "default_verdict": "keep"}]},
                       "options": {"max_outbound_connections": 1}}

    def lines(self):
        with open(self.path, encoding="utf-8") as file:
            return [json.loads(line) for line in file.read().split("\n")[:-1]]

    def test_tells_who_said_what_and_what_was_decided(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.daemon.policy("warmup", on_question=lambda question: "SHUTDOWN")
        ident = self.deliver("r@a.test")
        verdict = watch.wait_event("verdict")
        eventually(lambda: len(self.lines()) == 1, what="one line")
        line, = self.lines()
        self.assertEqual((line["event"], line["number"], line["message_id"]),
                         ("question", 1, ident))
        self.assertEqual(line["connection_id"], verdict.connection.connection_id)
        self.assertEqual((line["domain"], line["binding"]), ("a.test", "default"))
        self.assertEqual(line["native"], {"decision": "keep"})
        self.assertEqual((line["decision"], line["source"], line["decided_by"]),
                         ("shutdown", "answer", "warmup"))
        self.assertEqual(line["config_generation"], 1)
        self.assertGreater(line["waited"], 0)
        parts = {part["provider"]: part for part in line["providers"]}
        said = parts["warmup"]
        self.assertEqual((said["decision"], said["source"]), ("shutdown", "answer"))
        self.assertTrue(said["stream"].startswith("warmup/"), said)
        self.assertTrue(said["identity"], said)
        self.assertGreater(said["seconds"], 0)
        absent = parts["absent"]
        self.assertEqual((absent["decision"], absent["source"], absent["cause"]),
                         ("keep", "default", "no_subscriber"))
        self.assertNotIn("stream", absent)
        # Counted once it is written.
        eventually(lambda: self.daemon.metric("postern_audit_log_lines_total") == 1,
                   what="one line counted")
        self.assertEqual(self.daemon.metric("postern_audit_log_dropped_total"), 0)

    def test_keeps_what_stood_in_when_nobody_was_there(self):
        self.dns.domain("a.test")
        self.deliver("r@a.test")
        eventually(lambda: len(self.lines()) == 1, what="one line")
        line, = self.lines()
        self.assertEqual((line["decision"], line["source"], line["decided_by"]),
                         ("keep", "default", "absent"))

    def test_a_file_that_cannot_be_written_is_told_at_the_start(self):
        daemon = self.make_daemon(policy={"audit_log": {"path": "/not/there/log"}})
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        self.assertIn("policy.audit_log: ", "\n".join(daemon.stderr))
        daemon.process = None


if __name__ == "__main__":
    unittest.main()
