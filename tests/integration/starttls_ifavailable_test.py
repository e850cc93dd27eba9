"""TLS where the receiver offers it (RFC 3207), the default: by STARTTLS, with a second EHLO."""

import ssl
import threading
import unittest

from aiosmtpd.controller import Controller
from certificates import Authority, server_context
from scenario import ONE_CONNECTION, Scenario


class StartTls(Scenario):
    config = {"options": {"max_deliveries_per_connection": 1}}

    def sink_tls(self):
        # Of a CA that nobody knows: with tls_verify `no` any certificate will do.
        return server_context(Authority(self.directory, "unknown").issue_for("mx.a.test"))

    def test_delivers_over_tls_and_says_so(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        connection = self.sink.connections[0]
        self.assertEqual(connection.tls.version(), "TLSv1.3")
        self.assertEqual(connection.commands()[:3],
                         ["EHLO source.test", "STARTTLS", "EHLO source.test"])
        ready = watch.wait_event("session_ready").session_ready
        self.assertEqual((ready.tls_version, ready.tls_cipher, ready.tls_verified),
                         ("TLSv1.3", connection.tls.cipher()[0], False))
        # What counts is what was offered over TLS.
        self.assertIn("PIPELINING", ready.capabilities)
        self.assertNotIn("STARTTLS", ready.capabilities)

    def test_resumes_the_session_at_the_next_connection(self):
        self.dns.domain("a.test")
        for i in range(3):
            self.deliver(f"r{i}@a.test")
            self.sink.wait_closed(i + 1)
        self.assertEqual([c.tls.session_reused for c in self.sink.connections],
                         [False, True, True])

    def test_forgets_what_was_offered_in_the_clear(self):
        # PIPELINING is gone in the second answer: nothing may be sent in groups then.
        self.sink.rule("ehlo", nth=2, reply="250-sink.test\n250 SIZE 1000")
        self.sink.rule("ehlo", nth=1,
                       reply="250-sink.test\n250-PIPELINING\n250-SMTPUTF8\n250 STARTTLS")
        self.sink.capabilities.remove("PIPELINING")  # the receiver minds a group from now on
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test", "s@a.test")
        ready = watch.wait_event("session_ready").session_ready
        self.assertEqual(list(ready.capabilities), ["SIZE 1000"])

    def test_goes_on_in_plaintext_when_starttls_is_refused(self):
        self.sink.rule("starttls", reply="454 4.7.0 TLS not available")
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.assertEqual(len(self.sink.connections), 1)
        self.assertEqual(watch.wait_event("session_ready").session_ready.tls_version, "")

    def test_does_not_ask_for_it_with_tls_no(self):
        self.make_daemon(options={"tls": "no"}).start()
        self.dns.domain("a.test")
        self.deliver("r@a.test")
        self.assertNotIn("STARTTLS", self.sink.connections[0].commands())

    def test_keeps_to_the_lowest_version(self):
        context = server_context(self.ca.issue_for("mx.b.test"))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        self.other_sink("127.0.0.2", tls=context)
        self.make_daemon(options={"tls": "required", "tls_protocols": "1.3"}).start()
        self.dns.domain("a.test")
        self.dns.domain("b.test", "127.0.0.2")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.daemon.submit(["r@b.test"])
        closed = watch.wait_event("connection_closed", lambda e: e.connection.domain == "b.test")
        self.assert_closed(closed, "TLS_FAILED")


class Plain(Scenario):
    def test_delivers_in_plaintext_where_it_is_not_offered(self):
        self.dns.domain("a.test")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        self.assertIsNone(self.sink.connections[0].tls)
        self.assertEqual(watch.wait_event("session_ready").session_ready.tls_version, "")


class Recorder:
    """Handler of aiosmtpd: keeps how its sessions were secured."""

    def __init__(self):
        self.sessions = []
        self.lock = threading.Lock()

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            self.sessions.append((session.ssl is not None, envelope.content))
        return "250 Accepted"


class Aiosmtpd(Scenario):
    """A receiver that no one here wrote."""
    config = ONE_CONNECTION

    def test_delivers_over_tls(self):
        recorder = Recorder()
        context = server_context(self.ca.issue_for("a.test", hosts=["a.test"]))
        controller = Controller(recorder, hostname="127.0.0.1", port=self.free_port(),
                                tls_context=context, require_starttls=True)
        controller.start()
        self.addCleanup(controller.stop)
        self.make_daemon(options={"remote_smtp_port": controller.port, "tls": "required",
                                  "tls_verify": "host"}).start()
        self.dns.mx("a.test", "a.test", 10)
        self.dns.a("a.test", "127.0.0.1")
        body = b"Subject: x\r\n\r\n" + b".dots and more\r\n" * 4000
        for i in range(5):
            self.deliver(f"r{i}@a.test", content=body)
        self.assertEqual(recorder.sessions, [(True, body)] * 5)


if __name__ == "__main__":
    unittest.main()
