"""Delivery to a receiver that no one here wrote: Postfix's smtp-sink."""

import os
import shutil
import socket
import subprocess
import unittest

from running import spawn
from scenario import Scenario, eventually

PROGRAM = shutil.which("smtp-sink", path="/usr/sbin:/usr/bin:/usr/local/sbin")


class PostfixSink(Scenario):
    def start(self, *arguments):
        """smtp-sink on a free port; each transaction becomes a file in self.dump."""
        if not PROGRAM:
            self.fail("smtp-sink is missing: install the package postfix")
        self.dump = os.path.join(self.directory, "dump")
        os.mkdir(self.dump)
        # As root it insists on another user, who must be able to write there.
        user = {"user": "nobody", "group": "nogroup"} if os.getuid() == 0 else {}
        os.chmod(self.directory, 0o755)
        os.chmod(self.dump, 0o777)
        port = self.free_port()
        process = spawn(
            [PROGRAM, *arguments, "-d", os.path.join(self.dump, "m."),
             f"127.0.0.1:{port}", "100"], stderr=subprocess.DEVNULL, **user)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

        def listening():
            with socket.socket() as client:
                return client.connect_ex(("127.0.0.1", port)) == 0

        eventually(listening, 10, "smtp-sink listens")
        self.make_daemon(options={"remote_smtp_port": port}).start()

    def transactions(self):
        files = [os.path.join(self.dump, name) for name in os.listdir(self.dump)]
        out = []
        for path in files:
            with open(path, "rb") as file:
                out.append(file.read())
        return out

    def test_takes_the_mail(self):
        self.start()
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        body = b"Subject: sink\r\n\r\n" + b"".join(b".line %d\r\n" % i for i in range(2000))
        self.deliver("r@a.test", "q@a.test", "p@b.test", content=body)
        for i in range(20):
            self.deliver(f"r{i}@a.test")
        got = self.transactions()
        self.assertEqual(len(got), 22)
        large = [t for t in got if b"Subject: sink" in t]
        self.assertEqual(len(large), 2)
        for transaction in large:
            self.assertTrue(transaction.replace(b"\r\n", b"\n").rstrip().endswith(
                body.split(b"\r\n\r\n", 1)[1].replace(b"\r\n", b"\n").rstrip()))

    def test_without_esmtp(self):
        self.start("-e")
        self.dns.domain("a.test")
        self.deliver("r@a.test")
        self.assertEqual(len(self.transactions()), 1)

    def test_that_refuses_recipients(self):
        self.start("-r", "RCPT")
        self.dns.domain("a.test")
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_dispositions(ident, "DEFERRED")


if __name__ == "__main__":
    unittest.main()
