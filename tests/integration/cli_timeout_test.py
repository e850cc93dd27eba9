"""A server that takes the connection and never answers: `postern` gives up and says so."""

import os
import socket
import subprocess
import unittest

from running import scaled


class CliTimeout(unittest.TestCase):
    def run_against_silence(self, *arguments):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            address = "127.0.0.1:%d" % silent.getsockname()[1]
            return subprocess.run(
                [os.environ["POSTERN"], "--address", address, *arguments], input="Subject: x\n\nx\n",
                capture_output=True, text=True, timeout=scaled(20), check=False)

    def test_ends_every_call_that_answers_once(self):
        for command in (["submit", "--to", "r@a.test"], ["queues"], ["message", "0" * 32],
                        ["health"]):
            done = self.run_against_silence(*command, "--timeout", "300ms")
            self.assertEqual(done.returncode, 1, command)
            self.assertRegex(done.stderr, "^postern: DEADLINE_EXCEEDED: .*--timeout", command)


if __name__ == "__main__":
    unittest.main()
