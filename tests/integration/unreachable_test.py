"""No route to the receiver: CONN_ERR_CONNECT_NETWORK. In a network namespace without any."""

import os
import shlex
import subprocess
import unittest
import unittest.mock

from scenario import Scenario, reason_of

NAMESPACE = ["unshare", "--net", "--"]


def permitted():
    return subprocess.run(NAMESPACE + ["true"], capture_output=True).returncode == 0


@unittest.skipUnless(permitted(), "needs the right to make a network namespace (root)")
class Unreachable(Scenario):
    def test_raises_connect_network_and_keeps_the_mail(self):
        program = os.path.join(self.directory, "posternd-without-routes")
        with open(program, "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\nexec " + shlex.join(NAMESPACE + [os.environ["POSTERND"]]) +
                       ' "$@"\n')
        os.chmod(program, 0o755)
        listener = "unix:" + os.path.join(self.directory, "postern.sock")
        self.make_daemon(server={"grpc_listeners": [{"address": listener}], "http_listener": None},
                         routes=[{"domain": "*", "hosts": ["192.0.2.1", "192.0.2.2"]}])
        with unittest.mock.patch.dict(os.environ, POSTERND=program):
            self.daemon.start()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        event = self.wait_connect_error(watch, "CONNECT_NETWORK")
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.assertTrue(event.connection.remote_address.startswith("192.0.2.1:"), event)
        self.assertIn("unreachable", event.post_initiate_connection_smtp.detail.lower())
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "CONNECT_FAILED",
                                 what="reason CONNECT_FAILED")
        # Every address was tried, in order, and told.
        second = watch.wait_events("post_initiate_connection_smtp", 2)[1]
        self.assertEqual(second.connection.remote_address, f"192.0.2.2:{self.sink.port}")


if __name__ == "__main__":
    unittest.main()
