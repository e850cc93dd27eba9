"""Flush: what would wait for an hour is attempted now."""

import unittest

from scenario import ONE_CONNECTION, Scenario, merge, scope


class FlushMakesDue(Scenario):
    config = merge(ONE_CONNECTION, {"options": {"retry_schedule": ["1h"]}})

    def deferred(self, *recipients):
        """Messages that were refused once with 451."""
        idents = [self.daemon.submit([r]) for r in recipients]
        for ident in idents:
            self.daemon.wait_dispositions(ident, "DEFERRED")
        return idents

    def test_delayed_rows_of_the_scope_only(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.sink.rule("body", times=3, reply="451 4.3.0 later")
        first, second, other = self.deferred("r@a.test", "q@a.test", "r@b.test")
        code, out, err = self.daemon.run_cli("flush", "a.test")
        self.assertEqual((code, out), (0, "2 rows are due\n"), err)
        for ident in (first, second):
            message = self.daemon.wait_dispositions(ident, "DELIVERED")
            self.assertEqual(message.rows[0].attempts, 2)
        self.daemon.wait_dispositions(other, "DEFERRED")

    def test_one_message(self):
        self.dns.domain("a.test")
        self.sink.rule("body", times=2, reply="451 4.3.0 later")
        first, second = self.deferred("r@a.test", "q@a.test")
        self.assertEqual(self.control("Flush", message_id=second).rows, 1)
        self.daemon.wait_dispositions(second, "DELIVERED")
        self.daemon.wait_dispositions(first, "DEFERRED")
        self.assertEqual(self.control("Flush", scope=scope("b.test"), message_id=first).rows, 0)

    def test_ends_the_back_off_of_a_queue(self):
        self.dns.domain("a.test")
        self.sink.rule("greeting", times=1, reply="554 5.7.1 not you")
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.wait_dispositions(ident, "DEFERRED")
        self.assertEqual(self.control("Flush", scope=scope("*")).rows, 1)
        message = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(message.rows[0].attempts, 1)


if __name__ == "__main__":
    unittest.main()
