"""A client does not answer in time; its default SHUTDOWN ends the session."""

import unittest

from postern.v1 import types_pb2
from scenario import ONE_CONNECTION, Scenario, merge


class DefaultOnTimeoutShutdown(Scenario):
    config = merge(ONE_CONNECTION, {"policy": {"timeout": "50ms"}})

    def test_ends_the_session_as_the_client_asked(self):
        self.dns.domain("a.test")
        self.check(default_verdict=types_pb2.DEFAULT_VERDICT_SHUTDOWN)

    def test_ends_the_session_as_the_configuration_says(self):
        self.dns.domain("a.test")
        self.make_daemon(policy={"default_verdict": "shutdown"}).start()
        self.check()

    def test_a_rule_for_the_cause_goes_before_the_general_default(self):
        self.dns.domain("a.test")
        self.make_daemon(policy={"default_verdict": "keep", "cause_defaults": [
            {"cause": "timeout", "verdict": "shutdown"}]}).start()
        self.check()

    def test_a_rule_for_the_domain_goes_before_what_the_client_asked(self):
        self.dns.domain("a.test")
        self.make_daemon(policy={"domains": [
            {"domain": "a.test", "default_verdict": "shutdown"}]}).start()
        self.check(default_verdict=types_pb2.DEFAULT_VERDICT_KEEP)

    def check(self, **attach):
        watch = self.daemon.watch()
        self.daemon.policy(**attach)
        self.deliver("one@a.test")
        self.assert_verdict(watch.wait_event("verdict"), "SHUTDOWN", "DEFAULT",
                            default_cause="TIMEOUT")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy")
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 2)
        self.assert_accounted("policy")


if __name__ == "__main__":
    unittest.main()
