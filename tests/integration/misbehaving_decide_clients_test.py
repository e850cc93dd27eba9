"""Decide clients that do everything wrong: they suffer, mail and other clients do not notice."""

import queue
import unittest

import grpc

from postern.v1 import hooks_pb2, types_pb2
from scenario import LASTING_CONNECTION, Scenario, eventually, merge, scaled

GARBAGE = b"\x0a\xff\xff\xff\xff\x0f garbage"


class MisbehavingDecideClients(Scenario):
    config = LASTING_CONNECTION

    def raw(self, requests):
        """A Decide stream of bytes."""
        call = self.daemon.channel.stream_stream("/postern.v1.Hooks/Decide")(
            iter(requests), timeout=scaled(20))
        with self.assertRaises(grpc.RpcError) as caught:
            for _ in call:
                pass
        return caught.exception.code()

    def still_well(self):
        """Mail flows, and another client is asked and heard."""
        self.dns.domain("well.test")
        good = self.daemon.policy("good", domains=["well.test"],
                                  on_question=lambda q: "SHUTDOWN")
        self.deliver("r@well.test")
        self.assertEqual(good.wait_result(1), "APPLIED")
        good.cancel()

    def test_garbage_before_attach(self):
        self.assertEqual(self.raw([GARBAGE]), grpc.StatusCode.INTERNAL)
        self.still_well()

    def test_garbage_after_attach(self):
        attach = hooks_pb2.DecideRequest(attach=hooks_pb2.Attach(provider="policy"))
        self.assertEqual(self.raw([attach.SerializeToString(), GARBAGE]),
                         grpc.StatusCode.INTERNAL)
        self.still_well()

    def test_a_frame_above_the_limit(self):
        attach = hooks_pb2.DecideRequest(attach=hooks_pb2.Attach(provider="policy"))
        large = hooks_pb2.DecideRequest(detach=hooks_pb2.Detach(reason="x" * 300 * 1024))
        self.assertEqual(self.raw([attach.SerializeToString(), large.SerializeToString()]),
                         grpc.StatusCode.RESOURCE_EXHAUSTED)
        self.still_well()

    def test_verdicts_before_attach(self):
        policy = self.daemon.policy(attach=False)
        policy.say("0" * 32, "SHUTDOWN")
        self.assertEqual(policy.wait_ended(), grpc.StatusCode.INVALID_ARGUMENT)
        self.still_well()

    def test_no_attach_at_all(self):
        policy = self.daemon.policy(attach=False)
        self.assertEqual(policy.wait_ended(timeout=15), grpc.StatusCode.INVALID_ARGUMENT)

    def test_attach_twice(self):
        policy = self.daemon.policy()
        policy.send(attach=hooks_pb2.Attach(provider="policy"))
        self.assertEqual(policy.wait_ended(), grpc.StatusCode.INVALID_ARGUMENT)
        self.still_well()

    def test_attach_with_a_bad_name_or_filter(self):
        for fields in ({"provider": ""}, {"provider": "Bad Name"},
                       {"provider": "p", "domains": ["*a*"]}, {"provider": "p", "priority": 101},
                       {"provider": "p", "kinds": [99]}):
            with self.subTest(**fields):
                policy = self.daemon.policy(attach=False)
                domains = fields.pop("domains", [])
                policy.send(attach=hooks_pb2.Attach(filter={"domains": domains}, **fields))
                # The priority is clamped; the rest is refused.
                if "priority" in fields:
                    self.assertEqual(policy.wait_frame("attached")[0].priority, 100)
                    policy.cancel()
                else:
                    self.assertEqual(policy.wait_ended(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_what_is_not_served_yet_is_named(self):
        policy = self.daemon.policy(attach=False)
        policy.send(attach=hooks_pb2.Attach(provider="p",
                                            default_verdict=types_pb2.DEFAULT_VERDICT_HOLD))
        self.assertEqual(policy.wait_ended(), grpc.StatusCode.UNIMPLEMENTED)
        self.assertIn("default_verdict", policy.details)
        policy = self.daemon.policy()
        verdict = policy.send_verdict("SHUTDOWN", scope=hooks_pb2.ScopeTarget(site="big"))
        self.assertEqual(policy.wait_result(verdict), "DENIED")

    def test_a_verdict_twice(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy()
        self.daemon.submit(["one@a.test"])
        question = policy.wait_question()
        first = policy.answer(question, "KEEP")
        self.assertEqual(policy.wait_result(first), "APPLIED")
        policy.answer(question, "SHUTDOWN", verdict_id=first)
        self.assertEqual(policy.wait_result(first, count=2), "DUPLICATE")
        again = policy.answer(question, "SHUTDOWN", verdict_id=50)
        self.assertIn(policy.wait_result(again), ("DUPLICATE", "LATE"))
        self.assert_verdict(watch.wait_event("verdict"), "KEEP", "ANSWER", "policy")
        self.assert_accounted("policy")
        self.still_well()

    def test_verdicts_for_what_never_was(self):
        policy = self.daemon.policy()
        for connection in ("0" * 32, "f" * 32):
            self.assertEqual(policy.wait_result(policy.say(connection, "SHUTDOWN")), "UNKNOWN")
        question = hooks_pb2.Question(connection_id="e" * 32, number=7)
        self.assertEqual(policy.wait_result(policy.answer(question, "KEEP")), "UNKNOWN")
        for connection in ("", "not an id", "x" * 10000):
            self.assertIn(policy.wait_result(policy.say(connection, "SHUTDOWN")),
                          ("UNKNOWN", "DENIED"))
        self.assertFalse(policy.ended)
        self.assertGreaterEqual(self.results("policy")["UNKNOWN"], 3)
        self.still_well()

    def test_a_verdict_without_target_or_decision(self):
        policy = self.daemon.policy()
        self.assertEqual(policy.wait_result(policy.send_verdict("SHUTDOWN")), "DENIED")
        undecided = policy.say("0" * 32, "UNSPECIFIED")
        self.assertIn(policy.wait_result(undecided), ("DENIED", "UNKNOWN"))
        self.still_well()

    def test_acknowledging_what_was_never_sent(self):
        policy = self.daemon.policy()
        policy.send(acknowledge=hooks_pb2.Acknowledge(position=1 << 60))
        self.assertEqual(policy.wait_ended(), grpc.StatusCode.INVALID_ARGUMENT)
        self.still_well()


class ClientsThatDoNotAnswer(Scenario):
    config = merge(LASTING_CONNECTION, {"policy": {"timeout": "50ms"}})

    def test_a_client_that_never_reads(self):
        self.dns.domain("a.test")
        attach = hooks_pb2.DecideRequest(attach=hooks_pb2.Attach(provider="deaf"))
        # Nothing is ever taken from the call: the flow control of HTTP/2 does the rest.
        requests = queue.Queue()
        requests.put(attach)
        call = self.daemon.hooks.Decide(iter(requests.get, None))
        self.addCleanup(call.cancel)
        self.addCleanup(requests.put, None)
        eventually(lambda: self.streams_of("deaf"), 10, "the client is attached")
        for i in range(5):
            self.deliver(f"r{i}@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        self.assert_accounted("deaf")

    def test_a_client_that_vanishes_in_the_middle_of_a_question(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        for i in range(5):
            policy = self.daemon.policy()
            self.daemon.submit([f"r{i}@a.test"])
            policy.wait_question()
            policy.cancel()
            # Else it might be the one that is asked next.
            eventually(lambda: not self.streams_of("policy"), 10, "the stream is gone")
        watch.wait_events("verdict", 5)
        self.assertEqual(len(self.sink.wait_messages(5)), 5)
        self.assert_accounted("policy")

    def streams_of(self, name):
        provider = self.daemon.remote_provider(name)
        return provider and provider.streams


if __name__ == "__main__":
    unittest.main()
