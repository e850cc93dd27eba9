"""A message is accepted, sent to the MX of its domain, and recorded as delivered."""

import unittest

from postern.v1 import delivery_pb2
from scenario import ONE_CONNECTION, Scenario, recipient_states


class Delivered(Scenario):
    config = ONE_CONNECTION

    def test_sends_the_message_to_the_mx_of_its_domain(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        content = b"Subject: x\r\n\r\n.dot first\r\n..two dots\r\n\r\nend without newline"
        receipt = self.daemon.submit_request(["r@a.test"], content=content)
        self.assertEqual(receipt.durability, delivery_pb2.DURABILITY_SYNCED)
        self.assertEqual([(r.domain, r.binding, r.recipients) for r in receipt.rows],
                         [("a.test", "default", 1)])
        message = self.daemon.wait_dispositions(receipt.message_id, "DELIVERED")
        self.assert_reply(recipient_states(message)["r@a.test"], 250, "body", "Accepted")

        got, = self.sink.messages
        self.assertEqual((got.sender, got.recipients), ("s@source.test", ["r@a.test"]))
        self.assertEqual(got.content, content + b"\r\n")
        self.assertEqual(self.sink.connections[0].helo, "source.test")

        opened = watch.wait_event("post_initiate_connection_smtp", lambda e: e.
                                  post_initiate_connection_smtp.WhichOneof("result") == "conn_fd")
        self.assertGreaterEqual(opened.post_initiate_connection_smtp.conn_fd, 0)
        self.assertEqual(opened.connection.domain, "a.test")
        self.assertEqual(opened.connection.mx_host, "mx.a.test")
        self.assertEqual(opened.connection.remote_address, f"127.0.0.1:{self.sink.port}")
        ready = watch.wait_event("session_ready").session_ready
        self.assertIn("PIPELINING", ready.capabilities)
        attempt = watch.wait_event("delivery_attempt").delivery_attempt
        self.assertEqual(attempt.message_id, receipt.message_id)
        self.assertEqual(attempt.recipients[0].reply.code, 250)
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "IDLE")
        self.assertEqual(closed.connection.connection_id, opened.connection.connection_id)
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")

    def test_sends_several_messages_over_one_connection(self):
        self.make_daemon(options={"idle_timeout": "1h"}).start()
        self.dns.domain("a.test")
        for i in range(5):
            self.deliver(f"r{i}@a.test")
        self.assertEqual(len(self.sink.connections), 1)

    def test_delivers_the_null_sender_and_content_with_bare_line_ends(self):
        self.dns.domain("a.test")
        self.deliver("r@a.test", sender="", content=b"A: b\n\nx\n.\ny\rz\n")
        got, = self.sink.messages
        self.assertEqual(got.sender, "")
        self.assertEqual(got.content, b"A: b\r\n\r\nx\r\n.\r\ny\r\nz\r\n")

    def test_delivers_without_any_extension_offered(self):
        self.sink.rule("ehlo", reply="502 5.5.2 HELO only")
        self.dns.domain("a.test")
        self.deliver("r@a.test", "q@a.test")
        self.assertEqual(self.sink.connections[0].commands()[:2],
                         ["EHLO source.test", "HELO source.test"])

    def test_delivers_a_message_of_many_megabytes(self):
        self.dns.domain("a.test")
        content = b"Subject: big\r\n\r\n" + b"".join(
            b".%076d\r\n" % i for i in range(8 * 1024 * 1024 // 79))
        self.deliver("r@a.test", content=content)
        self.assertTrue(self.sink.messages[0].content == content)

    def test_tries_the_hosts_in_order_of_preference(self):
        self.dns.mx("a.test", "second.a.test", 20)
        self.dns.mx("a.test", "first.a.test", 10)
        self.dns.a("first.a.test", "127.0.0.8")  # nobody listens there
        self.dns.a("second.a.test", "127.0.0.1")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        refused = self.wait_connect_error(watch, "CONNECT")
        self.assertEqual(refused.connection.mx_host, "first.a.test")

    def test_uses_the_address_of_a_domain_without_mx(self):
        self.dns.a("a.test", "127.0.0.1")
        self.deliver("r@a.test")


if __name__ == "__main__":
    unittest.main()
