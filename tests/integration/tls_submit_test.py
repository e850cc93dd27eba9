"""Mail is submitted over TLS with a client certificate, watched, and asked for with the CLI."""

import unittest

from callers import Caller, assert_denied, postern
from certificates import Authority
from scenario import Scenario

URI = "spiffe://example.org/mailer"


class TlsSubmit(Scenario):
    def start(self, **tls):
        self.dns.domain("a.test")
        self.ca = Authority(self.directory, "ca")
        server = self.ca.issue("server")
        self.mailer = self.ca.issue("mailer", uri=URI)
        self.make_daemon(server={"grpc_listeners": [
            {"address": "127.0.0.1:0"},
            {"address": "127.0.0.1:0", "tls": {
                "certificate_file": server.certificate, "key_file": server.key,
                "client_ca_file": self.ca.file, **tls}}]}).start()
        self.address = self.daemon.grpc_addresses[1]

    def test_takes_mail_from_a_client_with_a_certificate(self):
        self.start()
        caller = Caller(self, self.address, ca=self.ca, certificate=self.mailer)
        ident = caller.submit(["r@a.test"])
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(caller.message(ident).message_id, ident)
        self.assertEqual(len(self.sink.messages), 1)

    def test_the_command_line_speaks_tls(self):
        self.start()
        names = ("--tls-ca", self.ca.file, "--tls-certificate", self.mailer.certificate,
                 "--tls-key", self.mailer.key)
        done = postern(self.address, *names, "health")
        self.assertEqual(done.returncode, 0, done.stderr)
        port = self.address.rsplit(":", 1)[1]
        done = postern(f"localhost:{port}", "health", *names)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_command_line_says_what_may_be_wrong(self):
        self.start()
        mailer = ("--tls-certificate", self.mailer.certificate, "--tls-key", self.mailer.key)
        other = Authority(self.directory, "other")
        for arguments, said in (
                ((), "--tls-ca"),
                (("--tls-ca", other.file, *mailer), "--tls-ca does not vouch"),
                (("--tls-ca", self.ca.file, *mailer, "--tls-server-name", "mail.test"),
                 "--tls-server-name")):
            with self.subTest(arguments=arguments):
                done = postern(self.address, *arguments, "queues")
                self.assertEqual(done.returncode, 1)
                self.assertIn("UNAVAILABLE", done.stderr)
                self.assertIn(said, done.stderr)
        done = postern(self.address, "--tls-ca", "/nowhere/ca.pem", "queues")
        self.assertEqual(done.returncode, 2)
        self.assertIn("/nowhere/ca.pem: No such file", done.stderr)

    def test_an_expired_server_certificate_is_named_as_such(self):
        self.dns.domain("a.test")
        self.ca = Authority(self.directory, "ca")
        expired = self.ca.issue("expired", expired=True)
        self.make_daemon(server={"grpc_listeners": [
            {"address": "127.0.0.1:0"},
            {"address": "127.0.0.1:0", "tls": {"certificate_file": expired.certificate,
                                               "key_file": expired.key}}]}).start()
        done = postern(self.daemon.grpc_addresses[1], "--tls-ca", self.ca.file, "queues")
        self.assertEqual(done.returncode, 1)
        self.assertIn("expired", done.stderr)

    def test_plaintext_is_not_understood(self):
        self.start()
        caller = Caller(self, self.address)
        assert_denied(self, "UNAVAILABLE", "", lambda: caller.submit(["r@a.test"]))


if __name__ == "__main__":
    unittest.main()
