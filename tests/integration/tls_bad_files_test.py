"""Certificates and keys that cannot be used: exit 1 within a second, naming key, file and cause."""

import os
import time
import unittest

from certificates import Authority
from running import time_scale
from scenario import Scenario


class TlsBadFiles(Scenario):
    def refused(self, identities=(), **tls):
        daemon = self.make_daemon(identities=list(identities), server={"grpc_listeners": [
            {"address": "127.0.0.1:0"}, {"address": "127.0.0.1:0", "tls": tls}]})
        started = time.monotonic()
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        self.took.append(time.monotonic() - started)
        daemon.process = None  # it has ended by itself, with 1
        return "\n".join(daemon.stderr)

    def setUp(self):
        super().setUp()
        self.took = []  # seconds of each start
        self.ca = Authority(self.directory, "ca")
        self.good = self.ca.issue("server")
        self.missing = os.path.join(self.directory, "missing.pem")
        self.garbage = os.path.join(self.directory, "garbage.pem")
        with open(self.garbage, "w", encoding="utf-8") as file:
            file.write("-----BEGIN CERTIFICATE-----\nZm9v\n-----END CERTIFICATE-----\n")

    def test_names_the_key_the_file_and_the_cause(self):
        good = {"certificate_file": self.good.certificate, "key_file": self.good.key}
        other = self.ca.issue("other")
        for over, words in (
                ({"certificate_file": self.missing},
                 ("certificate_file", self.missing, "No such file")),
                ({"key_file": self.missing}, ("key_file", self.missing, "No such file")),
                ({"key_file": self.directory}, ("key_file", self.directory, "directory")),
                ({"key_file": self.good.certificate}, ("key_file", "is not PEM")),
                ({"key_file": other.key}, ("key_file", other.key, "does not belong to")),
                ({"certificate_file": self.garbage}, (self.garbage, "damaged")),
                ({"client_ca_file": self.missing}, ("client_ca_file", self.missing)),
                ({"client_ca_file": self.garbage}, ("client_ca_file", self.garbage))):
            with self.subTest(over=over):
                said = self.refused(**{**good, **over})
                self.assertIn("postern.yaml: server.grpc_listeners[1].tls.", said)
                for word in words:
                    self.assertIn(word, said)
        # The machine may be busy, but hardly at each of them.
        self.assertLess(min(self.took), 1 * max(1, time_scale()))

    def test_names_a_token_file_that_cannot_be_used(self):
        good = {"certificate_file": self.good.certificate, "key_file": self.good.key}
        short = os.path.join(self.directory, "short")
        with open(short, "w", encoding="utf-8") as file:
            file.write("secret\n")
        for path, words in ((self.missing, "No such file"), (short, "16 to 4096")):
            said = self.refused([{"name": "mailer", "token_file": path, "rights": {}}], **good)
            self.assertIn("identities[0].token_file", said)
            self.assertIn(path, said)
            self.assertIn(words, said)
            self.assertNotIn("secret", said)


if __name__ == "__main__":
    unittest.main()
