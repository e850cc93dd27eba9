"""A full disk: submissions are refused, the process lives, what was acknowledged is intact."""
import os
import subprocess
import tempfile
import unittest

import grpc

from scenario import Scenario


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

    def test_refuses_what_it_cannot_store_and_keeps_what_it_has(self):
        self.dns.domain("a.test")
        self.dns.behave("a.test", "servfail")
        self.make_daemon(server={"spool_directory": f"{self.disk}/spool",
                                 "spool_reserve_bytes": "32MiB"}).start()
        content = b"Subject: big\r\n\r\n" + b"0123456789abcdef" * 65536
        stored = []
        for _ in range(100):
            try:
                stored.append(self.daemon.submit(["r@a.test"], content=content))
            except grpc.RpcError as error:
                self.assertEqual(error.code(), grpc.StatusCode.RESOURCE_EXHAUSTED)
                break
        else:
            self.fail("100 MiB went onto a disk of 96 MiB")
        self.assertGreater(len(stored), 5)
        for ident in stored:
            self.assertEqual(self.daemon.message(ident).message_id, ident)
        status, _ = self.daemon.get("/livez")
        self.assertEqual(status, 200)


if __name__ == "__main__":
    unittest.main()
