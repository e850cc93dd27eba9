"""A full disk: submissions are refused, the process lives, what was acknowledged is delivered."""
import os
import subprocess
import tempfile
import unittest

import grpc

from postern.v1 import control_pb2, types_pb2
from scenario import Scenario, eventually, scaled, short

MEGABYTE = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 65536


class DiskFull(Scenario):
    def setUp(self):
        super().setUp()
        self.disk = tempfile.mkdtemp(prefix="postern-disk-")
        self.addCleanup(os.rmdir, self.disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m", "none", self.disk],
                                 capture_output=True, check=False)
        if mounted.returncode != 0:
            self.skipTest("needs root, to mount a small file system")
        self.addCleanup(subprocess.run, ["umount", "-l", self.disk], check=False)
        self.dns.domain("a.test")
        self.dns.behave("a.test", "servfail")

    def start(self, reserve):
        self.make_daemon(server={"spool_directory": f"{self.disk}/spool",
                                 "spool_reserve_bytes": reserve}).start()

    def submit_until_refused(self):
        stored = []
        for _ in range(100):
            try:
                stored.append(self.daemon.submit(["r@a.test"], content=MEGABYTE))
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                self.assertGreater(int(dict(error.trailing_metadata())["retry-after"]), 0)
                return stored
        self.fail("100 MiB went onto a disk of 96 MiB")

    def assert_all_delivered_once(self, stored):
        self.dns.forgive("a.test")
        for ident in stored:
            self.daemon.wait_dispositions(ident, "DELIVERED", timeout=30)
        self.assertEqual(len(self.sink.messages), len(stored))
        # Nothing is left for a process that knows only what is on the disk.
        self.daemon.restart()
        self.assertEqual(self.daemon.metric("postern_recovered_rows_total"), 0)

    def test_at_the_watermark_delivery_goes_on(self):
        self.start("32MiB")
        stored = self.submit_until_refused()
        self.assertGreater(len(stored), 5)
        for ident in stored:
            self.assertEqual(self.daemon.message(ident).message_id, ident)
        eventually(lambda: self.daemon.get("/livez")[0] == 200, what="live")
        with open(os.path.join(self.disk, "filler"), "wb") as file:
            file.write(bytes(2 << 20))
        eventually(lambda: self.daemon.get("/readyz")[1].startswith("disk: "), what="not ready")
        with self.assertRaisesRegex(grpc.RpcError, "disk: .* are kept"):
            self.daemon.submit(["r@a.test"])
        self.assert_all_delivered_once(stored)

    def held_by_the_spool(self):
        """The queue could be served, but for the spool: its back-off is over."""
        answer = self.daemon.control.ListQueues(control_pb2.ListQueuesRequest(),
                                                timeout=scaled(10))
        queue, = answer.queues
        return short(types_pb2.RequeueReason, queue.reason) == "LOCAL_FAULT" and \
            not queue.HasField("backoff_until")

    def test_without_room_no_transaction_begins_and_it_recovers_by_itself(self):
        self.start("0")
        stored = [self.daemon.submit(["r@a.test"]) for _ in range(5)]
        filler = os.path.join(self.disk, "filler")
        with open(filler, "wb", buffering=0) as file:
            try:
                while file.write(b"x" * 65536):
                    pass
            except OSError:
                pass  # no room left
        stored += self.submit_until_refused()
        eventually(lambda: self.daemon.metric("postern_spool_healthy") == 0, what="unhealthy")
        # Between two attempts to write it is open and does not know better.
        eventually(lambda: self.daemon.get("/readyz")[0] == 503, what="not ready")
        eventually(lambda: self.daemon.get("/livez")[0] == 200, what="live")
        self.dns.forgive("a.test")
        eventually(self.held_by_the_spool, what="a queue that waits for the spool")
        self.assertEqual(self.sink.messages, [])

        os.remove(filler)
        # Until it is open again, questions about messages are UNAVAILABLE.
        eventually(lambda: self.daemon.metric("postern_spool_healthy") == 1, what="healthy again")
        self.assert_all_delivered_once(stored)
        self.assertEqual(self.daemon.get("/readyz")[0], 200)


if __name__ == "__main__":
    unittest.main()
