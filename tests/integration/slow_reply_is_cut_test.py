"""A deadline is that of a whole reply: a receiver that says it octet by octet gains nothing."""

import unittest

from scenario import Scenario, ms, reason_of


class SlowReplyIsCut(Scenario):
    config = {"options": {"body_timeout": ms(1500), "retry_schedule": ["1h"]}}

    def test_after_the_final_dot(self):
        self.dns.domain("a.test")
        # Each octet comes in time, all of them would take twelve seconds.
        self.sink.rule("body", reply="250-taken\n250 really taken", slow=0.5)
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        attempt = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertTrue(attempt.in_doubt)
        self.assert_closed(watch.wait_event("connection_closed"), "TIMEOUT")
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "IN_DOUBT",
                                 what="reason IN_DOUBT")


if __name__ == "__main__":
    unittest.main()
