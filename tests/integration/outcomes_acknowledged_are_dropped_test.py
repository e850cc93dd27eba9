"""What every consumer has acknowledged goes, what one has not stays."""

import unittest

import grpc
from postern.v1 import delivery_pb2
from scenario import Scenario, eventually


class OutcomesAcknowledgedAreDropped(Scenario):
    # Runs of 1 KiB, and no finished messages that would keep them.
    config = {"server": {"keep_outcomes_bytes": "64KiB", "keep_finished_messages": 0}}

    def deliver_many(self, count, first=0):
        answers = self.daemon.delivery.SubmitStream(iter([delivery_pb2.SubmitStreamRequest(
            submissions=[delivery_pb2.SubmitRequest(sender="s@source.test",
                                                    recipients=[f"r{i}@a.test"],
                                                    content=b"A: b\r\n\r\nx\r\n")
                         for i in range(first, first + count)])]))
        self.assertEqual(sum(len(answer.results) for answer in answers), count)

    def test_the_space_comes_back(self):
        self.dns.domain("a.test")
        fast = self.daemon.outcomes("fast", acknowledge=True)
        slow = self.daemon.outcomes("slow")
        # Both are known before there is enough to be dropped.
        self.deliver_many(1)
        for stream in (fast, slow):
            stream.wait_outcomes(1)
        self.deliver_many(59, first=1)
        for stream in (fast, slow):
            stream.wait_outcomes(60)
        # All that it acknowledges has been read when it ends, and is written when this is: from
        # then on only the slow one is waited for, and what it acknowledges goes at once.
        self.assertEqual(fast.close(), grpc.StatusCode.OK)
        self.suspend("unrelated.test")
        self.assertEqual(self.kept(), 60)

        slow.ack()
        # The rest waits for its run to be full.
        eventually(lambda: self.kept() < 30, 10, "space to come back")
        kept = self.kept()
        self.assertEqual(self.daemon.metric("postern_spool_outcomes_dropped_total"), 60 - kept)
        fresh = self.daemon.outcomes("fresh")
        fresh.wait(lambda: len(fresh.outcomes) == kept, 10, "what is kept")
        self.deliver_many(1, first=60)
        fresh.wait_outcomes(kept + 1)
        self.assertEqual(fresh.lost, [])

        self.daemon.restart(kill=True)
        again = self.daemon.outcomes("new")
        again.wait_outcomes(1)
        self.assertEqual(again.lost, [])
        self.assertLessEqual(len(again.outcomes), kept + 1)

    def kept(self):
        return self.daemon.metric("postern_spool_outcomes_kept")


if __name__ == "__main__":
    unittest.main()
