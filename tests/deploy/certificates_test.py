"""deploy/make-certs: openssl agrees with what it makes, and a second run keeps the authority."""
import os
import pathlib
import shutil
import ssl
import tempfile
import unittest

from deploy_files import DEPLOY, run, tool


class MakeCerts(unittest.TestCase):
    def setUp(self):
        self.openssl = tool("openssl")
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="postern-certs-"))
        self.addCleanup(shutil.rmtree, self.directory)

    def make(self, *words):
        code, text = run(DEPLOY / "make-certs", self.directory / "c", *words)
        self.assertEqual(code, 0, text)
        return self.directory / "c"

    def text_of(self, certificate):
        code, text = run(self.openssl, "x509", "-noout", "-text", "-in", certificate)
        self.assertEqual(code, 0, text)
        return text

    def test_openssl_verifies_server_and_clients_for_their_purpose(self):
        made = self.make("policy", "app", "--server", "mail.test,127.0.0.1,::1")
        for name, purpose in (("server", "sslserver"), ("policy", "sslclient"),
                              ("app", "sslclient")):
            self.assertEqual(run(self.openssl, "verify", "-x509_strict", "-purpose", purpose,
                                 "-CAfile", made / "ca.crt", made / name / "tls.crt")[0], 0)
            # Key and certificate belong together.
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(
                made / name / "tls.crt", made / name / "tls.key")
        self.assertNotEqual(run(self.openssl, "verify", "-purpose", "sslserver", "-CAfile",
                                made / "ca.crt", made / "policy/tls.crt")[0], 0)
        self.assertIn("DNS:mail.test, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
                      self.text_of(made / "server/tls.crt"))
        self.assertIn("URI:spiffe://postern.test/policy", self.text_of(made / "policy/tls.crt"))

    def test_keys_are_for_their_owner_only(self):
        made = self.make()
        for key in made.rglob("*.key"):
            self.assertEqual(key.stat().st_mode & 0o077, 0, key)
        for certificate in made.rglob("*.crt"):
            self.assertTrue(os.access(certificate, os.R_OK))
        self.assertEqual([], list(made.glob(".new*")))

    def test_a_second_run_keeps_the_authority_and_makes_the_rest_anew(self):
        made = self.make()
        before = {path: path.read_bytes() for path in made.rglob("*.crt")}
        self.make("--days", "1")
        self.assertEqual(before[made / "ca.crt"], (made / "ca.crt").read_bytes())
        self.assertNotEqual(before[made / "server/tls.crt"], (made / "server/tls.crt").read_bytes())
        self.assertEqual(run(self.openssl, "verify", "-CAfile", made / "ca.crt",
                             made / "operator/tls.crt")[0], 0)

    def test_it_teaches_and_refuses_nonsense(self):
        code, text = run(DEPLOY / "make-certs", "--help")
        self.assertEqual(code, 0)
        self.assertIn("deploy/make-certs DIR NAME...", text)
        for words in ((), ("--days", "x", "d"), ("--what", "d"), ("d", "a/b"), ("d", "server"),
                      ("d", "--server", "a b")):
            code, _ = run(DEPLOY / "make-certs", *words, cwd=self.directory)
            self.assertEqual(code, 2, words)


if __name__ == "__main__":
    unittest.main()
