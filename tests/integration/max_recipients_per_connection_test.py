"""After max_recipients_per_connection RCPT commands the session ends, cause max_recipients."""

import unittest

from scenario import LASTING_CONNECTION, Scenario, merge


class MaxRecipientsPerConnection(Scenario):
    config = merge(LASTING_CONNECTION, {"options": {"max_recipients_per_connection": 3}})

    def test_ends_the_session_at_the_boundary_behind_the_limit(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        for i in range(3):
            self.deliver(f"a{i}@a.test", f"b{i}@a.test")
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "MAX_RECIPIENTS")
        self.assertEqual(closed.connection_closed.deliveries, 2)
        self.assertEqual([m.connection for m in self.sink.messages], [1, 1, 2])


if __name__ == "__main__":
    unittest.main()
