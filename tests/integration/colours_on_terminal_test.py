"""States and errors have colours on a terminal, and nowhere else."""

import os
import pty
import subprocess
import unittest

from scenario import Scenario, scaled


class Colours(Scenario):
    def on_terminal(self, *arguments, **environment):
        """What a terminal gets, standard output and error together."""
        terminal, other = pty.openpty()
        subprocess.run([os.environ["POSTERN"], "--address", self.daemon.grpc_address, *arguments],
                       stdout=other, stderr=other, timeout=scaled(20), check=False,
                       env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **environment})
        os.close(other)
        shown = b""
        try:
            while part := os.read(terminal, 65536):  # a terminal gives what it has so far
                shown += part
        except OSError:
            pass  # EIO: that was all
        os.close(terminal)
        return shown.decode()

    def test_of_states_and_errors(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", reply="550 5.1.1 No", recipient="bad@")
        ident = self.daemon.submit(["bad@a.test", "good@a.test"])
        self.daemon.wait_dispositions(ident, {"bad@a.test": "FAILED", "good@a.test": "DELIVERED"})
        states = ("message", ident)
        shown = self.on_terminal(*states)
        self.assertIn("\033[31mfailed\033[0m", shown)
        self.assertIn("\033[32mdelivered\033[0m", shown)
        self.assertIn("\033[31mfailed\033[0m", self.on_terminal("outcomes", "--count", "2"))
        self.suspend("z.test")
        self.daemon.submit(["r@z.test"])
        self.assertIn("\033[33msuspended\033[0m", self.on_terminal("queues"))
        error = ("message", "0" * 32)
        self.assertIn("postern: \033[31mNOT_FOUND\033[0m: ", self.on_terminal(*error))

        for environment in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.assertNotIn("\033", self.on_terminal(*states, **environment))
            self.assertNotIn("\033", self.on_terminal(*error, **environment))
        for arguments in (states, error):
            _, out, err = self.daemon.run_cli(*arguments)
            self.assertNotIn("\033", out + err)


if __name__ == "__main__":
    unittest.main()
