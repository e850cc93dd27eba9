"""A whole life of the container, steered from another machine over TLS with client certificates."""

import os
import unittest

import grpc

from container import INSIDE, OUTSIDE, ContainerTest, run, say
from postern.v1 import (control_pb2, control_pb2_grpc, delivery_pb2, delivery_pb2_grpc,
                        hooks_pb2_grpc, types_pb2)
from streams import Policy, Watch

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# The image's listeners and spool; one connection a domain, so that each carries several messages.
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
"""


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

    def submit(self, recipient):
        request = delivery_pb2.SubmitRequest(
            sender="s@source.test", recipients=[recipient],
            content=b"Subject: from outside\r\n\r\nHello.\r\n")
        return self.delivery.Submit(request, timeout=20).message_id


class Outside(ContainerTest):
    def setUp(self):
        super().setUp()
        self.folder = os.path.join(self.directory, "certs")
        run(os.path.join(ROOT, "deploy/make-certs"), self.folder, "operator", "--server", INSIDE,
            "--owner", "10025")
        self.mounts = [f"{self.folder}/server:/etc/postern/tls:ro"]

    def remote(self, client="operator"):
        remote = Remote(self.folder, client)
        self.addCleanup(remote.channel.close)
        return remote

    def test_takes_mail_over_tls_from_clients_with_a_certificate_only(self):
        container = self.started(mounts=self.mounts)
        self.remote().submit("r@a.test")
        self.sink.wait_messages(1)
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

    def test_a_whole_life_loses_and_doubles_nothing(self):
        file = self.write_config(FILE)
        container = self.started(mounts=[*self.mounts, f"{file}:/etc/postern/postern.yaml:ro"])
        self.dns.domain("b.test", OUTSIDE)
        remote = self.remote()

        # Watched and steered: each session ends after two deliveries, because a client says so.
        watch = Watch(remote.hooks).start()
        policy = Policy(remote.hooks, "outside", on_question=lambda q: "SHUTDOWN"
                        if q.deliveries >= 2 else "KEEP").start()
        wanted = [f"r{i}@a.test" for i in range(10)]
        idents = [remote.submit(recipient) for recipient in wanted]
        self.sink.wait_messages(len(wanted), 30)
        cause = types_pb2.CLOSE_CAUSE_REMOTE_POLICY
        closed = watch.wait_events("connection_closed", 4,
                                   lambda e: e.connection_closed.cause == cause)
        self.assertTrue(all(e.connection_closed.deliveries == 2 for e in closed))
        message = remote.delivery.GetMessage(
            delivery_pb2.GetMessageRequest(message_id=idents[0]), timeout=10)
        self.assertEqual(message.rows[0].recipients[0].disposition, types_pb2.DISPOSITION_DELIVERED)
        watch.cancel()
        policy.cancel()

        # Stopped for one domain: its mail waits.
        self.dns.domain("held.test", OUTSIDE)
        scope = control_pb2.Scope(domain="held.test")
        remote.control.Suspend(control_pb2.SuspendRequest(scope=scope, reason="maintenance"),
                               timeout=10)
        held = [f"held{i}@held.test" for i in range(5)]
        for recipient in held:
            remote.submit(recipient)

        # Killed while mail waits, and while a session waits for a greeting that does not come.
        self.sink.rule("greeting", gate="later")
        later = [f"later{i}@b.test" for i in range(10)]
        for recipient in later:
            remote.submit(recipient)
        self.sink.gates.wait_reached("later")
        # The command line steers too, from here.
        listed = run(os.environ["POSTERN"], "--address", f"{INSIDE}:9090", "--tls-ca",
                     f"{self.folder}/ca.crt", "--tls-certificate", f"{self.folder}/operator/tls.crt",
                     "--tls-key", f"{self.folder}/operator/tls.key", "queues")
        self.assertIn("b.test/default", listed)
        queues = remote.control.ListQueues(control_pb2.ListQueuesRequest(), timeout=10).queues
        self.assertEqual([q.domain for q in queues if q.domain == "b.test"], ["b.test"])
        container.kill()
        self.sink.clear_rules()
        self.sink.gates.release("later")
        container.restart().wait_ready()
        self.sink.wait_messages(len(wanted + later), 30)

        # The suspension is still there, until it is lifted from outside.
        remote = self.remote()
        queue, = [q for q in remote.control.ListQueues(control_pb2.ListQueuesRequest(),
                                                       timeout=10).queues
                  if q.domain == "held.test"]
        self.assertTrue(queue.suspended, queue)
        self.assertEqual(self.recipients(), sorted(wanted + later))
        remote.control.Resume(control_pb2.ResumeRequest(scope=scope), timeout=10)
        everything = wanted + later + held
        self.sink.wait_messages(len(everything), 30)

        # Drained from outside, then ended.
        progress = list(remote.control.Drain(control_pb2.DrainRequest(), timeout=30))
        self.assertEqual(progress[-1].phase, control_pb2.DRAIN_PHASE_DONE)
        self.assertEqual(progress[-1].queued, 0)
        self.assertEqual(container.get("/readyz")[0], 503)
        code, took = container.stop()
        self.assertEqual(code, 0)
        self.assertEqual(self.recipients(), sorted(everything))
        say(f"a life over TLS: {len(everything)} messages, a suspension, a kill, a drain; none "
            f"lost, none twice; ended in {took:.1f} s")


if __name__ == "__main__":
    unittest.main()
