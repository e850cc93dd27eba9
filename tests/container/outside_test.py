"""A whole life of the container, steered from another machine over TLS with client certificates.

"None twice" holds for a kill at any moment but one: between a message's final dot and the reply to it
the receiver may have taken it, and the option in_doubt: retry, the default, sends it again. So the
kill comes when all that was taken is recorded and a session waits for its greeting. Nor does a drain
cut anything in that moment, unless its budget is too short.
"""

import os
import unittest

import grpc

from container import INSIDE, OUTSIDE, ContainerTest, run, say
from postern.v1 import (control_pb2, control_pb2_grpc, delivery_pb2, delivery_pb2_grpc,
                        hooks_pb2, hooks_pb2_grpc, types_pb2)
from running import eventually
from streams import Outcomes, Policy, Watch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The image's listeners and spool, and who may do what by the URI of a certificate; one connection a domain, so that each carries several messages.
FILE = """server:
  spool_directory: /var/spool/postern/spool
  grpc_listeners:
  - address: unix:/run/postern/postern.sock
  http_listener: "[::]:9091"
policy:
  timeout: 5s
options:
  max_outbound_connections: 1
  retry_schedule: [1s]
  retry_jitter_percent: 0
  redial_rate: {count: 100, per: 1s}
identities:
- name: submitter
  uris: ["spiffe://postern.test/submitter"]
  rights:
    submit: {sender_domains: [source.test]}
- name: watcher
  uris: ["spiffe://postern.test/watcher"]
  rights:
    watch: {}
- name: policy
  uris: ["spiffe://postern.test/policy"]
  rights:
    decide: {providers: [outside]}
- name: operator
  uris: ["spiffe://postern.test/operator"]
  rights:
    control: true
"""
CLIENTS = ("submitter", "watcher", "policy", "operator", "stranger")


class Remote:
    """The services, as a client with (or without) a certificate sees them from outside."""

    def __init__(self, folder, client=None):
        def read(name):
            with open(os.path.join(folder, name), "rb") as file:
                return file.read()
        pair = [read(f"{client}/tls.key"), read(f"{client}/tls.crt")] if client else [None, None]
        self.channel = grpc.secure_channel(
            f"{INSIDE}:9090", grpc.ssl_channel_credentials(read("ca.crt"), *pair),
            (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)))
        self.delivery = delivery_pb2_grpc.DeliveryStub(self.channel)
        self.hooks = hooks_pb2_grpc.HooksStub(self.channel)
        self.control = control_pb2_grpc.ControlStub(self.channel)

    def submit(self, recipient, sender="s@source.test"):
        request = delivery_pb2.SubmitRequest(
            sender=sender, recipients=[recipient],
            content=b"Subject: from outside\r\n\r\nHello.\r\n")
        return self.delivery.Submit(request, timeout=20).message_id

    def queues(self):
        """{domain: queue}."""
        answer = self.control.ListQueues(control_pb2.ListQueuesRequest(), timeout=10)
        return {queue.domain: queue for queue in answer.queues}

    def wait_recorded(self, idents):
        """Until the spool says DELIVERED of each of these messages."""
        def disposition(ident):
            message = self.delivery.GetMessage(
                delivery_pb2.GetMessageRequest(message_id=ident), timeout=10)
            return message.rows[0].recipients[0].disposition
        for ident in idents:
            eventually(lambda ident=ident: disposition(ident) == types_pb2.DISPOSITION_DELIVERED,
                       30, f"{ident} is recorded")


class Outside(ContainerTest):
    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.directory, "certs")
        run(os.path.join(ROOT, "deploy/make-certs"), self.folder, *CLIENTS, "--server", INSIDE,
            "--owner", "10025")
        self.mounts = [f"{self.folder}/server:/etc/postern/tls:ro"]

    def remote(self, client="operator"):
        remote = Remote(self.folder, client)
        self.addCleanup(remote.channel.close)
        return remote

    def test_takes_mail_over_tls_from_clients_with_a_certificate_only(self):
        container = self.started(mounts=self.mounts)
        self.remote().submit("r@a.test")
        self.sink.wait_messages(1, 60)
        self.assertEqual(self.recipients(), ["r@a.test"])
        for stranger in (self.remote(client=None), self.remote_without_tls()):
            with self.assertRaises(grpc.RpcError) as refused:
                stranger.submit("stranger@a.test")
            self.assertEqual(refused.exception.code(), grpc.StatusCode.UNAVAILABLE)
        # The socket inside stays: for the health check, and for `podman exec`.
        self.assertEqual(run("podman", "healthcheck", "run", container.name), "")
        self.assertEqual(self.recipients(), ["r@a.test"])

    def remote_without_tls(self):
        remote = self.remote()
        remote.channel = grpc.insecure_channel(f"{INSIDE}:9090", (("grpc.enable_http_proxy", 0),))
        self.addCleanup(remote.channel.close)
        remote.delivery = delivery_pb2_grpc.DeliveryStub(remote.channel)
        return remote

    def assert_refused(self, code, call):
        with self.assertRaises(grpc.RpcError) as refused:
            call()
        self.assertEqual(refused.exception.code().name, code, refused.exception.details())

    def check_rights(self):
        """Everyone may do their own part, and nobody another's."""
        submitter, watcher, policy, operator, stranger = map(self.remote, CLIENTS)
        drain = control_pb2.DrainRequest()
        for remote in (watcher, policy, operator):
            self.assert_refused("PERMISSION_DENIED", lambda r=remote: r.submit("r@a.test"))
        self.assert_refused("PERMISSION_DENIED",
                            lambda: submitter.submit("r@a.test", sender="s@other.test"))
        for remote in (submitter, policy, operator):
            self.assert_refused("PERMISSION_DENIED", lambda r=remote: next(
                r.hooks.Watch(hooks_pb2.WatchRequest(), timeout=10)))
        for remote in (submitter, watcher, operator):
            with self.assertRaisesRegex(AssertionError, "PERMISSION_DENIED"):
                Policy(remote.hooks, "outside").start()
        with self.assertRaisesRegex(AssertionError, "PERMISSION_DENIED"):
            Policy(policy.hooks, "another").start()
        for remote in (submitter, watcher, policy):
            self.assert_refused("PERMISSION_DENIED", lambda r=remote: next(
                r.control.Drain(drain, timeout=10)))
        self.assert_refused("UNAUTHENTICATED", stranger.queues)

    def watched_and_steered(self, submitter):
        """Each session ends after two deliveries, because a client says so; the messages' ids.

        Or after three, where the client was too late to say so after two.
        """
        watch = Watch(self.remote("watcher").hooks).start()
        policy = Policy(self.remote("policy").hooks, "outside", on_question=lambda q: "SHUTDOWN"
                        if q.deliveries >= 2 else "KEEP").start()
        idents = [submitter.submit(f"r{i}@a.test") for i in range(10)]
        cause = types_pb2.CLOSE_CAUSE_REMOTE_POLICY
        closed = watch.wait_events("connection_closed", 4,
                                   lambda e: e.connection_closed.cause == cause, timeout=30)
        deliveries = [e.connection_closed.deliveries for e in closed]
        self.assertEqual(min(deliveries), 2, deliveries)
        submitter.wait_recorded(idents)
        watch.cancel()
        policy.cancel()
        return idents

    def killed(self, container, submitter):
        """With mail that waits and a session that waits for a greeting; the messages' ids."""
        self.sink.rule("greeting", gate="later")
        idents = [submitter.submit(f"later{i}@b.test") for i in range(10)]
        self.sink.gates.wait_reached("later")
        # The command line steers too, from here.
        listed = run(os.environ["POSTERN"], "--address", f"{INSIDE}:9090", "--tls-ca",
                     f"{self.folder}/ca.crt", "--tls-certificate", f"{self.folder}/operator/tls.crt",
                     "--tls-key", f"{self.folder}/operator/tls.key", "queues")
        self.assertIn("b.test/default", listed)
        container.kill()
        self.sink.clear_rules()
        self.sink.gates.release("later")
        container.restart().wait_ready()
        return idents

    def drained_and_ended(self, container, submitter, waiting):
        """With so many messages that the receiver does not take for now."""
        progress = list(self.remote("operator").control.Drain(control_pb2.DrainRequest(),
                                                              timeout=30))
        done = progress[-1]
        self.assertEqual((done.phase, done.queued, done.cut, done.in_doubt),
                         (control_pb2.DRAIN_PHASE_DONE, waiting, 0, 0))
        self.assertEqual(container.get("/readyz")[0], 503)
        self.assert_refused("UNAVAILABLE", lambda: submitter.submit("late@a.test"))
        code, took = container.stop()
        self.assertEqual(code, 0)
        return took

    def test_a_whole_life_loses_and_doubles_nothing(self):
        for domain in ("b.test", "held.test", "busy.test"):
            self.dns.domain(domain, OUTSIDE)
        file = self.write_config(FILE)
        container = self.started(mounts=[*self.mounts, f"{file}:/etc/postern/postern.yaml:ro"])
        self.check_rights()
        submitter, operator = self.remote("submitter"), self.remote("operator")
        idents = self.watched_and_steered(submitter)

        # Stopped for one domain, its mail waits; so it does over a kill, until it is resumed.
        scope = control_pb2.Scope(domain="held.test")
        operator.control.Suspend(control_pb2.SuspendRequest(scope=scope, reason="maintenance"),
                                 timeout=10)
        held = [submitter.submit(f"held{i}@held.test") for i in range(5)]
        idents += self.killed(container, submitter)
        submitter, operator = self.remote("submitter"), self.remote("operator")
        submitter.wait_recorded(idents)
        self.assertTrue(operator.queues()["held.test"].suspended)
        self.assertEqual(len(self.recipients()), len(idents))
        operator.control.Resume(control_pb2.ResumeRequest(scope=scope), timeout=10)
        idents += held
        submitter.wait_recorded(idents)

        # Drained and ended with mail that waits, which goes out after the next start.
        self.sink.rule("rcpt", reply="451 4.3.2 Later", recipient="@busy.test")
        busy = [submitter.submit(f"busy{i}@busy.test") for i in range(5)]
        took = self.drained_and_ended(container, submitter, len(busy))
        self.assertEqual(len(self.recipients()), len(idents))
        self.sink.clear_rules()
        container.restart().wait_ready()
        submitter = self.remote("submitter")
        idents += busy
        submitter.wait_recorded(idents)

        everything = sorted([f"r{i}@a.test" for i in range(10)] +
                            [f"later{i}@b.test" for i in range(10)] +
                            [f"held{i}@held.test" for i in range(5)] +
                            [f"busy{i}@busy.test" for i in range(5)])
        # The books of the submitter say the same as the receiver.
        books = Outcomes(submitter.delivery, "books", final_only=True).start()
        self.addCleanup(books.cancel)
        outcomes = books.wait_outcomes(len(everything), 30)
        self.assertEqual(sorted(one.recipient for one in outcomes), everything)
        self.assertEqual({one.disposition for one in outcomes}, {types_pb2.DISPOSITION_DELIVERED})
        self.assertEqual(container.stop()[0], 0)
        self.assertEqual(self.recipients(), everything)
        say(f"a life over TLS: {len(everything)} messages, a suspension, a kill, a drain with mail "
            f"waiting, two restarts; none lost, none twice; drained and ended in {took:.1f} s")


if __name__ == "__main__":
    unittest.main()
