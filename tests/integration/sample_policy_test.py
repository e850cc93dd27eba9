"""client/python/policy.py, as a user runs it: ends sessions, and comes back after the server."""

import os
import pathlib
import subprocess
import sys
import threading
import unittest

from certificates import Authority
from running import Watched, spawn
from scenario import LASTING_CONNECTION, Scenario

PROGRAM = pathlib.Path(__file__).resolve().parents[2] / "client/python/policy.py"


class SamplePolicy(Scenario):
    config = LASTING_CONNECTION

    def start_policy(self, *arguments):
        """The program, attached; its output is collected in self.output."""
        self.seen = Watched()
        self.output = []
        self.seen.describe = lambda: "\n".join(self.output)
        process = spawn([sys.executable, "-B", PROGRAM, "--server", self.daemon.grpc_address,
                         *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                        text=True,
                        env={**os.environ, "PYTHONPATH": os.environ["POSTERN_STUBS"]})
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)

        def collect():
            for line in process.stdout:
                with self.seen.changed:
                    self.output.append(line.rstrip("\n"))
                    self.seen.changed.notify_all()

        reader = threading.Thread(target=collect, daemon=True)
        reader.start()
        self.addCleanup(reader.join)
        self.addCleanup(process.kill)
        self.wait_output("attached")

    def wait_output(self, start, count=1):
        self.seen.wait(lambda: sum(l.startswith(start) for l in self.output) >= count, 20,
                       f"{count} lines {start!r} of policy.py")

    def test_speaks_tls_with_a_certificate(self):
        self.dns.domain("a.test")
        ca = Authority(self.directory, "ca")
        server, judge = ca.issue("server"), ca.issue("judge", uri="spiffe://example.org/judge")
        self.make_daemon(
            identities=[{"name": "judge", "uris": ["spiffe://example.org/*"],
                         "rights": {"decide": {}}}],
            server={"grpc_listeners": [{"address": "127.0.0.1:0", "tls": {
                "certificate_file": server.certificate, "key_file": server.key,
                "client_ca_file": ca.file}}]}).start()
        self.start_policy("--tls", ca.file, judge.certificate, judge.key)

    def test_ends_the_session_after_two_deliveries_and_attaches_again(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.start_policy("--shutdown-after", "2")
        for i in range(3):
            self.deliver(f"r{i}@a.test")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REMOTE_POLICY", provider="sample", reason="after 2 deliveries")
        self.assertEqual([m.connection for m in self.sink.messages], [1, 1, 2])
        self.wait_output("verdict VERDICT_STATUS_APPLIED", 3)
        self.wait_output("event connection_closed")

        # A server that goes away is asked again until it is back, at the same address.
        address = self.daemon.grpc_address
        self.daemon.stop()
        self.wait_output("UNAVAILABLE")
        self.daemon.config["server"]["grpc_listeners"] = [{"address": address}]
        self.daemon.start()
        self.wait_output("attached", 2)


if __name__ == "__main__":
    unittest.main()
