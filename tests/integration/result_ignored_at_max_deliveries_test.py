"""At max_deliveries_per_connection the chain is called, and nobody is waited for."""

import unittest

from postern.v1 import hooks_pb2
from scenario import LASTING_CONNECTION, Scenario, merge, module, scaled

LIMIT = merge(LASTING_CONNECTION, {"options": {"max_deliveries_per_connection": 2}})


class ResultIgnoredAtMaxDeliveries(Scenario):
    config = LIMIT

    def test_closes_after_two_deliveries_without_asking(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy(on_question=lambda q: "KEEP")
        for i in range(3):
            self.deliver(f"r{i}@a.test")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "MAX_DELIVERIES")
        self.assertEqual(closed.connection_closed.deliveries, 2)
        self.assertEqual([m.connection for m in self.sink.messages], [1, 1, 2])
        verdicts = watch.wait_events("verdict", 3)
        self.assert_verdict(verdicts[0], "KEEP", "ANSWER")
        self.assert_verdict(verdicts[1], None, "IGNORED")
        # One question on each connection: the one at the limit was not put.
        self.assertEqual([q.number for q in policy.wait_questions(2)], [1, 1])

    def test_failed_transactions_do_not_count(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", recipient="^bad", reply="550 5.1.1 No")
        watch = self.daemon.watch()
        for name in ("bad1", "bad2", "bad3"):
            self.daemon.wait_dispositions(self.daemon.submit([name + "@a.test"]), "FAILED")
        for name in ("good1", "good2"):
            self.deliver(name + "@a.test")
        closed = watch.wait_event("connection_closed").connection_closed
        self.assertEqual((closed.deliveries, closed.attempts), (2, 5))
        self.assertEqual(len(self.sink.connections), 1)


class NativeResultIgnoredAtMaxDeliveries(Scenario):
    def setUp(self):
        super().setUp()
        self.config = merge(LIMIT, {"modules": [module("end_session", deliveries=2)]})

    def test_the_provider_is_called_and_the_limit_is_the_cause(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        for i in range(2):
            self.deliver(f"r{i}@a.test")
        self.assert_closed(watch.wait_event("connection_closed"), "MAX_DELIVERIES")
        answer = self.daemon.hooks.ListProviders(hooks_pb2.ListProvidersRequest(),
                                                 timeout=scaled(10))
        chain, = [c for c in answer.chains if c.hook == "smtp_should_session_shutdown"]
        provider, = [p for p in chain.providers if p.name == "end_session"]
        self.assertEqual((provider.calls, provider.non_zero), (2, 1))
        ignored = watch.wait_events("verdict", 2)[1]
        self.assert_verdict(ignored, "KEEP", "IGNORED", provider="")
        self.assertEqual(ignored.verdict.reason, "")


if __name__ == "__main__":
    unittest.main()
