"""`SubmitStream`: many submissions in a frame, their receipts in fewer frames than submissions."""

import unittest

from postern.v1 import delivery_pb2
from scenario import Scenario, scaled

FRAMES = 5
SUBMISSIONS = 200  # of each frame


class SubmitStream(Scenario):
    def test_results_share_frames_and_come_in_the_order_of_the_submissions(self):
        self.suspend("*")
        frames = [delivery_pb2.SubmitStreamRequest(submissions=[
            delivery_pb2.SubmitRequest(sender="s@source.test", recipients=[f"r{i}@d{i % 7}.test"],
                                       content=b"Subject: s\r\n\r\nHello.\r\n")
            for i in range(n * SUBMISSIONS, (n + 1) * SUBMISSIONS)]) for n in range(FRAMES)]
        frames[2].submissions[50].recipients[0] = "nobody"
        answers = list(self.daemon.delivery.SubmitStream(iter(frames), timeout=scaled(60)))
        results = [result for answer in answers for result in answer.results]
        self.assertEqual(len(results), FRAMES * SUBMISSIONS)
        # One sync of the disk serves many, and so does one frame.
        self.assertLess(len(answers), FRAMES * SUBMISSIONS)
        bad = 2 * SUBMISSIONS + 50
        self.assertEqual([i for i, r in enumerate(results) if not r.HasField("receipt")], [bad])
        self.assertIn("recipients[0]", results[bad].error.message)
        for i in (0, 399, 401, 999):
            row, = results[i].receipt.rows
            self.assertEqual(row.domain, f"d{i % 7}.test")
            stored = self.daemon.message(results[i].receipt.message_id)
            self.assertEqual(stored.rows[0].recipients[0].address, f"r{i}@d{i % 7}.test")


if __name__ == "__main__":
    unittest.main()
