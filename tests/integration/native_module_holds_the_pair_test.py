"""A native module ends the session and says hold: no new connection for the pair till it is over."""

import time
import unittest

from scenario import ONE_CONNECTION, Scenario, merge, module, reason_of, scaled


class NativeModuleHoldsThePair(Scenario):
    HOLD = int(scaled(2))  # seconds

    def setUp(self):
        super().setUp()
        self.config = merge(ONE_CONNECTION, {"modules": [
            module("end_session", deliveries=1, domain="a.test", hold=self.HOLD)]})

    def test_waits_with_policy_hold_and_charges_no_attempt(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        watch = self.daemon.watch()
        self.deliver("r1@a.test")
        closed = watch.wait_event("connection_closed")
        held_from = time.monotonic()
        self.assert_closed(closed, "HOOK", provider="end_session")
        ident = self.daemon.submit(["r2@a.test"])
        waiting = self.daemon.wait_message(
            ident, lambda m: m.rows[0].reason != 0, 10, "a reason for the wait")
        self.assertEqual(reason_of(waiting), "POLICY_HOLD")
        # Another pair is not held.
        self.deliver("r@b.test")
        self.assertEqual(len(self.sink.messages), 2)

        done = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(done.rows[0].attempts, 1)
        # The event comes a little after the hold has begun.
        self.assertGreater(time.monotonic() - held_from, self.HOLD - 0.5)


if __name__ == "__main__":
    unittest.main()
