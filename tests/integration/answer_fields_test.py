"""What lists, queries and events say about mail that is in a session, and how long its steps took."""

import unittest

from postern.v1 import types_pb2
from running import eventually
from scenario import Scenario, reason_of, recipient_states, short


def seconds(duration):
    return duration.seconds + duration.nanos / 1e9


class AnswerFields(Scenario):
    # Sessions stay for as long as a scenario looks at them.
    config = {"options": {"idle_timeout": "1h"}}

    def test_a_row_in_a_session_says_so_and_its_connection_names_the_message(self):
        self.dns.domain("a.test")
        self.sink.rule("body", nth=1, gate="dot", reply="451 4.3.0 later")
        self.sink.rule("mail", nth=2, gate="second")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test", "q@a.test"])
        self.sink.gates.wait_reached("dot")
        row = self.daemon.message(ident).rows[0]
        self.assertTrue(row.in_session)
        self.assertFalse(row.HasField("last_attempt"))
        self.assertTrue(row.recipients[0].HasField("changed"))  # queued
        connection, = self.control("ListConnections").connections
        self.assertEqual(connection.message_id, ident)
        queue = self.queue("a.test")
        self.assertEqual(queue.connection_goal, 1)
        self.assertEqual(queue.config_generation, 1)
        self.assertFalse(queue.HasField("last_failure"))
        self.sink.gates.release("dot")

        attempt = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertEqual({short(types_pb2.RequeueReason, r.reason) for r in attempt.recipients},
                         {"TRANSIENT_FAILURE"})
        stages = [short(types_pb2.SmtpStage, phase.stage) for phase in attempt.phases]
        self.assertEqual(stages[0], "MAIL")
        self.assertEqual(stages[-1], "BODY")
        self.assertAlmostEqual(sum(seconds(p.took) for p in attempt.phases),
                               seconds(attempt.took), places=6)
        self.sink.gates.wait_reached("second")
        # The second attempt may be faster than the disk.
        message = self.daemon.wait_message(ident, lambda m: reason_of(m) == "TRANSIENT_FAILURE",
                                           what="reason TRANSIENT_FAILURE")
        row = message.rows[0]
        self.assertTrue(row.in_session)
        self.assertTrue(row.HasField("last_attempt"))
        state = recipient_states(message)["r@a.test"]
        self.assertGreaterEqual(state.changed.ToNanoseconds(), message.submitted.ToNanoseconds())
        connections = self.control("ListConnections").connections
        self.assertIn(2, [c.recipients for c in connections])
        self.sink.gates.release("second")
        message = self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertFalse(message.rows[0].in_session)
        delivered = watch.wait_events("delivery_attempt", 2)[1].delivery_attempt
        self.assertEqual(delivered.recipients[0].reason, 0)

    def test_each_phase_has_its_own_time(self):
        self.make_daemon(options={"max_outbound_connections": 1})
        self.dns.domain("a.test")
        self.sink.rule("rcpt", times=1, gate="rcpt")
        self.daemon.start()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("rcpt")
        before = self.daemon.message(ident)
        self.assertTrue(before.rows[0].in_session)
        # The reply to MAIL has been read: what follows is the time of RCPT.
        eventually(lambda: any(short(types_pb2.SmtpStage, c.stage) == "RCPT"
                               for c in self.control("ListConnections").connections))
        self.sink.gates.release("rcpt")
        phases = watch.wait_event("delivery_attempt").delivery_attempt.phases
        self.assertIn("RCPT", [short(types_pb2.SmtpStage, phase.stage) for phase in phases])

    def test_a_queue_names_its_last_failure_until_something_succeeds(self):
        self.dns.domain("a.test")
        self.sink.rule("greeting", connection=1, reply="554 5.7.1 not you")
        self.sink.rule("greeting", connection=2, gate="greeting")
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("greeting")
        queue = self.queue("a.test")
        self.assertEqual(queue.last_failure.code, 554)
        self.assertEqual(queue.last_failure.text, "not you")
        self.sink.gates.release("greeting")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertFalse(self.queue("a.test").HasField("last_failure"))

        # The queue holds no mail now, only an idle connection.
        code, out, err = self.daemon.run_cli("queues")
        self.assertEqual(code, 0, err)
        header, line = out.splitlines()
        self.assertEqual(line.split()[header.split().index("OLDEST")], "-")


if __name__ == "__main__":
    unittest.main()
