"""in_doubt: hold: what may have been taken waits for ResolveMessage, across a restart."""

import unittest

from postern.v1 import delivery_pb2
from scenario import Scenario, dispositions, reason_of, scaled, scope


class Resolving(Scenario):
    config = {"options": {"in_doubt": "hold"}}

    def resolve(self, ident, how, **fields):
        return self.daemon.delivery.ResolveMessage(delivery_pb2.ResolveMessageRequest(
            message_id=ident,
            resolution=delivery_pb2.InDoubtResolution.Value("IN_DOUBT_RESOLUTION_" + how),
            **fields), timeout=scaled(20))


class InDoubtHold(Resolving):
    def in_doubt(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, drop=True)
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.assertTrue(watch.wait_event("delivery_attempt").delivery_attempt.in_doubt)
        self.daemon.wait_message(ident, lambda m: m.rows[0].in_doubt and not m.rows[0].in_session)
        return ident

    def check_held(self, ident):
        self.assertEqual(self.control("Flush", scope=scope("*")).rows, 0)
        row = self.daemon.message(ident).rows[0]
        self.assertTrue(row.in_doubt)
        self.assertFalse(row.HasField("next_attempt"))
        self.assertEqual(reason_of(self.daemon.message(ident)), "IN_DOUBT")

    def test_waits_and_is_tried_again_when_told(self):
        ident = self.in_doubt()
        self.check_held(ident)
        self.daemon.restart(kill=True)
        self.deliver("q@a.test")  # the queue is not held up
        self.check_held(ident)
        self.assertEqual(len(self.sink.transactions), 2)
        self.resolve(ident, "RETRY")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(self.sink.transactions), 3)

    def test_the_receiver_has_it(self):
        ident = self.in_doubt()
        code, out, err = self.daemon.run_cli("resolve", ident, "delivered")
        self.assertEqual(code, 0, err)
        self.assertIn("delivered", out)
        self.assertEqual(dispositions(self.daemon.message(ident)), {"r@a.test": "DELIVERED"})
        self.assertEqual(len(self.sink.transactions), 1)
        self.assert_refused("FAILED_PRECONDITION", self.resolve, ident, "DELIVERED")

    def test_given_up_by_domain(self):
        ident = self.in_doubt()
        self.assert_refused("FAILED_PRECONDITION", self.resolve, ident, "FAIL", domain="b.test")
        self.assertEqual(dispositions(self.resolve(ident, "FAIL", domain="a.test")),
                         {"r@a.test": "FAILED"})

    def test_what_died_in_the_dot_is_held_after_the_restart(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, hang=True)
        ident = self.daemon.submit(["r@a.test"])
        self.sink.wait(lambda: any("body: hangs" in c.notes() for c in self.sink.connections),
                       10, "the receiver hangs at body")
        self.daemon.restart(kill=True)
        self.deliver("q@a.test")
        self.check_held(ident)


class OnlySomeAreInDoubt(Resolving):
    config = {"options": {"in_doubt": "hold", "max_recipients_per_batch": 1}}

    def test_who_was_never_offered_is_sent_it(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, drop=True)
        ident = self.daemon.submit(["r@a.test", "q@a.test"])
        self.daemon.wait_message(ident, lambda m: m.rows[0].in_doubt and not m.rows[0].in_session)
        self.daemon.restart(kill=True)
        answer = dispositions(self.resolve(ident, "DELIVERED"))
        self.assertEqual(answer["r@a.test"], "DELIVERED")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual([m.recipients for m in self.sink.messages], [["q@a.test"]])

    def test_who_is_left_when_the_one_in_doubt_is_cancelled_is_sent_it(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, drop=True)
        ident = self.daemon.submit(["r@a.test", "q@a.test"])
        self.daemon.wait_message(ident, lambda m: m.rows[0].in_doubt and not m.rows[0].in_session)
        self.daemon.delivery.CancelMessage(delivery_pb2.CancelMessageRequest(
            message_id=ident, recipients=["r@a.test"]), timeout=scaled(20))
        message = self.daemon.wait_dispositions(
            ident, {"r@a.test": "CANCELLED", "q@a.test": "DELIVERED"})
        self.assertFalse(message.rows[0].in_doubt)

    def test_a_process_that_dies_has_written_whom_it_offered(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=1, hang=True)
        ident = self.daemon.submit(["r@a.test", "q@a.test"])
        self.sink.wait(lambda: any("body: hangs" in c.notes() for c in self.sink.connections),
                       10, "the receiver hangs at body")
        self.daemon.restart(kill=True)
        self.daemon.wait_message(ident, lambda m: m.rows[0].in_doubt)
        answer = dispositions(self.resolve(ident, "FAIL"))
        self.assertEqual(answer["r@a.test"], "FAILED")
        self.daemon.wait_dispositions(ident, {"r@a.test": "FAILED", "q@a.test": "DELIVERED"})

    def test_who_was_refused_for_now_is_tried_again(self):
        self.make_daemon(options={"in_doubt": "hold"}).start()
        self.dns.domain("a.test")
        self.sink.rule("rcpt", recipient="q@", times=1, reply="450 4.2.1 full")
        self.sink.rule("body", times=1, drop=True)
        ident = self.daemon.submit(["r@a.test", "q@a.test"])
        self.daemon.wait_message(ident, lambda m: m.rows[0].in_doubt and not m.rows[0].in_session)
        answer = dispositions(self.resolve(ident, "DELIVERED"))
        self.assertEqual(answer["r@a.test"], "DELIVERED")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual([m.recipients for m in self.sink.messages], [["q@a.test"]])


if __name__ == "__main__":
    unittest.main()
