"""The example module end_session.so ends the session after each delivery."""

import unittest

from postern.v1 import hooks_pb2
from scenario import LASTING_CONNECTION, Scenario, merge, module, scaled


class SessionEndedByNativeModule(Scenario):
    def setUp(self):
        super().setUp()
        self.config = merge(LASTING_CONNECTION, {"modules": [module("end_session", deliveries=2)]})

    def test_ends_the_session_after_two_deliveries_and_opens_another(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        for i in range(3):
            self.deliver(f"r{i}@a.test")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "HOOK", provider="end_session")
        self.assertEqual(closed.connection_closed.deliveries, 2)
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")
        self.assertEqual([m.connection for m in self.sink.messages], [1, 1, 2])
        verdicts = watch.wait_events("verdict", 3)
        self.assertEqual(verdicts[1].verdict.decision, hooks_pb2.DECISION_SHUTDOWN)
        self.assert_verdict(verdicts[1], "SHUTDOWN", "NATIVE", provider="end_session")

    def test_counts_the_calls_of_the_provider(self):
        self.dns.domain("a.test")
        for i in range(2):
            self.deliver(f"r{i}@a.test")
        self.sink.wait_closed(1)
        answer = self.daemon.hooks.ListProviders(hooks_pb2.ListProvidersRequest(),
                                                 timeout=scaled(10))
        chain, = [c for c in answer.chains if c.hook == "smtp_should_session_shutdown"]
        provider, = [p for p in chain.providers if p.name == "end_session"]
        self.assertEqual(provider.kind, hooks_pb2.PROVIDER_KIND_NATIVE)
        self.assertEqual((provider.calls, provider.non_zero), (2, 1))

    def test_goes_before_a_client_that_says_keep(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.daemon.policy(on_question=lambda q: "KEEP")
        for i in range(2):
            self.deliver(f"r{i}@a.test")
        self.assert_closed(watch.wait_event("connection_closed"), "HOOK", provider="end_session")


if __name__ == "__main__":
    unittest.main()
