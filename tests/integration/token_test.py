"""A token says who calls, also from the command line."""

import unittest

from callers import Caller, assert_denied, postern, token_file
from scenario import Scenario


class Token(Scenario):
    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        self.path, self.token = token_file(self.directory, "mailer")
        self.make_daemon(identities=[{"name": "mailer", "token_file": self.path, "rights": {
            "submit": {}}}]).start()

    def test_is_taken_when_it_is_right(self):
        address = self.daemon.grpc_address
        mailer = Caller(self, address, token=self.token)
        ident = mailer.submit()
        self.assertEqual(mailer.message(ident).message_id, ident)
        for wrong in (None, self.token[:-1] + "X", self.token + "0", "x"):
            with self.subTest(wrong):
                assert_denied(self, "UNAUTHENTICATED", "token",
                              Caller(self, address, token=wrong).submit)
        self.assertEqual(self.daemon.metric("postern_rpc_denied_total", method="Delivery.Submit",
                                            reason="unauthenticated"), 4)
        self.assertNotIn(self.token, self.daemon.describe())

    def test_the_command_line_sends_it(self):
        address = self.daemon.grpc_address
        self.assertEqual(postern(address, "messages", "--token-file", self.path).returncode, 0)
        self.assertEqual(postern(address, "messages", POSTERN_TOKEN_FILE=self.path).returncode, 0)
        done = postern(address, "messages")
        self.assertEqual(done.returncode, 1)
        self.assertIn("UNAUTHENTICATED", done.stderr)
        self.assertIn("--token-file", done.stderr)


if __name__ == "__main__":
    unittest.main()
