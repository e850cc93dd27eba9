"""The kill switch: no client is asked, the cause says so, and it outlives the process."""

import os
import subprocess
import unittest

import grpc
from google.protobuf import duration_pb2
from postern.v1 import control_pb2, hooks_pb2, types_pb2
from scenario import LASTING_CONNECTION, Scenario, eventually, scaled


class PolicySwitchSurvivesRestart(Scenario):
    config = LASTING_CONNECTION

    def switch(self, position, provider="", reason="bad rollout", **fields):
        self.daemon.control.SetPolicySwitch(
            control_pb2.SetPolicySwitchRequest(
                provider=provider, reason=reason, **fields,
                position=types_pb2.PolicySwitch.Value("POLICY_SWITCH_" + position)),
            timeout=scaled(10))

    def switches(self):
        answer = self.daemon.hooks.ListProviders(hooks_pb2.ListProvidersRequest(),
                                                 timeout=scaled(10))
        return list(answer.switches)

    def test_force_keep_survives_kill_9_and_nobody_is_asked(self):
        self.dns.domain("a.test")
        self.daemon.policy(on_question=lambda q: "SHUTDOWN")
        self.deliver("one@a.test")
        self.sink.wait_closed(1)
        self.switch("FORCE_KEEP")
        self.daemon.restart(kill=True)
        state, = self.switches()
        self.assertEqual((state.provider, state.position, state.provenance.reason),
                         ("", types_pb2.POLICY_SWITCH_FORCE_KEEP, "bad rollout"))
        self.assertIn("127.0.0.1", state.provenance.by)
        watch = self.daemon.watch()
        policy = self.daemon.policy(on_question=lambda q: "SHUTDOWN")
        self.deliver("two@a.test")
        self.deliver("three@a.test")
        for event in watch.wait_events("verdict", 2):
            self.assert_verdict(event, "KEEP", "DEFAULT", "policy", "FORCED_KEEP")
        self.assertEqual(policy.questions, [])
        self.assertEqual(len(self.sink.connections), 2)
        self.assertEqual(self.defaults("policy"), {"FORCED_KEEP": 2})
        self.assertEqual(self.daemon.remote_provider("policy").position,
                         types_pb2.POLICY_SWITCH_FORCE_KEEP)
        self.assertEqual(self.daemon.metric("postern_policy_switches"), 1)
        self.assert_accounted("policy")
        self.switch("ON", reason="")
        self.daemon.submit(["four@a.test"])
        policy.wait_question(1)
        self.assertEqual(self.switches(), [])

    def test_off_takes_the_default_and_stops_standing_verdicts(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        policy = self.daemon.policy(on_question=lambda q: "KEEP")
        self.deliver("one@a.test")
        watch.wait_event("verdict")  # asked and answered before the switch is thrown
        self.switch("OFF", "policy")
        said = policy.say(policy.wait_question(1).connection_id, "SHUTDOWN")
        self.assertEqual(policy.wait_result(said), "STORED")
        self.deliver("two@a.test")
        self.assert_verdict(watch.wait_events("verdict", 2)[1], "KEEP", "DEFAULT", "policy",
                            "SWITCHED_OFF")
        # On again, what stands counts.
        self.switch("ON", "policy")
        self.deliver("three@a.test")
        self.assert_verdict(watch.wait_events("verdict", 3)[2], "SHUTDOWN", "STANDING", "policy")

    def test_another_provider_is_not_concerned(self):
        self.dns.domain("a.test")
        off = self.daemon.policy("off", on_question=lambda q: "SHUTDOWN")
        on = self.daemon.policy("on", on_question=lambda q: "KEEP")
        self.switch("OFF", "off")
        self.deliver("one@a.test")
        on.wait_question(1)
        self.assertEqual(off.questions, [])

    def test_it_ends_by_itself_after_its_duration(self):
        self.switch("OFF", duration=duration_pb2.Duration(seconds=3600))
        self.assertTrue(self.switches()[0].provenance.HasField("until"))
        self.switch("OFF", duration=duration_pb2.Duration(seconds=1))
        eventually(lambda: not self.switches(), 20, "end of the switch")

    def test_its_end_survives_a_restart(self):
        self.switch("OFF", duration=duration_pb2.Duration(seconds=3600))
        until = self.switches()[0].provenance.until
        self.daemon.restart(kill=True)
        self.assertEqual(self.switches()[0].provenance.until, until)
        self.switch("OFF", duration=duration_pb2.Duration(seconds=1))
        self.daemon.restart(kill=True)
        eventually(lambda: not self.switches(), 20, "end of the switch")

    def test_what_makes_no_sense_is_refused(self):
        for fields in ({"position": "OFF", "reason": ""}, {"position": "UNSPECIFIED"},
                       {"position": "OFF", "provider": "No Name"},
                       {"position": "ON", "duration": duration_pb2.Duration(seconds=5)}):
            with self.assertRaises(grpc.RpcError) as refused:
                self.switch(**fields)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT, fields)

    def test_the_command_line_throws_it(self):
        def cli(*arguments):
            return subprocess.run(
                [os.environ["POSTERN"], "--address", self.daemon.grpc_address, "switch", *arguments],
                capture_output=True, timeout=scaled(30), text=True, check=True).stdout
        cli("force-keep", "--provider", "warmup", "--reason", "closes too much", "--for", "1h")
        self.assertRegex(cli("show"), "warmup +force_keep .*closes too much")
        cli("on", "--provider", "warmup")
        self.assertIn("verdicts of every client count", cli("show"))


if __name__ == "__main__":
    unittest.main()
