"""Delivery to a receiver that no one here wrote: python3-aiosmtpd."""

import threading
import unittest

from aiosmtpd.controller import Controller

from scenario import ONE_CONNECTION, Scenario


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


class Aiosmtpd(Scenario):
    config = ONE_CONNECTION

    def start(self, **options):
        self.recorder = Recorder()
        port = self.free_port()
        controller = Controller(self.recorder, hostname="127.0.0.1", port=port, **options)
        controller.start()
        self.addCleanup(controller.stop)
        self.make_daemon(options={"remote_smtp_port": port}).start()
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
