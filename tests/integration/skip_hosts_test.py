"""Addresses in skip_hosts are never dialled: other hosts are used, else the mail waits."""

import unittest

from scenario import Scenario, reason_of


class SkipHosts(Scenario):
    config = {"options": {"skip_hosts": ["127.0.0.8"]}}

    def test_other_hosts_are_used(self):
        self.dns.domain("a.test", "127.0.0.8", "127.0.0.1")
        self.deliver("r@a.test")

    def test_the_mail_waits_when_there_is_no_other(self):
        self.dns.domain("a.test", "127.0.0.8")
        skipped = self.other_sink("127.0.0.8")
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.wait_connect_error(watch, "NO_MXS_REACHABLE")
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "HOST_BACKOFF",
                                 what="reason HOST_BACKOFF")
        self.assertEqual(skipped.connections, [])


if __name__ == "__main__":
    unittest.main()
