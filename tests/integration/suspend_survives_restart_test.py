"""A suspension stops a domain, new mail included, survives kill -9, and ends when it is told to."""

import json
import unittest

from postern.v1 import types_pb2
from scenario import Scenario, dispositions, eventually, reason_of, scope, short


class SuspendSurvivesRestart(Scenario):
    def test_mail_waits_across_a_restart_until_resumed(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.assertEqual(self.suspend("*.test", "their maintenance").queues, 0)
        self.control("Resume", scope=scope("*.test"))
        self.suspend("a.test", "their maintenance")
        ident = self.daemon.submit(["r@a.test"])
        self.deliver("r@b.test")
        self.check_waits(ident)
        self.daemon.wait_log(r'audit call=Control.Suspend who="local" from="loopback [^"]*" on="a.test" '
                             r'reason="their maintenance" outcome=OK '
                             r'detail="[01] queues, until resumed"')

        self.daemon.restart(kill=True)
        self.deliver("q@b.test")
        self.check_waits(ident)

        code, out, err = self.daemon.run_cli("resume", "a.test")
        self.assertEqual((code, out), (0, "1 queue goes on\n"), err)
        message = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)

        self.daemon.restart(kill=True)
        self.assertEqual(list(self.control("ListQueues").suspensions), [])

    def check_waits(self, ident):
        message = self.daemon.message(ident)
        self.assertEqual(dispositions(message), {"r@a.test": "QUEUED"})
        self.assertEqual(reason_of(message), "SUSPENDED")
        self.assertEqual(message.rows[0].attempts, 0)
        queue = eventually(lambda: self.queue("a.test"), what="the queue of a.test")
        self.assertTrue(queue.suspended)
        self.assertEqual(short(types_pb2.RequeueReason, queue.reason), "SUSPENDED")
        self.assertEqual((queue.suspension.who, queue.suspension.reason),
                         ("local", "their maintenance"))
        listed, = self.control("ListQueues").suspensions
        self.assertEqual(listed.scope.domain, "a.test")
        self.assertFalse(listed.HasField("until"))
        self.assertNotIn("a.test", [m.recipients[0].split("@")[1] for m in self.sink.messages])
        self.assertIn("a.test: suspended by local until resumed: their maintenance",
                      self.daemon.run_cli("queues")[1])
        code, out, _ = self.daemon.run_cli("--json", "queues", "--suspensions")
        self.assertEqual((code, json.loads(out)["scope"]["domain"]), (0, "a.test"))

    def test_a_session_ends_after_its_transaction(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, gate="dot")
        watch = self.daemon.watch()
        first = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        self.assertEqual(self.suspend("a.test", "stop").queues, 1)
        second = self.daemon.submit(["q@a.test"])
        self.sink.gates.release("dot")
        self.daemon.wait_dispositions(first, "DELIVERED")
        self.assert_closed(watch.wait_event("connection_closed"), "SUSPENDED", "local", "stop")
        self.assertEqual(reason_of(self.daemon.message(second)), "SUSPENDED")
        self.assertEqual(len(self.sink.transactions), 1)

    def test_an_idle_session_ends_at_once_and_a_wider_scope_remains(self):
        self.make_daemon(options={"idle_timeout": "1h"}).start()
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.suspend("*", "everything")
        self.assert_closed(watch.wait_event("connection_closed"), "SUSPENDED")
        answer = self.control("Resume", scope=scope("a.test"))
        self.assertEqual([s.scope.domain for s in answer.remaining], ["*"])

    def test_ends_by_itself_after_its_duration(self):
        self.dns.domain("a.test")
        self.suspend("a.test", nanos=300_000_000)
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(list(self.control("ListQueues").suspensions), [])

    def test_expiry_runs_on(self):
        self.dns.domain("a.test")
        self.make_daemon(options={"message_expiration": "1s"}).start()
        self.suspend("a.test")
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_dispositions(ident, "EXPIRED")
        self.assertEqual(self.sink.connections, [])

    def test_the_option_does_the_same_for_its_scope(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.make_daemon(domains=[{"name": "a.test", "options": {"suspend_delivery": True}}]).start()
        ident = self.daemon.submit(["r@a.test"])
        self.deliver("r@b.test")
        self.assertEqual(reason_of(self.daemon.message(ident)), "SUSPENDED")
        queue = eventually(lambda: self.queue("a.test"), what="the queue of a.test")
        self.assertTrue(queue.suspended)
        self.assertEqual(queue.suspension.who, "configuration")

    def test_refuses_what_makes_no_sense(self):
        self.assertIn("scope.binding", self.assert_refused(
            "INVALID_ARGUMENT", self.control, "Suspend", scope=scope("*", "nobody"), reason="x"))
        self.assertIn("reason", self.assert_refused(
            "INVALID_ARGUMENT", self.control, "Suspend", scope=scope("*")))
        self.daemon.wait_log(r"audit call=Control.Suspend .* outcome=INVALID_ARGUMENT")


if __name__ == "__main__":
    unittest.main()
