"""Nobody listens at the MX: the hook hears CONN_ERR_CONNECT, the mail waits and goes out later."""

import unittest

from postern.v1 import control_pb2
from scenario import Scenario, dispositions, eventually, reason_of, scaled


class Refused(Scenario):
    def test_raises_the_hook_with_connect_and_keeps_the_mail(self):
        self.dns.domain("a.test", "127.0.0.8")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        event = self.wait_connect_error(watch, "CONNECT")
        self.assertEqual(event.connection.remote_address, f"127.0.0.8:{self.sink.port}")
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.assertIn("refused", event.post_initiate_connection_smtp.detail.lower())
        message = self.daemon.wait_message(
            ident, lambda m: reason_of(m) == "CONNECT_FAILED", what="reason CONNECT_FAILED")
        self.assertIn(dispositions(message)["r@a.test"], ("QUEUED", "DEFERRED"))
        queue, = self.daemon.control.ListQueues(control_pb2.ListQueuesRequest(),
                                                timeout=scaled(10)).queues
        self.assertEqual((queue.domain, queue.active + queue.delayed), ("a.test", 1))
        # As GetMessage says it.
        eventually(lambda: self.reason_of_queue("a.test") == "CONNECT_FAILED",
                   what="the queue's reason")
        # No connection was there to be closed, and no transaction to be judged.
        self.assertEqual(watch.of_kind("connection_closed"), [])
        self.assertEqual(watch.of_kind("verdict"), [])
        late = self.other_sink("127.0.0.8")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertEqual(len(late.messages), 1)


if __name__ == "__main__":
    unittest.main()
