"""`postern verdict` and the options of `postern decide`: rules and holds from the command line."""

import json
import os
import signal
import subprocess
import unittest

from scenario import ONE_CONNECTION, Scenario, eventually, merge, ms, reason_of


class VerdictCommand(Scenario):
    # Long: a session must still idle when the verdict comes.
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": ms(60000)}})

    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")

    def verdict(self, *arguments):
        code, out, err = self.daemon.run_cli("verdict", *arguments)
        self.assertEqual((code, err), (0, ""), out)
        return out

    def decide(self, *arguments):
        """A running `postern decide` that has attached; its process and first line."""
        process = subprocess.Popen([os.environ["POSTERN"], "--address", self.daemon.grpc_address,
                                    "decide", *arguments], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.send_signal, signal.SIGINT)
        return process, process.stdout.readline()

    def test_a_scope_is_recycled_ruled_and_withdrawn(self):
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.assertEqual(self.verdict("scope", "*.test", "--recycle", "--reason", "new addresses"),
                         "verdict 1 applied: ends 1 connections\n")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "cli",
                           "new addresses")
        self.assertEqual(self.verdict("scope", "a.test", "--after-deliveries", "2", "--ttl", "30m",
                                      "--name", "ops"), "verdict 1 stored\n")
        self.deliver("two@a.test")
        self.deliver("three@a.test")
        self.sink.wait_closed(2)
        # Given again, the later one takes its place; withdrawn, none holds.
        out = self.verdict("scope", "a.test", "--after-deliveries", "1", "--name", "ops", "--json")
        self.assertEqual(json.loads(out)["status"], "VERDICT_STATUS_STORED")
        self.verdict("scope", "a.test", "--withdraw", "--name", "ops")
        self.assertEqual(self.daemon.remote_provider("ops").scopes, 0)
        self.deliver("four@a.test")
        self.deliver("five@a.test")
        self.assertEqual(len(self.sink.connections), 3)

    def test_an_older_revision_is_refused_with_exit_code_1(self):
        self.verdict("scope", "a.test", "--after-deliveries", "2", "--revision", "7")
        code, out, _ = self.daemon.run_cli("verdict", "scope", "a.test", "--after-deliveries", "3",
                                           "--revision", "6")
        self.assertEqual(code, 1)
        self.assertRegex(out, "^verdict 1 stale: scope.revision")

    def test_a_connection_is_ended_and_its_queue_held(self):
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        open_one, = self.control("ListConnections").connections
        ident = open_one.connection.connection_id
        self.assertEqual(self.verdict("connection", ident, "--reason", "enough", "--then", "hold",
                                      "--for", "30m"), "verdict 1 applied\n")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "cli", "enough")
        eventually(lambda: self.control("ListQueues").suspensions, what="the hold")
        held = self.daemon.submit(["two@a.test"])
        self.assertEqual(reason_of(self.daemon.message(held)), "POLICY_HOLD")
        code, out, _ = self.daemon.run_cli("verdict", "connection", ident)
        self.assertEqual((code, out), (1, "verdict 1 unknown: connection_id: not open\n"))

    def test_decide_says_what_follows(self):
        _, attached = self.decide("--shutdown-after", "1", "--then", "hold", "--for", "30m")
        self.assertIn("attached as cli", attached)
        self.assertNotIn("shadow", attached)
        self.deliver("one@a.test")
        held, = eventually(lambda: self.control("ListQueues").suspensions, what="the hold")
        self.assertEqual((held.who, held.reason), ("cli", "after 1 deliveries"))

    def test_decide_in_shadow_mode_is_compared_and_not_heeded(self):
        _, attached = self.decide("--shutdown-after", "1", "--shadow", "--name", "candidate")
        self.assertIn("in shadow mode", attached)
        self.deliver("one@a.test")
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        eventually(lambda: self.daemon.remote_provider("candidate").shadow.differed,
                   what="a verdict that differs")


if __name__ == "__main__":
    unittest.main()
