"""The same submission with the same token is one message, whenever and however it comes again."""

import concurrent.futures
import unittest

from postern.v1 import delivery_pb2
from scenario import Scenario


class TokenGivesFirstReceipt(Scenario):
    def test_once_however_often_it_is_sent(self):
        self.dns.domain("a.test")
        first = self.daemon.submit_request(["r@a.test"], token="t1")
        self.assertFalse(first.duplicate)
        again = self.daemon.submit_request(["r@a.test"], token="t1")
        self.assertTrue(again.duplicate)
        self.assertEqual((again.message_id, list(again.rows)), (first.message_id, list(first.rows)))
        self.assertEqual(again.durability, first.durability)
        self.daemon.wait_dispositions(first.message_id, "DELIVERED")

        # Also when the message is gone, and after kill -9.
        self.daemon.restart(kill=True)
        late = self.daemon.submit_request(["r@a.test"], token="t1")
        self.assertTrue(late.duplicate)
        self.assertEqual(late.message_id, first.message_id)
        # In a stream too: the second of the frame comes while the first is under way.
        request = delivery_pb2.SubmitRequest(sender="s@source.test", recipients=["s@a.test"],
                                             content=b"A: b\r\n\r\nx\r\n", token="t2")
        frame = delivery_pb2.SubmitStreamRequest(submissions=[request, request, request])
        results = [r.receipt for answer in self.daemon.delivery.SubmitStream(iter([frame]))
                   for r in answer.results]
        self.assertEqual([r.duplicate for r in results], [False, True, True])
        self.assertEqual(len({r.message_id for r in results}), 1)
        self.daemon.wait_dispositions(results[0].message_id, "DELIVERED")
        # Another token, another message.
        other = self.deliver("r@a.test", token="t3")
        self.assertNotEqual(other, first.message_id)
        self.assertEqual(sorted(r for m in self.sink.messages for r in m.recipients),
                         ["r@a.test", "r@a.test", "s@a.test"])
        self.assertEqual(self.daemon.metric("postern_spool_duplicate_submissions_total"), 3)

    def test_many_at_once_share_one_message(self):
        self.dns.domain("a.test")
        daemon = self.daemon
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            receipts = list(pool.map(
                lambda _: daemon.submit_request(["r@a.test"], token="same"), range(48)))
        self.assertEqual(len({r.message_id for r in receipts}), 1)
        self.assertEqual(sum(not r.duplicate for r in receipts), 1)
        daemon.wait_dispositions(receipts[0].message_id, "DELIVERED")
        self.assertEqual(len(self.sink.messages), 1)

    def test_a_refused_submission_claims_nothing(self):
        self.dns.domain("a.test")
        with self.assertRaises(Exception):
            self.daemon.submit_request(["nobody"], token="t")
        self.assertFalse(self.daemon.submit_request(["r@a.test"], token="t").duplicate)

    def test_the_token_is_told_with_the_outcome(self):
        self.dns.domain("a.test")
        self.deliver("r@a.test", token="invoice-4711")
        self.assertEqual(self.daemon.outcomes().wait_outcomes(1)[0].token, "invoice-4711")


if __name__ == "__main__":
    unittest.main()
