"""Drain with a receiver that never answers: the budget cuts it, and the mail stays."""

import time
import unittest

import grpc

from google.protobuf import duration_pb2
from postern.v1 import control_pb2
from scenario import Scenario, eventually, scaled


class DrainWithHangingPeer(Scenario):
    # What ends within the time limits of Drain and of stop() was ended by its budget.
    config = {"options": {"body_timeout": "1h", "mailfrom_timeout": "1h"}}

    def hang_at(self, stage):
        """A message whose receiver hangs at the stage; returns its id."""
        self.dns.domain("a.test")
        self.sink.rule(stage, times=1, hang=True)
        ident = self.daemon.submit(["r@a.test"])
        self.sink.wait(lambda: any(f"{stage}: hangs" in c.notes() for c in self.sink.connections),
                       10, f"the receiver hangs at {stage}")
        return ident

    def drain(self, **budget):
        request = control_pb2.DrainRequest(budget=duration_pb2.Duration(**budget))
        return list(self.daemon.control.Drain(request, timeout=scaled(20)))

    def test_cuts_the_session_when_the_budget_is_spent(self):
        ident = self.hang_at("body")
        watch = self.daemon.watch()
        started = time.monotonic()
        progress = self.drain(nanos=500_000_000)
        self.assertGreaterEqual(time.monotonic() - started, 0.45)
        self.assertLess(time.monotonic() - started, scaled(5))
        self.assertEqual(progress[0].phase, control_pb2.DRAIN_PHASE_DRAINING)
        last = progress[-1]
        self.assertEqual(last.phase, control_pb2.DRAIN_PHASE_DONE)
        self.assertEqual((last.cut, last.in_doubt, last.queued, last.open_connections),
                         (1, 1, 1, 0))
        self.assert_closed(watch.wait_event("connection_closed"), "DRAIN")
        watch.wait_frame("draining")
        # The spool has it a moment after the drain is told of it.
        self.daemon.wait_message(ident, lambda m: m.rows[0].in_doubt, what="in doubt")

        # The process stays, and says that it takes no mail.
        with self.assertRaises(grpc.RpcError) as refused:
            self.daemon.submit(["q@a.test"])
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)
        self.assertEqual(self.daemon.get("/readyz")[0], 503)
        eventually(lambda: self.daemon.get("/livez")[0] == 200, what="live")

        self.daemon.restart()
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def test_a_second_call_with_a_shorter_budget_shortens_the_first(self):
        self.hang_at("body")
        started = time.monotonic()
        first = self.daemon.control.Drain(control_pb2.DrainRequest(
            budget=duration_pb2.Duration(seconds=600)), timeout=scaled(30))
        self.assertGreater(next(first).time_left.seconds, 500)
        self.assertEqual(self.drain(nanos=100_000_000)[-1].cut, 1)
        last = list(first)[-1]
        self.assertEqual((last.phase, last.cut), (control_pb2.DRAIN_PHASE_DONE, 1))
        self.assertLess(time.monotonic() - started, scaled(20))

    def test_a_second_call_with_a_longer_budget_changes_nothing(self):
        self.hang_at("body")
        started = time.monotonic()
        first = self.daemon.control.Drain(control_pb2.DrainRequest(
            budget=duration_pb2.Duration(nanos=500_000_000)), timeout=scaled(20))
        next(first)
        self.assertLess(self.drain(seconds=600)[-1].time_left.seconds, 2)
        self.assertEqual(list(first)[-1].phase, control_pb2.DRAIN_PHASE_DONE)
        self.assertLess(time.monotonic() - started, scaled(10))

    def test_is_done_at_once_when_nothing_is_open(self):
        self.dns.domain("a.test")
        self.deliver("r@a.test")
        progress = self.drain(seconds=30)
        self.assertEqual(progress[-1].phase, control_pb2.DRAIN_PHASE_DONE)
        self.assertEqual((progress[-1].cut, progress[-1].queued), (0, 0))
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")

    def test_lets_a_transaction_finish_within_the_budget(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot")
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        progress = self.daemon.control.Drain(control_pb2.DrainRequest(
            budget=duration_pb2.Duration(seconds=30)), timeout=scaled(20))
        self.assertEqual(next(progress).phase, control_pb2.DRAIN_PHASE_DRAINING)
        self.sink.gates.release("dot")
        last = list(progress)[-1]
        self.assertEqual((last.phase, last.cut), (control_pb2.DRAIN_PHASE_DONE, 0))
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")

    def test_sigterm_ends_the_process_within_its_budget(self):
        self.make_daemon(options={"drain_budget": "500ms"}).start()
        ident = self.hang_at("mail")
        started = time.monotonic()
        self.assertEqual(self.daemon.stop(), 0)
        self.assertLess(time.monotonic() - started, scaled(5))
        self.daemon.start()
        self.daemon.wait_dispositions(ident, "DELIVERED")


if __name__ == "__main__":
    unittest.main()
