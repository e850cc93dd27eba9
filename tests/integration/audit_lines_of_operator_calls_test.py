"""What an operator does to queued mail and sessions leaves a line in the log: who, what, why."""

import re
import unittest

from callers import Caller, token_file
from postern.v1 import control_pb2, delivery_pb2
from running import scaled
from scenario import ONE_CONNECTION, Scenario, merge, scope

RESOLVE_FAIL = delivery_pb2.IN_DOUBT_RESOLUTION_FAIL
NOBODY = "0" * 32


class AuditLinesOfOperatorCalls(Scenario):
    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        path, token = token_file(self.directory, "operator")
        self.config = merge(ONE_CONNECTION, {
            "options": {"retry_schedule": ["1h"], "idle_timeout": "1h", "in_doubt": "hold"},
            "bindings": [{"name": "pool-1"}],
            "identities": [
                {"name": "operator", "token_file": path, "rights": {"control": True, "all": True}},
                {"name": "local", "local": ["loopback"], "rights": {
                    "submit": {}, "watch": {}, "control": True, "all": True}}]})
        self.operator = Caller(self, self.daemon.grpc_address, token=token)

    def call(self, method, **fields):
        """The operator's call of Control or Delivery."""
        service, proto = ((self.operator.control, control_pb2)
                          if hasattr(control_pb2, method + "Request") else
                          (self.operator.delivery, delivery_pb2))
        return getattr(service, method)(getattr(proto, method + "Request")(**fields),
                                        timeout=scaled(20))

    def wait_line(self, method, on, outcome="OK", reason=None, detail=None):
        """The audit line of the operator's call."""
        fields = [f'audit call={method} who="operator" from="token ipv4:127[^"]*"']
        if on:
            fields.append(f'on="{re.escape(on)}"')
        if reason is not None:
            fields.append(f'reason="{re.escape(reason)}"')
        fields.append(f"outcome={outcome}")
        if detail is not None:
            fields.append(f'detail="{detail}"')
        return self.daemon.wait_log(" ".join(fields) + ("$" if detail is not None else ""))

    def refused(self, method, code, on, **fields):
        """The call ends with the code, and its line says so and why."""
        said = self.assert_refused(code, self.call, method, **fields)
        service = "Control" if hasattr(control_pb2, method + "Request") else "Delivery"
        self.wait_line(f"{service}.{method}", on, code,
                       detail=re.escape(said.replace('"', '\\"')))

    def in_doubt(self):
        """A message that the receiver may have."""
        self.sink.rule("body", times=1, drop=True)
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_message(ident, lambda m: m.rows[0].in_doubt and not m.rows[0].in_session)
        return ident

    def deferred(self):
        """A message that waits for an hour."""
        self.sink.rule("body", times=1, reply="451 4.3.0 later")
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_message(ident, lambda m: m.rows[0].attempts and not m.rows[0].in_session)
        return ident

    def test_resume(self):
        self.suspend("a.test")
        self.call("Resume", scope=scope("a.test", "pool-1"))
        self.wait_line("Control.Resume", "a.test/pool-1", detail="0 queues")
        self.call("Resume", scope=scope("*"))
        self.wait_line("Control.Resume", "*", detail=r"\d+ queues")

    def test_flush(self):
        ident = self.deferred()
        self.call("Flush", scope=scope("a.test"))
        self.wait_line("Control.Flush", "a.test", detail="1 rows")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        ident = self.deferred()
        self.call("Flush", scope=scope("*"), message_id=ident)
        self.wait_line("Control.Flush", f"* {ident}", detail="1 rows")

    def test_cancel_message(self):
        ident = self.deferred()
        self.call("CancelMessage", message_id=ident, recipients=["r@a.test"], reason="a mistake")
        self.wait_line("Delivery.CancelMessage", ident, reason="a mistake", detail="1 recipients")

    def test_resolve_message(self):
        ident = self.in_doubt()
        self.call("ResolveMessage", message_id=ident, resolution=RESOLVE_FAIL)
        self.wait_line("Delivery.ResolveMessage", ident, detail="IN_DOUBT_RESOLUTION_FAIL")

    def test_reroute(self):
        self.deferred()
        self.call("Reroute", scope=scope("a.test", "default"), to_binding="pool-1")
        self.wait_line("Control.Reroute", "a.test/default", detail="1 rows to pool-1")

    def test_shutdown_connection(self):
        for number, (now, how) in enumerate(((False, "after its transaction"), (True, "now")), 1):
            self.deliver("r@a.test")
            found, = self.control("ListConnections").connections
            ident = found.connection.connection_id
            self.call("ShutdownConnection", connection_id=ident, reason="it is stuck", now=now)
            self.wait_line("Control.ShutdownConnection", ident, reason="it is stuck", detail=how)
            self.sink.wait_closed(number)

    def test_what_is_refused(self):
        self.refused("Resume", "INVALID_ARGUMENT", "", scope=scope(""))
        self.refused("Flush", "INVALID_ARGUMENT", " nothing", message_id="nothing")
        self.refused("CancelMessage", "NOT_FOUND", NOBODY, message_id=NOBODY)
        self.refused("Reroute", "INVALID_ARGUMENT", "*", scope=scope("*"), to_binding="nobody")
        self.refused("ShutdownConnection", "NOT_FOUND", NOBODY, connection_id=NOBODY)
        delivered = self.deliver("r@a.test")
        self.refused("ResolveMessage", "FAILED_PRECONDITION", delivered, message_id=delivered,
                     resolution=RESOLVE_FAIL)

    def test_what_only_lists_leaves_none(self):
        self.call("ListQueues")
        self.call("ListConnections")
        self.call("Resume", scope=scope("*"))
        self.wait_line("Control.Resume", "*")
        lines = [line for line in self.daemon.stderr if "audit call=" in line]
        self.assertEqual(len(lines), 1, lines)


if __name__ == "__main__":
    unittest.main()
