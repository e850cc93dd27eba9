"""ApplyConfig says what is wrong and what takes a restart; validate_only changes nothing."""

import os
import subprocess
import unittest

import grpc
from daemon import to_yaml
from postern.v1 import config_pb2
from scenario import Scenario, merge, scaled


class ApplyConfigValidateOnly(Scenario):
    def changed(self):
        config = config_pb2.Config()
        config.CopyFrom(self.daemon.get_config().config)
        return config

    def cli(self, *arguments, code=0, text=None):
        done = subprocess.run(
            [os.environ["POSTERN"], "--address", self.daemon.grpc_address, *arguments], input=text,
            capture_output=True, timeout=scaled(30), text=True)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stdout + done.stderr

    def test_every_error_with_its_path_and_nothing_changes(self):
        before = self.daemon.get_config()
        config = self.changed()
        config.options.max_outbound_connections = 0
        config.routes.add(domain="a b", hosts=["x.test"])
        answer = self.daemon.apply_config(config=config)
        self.assertEqual({e.path for e in answer.errors},
                         {"options.max_outbound_connections", "routes[0].domain"})
        self.assertEqual(answer.generation, 1)
        self.assertEqual(self.daemon.get_config(), before)

    def test_errors_of_yaml_have_lines(self):
        answer = self.daemon.apply_config(yaml="server:\n  spool_directory: /s\nnonsense: 1\n")
        self.assertEqual([(e.path, e.line) for e in answer.errors], [("nonsense", 3)])

    def test_validate_only_says_what_takes_a_restart_and_changes_nothing(self):
        before = self.daemon.get_config()
        config = self.changed()
        config.options.max_retries = 7
        config.server.scheduler_threads = 3
        config.policy.bridge_place = config_pb2.BRIDGE_PLACE_FIRST
        answer = self.daemon.apply_config(config=config, validate_only=True)
        self.assertEqual(list(answer.errors), [])
        self.assertEqual(list(answer.needs_restart),
                         ["server.scheduler_threads", "policy.bridge_place"])
        self.assertEqual(self.daemon.get_config(), before)
        # Without validate_only the rest takes effect.
        answer = self.daemon.apply_config(config=config)
        self.assertEqual(answer.generation, 2)
        self.assertEqual(self.daemon.get_config().config.options.max_retries, 7)
        self.assertEqual(list(self.daemon.get_config().needs_restart),
                         ["server.scheduler_threads", "policy.bridge_place"])

    def test_what_the_next_start_would_refuse_is_refused_now(self):
        config = self.changed()
        listener = config.server.grpc_listeners.add(address="127.0.0.1:0")
        listener.tls.certificate_file = listener.tls.key_file = "/nonexistent/tls.pem"
        for validate_only in (True, False):
            with self.subTest(validate_only=validate_only):
                answer = self.daemon.apply_config(config=config, validate_only=validate_only)
                self.assertIn("/nonexistent/tls.pem", "\n".join(map(str, answer.errors)))
        self.assertEqual(self.daemon.get_config().generation, 1)

    def test_another_generation_is_aborted(self):
        with self.assertRaises(grpc.RpcError) as refused:
            self.daemon.apply_config(config=self.changed(), if_generation=9)
        self.assertEqual(refused.exception.code(), grpc.StatusCode.ABORTED)
        self.assertEqual(self.daemon.apply_config(config=self.changed(),
                                                  if_generation=1).generation, 2)

    def test_what_is_no_request_is_refused(self):
        for fields in ({}, {"config": self.changed(), "reason": "x" * 257}):
            with self.assertRaises(grpc.RpcError) as refused:
                self.daemon.apply_config(**fields)
            self.assertEqual(refused.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)

    def test_the_command_line_gets_edits_and_applies(self):
        text = self.cli("config", "get")
        self.assertIn("# generation 1, from ", text)
        self.assertIn("ok; in force is generation 1", self.cli("config", "check", "-", text=text))
        text += "bindings:\n- name: news\n"
        self.assertIn("generation 2", self.cli("config", "apply", "-", "--reason", "more", text=text))
        self.assertIn("(more)", self.cli("config", "get"))
        bad = to_yaml(merge(self.daemon.config, {"options": {"max_retries": "many"}}))
        self.assertRegex(self.cli("config", "check", "-", text=bad, code=1),
                         r"-:\d+: options.max_retries: ")
        self.assertIn("generation 3", self.cli("config", "revert"))
        self.assertNotIn("news", self.cli("config", "get"))


if __name__ == "__main__":
    unittest.main()
