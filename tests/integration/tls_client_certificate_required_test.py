"""Without a certificate that the listener's CA vouches for there is no connection."""

import unittest

from callers import Caller, assert_denied, token_file
from certificates import Authority
from postern.v1 import hooks_pb2
from running import scaled
from scenario import Scenario
from streams import Watch

URI = "spiffe://example.org/mailer"


class ClientCertificateRequired(Scenario):
    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        self.ca = Authority(self.directory, "ca")
        self.other = Authority(self.directory, "other")
        self.server = self.ca.issue("server")

    def start(self, identities=(), policy=None, **tls):
        self.make_daemon(identities=list(identities), policy=policy or {}, server={"grpc_listeners": [
            {"address": "127.0.0.1:0"},
            {"address": "127.0.0.1:0", "tls": {
                "certificate_file": self.server.certificate, "key_file": self.server.key,
                "client_ca_file": self.ca.file, **tls}}]}).start()
        self.address = self.daemon.grpc_addresses[1]

    def test_refuses_who_shows_none_or_one_of_another_ca(self):
        self.start()
        nobody = Caller(self, self.address, ca=self.ca)
        assert_denied(self, "UNAVAILABLE", "", nobody.submit)
        forged = Caller(self, self.address, ca=self.ca,
                        certificate=self.other.issue("mailer", uri=URI))
        assert_denied(self, "UNAVAILABLE", "", forged.submit)
        expired = Caller(self, self.address, ca=self.ca,
                         certificate=self.ca.issue("late", uri=URI, expired=True))
        assert_denied(self, "UNAVAILABLE", "", expired.submit)
        good = Caller(self, self.address, ca=self.ca, certificate=self.ca.issue("good", uri=URI))
        good.submit()

    def test_an_identity_goes_by_the_uri_of_the_certificate(self):
        self.start([{"name": "mailer", "uris": ["spiffe://example.org/mail*"],
                     "rights": {"submit": {"sender_domains": ["source.test"]}}},
                    {"name": "exact", "uris": ["spiffe://example.org/mail/x"], "rights": {}},
                    {"name": "operator", "local": ["loopback"],
                     "rights": {"submit": {}, "control": True, "all": True}}])
        ident = Caller(self, self.address, ca=self.ca,
                       certificate=self.ca.issue("mailer", uri=URI)).submit()
        self.daemon.wait_dispositions(ident, "DELIVERED")
        exact = Caller(self, self.address, ca=self.ca,
                       certificate=self.ca.issue("x", uri="spiffe://example.org/mail/x"))
        assert_denied(self, "PERMISSION_DENIED", "submit: exact lacks", exact.submit)
        unknown = Caller(self, self.address, ca=self.ca,
                         certificate=self.ca.issue("y", uri="spiffe://example.org/other"))
        assert_denied(self, "UNAUTHENTICATED", "spiffe://example.org/other", unknown.submit)
        self.assertEqual(self.daemon.metric("postern_rpc_denied_total", method="Delivery.Submit",
                                            reason="unauthenticated"), 1)
        self.daemon.wait_log(r'audit call=Delivery.Submit who="exact" from="certificate ')

    def test_without_identities_each_uri_has_its_limits(self):
        self.start(policy={"max_streams_per_identity": 1, "max_verdicts_per_second": 1})
        one, other = (Caller(self, self.address, ca=self.ca, certificate=self.ca.issue(
            name, uri=f"spiffe://example.org/{name}")) for name in ("one", "other"))
        for caller in (one, other):
            watch = Watch(caller.hooks).start()
            self.addCleanup(watch.cancel)
        assert_denied(self, "RESOURCE_EXHAUSTED", "spiffe://example.org/one has 1 streams",
                      lambda: next(iter(one.hooks.Watch(hooks_pb2.WatchRequest(snapshot=True),
                                                        timeout=scaled(10)))))
        # Kept from call to call.
        verdicts = hooks_pb2.PostVerdictsRequest(provider="p", verdicts=[
            hooks_pb2.Verdict(verdict_id=1, decision=hooks_pb2.DECISION_KEEP)] * 100)
        limited = [sum(r.status == hooks_pb2.VERDICT_STATUS_LIMIT for r in
                       one.hooks.PostVerdicts(verdicts, timeout=scaled(10)).results)
                   for _ in range(2)]
        self.assertGreater(min(limited), 0)

    def test_optional_leaves_it_to_the_token(self):
        path, token = token_file(self.directory, "mailer")
        self.start([{"name": "mailer", "token_file": path, "rights": {"submit": {}}}],
                   client_certificates="optional")
        Caller(self, self.address, ca=self.ca, token=token).submit()
        nobody = Caller(self, self.address, ca=self.ca)
        assert_denied(self, "UNAUTHENTICATED", "token", nobody.submit)
        forged = Caller(self, self.address, ca=self.ca, token=token,
                        certificate=self.other.issue("mailer", uri=URI))
        assert_denied(self, "UNAVAILABLE", "", forged.submit)


if __name__ == "__main__":
    unittest.main()
