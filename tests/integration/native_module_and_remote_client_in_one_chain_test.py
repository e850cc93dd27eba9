"""A native module and a remote client in one chain: its order decides whose word counts."""

import unittest

from postern.v1 import hooks_pb2
from scenario import LASTING_CONNECTION, Scenario, merge, module, scaled


class OneChain(Scenario):
    def configure(self, place=None, deliveries=1):
        """A daemon whose module ends a session after so many deliveries."""
        self.config = merge(LASTING_CONNECTION, {"modules": [module("end_session",
                                                                    deliveries=deliveries)]})
        self.make_daemon(policy={"bridge_place": place} if place else {}).start()
        self.dns.domain("a.test")
        self.watch = self.daemon.watch()

    def attach(self, decision):
        """A client that says so every time."""
        def answer(question):
            self.client.answer(question, decision, "the client's word")
        self.client = self.daemon.policy("client", on_question=answer)

    def providers(self):
        """(name, (calls, calls that returned non-zero)), in the order in which they run."""
        answer = self.daemon.hooks.ListProviders(hooks_pb2.ListProvidersRequest(),
                                                 timeout=scaled(10))
        chain, = [c for c in answer.chains if c.hook == "smtp_should_session_shutdown"]
        return [(p.name, (p.calls, p.non_zero)) for p in chain.providers]

    def check_module_decided(self, number=1):
        self.assert_verdict(self.watch.wait_events("verdict", number)[number - 1], "SHUTDOWN",
                            "NATIVE", provider="end_session")
        self.assert_closed(self.watch.wait_event("connection_closed"), "HOOK", "end_session", "")

    def check_client_decided(self):
        event = self.watch.wait_event("verdict")
        self.assert_verdict(event, "SHUTDOWN", "ANSWER", provider="client")
        self.assertEqual(event.verdict.reason, "the client's word")
        self.assert_closed(self.watch.wait_event("connection_closed"), "REMOTE_POLICY", "client",
                           "the client's word")

    def test_bridge_last_the_module_has_the_first_word(self):
        self.configure("last")
        self.attach("SHUTDOWN")
        self.deliver("one@a.test")
        self.check_module_decided()
        # The client was asked before the chain was called, and its answer was not read.
        self.assertEqual(self.client.wait_result(1), "APPLIED")
        self.assertEqual(self.providers(), [("end_session", (1, 1)), ("bridge", (0, 0))])
        self.assert_accounted("client")

    def test_bridge_first_the_client_has_the_first_word(self):
        self.configure("first")
        self.attach("SHUTDOWN")
        self.deliver("one@a.test")
        self.check_client_decided()
        self.assertEqual(self.client.wait_result(1), "APPLIED")
        # What comes behind a provider that returned non-zero is not called.
        self.assertEqual(self.providers(), [("bridge", (1, 1)), ("end_session", (0, 0))])
        self.assert_accounted("client")

    def test_bridge_first_a_client_that_keeps_leaves_it_to_the_module(self):
        self.configure("first")
        self.attach("KEEP")
        self.deliver("one@a.test")
        self.check_module_decided()
        self.assertEqual(self.providers(), [("bridge", (1, 0)), ("end_session", (1, 1))])

    def test_bridge_last_a_module_that_keeps_leaves_it_to_the_client(self):
        self.configure("last", deliveries=2)
        self.attach("SHUTDOWN")
        self.deliver("one@a.test")
        self.check_client_decided()
        self.assertEqual(self.providers(), [("end_session", (1, 0)), ("bridge", (1, 1))])

    def test_without_a_place_the_bridge_is_last(self):
        self.configure(deliveries=2)
        self.attach("KEEP")
        for i in range(2):
            self.deliver(f"r{i}@a.test")
        self.check_module_decided(number=2)
        self.assertEqual(self.providers(), [("end_session", (2, 1)), ("bridge", (1, 0))])
        self.assertEqual([m.connection for m in self.sink.messages], [1, 1])


if __name__ == "__main__":
    unittest.main()
