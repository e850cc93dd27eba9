"""Verdicts for scopes: recycling what is open, rules for each connection, without a stream too."""

import unittest

import grpc
from google.protobuf import duration_pb2
from postern.v1 import hooks_pb2
from scenario import ONE_CONNECTION, Scenario, eventually, merge, ms, scaled


class ScopeVerdicts(Scenario):
    # Long: a session must still idle when the verdict comes.
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": ms(60000)}})

    def post(self, provider="ops", decision="SHUTDOWN", reason="maintenance", **scope):
        verdict = hooks_pb2.Verdict(
            verdict_id=1, decision=hooks_pb2.Decision.Value("DECISION_" + decision), reason=reason,
            scope=hooks_pb2.ScopeTarget(**scope))
        answer = self.daemon.hooks.PostVerdicts(
            hooks_pb2.PostVerdictsRequest(provider=provider, verdicts=[verdict]),
            timeout=scaled(10))
        return hooks_pb2.VerdictStatus.Name(answer.results[0].status)[len("VERDICT_STATUS_"):]

    def test_recycle_ends_the_open_connections_of_the_scope_once(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.deliver("one@b.test")
        self.assertEqual(self.post(domain="a.test", recycle=True, revision=1), "APPLIED")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "REMOTE_POLICY", "ops", "maintenance")
        self.assertEqual(closed.connection.domain, "a.test")
        self.assertEqual(self.post(domain="a.test", recycle=True, revision=1), "STALE")
        self.deliver("two@a.test")
        self.deliver("three@a.test")
        self.deliver("two@b.test")
        self.assertEqual(len(self.sink.connections), 3)

    def test_a_rule_ends_each_connection_after_so_many_deliveries_over_a_restart(self):
        self.dns.domain("a.test")
        policy = self.daemon.policy()
        verdict = policy.send_verdict("SHUTDOWN", scope=hooks_pb2.ScopeTarget(
            domain="*.test", after_deliveries=2, ttl=duration_pb2.Duration(seconds=3000)))
        self.assertEqual(policy.wait_result(verdict), "STORED")
        self.deliver("one@a.test")
        self.deliver("two@a.test")
        self.sink.wait_closed(1)
        self.assertEqual(policy.questions, [])
        path = f"{self.directory}/spool/control/scopes.json"

        def kept():
            try:
                with open(path, encoding="utf-8") as file:
                    return "*.test" in file.read()
            except FileNotFoundError:
                return False
        eventually(kept, 20, "the rule on disk")
        self.daemon.restart(kill=True)
        self.assertEqual(self.daemon.remote_provider("policy").scopes, 1)
        self.deliver("three@a.test")
        self.deliver("four@a.test")
        self.sink.wait_closed(2)

    def test_what_was_stored_just_before_the_end_is_there_after_it(self):
        policy = self.daemon.policy()
        verdict = policy.send_verdict("SHUTDOWN", scope=hooks_pb2.ScopeTarget(
            domain="*.test", after_deliveries=2, ttl=duration_pb2.Duration(seconds=3000)))
        self.assertEqual(policy.wait_result(verdict), "STORED")
        self.daemon.restart()
        self.assertEqual(self.daemon.remote_provider("policy").scopes, 1)

    def test_what_makes_no_sense_is_denied(self):
        for scope in ({"domain": "a.test"}, {"domain": "a*b", "recycle": True},
                      {"domain": "a.test", "recycle": True,
                       "ttl": duration_pb2.Duration(seconds=3601)},
                      {"domain": "a.test", "after_deliveries": 0}):
            self.assertEqual(self.post(**scope), "DENIED", scope)
        self.assertEqual(self.post(decision="KEEP", domain="a.test", recycle=True), "DENIED")
        with self.assertRaises(grpc.RpcError) as refused:
            self.post(site="big", recycle=True)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.UNIMPLEMENTED)


if __name__ == "__main__":
    unittest.main()
