"""Watermarks: new mail is refused with the cause and when to come back; delivery goes on."""

import unittest

import grpc

from postern.v1 import delivery_pb2
from scenario import Scenario, eventually, scaled


class Admission(Scenario):
    def refused(self):
        with self.assertRaises(grpc.RpcError) as caught:
            self.daemon.submit(["r@a.test"])
        error = caught.exception
        self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED, error)
        return error

    def test_a_full_queue_refuses_until_it_has_drained(self):
        self.config = {"server": {"max_queued_messages": 3}}
        self.dns.domain("a.test")
        self.dns.behave("a.test", "servfail")
        stored = [self.daemon.submit(["r@a.test"]) for _ in range(3)]
        # The last of them is counted when its scheduler has it, a moment after the receipt.
        eventually(lambda: self.daemon.metric("postern_queued_rows") == 3, what="three rows")
        error = self.refused()
        self.assertRegex(error.details(), "^queue: 3 messages are queued, 3 are the most")
        self.assertEqual(dict(error.trailing_metadata())["retry-after"], "5")
        frame = delivery_pb2.SubmitStreamRequest(submissions=[delivery_pb2.SubmitRequest(
            recipients=["r@a.test"], content=b"Subject: x\r\n\r\nx\r\n")])
        answer, = self.daemon.delivery.SubmitStream(iter([frame]), timeout=scaled(10))
        refusal = answer.results[0].error
        self.assertEqual(refusal.code, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])
        self.assertEqual(refusal.retry_after.seconds, 5)
        status, body = self.daemon.get("/readyz")
        self.assertEqual((status, body.split(":")[0]), (503, "queue"))
        eventually(lambda: self.daemon.get("/livez")[0] == 200, what="live")
        self.assertEqual(self.daemon.metric("postern_admission_open"), 0)
        self.assertEqual(self.daemon.metric("postern_admission_closed", cause="queue"), 1)
        self.assertEqual(self.daemon.metric("postern_admission_refused_total", cause="queue"), 2)

        self.dns.forgive("a.test")
        for ident in stored:
            self.daemon.wait_dispositions(ident, "DELIVERED")
        eventually(lambda: self.daemon.get("/readyz")[0] == 200, what="ready again")
        self.deliver("r@a.test")
        self.assertEqual(self.daemon.metric("postern_admission_open"), 1)

    def test_too_much_memory_refuses(self):
        self.config = {"server": {"max_memory_bytes": "1MiB"}}  # less than any process has
        self.dns.domain("a.test")
        self.assertRegex(self.refused().details(), r"^memory: \d+ bytes are taken, 1048576 are")
        status, body = self.daemon.get("/readyz")
        self.assertEqual((status, body.split(":")[0]), (503, "memory"))
        self.assertGreater(self.daemon.metric("postern_memory_resident_bytes"), 1 << 20)


if __name__ == "__main__":
    unittest.main()
