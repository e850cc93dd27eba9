"""Every disposition reaches the consumer at least once, kill -9 or not, and what it acknowledged
does not come again."""

import json
import os
import subprocess
import unittest

import grpc
from postern.v1 import delivery_pb2, types_pb2
from scenario import Scenario, short


def words(outcomes):
    """[("r@a.test", "DELIVERED")]."""
    return [(o.recipient, short(types_pb2.Disposition, o.disposition)) for o in outcomes]


class OutcomesAtLeastOnceOverKill9(Scenario):
    def test_deferrals_and_final_dispositions_come_in_order(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", recipient="later@a.test", times=1, reply="450 4.2.1 Busy")
        self.sink.rule("rcpt", recipient="bad@a.test", reply="550 5.1.1 No such user")
        stream = self.daemon.outcomes("books")
        ident = self.daemon.submit(["good@a.test", "later@a.test", "bad@a.test"])
        came = stream.wait_outcomes(4)
        self.assertEqual(sorted(words(came)[:3]), [
            ("bad@a.test", "FAILED"), ("good@a.test", "DELIVERED"), ("later@a.test", "DEFERRED")])
        self.assertEqual(words(came)[3:], [("later@a.test", "DELIVERED")])
        for outcome in came:
            self.assertEqual(outcome.message_id, ident)
            self.assertEqual(outcome.domain, "a.test")
            self.assertEqual(outcome.binding.name, "default")
        failed = next(o for o in came if o.recipient == "bad@a.test")
        self.assertEqual((failed.reply.code, failed.reply.enhanced_status), (550, "5.1.1"))
        self.assertEqual(came[3].attempts, 2)

        final = self.daemon.outcomes(final_only=True).wait_outcomes(3)
        self.assertNotIn("DEFERRED", [word for _, word in words(final)])
        self.dns.domain("b.test")
        others = self.daemon.outcomes(filter=types_pb2.Filter(domains=["b.test"]))
        self.deliver("r@b.test")
        self.assertEqual(words(others.wait_outcomes(1)), [("r@b.test", "DELIVERED")])

    def test_what_was_not_acknowledged_comes_again_after_kill9(self):
        self.dns.domain("a.test")
        stream = self.daemon.outcomes("books")
        self.deliver("r0@a.test")
        stream.wait_outcomes(1)  # a batch of its own
        for i in range(1, 5):
            self.deliver(f"r{i}@a.test")
        came = stream.wait_outcomes(5)
        seen = [o.message_id for o in came]
        batch = next(f.outcomes for f in stream.frames if f.WhichOneof("frame") == "outcomes")
        first_batch = len(batch.outcomes)
        stream.ack(batch.cursor)
        # The acknowledgement has been read when the stream ends in good order, and is on disk when
        # what was written behind it is.
        self.assertEqual(stream.close(), grpc.StatusCode.OK)
        self.suspend("unrelated.test")

        self.daemon.restart(kill=True)
        again = self.daemon.outcomes("books").wait_outcomes(5 - first_batch)
        self.assertEqual([o.message_id for o in again], seen[first_batch:])
        # Another consumer has acknowledged nothing.
        self.assertEqual([o.message_id for o in self.daemon.outcomes("others").wait_outcomes(5)],
                         seen)

    def test_killed_in_the_middle_of_a_thousand_nothing_is_missing(self):
        self.dns.domain("a.test")
        daemon = self.make_daemon(options={"retry_schedule": ["100ms"]}).start()
        stream = daemon.outcomes("books", acknowledge=True)
        answers = daemon.delivery.SubmitStream(iter([delivery_pb2.SubmitStreamRequest(submissions=[
            delivery_pb2.SubmitRequest(sender="s@source.test", recipients=[f"r{i}@a.test"],
                                       content=b"A: b\r\n\r\nx\r\n") for i in range(1000)])]))
        accepted = {r.receipt.message_id for answer in answers for r in answer.results}
        self.assertEqual(len(accepted), 1000)
        stream.wait_outcomes(100)
        daemon.restart(kill=True)
        before = {o.message_id for o in stream.outcomes}
        after = daemon.outcomes("books", acknowledge=True, final_only=True)
        after.wait(lambda: before | {o.message_id for o in after.outcomes} >= accepted, 40,
                   "an outcome for every message")

    def test_a_second_stream_takes_the_consumer_over(self):
        self.dns.domain("a.test")
        first = self.daemon.outcomes("books")
        self.deliver("r@a.test")
        first.wait_outcomes(1)
        second = self.daemon.outcomes("books")
        second.wait_outcomes(1)
        self.assertEqual(first.wait_ended(), grpc.StatusCode.ABORTED)

    def test_what_makes_no_sense_ends_the_stream(self):
        daemon = self.daemon
        for options, code in (
                ({"consumer": "x" * 65}, grpc.StatusCode.INVALID_ARGUMENT),
                ({"after_cursor": "nonsense"}, grpc.StatusCode.INVALID_ARGUMENT)):
            self.assertEqual(daemon.outcomes(**options).wait_ended(), code)
        stream = daemon.outcomes("books")
        stream.ack("0123456789abcdef-7")
        self.assertEqual(stream.wait_ended(), grpc.StatusCode.INVALID_ARGUMENT)
        reader = daemon.outcomes()
        reader.ack("0123456789abcdef-7")
        self.assertEqual(reader.wait_ended(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual(daemon.outcomes().close(), grpc.StatusCode.OK)

    def test_the_command_line_keeps_books_too(self):
        self.dns.domain("a.test")
        idents = [self.deliver(f"r{i}@a.test") for i in range(3)]

        def postern(*arguments):
            return subprocess.run(
                [os.environ["POSTERN"], "--address", self.daemon.grpc_address, "outcomes",
                 *arguments], check=True, capture_output=True, timeout=60, text=True).stdout

        text = postern("--count", "3")
        self.assertEqual([line.split()[1] for line in text.splitlines()], idents)
        batches = [json.loads(line) for line in
                   postern("--consumer", "books", "--ack", "--json", "--count", "3").splitlines()]
        self.assertEqual([o["message_id"] for b in batches for o in b["outcomes"]], idents)
        last = self.deliver("r@a.test")
        text = postern("--consumer", "books", "--count", "1")
        self.assertEqual([line.split()[1] for line in text.splitlines()], [last])
        text = postern("--from", batches[-1]["cursor"], "--count", "1")
        self.assertEqual([line.split()[1] for line in text.splitlines()], [last])


if __name__ == "__main__":
    unittest.main()
