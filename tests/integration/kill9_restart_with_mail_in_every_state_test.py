"""kill -9 with mail in every state, and a start on the same spool: nothing lost, nothing forgotten.

One domain for each state, each at an address of its own, so that the receiver can be scripted
for them one by one.
"""

import unittest

from postern.v1 import delivery_pb2
from scenario import Scenario, dispositions, recipient_states

DEFERRED, RCPT, DOT, FIRST = "127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"


class Kill9RestartWithMailInEveryState(Scenario):
    sink_addresses = ("127.0.0.1", DEFERRED, RCPT, DOT, FIRST)
    config = {"options": {"max_outbound_connections": 1, "retry_schedule": ["1h"],
                          "body_timeout": "60s", "rcptto_timeout": "60s",
                          "banner_timeout": "60s"}}

    def test_every_row_is_read_back_as_it_was(self):
        for domain, address in (("done.test", "127.0.0.1"), ("failed.test", "127.0.0.1"),
                                ("deferred.test", DEFERRED), ("rcpt.test", RCPT),
                                ("dot.test", DOT), ("first.test", FIRST)):
            self.dns.domain(domain, address)
        self.sink.rule("rcpt", domain="failed.test", reply="550 5.1.1 No such user")
        self.sink.rule("rcpt", domain="deferred.test", reply="450 4.2.1 Busy")
        # What the first process meets; the second one finds the way free.
        self.sink.rule("rcpt", address=RCPT, times=1, hang=True)
        self.sink.rule("body", address=DOT, times=1, hang=True)
        self.sink.rule("greeting", address=FIRST, times=1, hang=True)
        self.sink.rule("greeting", address=DOT, nth=2, gate="dot again")

        daemon = self.daemon
        submit = daemon.submit
        done = submit(["r@done.test"])
        daemon.wait_dispositions(done, "DELIVERED")
        # Rows of one message in three different states.
        mixed = submit(["a@done.test", "b@failed.test", "c@deferred.test"])
        wanted = {"a@done.test": "DELIVERED", "b@failed.test": "FAILED",
                  "c@deferred.test": "DEFERRED"}
        before = daemon.wait_dispositions(mixed, wanted)
        in_rcpt = submit(["r@rcpt.test"])
        behind = submit(["behind@rcpt.test"])  # queued: the only connection is taken
        in_dot = submit(["r@dot.test"])
        untouched = submit(["r@first.test"])   # its connection is open, nothing was said yet
        self.sink.wait_transactions(3)         # done, the part of mixed, and the one behind its dot
        for address, stage in ((RCPT, "rcpt"), (FIRST, "greeting")):
            self.sink.wait(lambda: any(c.local_address == address and f"{stage}: hangs" in c.notes()
                                       for c in self.sink.connections),
                           10, f"a receiver hangs at {stage}")

        daemon.restart(kill=True)

        after = daemon.message(mixed)
        self.assertEqual(dispositions(after), wanted)
        row = {r.domain: r for r in after.rows}["deferred.test"]
        old = {r.domain: r for r in before.rows}["deferred.test"]
        self.assertEqual((row.attempts, row.next_attempt), (old.attempts, old.next_attempt))
        self.assert_reply(recipient_states(after)["c@deferred.test"], 450, "rcpt", "Busy")
        self.assertEqual(after.expires, before.expires)

        # The receiver may have taken it: that is known, and it is tried again.
        self.sink.gates.wait_reached("dot again")
        self.assertTrue(daemon.message(in_dot).rows[0].in_doubt)
        self.sink.gates.release("dot again")

        for ident in (in_rcpt, behind, in_dot, untouched):
            daemon.wait_dispositions(ident, "DELIVERED", timeout=20)
        reached = [r for m in self.sink.messages for r in m.recipients]
        self.assertEqual(sorted(reached), sorted(
            ["r@done.test", "a@done.test", "r@rcpt.test", "behind@rcpt.test", "r@dot.test",
             "r@first.test"]))

    def test_a_clean_stop_leaves_nothing_in_doubt(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", times=1, reply="450 4.2.1 Busy")
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_dispositions(ident, "DEFERRED")
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.start()
        message = self.daemon.message(ident)
        self.assertEqual(dispositions(message), {"r@a.test": "DEFERRED"})
        self.assertEqual((message.rows[0].attempts, message.rows[0].in_doubt), (1, False))

    def test_a_spool_of_thousands_is_read_back_whole(self):
        self.dns.domain("a.test")
        self.sink.rule("greeting", connection=1, hang=True)
        self.make_daemon(options={"retry_schedule": ["100ms"]}).start()
        stream = self.daemon.delivery.SubmitStream(self.requests(2000))
        receipts = [r.receipt.message_id for answer in stream for r in answer.results]
        self.assertEqual(len(set(receipts)), 2000)
        self.daemon.restart(kill=True)
        self.sink.wait_messages(2000, timeout=40)
        got = sorted(r for m in self.sink.messages for r in m.recipients)
        self.assertEqual(got, sorted(f"r{i}@a.test" for i in range(2000)))

    @staticmethod
    def requests(count):
        for i in range(count):
            yield delivery_pb2.SubmitStreamRequest(submissions=[delivery_pb2.SubmitRequest(
                sender="s@source.test", recipients=[f"r{i}@a.test"], content=b"A: b\r\n\r\nx\r\n")])


if __name__ == "__main__":
    unittest.main()
