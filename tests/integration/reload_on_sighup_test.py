"""SIGHUP reads the configuration file again: what it says holds at once, for open sessions too."""

import os
import signal
import unittest

from dns_server import DnsServer
from scenario import ONE_CONNECTION, Scenario, merge, ms


class ReloadOnSighup(Scenario):
    # Long: a session must still idle when the new configuration comes.
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": ms(60000)}})

    def test_a_session_that_a_new_limit_forbids_ends_with_limit_changed(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.assertEqual(self.daemon.get_config().generation, 1)
        self.daemon.reload(options={"max_deliveries_per_connection": 1})
        closed = watch.wait_event("connection_closed")
        self.assert_closed(closed, "LIMIT_CHANGED")
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")
        answer = self.daemon.wait_generation(2)
        self.assertEqual(answer.config.options.max_deliveries_per_connection, 1)
        self.assertEqual(self.daemon.metric("postern_config_generation"), 2)
        # And the new limit holds for the next connection.
        self.deliver("two@a.test")
        closed, = watch.wait_events("connection_closed", 2)[1:]
        self.assert_closed(closed, "MAX_DELIVERIES")

    def test_a_plaintext_session_ends_when_tls_is_required(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.daemon.reload(options={"tls": "required"})
        self.assert_closed(watch.wait_event("connection_closed"), "LIMIT_CHANGED")
        self.daemon.submit(["two@a.test"])
        self.assert_closed(watch.wait_events("connection_closed", 2)[1], "TLS_FAILED")
        self.assertEqual(len(self.sink.messages), 1)

    def test_a_session_that_has_had_its_recipients_ends(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.deliver("two@a.test")
        self.daemon.reload(options={"max_recipients_per_connection": 2})
        self.assert_closed(watch.wait_event("connection_closed"), "LIMIT_CHANGED")

    def test_a_session_to_a_host_that_is_prohibited_now_ends(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("one@a.test")
        self.daemon.reload(options={"prohibited_hosts": ["127.0.0.0/8"]})
        self.assert_closed(watch.wait_event("connection_closed"), "LIMIT_CHANGED")
        ident = self.daemon.submit(["two@a.test"])
        self.daemon.wait_dispositions(ident, "FAILED")

    def test_a_session_that_no_change_concerns_goes_on(self):
        self.dns.domain("a.test")
        self.deliver("one@a.test")
        self.daemon.reload(options={"quit_timeout": ms(900)})
        self.daemon.wait_generation(2)
        self.deliver("two@a.test")
        self.assertEqual(len(self.sink.connections), 1)

    def test_name_servers_bindings_and_policy_are_read_again(self):
        self.dns.domain("a.test")
        self.deliver("one@a.test")
        other = DnsServer().start()
        self.addCleanup(other.stop)
        other.domain("b.test")
        self.daemon.reload(dns_servers=[f"{other.address}:{other.port}"],
                           bindings=[{"name": "news"}],
                           policy={"providers": [{"name": "policy", "cause_defaults": [
                               {"cause": "no_subscriber", "verdict": "shutdown"}]}]})
        self.daemon.wait_generation(2)
        watch = self.daemon.watch()
        self.deliver("two@b.test", binding="news")
        self.assert_closed(watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy")

    def test_what_takes_a_restart_is_named(self):
        self.daemon.reload(server={"scheduler_threads": 3})
        answer = self.daemon.wait_generation(2)
        self.assertEqual(list(answer.needs_restart), ["server.scheduler_threads"])
        self.daemon.wait_log("takes a restart: server.scheduler_threads")

    def test_an_unchanged_file_changes_nothing(self):
        self.daemon.process.send_signal(signal.SIGHUP)
        self.daemon.wait_log("says what it said before")
        self.assertEqual(self.daemon.get_config().generation, 1)
        self.assertTrue(os.path.exists(self.daemon.config_file))


if __name__ == "__main__":
    unittest.main()
