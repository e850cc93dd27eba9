"""No route of this machine: CONN_ERR_CONNECT_NETWORK, which suspends the address family. In a network namespace without any."""

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
                         options={"host_failure_retry": "1h"},
                         routes=[{"domain": "*", "hosts": ["192.0.2.1", "192.0.2.2"]}])
        with unittest.mock.patch.dict(os.environ, POSTERND=program):
            self.daemon.start()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        event = self.wait_connect_error(watch, "CONNECT_NETWORK")
        self.assertEqual(event.post_initiate_connection_smtp.probable_message_id, ident)
        self.assertTrue(event.connection.remote_address.startswith("192.0.2.1:"), event)
        self.assertIn("unreachable", event.post_initiate_connection_smtp.detail.lower())
        # The fault is of this machine, not of the host, and holds for the family: what else has no
        # route waits with it, and is not told.
        self.daemon.wait_message(ident, lambda m: reason_of(m) == "LOCAL_FAULT",
                                 what="reason LOCAL_FAULT")
        other = self.daemon.submit(["r@b.test"])
        self.daemon.wait_message(other, lambda m: reason_of(m) == "LOCAL_FAULT",
                                 what="reason LOCAL_FAULT")
        # Each period has one event, and the second one is twice as long.
        events = watch.wait_events("post_initiate_connection_smtp", 2)
        self.assertEqual({e.connection.remote_address for e in events},
                         {f"192.0.2.1:{self.sink.port}"})


if __name__ == "__main__":
    unittest.main()
