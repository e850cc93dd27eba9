"""Delivery to a receiver that no one here wrote: python3-aiosmtpd."""

import socket
import threading
import unittest

from aiosmtpd.controller import Controller

from scenario import ONE_CONNECTION, Scenario, scaled


class Recorder:
    """Handler of aiosmtpd: keeps the envelopes, refuses one recipient."""

    def __init__(self):
        self.envelopes = []
        self.lock = threading.Lock()

    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("bad@"):
            return "550 5.1.1 No such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        with self.lock:
            self.envelopes.append(envelope)
        return "250 Accepted"


class Receiver(Controller):
    """Keeps its port from the beginning: one that was free a moment ago may be another test's."""

    def __init__(self, handler, **options):
        self.listener = socket.create_server(("127.0.0.1", 0))
        super().__init__(handler, hostname="127.0.0.1", port=self.listener.getsockname()[1],
                         ready_timeout=scaled(20), server_hostname="sink.test", **options)

    def _create_server(self):
        return self.loop.create_server(self._factory_invoker, sock=self.listener)


class Aiosmtpd(Scenario):
    config = ONE_CONNECTION

    def start(self, **options):
        self.recorder = Recorder()
        receiver = Receiver(self.recorder, **options)
        receiver.start()
        self.addCleanup(receiver.stop)
        self.make_daemon(options={"remote_smtp_port": receiver.port}).start()
        self.dns.domain("a.test")

    def test_takes_the_mail(self):
        self.start()
        body = b"Subject: x\r\n\r\n.dot\r\n..dots\r\n\r\nend\r\n"
        ident = self.daemon.submit(["r@a.test", "bad@a.test"], content=body)
        self.daemon.wait_dispositions(ident, {"r@a.test": "DELIVERED", "bad@a.test": "FAILED"})
        envelope, = self.recorder.envelopes
        self.assertEqual((envelope.mail_from, envelope.rcpt_tos, envelope.content),
                         ("s@source.test", ["r@a.test"], body))
        for i in range(20):
            self.deliver(f"r{i}@a.test")
        self.assertEqual(len(self.recorder.envelopes), 21)

    def test_takes_eight_bit_content_and_addresses(self):
        self.start(enable_SMTPUTF8=True)
        body = "Subject: grüße\r\n\r\nschöne\r\n".encode()
        self.deliver("jürgen@a.test", content=body)
        envelope, = self.recorder.envelopes
        self.assertEqual((envelope.rcpt_tos, envelope.content), (["jürgen@a.test"], body))
        self.assertIn("SMTPUTF8", envelope.mail_options)
        self.assertIn("BODY=8BITMIME", envelope.mail_options)


if __name__ == "__main__":
    unittest.main()
