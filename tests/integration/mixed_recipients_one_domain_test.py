"""One message, three recipients of one domain, three different ends."""

import unittest

from scenario import Scenario, recipient_states


class MixedRecipientsOneDomain(Scenario):
    def test_keeps_a_disposition_for_each_recipient(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", recipient="^bad@", reply="550 5.1.1 No such user")
        self.sink.rule("rcpt", recipient="^later@", nth=1, reply="452 4.2.2 Mailbox full")
        self.sink.rule("rcpt", recipient="^later@", nth=1, gate="retry")
        ident = self.daemon.submit(["good@a.test", "bad@a.test", "later@a.test"])
        self.daemon.wait_dispositions(
            ident, {"good@a.test": "DELIVERED", "bad@a.test": "FAILED", "later@a.test": "DEFERRED"})
        self.sink.gates.release("retry")
        message = self.daemon.wait_dispositions(
            ident, {"good@a.test": "DELIVERED", "bad@a.test": "FAILED",
                    "later@a.test": "DELIVERED"})
        # One transaction for the three, a second one for the one that was left.
        self.assertEqual([m.recipients for m in self.sink.messages],
                         [["good@a.test"], ["later@a.test"]])
        self.assert_reply(recipient_states(message)["bad@a.test"], 550, "rcpt", "No such user")
        rcpts = [c for conn in self.sink.connections for c in conn.commands()
                 if c.startswith("RCPT")]
        self.assertEqual(len(rcpts), 4)

    def test_sends_no_content_when_every_recipient_is_refused(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", reply="550 5.1.1 No such user")
        # A receiver that says 354 all the same gets a lone dot.
        self.sink.rule("data", reply="354 Go ahead")
        ident = self.daemon.submit(["one@a.test", "two@a.test"])
        self.daemon.wait_dispositions(ident, "FAILED")
        self.assertEqual([m.content for m in self.sink.transactions if m.content], [])

    def test_splits_recipients_into_batches(self):
        self.dns.domain("a.test")
        self.make_daemon(options={"max_recipients_per_batch": 2, "max_outbound_connections": 1})
        self.daemon.start()
        self.deliver(*[f"r{i}@a.test" for i in range(5)])
        self.assertEqual(sorted(len(m.recipients) for m in self.sink.messages), [1, 2, 2])

    def test_charges_one_attempt_for_all_batches_and_before_the_first_is_recorded(self):
        self.dns.domain("a.test")
        self.make_daemon(options={"max_recipients_per_batch": 2, "max_outbound_connections": 1})
        self.daemon.start()
        outcomes = self.daemon.outcomes()
        message = self.daemon.message(self.deliver(*[f"r{i}@a.test" for i in range(5)]))
        self.assertEqual([o.attempts for o in outcomes.wait_outcomes(5)], [1] * 5)
        self.assertEqual(message.rows[0].attempts, 1)

    def test_offers_every_deferred_recipient_once_in_each_round(self):
        self.dns.domain("a.test")
        self.make_daemon(options={"max_recipients_per_batch": 2, "max_outbound_connections": 1})
        self.daemon.start()
        outcomes = self.daemon.outcomes()
        # In the first round all of them are deferred, in the second those that are offered first.
        self.sink.rule("rcpt", times=5, reply="452 4.2.2 Mailbox full")
        self.sink.rule("rcpt", recipient="^r[01]@", times=2, reply="452 4.2.2 Mailbox full")
        self.deliver(*[f"r{i}@a.test" for i in range(5)])
        rounds = {}
        for outcome in outcomes.wait_outcomes(12):
            rounds.setdefault(outcome.attempts, []).append(outcome.recipient)
        everyone = [f"r{i}@a.test" for i in range(5)]
        self.assertEqual(rounds, {1: everyone, 2: everyone, 3: everyone[:2]})


if __name__ == "__main__":
    unittest.main()
