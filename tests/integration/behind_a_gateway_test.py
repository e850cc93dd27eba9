"""Behind a gateway all mail is in its queue, and is still found by the recipients' domains."""

import unittest

from postern.v1 import delivery_pb2
from scenario import Scenario, scaled, scope


class BehindAGateway(Scenario):
    def test_messages_are_listed_by_the_recipients_domain(self):
        self.make_daemon(
            options={"gateway": {"host": "127.0.0.1", "port": self.sink.port}}).start()
        self.suspend("*")
        both = self.daemon.submit(["r@a.test", "q@B.test"])
        one = self.daemon.submit(["r@a.test"])

        def listed(domain):
            answer = self.daemon.delivery.ListMessages(
                delivery_pb2.ListMessagesRequest(domain=domain), timeout=scaled(20))
            return [m.message_id for m in answer.messages]

        # In the order of their ids, which are any of one millisecond.
        self.assertEqual(listed("a.test"), sorted([both, one]))
        self.assertEqual(listed("b.test."), [both])
        self.assertEqual(listed(f"127.0.0.1:{self.sink.port}"), sorted([both, one]))
        self.assertEqual(listed("c.test"), [])

    def test_what_waits_follows_the_gateway_of_now(self):
        other = self.other_sink("127.0.0.2")
        self.make_daemon(
            options={"gateway": {"host": "127.0.0.1", "port": self.sink.port}}).start()
        self.suspend("*")
        first = self.daemon.submit(["r@a.test"])
        config = self.daemon.get_config().config
        config.options.gateway.host = "127.0.0.2"
        self.daemon.apply_config(config=config)
        self.assertIsNotNone(self.queue(f"127.0.0.2:{self.sink.port}"))
        # None at all: to the hosts of the domain.
        config.options.ClearField("gateway")
        self.daemon.apply_config(config=config)
        self.dns.domain("a.test", "127.0.0.1")
        self.assertEqual(self.daemon.message(first).rows[0].queue_domain, "a.test")
        config.options.gateway.host = "127.0.0.2"
        config.options.gateway.port = self.sink.port
        self.daemon.apply_config(config=config)
        self.daemon.restart(kill=True)
        self.control("Resume", scope=scope("*"))
        self.daemon.wait_dispositions(first, "DELIVERED")
        self.assertEqual((len(self.sink.messages), len(other.messages)), (0, 1))


if __name__ == "__main__":
    unittest.main()
