"""What became of a finished message is known after a restart: state, replies, each attempt."""

import unittest

import grpc
from postern.v1 import delivery_pb2, types_pb2
from scenario import Scenario, dispositions, recipient_states


class FinishedMessageAfterRestart(Scenario):
    def test_state_and_history_are_kept(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.sink.rule("rcpt", recipient="r@a.test", times=1, reply="450 4.2.1 Busy")
        self.sink.rule("rcpt", domain="b.test", reply="550 5.1.1 No such user")
        daemon = self.daemon
        ident = daemon.submit(["r@a.test", "q@b.test"])
        wanted = {"r@a.test": "DELIVERED", "q@b.test": "FAILED"}
        before = daemon.wait_dispositions(ident, wanted)
        other = self.deliver("x@a.test")

        daemon.restart(kill=True)
        after = daemon.message(ident)
        self.assertEqual(dispositions(after), wanted)
        self.assertEqual((after.submitted, after.expires, after.size_bytes, after.sender),
                         (before.submitted, before.expires, before.size_bytes, before.sender))
        self.assert_reply(recipient_states(after)["q@b.test"], 550, "rcpt", "No such user")
        row = {r.domain: r for r in after.rows}["a.test"]
        self.assertEqual(row.attempts, 2)
        self.assertEqual([a.reply.code for a in row.history], [450, 250])
        for attempt in row.history:
            self.assertEqual(attempt.connection.domain, "a.test")
            self.assertTrue(attempt.connection.remote_address.endswith(f":{self.sink.port}"))
            self.assertEqual(len(attempt.connection.connection_id), 32)
        self.assertLess(row.history[0].time.ToNanoseconds(), row.history[1].time.ToNanoseconds())

        # Lists: by state and domain, a page at a time.
        def listed(**fields):
            answer = daemon.delivery.ListMessages(delivery_pb2.ListMessagesRequest(**fields))
            return [m.message_id for m in answer.messages], answer.next_page_token

        delivered = [types_pb2.DISPOSITION_DELIVERED]
        self.assertEqual(listed(states=delivered), ([ident, other], ""))
        first, token = listed(states=delivered, page_size=1)
        self.assertEqual((first, bool(token)), ([ident], True))
        self.assertEqual(listed(states=delivered, page_size=1, page_token=token)[0], [other])
        self.assertEqual(listed(domain="b.test", states=[types_pb2.DISPOSITION_FAILED])[0],
                         [ident])
        self.assertEqual(listed()[0], [])

    def test_the_history_of_a_message_that_waits_is_shown(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", reply="450 4.2.1 Busy")
        ident = self.daemon.submit(["r@a.test"])
        message = self.daemon.wait_message(ident, lambda m: len(m.rows[0].history) >= 2)
        self.assertEqual({a.reply.code for a in message.rows[0].history}, {450})

    def test_not_longer_than_the_configuration_says(self):
        self.dns.domain("a.test")
        self.make_daemon(server={"keep_finished_messages": 0}).start()
        ident = self.daemon.submit(["r@a.test"])
        self.daemon.outcomes().wait_outcomes(1)
        with self.assertRaises(grpc.RpcError) as caught:
            self.daemon.message(ident)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.NOT_FOUND)


if __name__ == "__main__":
    unittest.main()
