"""`tls: required` and a receiver without STARTTLS: no mail in plaintext, it waits."""

import unittest

from certificates import server_context
from postern.v1 import control_pb2
from scenario import Scenario, dispositions, reason_of, scaled


class RequiredNotOffered(Scenario):
    config = {"options": {"tls": "required"}}

    def test_defers_the_mail_and_says_why(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        message = self.daemon.wait_message(ident, lambda m: reason_of(m) == "TLS_FAILED",
                                           what="reason TLS_FAILED")
        self.assertIn(dispositions(message)["r@a.test"], ("QUEUED", "DEFERRED"))
        self.assert_closed(watch.wait_event("connection_closed"), "TLS_FAILED")
        queue, = self.daemon.control.ListQueues(control_pb2.ListQueuesRequest(),
                                                timeout=scaled(10)).queues
        self.assertEqual((queue.domain, queue.active + queue.delayed), ("a.test", 1))
        # Neither a transaction nor a ready session; in good order.
        self.assertEqual(watch.of_kind("session_ready"), [])
        self.assertEqual(self.sink.wait_closed(1).commands(), ["EHLO source.test", "QUIT"])
        # The receiver learns TLS, and the mail goes out.
        self.sink.tls = server_context(self.ca.issue_for("mx.a.test"))
        self.sink.capabilities.append("STARTTLS")
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.assertIsNotNone(self.sink.connections[-1].tls)

    def test_does_not_take_a_refused_starttls_for_an_answer(self):
        self.sink.capabilities.append("STARTTLS")
        self.sink.tls = server_context(self.ca.issue_for("mx.a.test"))
        self.sink.rule("starttls", times=1, reply="454 4.7.0 Not now")
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.assert_closed(watch.wait_event("connection_closed"), "TLS_FAILED",
                           reason="454 4.7.0 Not now")
        self.assertEqual(len(self.sink.connections), 2)

    def test_goes_on_to_a_host_that_offers_it(self):
        secure = self.other_sink("127.0.0.2", tls=server_context(self.ca.issue_for("b.a.test")))
        self.dns.mx("a.test", "a.a.test", 10)
        self.dns.mx("a.test", "b.a.test", 20)
        self.dns.a("a.a.test", "127.0.0.1")
        self.dns.a("b.a.test", "127.0.0.2")
        self.deliver("r@a.test")
        self.assertEqual((len(self.sink.messages), len(secure.messages)), (0, 1))


if __name__ == "__main__":
    unittest.main()
