"""gRPC over a unix socket: its permissions, what a dead process left, who comes through it."""

import os
import socket
import stat
import unittest

from callers import Caller, assert_denied, postern
from scenario import Scenario


class UnixSocket(Scenario):
    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        self.path = os.path.join(self.directory, "postern.sock")

    def configure(self, identities=(), **listener):
        return self.make_daemon(identities=list(identities), server={"grpc_listeners": [
            {"address": "127.0.0.1:0"}, {"address": f"unix:{self.path}", **listener}]})

    def mode(self):
        info = os.stat(self.path)
        self.assertTrue(stat.S_ISSOCK(info.st_mode))
        return stat.S_IMODE(info.st_mode)

    def test_takes_mail_through_a_socket_with_its_permissions(self):
        self.configure().start()
        self.assertEqual(self.mode(), 0o660)
        caller = Caller(self, f"unix:{self.path}")
        self.daemon.wait_dispositions(caller.submit(), "DELIVERED")
        done = postern(f"unix:{self.path}", "queues")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.daemon.stop()
        self.assertFalse(os.path.exists(self.path))
        self.configure(unix_mode="0600").start()
        self.assertEqual(self.mode(), 0o600)

    def test_replaces_the_socket_of_a_dead_process(self):
        self.configure().start()
        self.daemon.restart(kill=True)
        Caller(self, f"unix:{self.path}").submit()

    def refused(self):
        daemon = self.configure()
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        daemon.process = None  # it has ended by itself, with 1
        return "\n".join(daemon.stderr)

    def test_leaves_alone_what_is_not_a_dead_socket(self):
        with socket.socket(socket.AF_UNIX) as somebody:
            somebody.bind(self.path)
            somebody.listen()
            self.assertIn(f"{self.path}: somebody listens", self.refused())
        os.remove(self.path)
        with open(self.path, "w", encoding="utf-8") as file:
            file.write("precious")
        self.assertIn(f"{self.path}: is there, and is no socket", self.refused())
        with open(self.path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "precious")

    def test_who_comes_through_it_is_known_by_that(self):
        self.configure([{"name": "operator", "local": ["unix"],
                         "rights": {"submit": {}, "all": True}}]).start()
        ident = Caller(self, f"unix:{self.path}").submit()
        self.assertEqual(Caller(self, f"unix:{self.path}").message(ident).message_id, ident)
        # Loopback is another place.
        assert_denied(self, "UNAUTHENTICATED", "no identity",
                      Caller(self, self.daemon.grpc_address).submit)


if __name__ == "__main__":
    unittest.main()
