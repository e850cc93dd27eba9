"""One message to three domains: three rows, each with an end of its own."""

import unittest

from scenario import Scenario, reason_of


class MixedRecipientsSeveralDomains(Scenario):
    def test_keeps_a_row_for_each_domain(self):
        for domain in ("good.test", "bad.test", "later.test"):
            self.dns.domain(domain)
        self.sink.rule("rcpt", domain="bad.test", reply="550 5.1.1 No such user")
        self.sink.rule("body", domain="later.test", reply="451 4.3.0 Later", nth=1)
        self.sink.rule("body", domain="later.test", gate="retry", nth=1)
        watch = self.daemon.watch()
        receipt = self.daemon.submit_request(
            ["a@good.test", "b@bad.test", "c@later.test", "d@good.test"])
        self.assertEqual(sorted((r.domain, r.recipients) for r in receipt.rows),
                         [("bad.test", 1), ("good.test", 2), ("later.test", 1)])
        ident = receipt.message_id
        message = self.daemon.wait_dispositions(
            ident, {"a@good.test": "DELIVERED", "d@good.test": "DELIVERED", "b@bad.test": "FAILED",
                    "c@later.test": "DEFERRED"})
        self.assertEqual(reason_of(message, "later.test"), "TRANSIENT_FAILURE")
        self.sink.gates.release("retry")
        self.daemon.wait_dispositions(
            ident, {"a@good.test": "DELIVERED", "d@good.test": "DELIVERED", "b@bad.test": "FAILED",
                    "c@later.test": "DELIVERED"})
        self.assertEqual(sorted(m.recipients for m in self.sink.messages),
                         [["a@good.test", "d@good.test"], ["c@later.test"]])
        # Every connection carried the mail of one domain only.
        domains = {}
        for event in watch.of_kind("delivery_attempt"):
            for recipient in event.delivery_attempt.recipients:
                domains.setdefault(event.connection.connection_id, set()).add(
                    recipient.recipient.split("@")[1])
        self.assertTrue(all(len(d) == 1 for d in domains.values()), domains)


if __name__ == "__main__":
    unittest.main()
