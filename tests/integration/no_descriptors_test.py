"""No descriptor left for a socket: CONN_ERR_SOCKET, a fault of this machine and not of the host."""

import resource
import unittest

from scenario import Scenario, reason_of


class NoDescriptors(Scenario):
    # An address needs no lookup, which would want a descriptor as well.
    config = {"routes": [{"domain": "*", "hosts": ["127.0.0.1"]}]}

    def test_raises_socket_and_keeps_the_mail(self):
        watch = self.daemon.watch()
        self.deliver("r@a.test")  # whatever is opened at the first use is open now
        pid = self.daemon.process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        # Descriptors that are open stay so; no number is left for another.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, hard))
        ident = self.daemon.submit(["r@b.test"])
        event = self.wait_connect_error(watch, "SOCKET")
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.assertIn("Too many open files", event.post_initiate_connection_smtp.detail)
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "LOCAL_FAULT",
                                 what="reason LOCAL_FAULT")
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        self.daemon.wait_dispositions(ident, "DELIVERED")


if __name__ == "__main__":
    unittest.main()
