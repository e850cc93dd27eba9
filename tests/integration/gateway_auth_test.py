"""AUTH towards a gateway: over verified TLS only."""

import os
import unittest

from certificates import Authority, server_context
from scenario import Scenario, dispositions


class Gateway(Scenario):
    sink_capabilities = Scenario.sink_capabilities + ("AUTH PLAIN LOGIN",)

    def sink_tls(self):
        return server_context(self.authority().issue_for("gateway", addresses=["127.0.0.1"]))

    def authority(self):
        return self.ca

    def through_gateway(self, **more):
        gateway = {"host": "127.0.0.1", "port": self.sink.port, "username": "postern"}
        gateway.update(more or {"password": "geheim"})
        self.make_daemon(options={"gateway": gateway}).start()


class GatewayAuth(Gateway):
    def test_plain(self):
        self.through_gateway()
        watch = self.daemon.watch()
        self.deliver("r@a.test", "r@b.test")
        connection = self.sink.connections[0]
        self.assertEqual(connection.login, ("postern", "geheim"))
        self.assertEqual(len([c for c in connection.commands() if c.startswith("AUTH PLAIN ")]), 1)
        self.assertTrue(watch.wait_event("session_ready").session_ready.tls_verified)

    def test_login_with_the_password_in_a_file(self):
        path = os.path.join(self.directory, "password")
        with open(path, "w", encoding="utf-8") as file:
            file.write("aus der Datei\nzweite Zeile\n")
        self.sink.capabilities.remove("AUTH PLAIN LOGIN")
        self.sink.capabilities.append("AUTH LOGIN")
        self.through_gateway(password_file=path)
        self.deliver("r@a.test")
        self.assertEqual(self.sink.connections[0].login, ("postern", "aus der Datei"))

    def test_a_refusal_defers_the_mail(self):
        self.sink.rule("auth", times=1, reply="535 5.7.8 Who are you?")
        self.through_gateway()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.assert_closed(watch.wait_event("connection_closed"), "AUTH_FAILED",
                           reason="535 5.7.8 Who are you?")
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def test_no_mechanism_that_we_speak(self):
        self.sink.capabilities.remove("AUTH PLAIN LOGIN")
        self.sink.capabilities.append("AUTH CRAM-MD5")
        self.through_gateway()
        watch = self.daemon.watch()
        self.daemon.submit(["r@a.test"])
        self.assert_closed(watch.wait_event("connection_closed"), "AUTH_FAILED")

    def test_a_password_file_that_is_not_there_is_told_at_the_start(self):
        self.sink  # its port
        gateway = {"host": "127.0.0.1", "username": "postern", "password_file": "/nonexistent"}
        daemon = self.make_daemon(options={"gateway": gateway})
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        daemon.process = None
        self.assertIn("options.gateway.password_file: \"/nonexistent\"", "\n".join(daemon.stderr))


class UnverifiedGateway(Gateway):
    """The same receiver with a certificate of a CA that nobody knows."""

    def authority(self):
        self.assertTrue(self.ca)
        return Authority(self.directory, "unknown")

    def test_gets_no_password(self):
        self.through_gateway()
        watch = self.daemon.watch()
        ident = self.daemon.submit(["r@a.test"])
        self.assert_closed(watch.wait_event("connection_closed"), "TLS_FAILED")
        self.assertEqual(self.sink.connections[0].commands(), ["EHLO source.test", "STARTTLS"])
        self.assertIsNone(self.sink.connections[0].login)
        self.assertIn(dispositions(self.daemon.message(ident))["r@a.test"], ("QUEUED", "DEFERRED"))


if __name__ == "__main__":
    unittest.main()
