"""A 550 fails the recipient for good, at whatever step it comes."""

import unittest

from scenario import Scenario, recipient_states


class FailedOn550(Scenario):
    config = {"options": {"idle_timeout": "1h"}}

    def test_at_mail(self):
        self.check("mail")

    def test_at_rcpt(self):
        self.check("rcpt")

    def test_at_data(self):
        self.check("data")

    def test_after_the_final_dot(self):
        self.check("body")

    def check(self, stage):
        self.dns.domain("a.test")
        rule = self.sink.rule(stage, reply="550 5.7.1 Not from you")
        ident = self.daemon.submit(["r@a.test"])
        message = self.daemon.wait_dispositions(ident, "FAILED")
        self.assert_reply(recipient_states(message)["r@a.test"], 550, stage, "Not from you")
        self.assertEqual(message.rows[0].attempts, 1)
        # The session is as good as before: the next message uses it.
        self.sink.clear_rules()
        self.deliver("q@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        self.assertEqual(rule.hits, 1)


if __name__ == "__main__":
    unittest.main()
