"""A domain that does not exist: CONN_ERR_MX_LOOKUP_FAILED, and the mail fails."""

import unittest

from scenario import Scenario, recipient_states


class Nxdomain(Scenario):
    def test_fails_mail_for_a_domain_that_does_not_exist(self):
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@missing.test"])
        message = self.daemon.wait_dispositions(ident, "FAILED")
        reply = recipient_states(message)["r@missing.test"].last_reply
        self.assertEqual((reply.code, reply.enhanced_status), (550, "5.1.2"))
        event = self.wait_connect_error(watch, "MX_LOOKUP_FAILED")
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)

    def test_raises_lookup_pending_first(self):
        watch = self.daemon.watch()
        self.daemon.submit(["r@missing.test"])
        pending = self.wait_connect_error(watch, "MX_LOOKUP_PENDING")
        failed = self.wait_connect_error(watch, "MX_LOOKUP_FAILED")
        self.assertLess(pending.sequence, failed.sequence)


if __name__ == "__main__":
    unittest.main()
