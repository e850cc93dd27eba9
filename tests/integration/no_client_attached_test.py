"""Nobody is attached: no session waits, and the default for no_subscriber holds."""

import unittest

from google.protobuf import duration_pb2
from scenario import LASTING_CONNECTION, Scenario


class NoClientAttached(Scenario):
    config = LASTING_CONNECTION

    def test_the_session_goes_on_without_a_wait(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        for event in watch.wait_events("verdict", 2):
            self.assertEqual(event.verdict.waited, duration_pb2.Duration())
            self.assertEqual(event.verdict.number, 0)
        # It idles until something else ends it.
        self.suspend("a.test")
        self.assert_closed(watch.wait_event("connection_closed"), "SUSPENDED")

    def test_a_client_for_another_domain_counts_as_none(self):
        self.dns.domain("a.test")
        policy = self.daemon.policy(domains=["b.test"])
        self.deliver("one@a.test")
        self.deliver("two@a.test")
        self.assertEqual(policy.questions, [])

    def test_the_default_can_be_shutdown(self):
        self.dns.domain("a.test")
        # Only a provider that the configuration expects can be missing.
        self.make_daemon(policy={"providers": [{"name": "policy", "cause_defaults": [
            {"cause": "no_subscriber", "verdict": "shutdown"}]}]}).start()
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy")
        self.assert_verdict(watch.wait_event("verdict"), "SHUTDOWN", "DEFAULT",
                            default_cause="NO_SUBSCRIBER")


if __name__ == "__main__":
    unittest.main()
