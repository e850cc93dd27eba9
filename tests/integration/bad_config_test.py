"""Configurations that are refused: every error at once, with file:line and key, in a second."""

import os
import socket
import time
import unittest

from running import time_scale
from scenario import Scenario, module


class BadConfig(Scenario):
    def refused(self, text):
        """Starts with this file; returns what is said on stderr."""
        for _ in range(3):  # the machine may be busy with something else once, and twice
            daemon = self.make_daemon()
            started = time.monotonic()
            daemon.launch(text)
            self.assertEqual(daemon.wait_exit(), 1)
            took = time.monotonic() - started
            if took < 1 * max(1, time_scale()):
                break
            daemon.process = None
        self.assertLess(took, 1 * max(1, time_scale()))
        self.assertEqual([l for l in daemon.stdout if l.startswith("ready")], [])
        return "\n".join(daemon.stderr)

    def assert_names(self, said, line, key):
        """One line of the output names file:line and the key."""
        self.assertRegex(said, rf"(?m)^.*postern\.yaml:{line}\b.*{key}")

    def test_reports_every_error_with_line_and_key(self):
        said = self.refused(f"""\
server:
  spool_directory: {self.directory}/spool
  grpc_listeners:
    - address: 127.0.0.1:0
      adress: twice
options:
  connect_timeut: 30s
  idle_timeout: 30
  max_outbound_connections: many
  retry_schedule: [5m, soon]
policy:
  default_verdict: maybe
  timeout: 1h
domains:
  - name: a.test
    options:
      generate_bounces: false
colour: blue
""")
        for line, key in ((5, "adress"), (7, "connect_timeut"), (8, "idle_timeout"),
                          (9, "max_outbound_connections"), (10, "retry_schedule"),
                          (12, "default_verdict"), (13, "timeout"), (17, "generate_bounces"), (18, "colour")):
            with self.subTest(key=key):
                self.assert_names(said, line, key)
        self.assertIn("not served yet", said)

    def test_is_not_yaml(self):
        self.assertRegex(self.refused("server: [unclosed\n"), r"postern\.yaml:\d+")

    def test_is_not_there(self):
        daemon = self.make_daemon()
        daemon.config_file = os.path.join(self.directory, "missing", "postern.yaml")
        daemon.write_config = lambda text=None: None
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        self.assertIn(daemon.config_file, "\n".join(daemon.stderr))

    def test_the_spool_directory_cannot_be_written(self):
        blocker = os.path.join(self.directory, "file")
        with open(blocker, "w", encoding="utf-8"):
            pass
        said = self.refused(f"server:\n  spool_directory: {blocker}/spool\n")
        self.assertIn("spool_directory", said)
        self.assertIn(f"{blocker}/spool", said)

    def test_plaintext_beyond_loopback(self):
        said = self.refused(f"server:\n  spool_directory: {self.directory}/spool\n"
                            "  grpc_listeners:\n    - address: 0.0.0.0:0\n")
        self.assertIn("insecure", said)

    def with_module(self, entry):
        daemon = self.make_daemon(modules=[entry])
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        return "\n".join(daemon.stderr)

    def test_a_module_that_is_not_there(self):
        entry = {"name": "ghost", "path": os.path.join(self.directory, "ghost.so")}
        said = self.with_module(entry)
        self.assertIn("ghost", said)
        self.assertIn(entry["path"], said)

    def test_a_module_that_is_not_a_module(self):
        path = os.path.join(self.directory, "text.so")
        with open(path, "w", encoding="utf-8") as file:
            file.write("text\n")
        said = self.with_module({"name": "text", "path": path})
        self.assertIn(path, said)

    def test_modules_are_told_of_the_end_of_a_start_that_fails_behind_them(self):
        log = os.path.join(self.directory, "connections.log")
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            daemon = self.make_daemon(modules=[module("log_connections", file=log)],
                                      server={"http_listener": address})
            daemon.launch()
            self.assertEqual(daemon.wait_exit(), 1)
        self.assertIn(address, "\n".join(daemon.stderr))
        with open(log, encoding="utf-8") as file:
            self.assertEqual(file.read(), "ended\n")

    def test_a_module_that_refuses_its_options(self):
        said = self.with_module(module("end_session", deliveries="none"))
        self.assertIn("end_session", said)
        self.assertIn("deliveries", said)

    def _close_daemon(self):
        self._daemon.process = None  # it has ended by itself, with 1


if __name__ == "__main__":
    unittest.main()
