"""A native module ends the session and says hold: no new connection for the pair till it is over."""

import time
import unittest

from scenario import ONE_CONNECTION, Scenario, merge, module, reason_of, scope


class NativeModuleHoldsThePair(Scenario):
    def hold_for(self, seconds):
        self.config = merge(ONE_CONNECTION, {"modules": [
            module("end_session", deliveries=1, domain="a.test", hold=seconds)]})
        self.dns.domain("a.test")

    def test_waits_with_policy_hold_and_charges_no_attempt(self):
        self.hold_for(3600)
        self.dns.domain("b.test")
        watch = self.daemon.watch()
        self.deliver("r1@a.test")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "HOOK", provider="end_session")
        ident = self.daemon.submit(["r2@a.test"])
        waiting = self.daemon.wait_message(
            ident, lambda m: m.rows[0].reason != 0, 10, "a reason for the wait")
        self.assertEqual(reason_of(waiting), "POLICY_HOLD")
        # Another pair is not held.
        self.deliver("r@b.test")
        self.assertEqual(len(self.sink.messages), 2)

        self.control("Resume", scope=scope("a.test"))
        done = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(done.rows[0].attempts, 1)

    def test_ends_by_itself(self):
        self.hold_for(2)
        before = time.monotonic()
        self.deliver("r1@a.test")
        self.deliver("r2@a.test")
        self.assertGreaterEqual(time.monotonic() - before, 2)
        self.assertEqual(len(self.sink.connections), 2)


if __name__ == "__main__":
    unittest.main()
