"""Bindings: where their connections come from, what they call themselves, which family they dial."""

import unittest

from postern.v1 import control_pb2, types_pb2
from scenario import Scenario, reason_of, scaled


class BindAddress(Scenario):
    def test_connects_from_the_address_of_the_binding_under_its_name(self):
        self.dns.domain("a.test")
        self.make_daemon(bindings=[
            {"name": "one", "options": {"bind_address": ["127.0.0.11"],
                                        "ehlo_hostname": "one.source.test"}},
            {"name": "two", "options": {"bind_address": ["127.0.0.12", "::1"],
                                        "ehlo_hostname": "two.source.test"}}]).start()
        watch = self.daemon.watch()
        for name in ("one", "two", "default"):
            self.deliver("r@a.test", binding=name)
        self.assertEqual([(c.peer.split(":")[0], c.helo) for c in self.sink.connections],
                         [("127.0.0.11", "one.source.test"), ("127.0.0.12", "two.source.test"),
                          ("127.0.0.1", "source.test")])
        ready, = watch.wait_events("session_ready", 1, lambda e: e.connection.binding.name == "one")
        self.assertTrue(ready.connection.local_address.startswith("127.0.0.11:"))

    def test_an_address_that_is_not_of_this_machine_raises_bind(self):
        self.dns.domain("a.test")
        self.make_daemon(bindings=[
            {"name": "far", "options": {"bind_address": ["198.51.100.1"]}}]).start()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"], binding="far")
        event = self.wait_connect_error(watch, "BIND")
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "LOCAL_FAULT",
                                 what="reason LOCAL_FAULT")
        self.assertEqual(self.sink.connections, [])
        # The host is not to blame: others go there at once.
        self.deliver("r@a.test")

    def test_a_missing_address_suspends_the_binding_with_one_event_for_all_its_queues(self):
        self.dns.domain("a.test")
        self.dns.domain("b.test")
        self.make_daemon(options={"host_failure_retry": "1h"}, bindings=[
            {"name": "far", "options": {"bind_address": ["198.51.100.1"]}}]).start()
        watch = self.daemon.watch()
        idents = [self.daemon.submit([f"r@{domain}"], binding="far")
                  for domain in ("a.test", "b.test")]
        for ident in idents:
            message = self.daemon.wait_message(ident, lambda m: reason_of(m) == "LOCAL_FAULT",
                                               what="reason LOCAL_FAULT")
            self.assertEqual(message.rows[0].attempts, 0)
        # Three periods, of 1 s, 2 s and 4 s: both queues try again in each, one is told.
        number = types_pb2.CONN_ERROR_BIND
        events = watch.wait_events("post_initiate_connection_smtp", 3,
                                   lambda e: e.post_initiate_connection_smtp.error == number)
        times = [e.time.ToNanoseconds() for e in events]
        self.assertGreaterEqual(times[1] - times[0], 900_000_000)
        self.assertGreaterEqual(times[2] - times[1], 1_900_000_000)
        self.assertEqual(self.sink.connections, [])


class AddressFamily(Scenario):
    sink_addresses = ("127.0.0.1", "::1")

    def reached(self, family):
        self.dns.a("a.test", "127.0.0.1")
        self.dns.a("a.test", "::1")
        self.make_daemon(options={"address_family": family}).start()
        self.deliver("r@a.test")
        return self.sink.connections[0].local_address

    def test_any_begins_with_ipv4(self):
        self.assertEqual(self.reached("any"), "127.0.0.1")

    def test_prefer_ipv6_begins_with_ipv6(self):
        self.assertEqual(self.reached("prefer_ipv6"), "::1")

    def test_ipv6_only_dials_no_other(self):
        self.assertEqual(self.reached("ipv6_only"), "::1")

    def test_a_host_without_the_family_has_no_address(self):
        self.dns.a("b.test", "127.0.0.1")
        self.make_daemon(options={"address_family": "ipv6_only"}).start()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@b.test"])
        event = self.wait_connect_error(watch, "MX_LOOKUP_FAILED")
        self.assertIn("IPv6", event.post_initiate_connection_smtp.detail)
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "MX_LOOKUP",
                                 what="reason MX_LOOKUP")
        queue, = self.daemon.control.ListQueues(control_pb2.ListQueuesRequest(),
                                                timeout=scaled(10)).queues
        self.assertEqual(queue.active + queue.delayed, 1)


if __name__ == "__main__":
    unittest.main()
