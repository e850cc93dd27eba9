"""A host that cannot be looked up for now may be one that takes the mail: it waits, though all the
others are in prohibited_hosts."""

import unittest

from scenario import Scenario, reason_of, recipient_states


class TemporaryDnsFailureBesideProhibitedHost(Scenario):
    config = {"options": {"prohibited_hosts": ["127.0.0.2"]}}

    def test_defers_the_mail_until_the_host_is_known(self):
        self.dns.mx("a.test", "mx.a.test", 10)
        self.dns.mx("a.test", "localhost.a.test", 20)
        self.dns.a("mx.a.test", "127.0.0.1")
        self.dns.a("localhost.a.test", "127.0.0.2")
        self.dns.behave("mx.a.test", "servfail", kind="A")
        forbidden = self.other_sink("127.0.0.2")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.wait_connect_error(watch, "MX_LOOKUP_FAILED")
        message = self.daemon.wait_dispositions(ident, "DEFERRED")
        self.assertEqual(reason_of(message), "MX_LOOKUP")
        reply = recipient_states(message)["r@a.test"].last_reply
        self.assertEqual((reply.code, reply.enhanced_status), (451, "4.4.3"))
        self.assertEqual(self.sink.connections, [])
        self.dns.forgive("mx.a.test")
        # An address that could not be had is not asked for again within 10 s.
        self.daemon.wait_dispositions(ident, "DELIVERED", timeout=30)
        self.assertEqual(forbidden.connections, [])


if __name__ == "__main__":
    unittest.main()
