"""Connections that replace ended ones draw on redial_rate: what is beyond its burst waits."""

import unittest

from postern.v1 import types_pb2
from scenario import LASTING_CONNECTION, Scenario, eventually, merge, module, short

BURST = {"options": {"redial_rate": {"count": 1, "per": "1h", "burst": 2}}}


class RedialRate(Scenario):
    def queue_is_throttled(self):
        queue = self.queue("a.test")
        return (queue and short(types_pb2.RequeueReason, queue.reason) == "THROTTLED" and
                queue.dialing == queue.open_connections == 0 and queue)

    def test_a_hook_that_ends_every_session_cannot_make_a_storm(self):
        self.config = merge(merge(LASTING_CONNECTION, BURST),
                            {"modules": [module("end_session", deliveries=1)]})
        self.dns.domain("a.test")
        for i in range(6):
            self.daemon.submit([f"r{i}@a.test"])
        queue = eventually(self.queue_is_throttled, what="the queue waits for its redial rate")
        # The first one replaced nothing, two were the burst: each delivered its message.
        self.assertEqual(len(self.sink.connections), 3)
        self.assertEqual(len(self.sink.messages), 3)
        self.assertEqual(queue.active, 3)
        # An operator's flush ends back-offs; this is none.
        self.control("Flush", scope={"domain": "a.test"})
        self.assertTrue(self.queue_is_throttled())
        self.assertEqual(len(self.sink.connections), 3)

    def test_a_receiver_that_ends_every_session_is_not_stormed(self):
        self.config = merge(LASTING_CONNECTION, BURST)
        self.dns.domain("a.test")
        # Ordinary recycling: each connection takes one message and answers the next one with 421.
        self.sink.rule("mail", transaction=2, reply="421 4.7.0 enough", close="after")
        for i in range(6):
            self.daemon.submit([f"r{i}@a.test"])
        eventually(self.queue_is_throttled, what="the queue waits for its redial rate")
        self.assertEqual(len(self.sink.connections), 3)
        self.assertEqual(len(self.sink.messages), 3)

    def test_a_token_that_comes_back_lets_the_next_one_through(self):
        self.config = merge(merge(LASTING_CONNECTION, {"options": {"redial_rate": {
            "count": 5, "per": "1s", "burst": 1}}}),
            {"modules": [module("end_session", deliveries=1)]})
        self.dns.domain("a.test")
        idents = [self.daemon.submit([f"r{i}@a.test"]) for i in range(4)]
        for ident in idents:
            self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(self.sink.connections), 4)


if __name__ == "__main__":
    unittest.main()
