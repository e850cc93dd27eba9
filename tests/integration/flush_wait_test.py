"""`postern flush --wait`: ends when what was due has been attempted, and leaves on a signal."""

import os
import signal
import subprocess
import unittest

from scenario import Scenario, eventually, merge, scaled


class FlushWait(Scenario):
    # Nobody but the flush makes anything due.
    config = merge(Scenario.config, {"options": {"retry_schedule": ["1h"]}})

    def deferred(self, count):
        """So many messages for a.test that were refused for now."""
        self.dns.domain("a.test")
        self.sink.rule("rcpt", reply="451 4.3.0 Later", recipient="@a.test")
        idents = [self.daemon.submit([f"r{i}@a.test"]) for i in range(count)]
        for ident in idents:
            self.daemon.wait_dispositions(ident, "DEFERRED")
        self.sink.clear_rules()
        return idents

    def flush(self, *arguments):
        process = subprocess.Popen([os.environ["POSTERN"], "--address", self.daemon.grpc_address,
                                    "flush", *arguments], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def test_returns_when_the_mail_is_gone(self):
        idents = self.deferred(3)
        self.sink.rule("body", times=1, gate="go")
        process = self.flush("a.test", "--wait")
        self.assertEqual(process.stdout.readline(), "3 rows are due\n")
        self.sink.gates.wait_reached("go")
        self.assertIsNone(process.poll())
        self.sink.gates.release("go")
        out, err = process.communicate(timeout=scaled(20))
        self.assertEqual((process.returncode, out, err), (0, "done: nothing waits\n", ""))
        for ident in idents:
            self.daemon.wait_dispositions(ident, "DELIVERED")

    def test_what_is_refused_again_has_had_its_attempt(self):
        self.deferred(2)
        self.sink.rule("rcpt", reply="451 4.3.0 Later", recipient="@a.test")
        out, err = self.flush("a.test", "--wait").communicate(timeout=scaled(20))
        self.assertEqual((out, err), ("2 rows are due\ndone: 2 rows are delayed\n", ""))

    def test_does_not_wait_for_suspended_queues(self):
        self.deferred(1)
        self.suspend("a.test")
        out, _ = self.flush("*", "--wait").communicate(timeout=scaled(20))
        self.assertIn("\ndone: 1 wait in queues that are suspended or held\n", out)

    def test_a_signal_leaves_and_delivery_goes_on(self):
        ident, = self.deferred(1)
        self.sink.rule("body", times=1, gate="go")
        process = self.flush("a.test", "--wait")
        process.stdout.readline()
        self.sink.gates.wait_reached("go")
        # Blocked signals wait until the program looks for them.
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=scaled(20))
        self.assertEqual((process.returncode, out), (1, "left: 1 row is due in 1 queue\n"))
        self.sink.gates.release("go")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        eventually(lambda: self.sink.messages, what="the mail at the receiver")


if __name__ == "__main__":
    unittest.main()
