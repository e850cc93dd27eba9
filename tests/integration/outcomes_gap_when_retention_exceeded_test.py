"""A consumer that stays away too long is told how much it has missed, and goes on behind that."""

import unittest

import grpc
from postern.v1 import delivery_pb2, types_pb2
from scenario import Scenario, eventually, short


class OutcomesGapWhenRetentionExceeded(Scenario):
    config = {"server": {"keep_outcomes_bytes": "64KiB"}}

    def test_the_gap_is_counted(self):
        self.dns.domain("a.test")
        stream = self.daemon.outcomes("books", acknowledge=True)
        self.deliver("first@a.test")
        stream.wait_outcomes(1)
        self.assertEqual(stream.close(), grpc.StatusCode.OK)

        count = 600  # far more than 64 KiB hold
        answers = self.daemon.delivery.SubmitStream(iter([delivery_pb2.SubmitStreamRequest(
            submissions=[delivery_pb2.SubmitRequest(sender="s@source.test",
                                                    recipients=[f"r{i}@a.test"],
                                                    content=b"A: b\r\n\r\nx\r\n")
                         for i in range(count)])]))
        self.assertEqual(sum(len(answer.results) for answer in answers), count)
        eventually(lambda: self.daemon.metric("postern_spool_outcomes_total") == count + 1, 40,
                   "an outcome for each")
        late = self.daemon.outcomes("books")
        late.wait(lambda: late.lost, 10, "a gap")
        gap = late.lost[0]
        self.assertEqual(short(delivery_pb2.OutcomesGapCause, gap.cause), "RETENTION")
        self.assertGreater(gap.lost, 100)
        # What is there and what was lost are all there were.
        late.wait(lambda: len(late.outcomes) + sum(g.lost for g in late.lost) == count, 10,
                  "the rest")
        self.assertEqual(len({o.message_id for o in late.outcomes}), len(late.outcomes))

        # A cursor of another spool begins with the oldest, and says so.
        other = self.daemon.outcomes(after_cursor="0123456789abcdef-7")
        other.wait(lambda: other.lost, 10, "a gap")
        self.assertEqual(short(delivery_pb2.OutcomesGapCause, other.lost[0].cause), "OTHER_SPOOL")
        self.assertEqual(short(types_pb2.Disposition, other.wait_outcomes(1)[0].disposition),
                         "DELIVERED")


if __name__ == "__main__":
    unittest.main()
