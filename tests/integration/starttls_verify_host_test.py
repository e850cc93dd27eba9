"""`tls_verify`: whose certificate is taken."""

import unittest

from certificates import Authority, server_context
from scenario import Scenario, reason_of


class VerifyHost(Scenario):
    config = {"options": {"tls": "required", "tls_verify": "host"}}

    def serve(self, authority, **names):
        """A receiver, at the MX mx.a.test, with a certificate for these names."""
        self.sink.tls = server_context(authority.issue_for("server", **names))
        self.sink.capabilities.append("STARTTLS")
        self.dns.mx("a.test", "mx.a.test", 10)
        self.dns.a("mx.a.test", "127.0.0.1")

    def expect_refusal(self, why):
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "TLS_FAILED")
        self.assertIn(why, closed.connection_closed.reason)
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "TLS_FAILED",
                                 what="reason TLS_FAILED")
        self.assertEqual(self.sink.messages, [])

    def test_takes_a_certificate_for_the_host(self):
        self.serve(self.ca, hosts=["mx.a.test"])
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.assertTrue(watch.wait_event("session_ready").session_ready.tls_verified)

    def test_takes_a_certificate_for_all_hosts_of_a_domain(self):
        self.serve(self.ca, hosts=["*.a.test"])
        self.deliver("r@a.test")

    def test_refuses_one_for_another_host(self):
        # Not for the domain of the mail either: DNS leads from it to the host.
        self.serve(self.ca, hosts=["mx.b.test", "a.test"])
        self.expect_refusal("hostname mismatch")

    def test_refuses_one_of_an_unknown_ca(self):
        self.assertTrue(self.ca)
        self.serve(Authority(self.directory, "unknown"), hosts=["mx.a.test"])
        self.expect_refusal("certificate")

    def test_compares_addresses_where_the_host_is_one(self):
        self.serve(self.ca, addresses=["127.0.0.1"])
        self.make_daemon(routes=[{"domain": "*", "hosts": ["127.0.0.1"]}]).start()
        self.deliver("r@a.test")

    def test_takes_any_name_with_ca(self):
        self.serve(self.ca, hosts=["mx.b.test"])
        self.make_daemon(options={"tls_verify": "ca"}).start()
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.assertTrue(watch.wait_event("session_ready").session_ready.tls_verified)

    def test_refuses_an_unknown_ca_with_ca(self):
        self.assertTrue(self.ca)
        self.serve(Authority(self.directory, "unknown"), hosts=["mx.a.test"])
        self.make_daemon(options={"tls_verify": "ca"}).start()
        self.expect_refusal("certificate")


if __name__ == "__main__":
    unittest.main()
