"""Each binding shows its own certificate to receivers that ask for one."""

import os
import unittest

from certificates import server_context
from scenario import Scenario


class ClientCertificate(Scenario):
    config = {"options": {"tls": "required"}}

    def sink_tls(self):
        return server_context(self.ca.issue_for("mx.a.test"), client_ca=self.ca)

    def binding(self, name):
        mine = self.ca.issue_for(name)
        return {"name": name, "options": {"tls_certificate_file": mine.certificate,
                                          "tls_key_file": mine.key}}

    def test_shows_the_certificate_of_the_binding(self):
        self.dns.domain("a.test")
        self.make_daemon(bindings=[self.binding("one"), self.binding("two")]).start()
        for name in ("one", "two", "one"):
            self.deliver("r@a.test", binding=name)
        shown = {dict(field for part in c.client_certificate["subject"] for field in part)
                 ["commonName"] for c in self.sink.connections}
        self.assertEqual(shown, {"one", "two"})

    def test_without_one_the_handshake_fails(self):
        # With TLS 1.3 the receiver says so only when the client believes that all is well, and its
        # close may overtake its words.
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.daemon.submit(["r@a.test"])
        self.assert_closed(watch.wait_event("connection_closed"), "TLS_FAILED")
        self.assertEqual(watch.of_kind("session_ready"), [])

    def test_a_key_of_another_certificate_is_told_at_the_start(self):
        one, two = self.binding("one"), self.binding("two")
        one["options"]["tls_key_file"] = two["options"]["tls_key_file"]
        self.expect_no_start(one, "key values mismatch")

    def test_a_file_that_is_not_there_is_told_at_the_start(self):
        one = self.binding("one")
        os.remove(one["options"]["tls_certificate_file"])
        self.expect_no_start(one, "No such file or directory")

    def expect_no_start(self, binding, why):
        daemon = self.make_daemon(bindings=[binding])
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        daemon.process = None
        said = "\n".join(daemon.stderr)
        self.assertIn("bindings[0].options.tls_certificate_file: ", said)
        self.assertIn(why.lower(), said.lower())


if __name__ == "__main__":
    unittest.main()
