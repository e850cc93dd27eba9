"""Base of the integration tests: one posternd between a scripted receiver and a scripted DNS.

    class Delivered(Scenario):
        def test_delivers_to_the_mx_of_the_domain(self):
            self.dns.domain("a.test")
            ident = self.daemon.submit(["r@a.test"])
            self.daemon.wait_dispositions(ident, "DELIVERED")
            self.assertEqual(self.sink.messages[0].recipients, ["r@a.test"])

Receiver, DNS and daemon start when they are first named; what is to be scripted before the daemon
reads it comes before self.daemon. config holds overrides of daemon.config().
"""

import os
import shutil
import socket
import sys
import tempfile
import unittest
from unittest import mock

import grpc

from certificates import Authority
from daemon import Daemon, config, dispositions, merge, ms, recipient_states, short
from dns_server import DnsServer
from google.protobuf import duration_pb2
from postern.v1 import control_pb2, hooks_pb2, types_pb2
from running import eventually, scaled
from sink_rules import DEFAULT_CAPABILITIES
from smtp_sink import SmtpSink

__all__ = ["LASTING_CONNECTION", "ONE_CONNECTION", "Scenario", "dispositions", "eventually",
           "merge", "module", "ms", "recipient_states", "reason_of", "scaled", "scope", "short"]

# Overrides for scenarios in which messages of a domain must share a connection.
ONE_CONNECTION = {"options": {"max_outbound_connections": 1}}
# The same for messages that are submitted one by one: a pause of the test must not end it.
LASTING_CONNECTION = merge(ONE_CONNECTION, {"options": {"idle_timeout": "1h"}})


def module(name, **options):
    """The entry of an example module for config["modules"]: module("end_session", deliveries=1)."""
    path = os.path.join(os.environ["POSTERN_EXAMPLES"], f"lib{name}.so")
    return {"name": name, "path": path,
            "options": {key: str(value) for key, value in options.items()}}


def scope(domain, binding=""):
    """A control_pb2.Scope."""
    return control_pb2.Scope(domain=domain, binding=binding)


def reason_of(message, domain=None):
    """Why the row of the domain (or the only row) waits: "REPLY_421"."""
    row, = [r for r in message.rows if domain in (None, r.domain)]
    return short(types_pb2.RequeueReason, row.reason)


class Scenario(unittest.TestCase):
    config = {}
    sink_addresses = ("127.0.0.1",)
    sink_capabilities = DEFAULT_CAPABILITIES
    sink_tls = None  # method that returns the ssl.SSLContext of a receiver that offers STARTTLS
    # Set to True where the scenario makes the client break the protocol on purpose.
    violations_expected = False

    maxDiff = None

    def setUp(self):
        self._sink = self._dns = self._daemon = self._ca = None
        self.directory = tempfile.mkdtemp(prefix="postern-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def run(self, result=None):
        result = result if result is not None else self.defaultTestResult()
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"===== {self.id()} failed =====\n{self.diagnosis()}", file=sys.stderr)
        return result

    def diagnosis(self):
        """What happened outside, for the person who reads the failure."""
        parts = []
        if self._sink:
            parts.append("----- receiver -----\n" + self._sink.transcripts())
        if self._dns:
            parts.append("----- DNS -----\n" + self._dns.describe())
        if self._daemon:
            parts.append("----- daemon -----\n" + self._daemon.describe())
        return "\n".join(parts)

    # The cast.
    @property
    def sink(self):
        if self._sink is None:
            self._sink = SmtpSink(addresses=self.sink_addresses,
                                  capabilities=self.sink_capabilities,
                                  tls=self.sink_tls and self.sink_tls()).start()
            self.addCleanup(self._close_sink)
        return self._sink

    @property
    def dns(self):
        if self._dns is None:
            self._dns = DnsServer().start()
            self.addCleanup(self._dns.stop)
        return self._dns

    @property
    def daemon(self):
        if self._daemon is None:
            self.make_daemon().start()
        return self._daemon

    def make_daemon(self, **overrides):
        """The daemon, configured and not started yet."""
        self._daemon = Daemon(self.directory,
                              merge(config(self.sink, self.dns, **self.config), overrides))
        self.addCleanup(self._close_daemon)
        return self._daemon

    @property
    def ca(self):
        """A test CA, which the daemon trusts if it is started after this was named."""
        if self._ca is None:
            self._ca = Authority(self.directory)
            self.enterContext(mock.patch.dict(os.environ, SSL_CERT_FILE=self._ca.certificate))
        return self._ca

    @ca.setter
    def ca(self, authority):
        """One of the scenario's own, which the daemon knows only by its configuration."""
        self._ca = authority

    def _close_sink(self):
        self._sink.stop()
        if not self.violations_expected:
            self.assertEqual(self._sink.violations, [], "posternd broke the protocol")

    def _close_daemon(self):
        self.assertEqual(self._daemon.stop(), 0, "exit code of posternd")

    def deliver(self, *recipients, **fields):
        """Submits one message and waits until all recipients have it; returns its id."""
        ident = self.daemon.submit(recipients, **fields)
        self.daemon.wait_dispositions(ident, "DELIVERED")
        return ident

    def other_sink(self, address, **options):
        """A second receiver with the port of the first, at another address of 127.0.0.0/8."""
        sink = SmtpSink(addresses=[address], port=self.sink.port, **options).start()
        self.addCleanup(sink.stop)
        return sink

    @staticmethod
    def free_port():
        """A port that was free a moment ago, for receivers that cannot choose one themselves."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    # Operating.
    def control(self, method, **fields):
        """One unary call of Control: control("Resume", scope=scope("a.test"))."""
        request = getattr(control_pb2, method + "Request")(**fields)
        return getattr(self.daemon.control, method)(request, timeout=scaled(20))

    def queue(self, domain):
        """The queue of the domain as ListQueues shows it; None if there is none."""
        answer = self.control("ListQueues", filter=types_pb2.Filter(domains=[domain]))
        return next(iter(answer.queues), None)

    def reason_of_queue(self, domain):
        """Why its mail waits: "CONNECT_FAILED"; "UNSPECIFIED" when there is no such queue."""
        queue = self.queue(domain)
        return short(types_pb2.RequeueReason, queue.reason if queue else 0)

    def suspend(self, domain, reason="test", **duration):
        """Suspends the domain; duration as for google.protobuf.Duration, none: until resumed."""
        return self.control("Suspend", scope=scope(domain), reason=reason,
                            duration=duration_pb2.Duration(**duration) if duration else None)

    # Comparing.
    def assert_refused(self, code, call, *args, **fields):
        """The call ends with this gRPC code; returns the message."""
        with self.assertRaises(grpc.RpcError) as refused:
            call(*args, **fields)
        self.assertEqual(refused.exception.code().name, code, refused.exception.details())
        return refused.exception.details()

    def assert_reply(self, state, code, stage=None, text=None):
        """The last reply of a RecipientState."""
        self.assertEqual(state.last_reply.code, code, state)
        if stage:
            self.assertEqual(short(types_pb2.SmtpStage, state.last_reply.stage), stage.upper())
        if text:
            self.assertIn(text, state.last_reply.text)

    def assert_closed(self, event, cause, provider=None, reason=None):
        """A connection_closed event."""
        closed = event.connection_closed
        self.assertEqual(short(types_pb2.CloseCause, closed.cause), cause, event)
        if provider is not None:
            self.assertEqual(closed.provider, provider)
        if reason is not None:
            self.assertEqual(closed.reason, reason)

    def assert_verdict(self, event, decision, source, provider=None, default_cause=None):
        """A verdict event; decision None: whichever."""
        verdict = event.verdict
        found = short(hooks_pb2.Decision, verdict.decision)
        self.assertEqual((found if decision else None,
                          short(hooks_pb2.DecisionSource, verdict.source)), (decision, source),
                         event)
        if provider is not None:
            self.assertEqual(verdict.provider, provider)
        if default_cause is not None:
            self.assertEqual(short(types_pb2.DefaultCause, verdict.default_cause), default_cause)

    def wait_connect_error(self, watch, error, timeout=10):
        """The event of an attempt to connect that ended in this error ("CONNECT")."""
        number = types_pb2.ConnError.Value("CONN_ERROR_" + error)
        return watch.wait_event(
            "post_initiate_connection_smtp",
            lambda e: e.post_initiate_connection_smtp.error == number, timeout)

    def defaults(self, provider):
        """{cause: count} of the defaults that were taken for a remote provider."""
        remote = self.daemon.remote_provider(provider)
        return {short(types_pb2.DefaultCause, d.cause): d.count
                for d in remote.defaults if d.count}

    def results(self, provider):
        """{status: count} of the verdicts of a remote provider."""
        remote = self.daemon.remote_provider(provider)
        return {short(hooks_pb2.VerdictStatus, r.status): r.count
                for r in remote.results if r.count}

    def assert_accounted(self, provider):
        """questions = answered + defaults + cancelled + open, whatever happened."""
        # Each is read by itself: a question under way may be in two of them, or in none.
        def balance():
            p = self.daemon.remote_provider(provider)
            return p.questions == (p.answered + p.cancelled + p.open +
                                   sum(d.count for d in p.defaults))
        try:
            eventually(balance, what=f"the balance of {provider}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.daemon.remote_provider(provider)}") from None
