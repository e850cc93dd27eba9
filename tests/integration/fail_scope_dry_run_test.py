"""Fail: counts in a dry run, then ends the queued mail of the scope and of nothing else."""

import unittest

from scenario import Scenario, dispositions, recipient_states, scope


class FailScopeDryRun(Scenario):
    def test_counts_first_and_then_fails(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.suspend("*.test")
        mine = [self.daemon.submit([f"r{i}@a.test"]) for i in range(3)]
        both = self.daemon.submit(["x@a.test", "x@b.test"])
        code, out, err = self.daemon.run_cli("fail", "a.test", "--dry-run")
        self.assertEqual((code, out), (0, "4 rows would be failed\n"), err)
        self.assertEqual(dispositions(self.daemon.message(mine[0])), {"r0@a.test": "QUEUED"})

        code, out, err = self.daemon.run_cli("fail", "a.test", "--reply", "554 5.1.2 it is gone")
        self.assertEqual((code, out), (0, "4 rows failed\n"), err)
        for ident in mine:
            message = self.daemon.message(ident)
            state, = recipient_states(message).values()
            self.assert_reply(state, 554, text="it is gone")
            self.assertEqual(set(dispositions(message).values()), {"FAILED"})
        self.assertEqual(dispositions(self.daemon.message(both)),
                         {"x@a.test": "FAILED", "x@b.test": "QUEUED"})
        self.daemon.wait_log(r'audit call=Control.Fail .*on="a.test" reason="554 5.1.2 it is gone" '
                             r'outcome=OK detail="4 rows"')

        self.daemon.restart(kill=True)
        self.assertEqual(dispositions(self.daemon.message(both)),
                         {"x@a.test": "FAILED", "x@b.test": "QUEUED"})
        self.control("Resume", scope=scope("*"))
        self.daemon.wait_dispositions(both, {"x@a.test": "FAILED", "x@b.test": "DELIVERED"})
        self.assertEqual(len(self.sink.messages), 1)

    def test_leaves_what_is_in_a_session(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot")
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        self.assertEqual(self.control("Fail", scope=scope("a.test")).rows, 0)
        self.sink.gates.release("dot")
        self.daemon.wait_dispositions(ident, "DELIVERED")


if __name__ == "__main__":
    unittest.main()
