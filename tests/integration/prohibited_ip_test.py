"""Addresses in prohibited_hosts: not dialled; when no other is left the mail fails."""

import unittest

from postern.v1 import types_pb2
from scenario import Scenario, recipient_states


class ProhibitedIp(Scenario):
    config = {"options": {"prohibited_hosts": ["127.0.0.2", "127.0.0.3"]}}

    @staticmethod
    def is_prohibited(event):
        error = event.post_initiate_connection_smtp.error
        return error == types_pb2.CONN_ERROR_PROHIBITED_IP

    def test_fails_mail_for_a_domain_with_no_other_host(self):
        self.dns.domain("a.test", "127.0.0.2", "127.0.0.3")
        forbidden = self.other_sink("127.0.0.2")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        message = self.daemon.wait_dispositions(ident, "FAILED")
        reply = recipient_states(message)["r@a.test"].last_reply
        self.assertEqual((reply.code, reply.enhanced_status), (550, "5.4.4"))
        # Once for each address, while the head of the queue was still there to be looked at.
        events = watch.wait_events("post_initiate_connection_smtp", 2, self.is_prohibited)
        self.assertEqual(sorted(e.connection.remote_address for e in events),
                         [f"127.0.0.2:{self.sink.port}", f"127.0.0.3:{self.sink.port}"])
        for event in events:
            self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.assertEqual(forbidden.connections, [])

    def test_goes_on_to_a_host_that_may_be_dialled(self):
        self.dns.mx("a.test", "a.a.test", 10)
        self.dns.mx("a.test", "b.a.test", 20)
        self.dns.a("a.a.test", "127.0.0.2")
        self.dns.a("b.a.test", "127.0.0.1")
        forbidden = self.other_sink("127.0.0.2")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        skipped, = watch.wait_events("post_initiate_connection_smtp", 1, self.is_prohibited)
        self.assertEqual(skipped.connection.mx_host, "a.a.test")
        self.assertEqual(forbidden.connections, [])


if __name__ == "__main__":
    unittest.main()
