"""The scripted receiver, tried by Python's own SMTP client and by raw sockets."""

import json
import os
import smtplib
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

from running import spawn
from sink_rules import FullBacklog
from smtp_sink import SmtpSink

HERE = os.path.dirname(os.path.abspath(__file__))
PROGRAM = os.path.join(HERE, "..", "smtp_sink.py")


class Raw:
    """A client that sends exactly what it is told."""

    def __init__(self, port, address="127.0.0.1"):
        self.socket = socket.create_connection((address, port), timeout=10)
        self.file = self.socket.makefile("rb")

    def send(self, data):
        self.socket.sendall(data)

    def reply(self):
        """The text of one reply, lines joined by newline; "" at the end of the stream."""
        lines = []
        while True:
            line = self.file.readline().decode()
            if not line:
                return "\n".join(lines)
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def close(self):
        self.file.close()
        self.socket.close()


class SinkTest(unittest.TestCase):
    def make(self, **options):
        sink = SmtpSink(**options).start()
        self.addCleanup(sink.stop)
        return sink

    def raw(self, sink, address="127.0.0.1", greeted=True):
        client = Raw(sink.port, address)
        self.addCleanup(client.close)
        if greeted:
            self.assertTrue(client.reply().startswith("220 "))
            client.send(b"EHLO client.test\r\n")
            self.assertTrue(client.reply().startswith("250-"))
        return client

    def test_records_what_a_library_client_delivers(self):
        sink = self.make()
        with smtplib.SMTP("127.0.0.1", sink.port, timeout=10) as client:
            client.sendmail("s@a.test", ["r@b.test", "q@b.test"], "Subject: x\n\n.dot\nend\n")
        message, = sink.wait_messages(1)
        self.assertEqual(message.sender, "s@a.test")
        self.assertEqual(message.recipients, ["r@b.test", "q@b.test"])
        self.assertEqual(message.content, b"Subject: x\r\n\r\n.dot\r\nend\r\n")
        self.assertEqual(sink.wait_closed(1).closed_by, "quit")
        self.assertEqual(sink.violations, [])
        self.assertIn("rcpt TO:<q@b.test>", sink.transcripts())

    def test_answers_a_pipelined_group_in_order(self):
        sink = self.make()
        sink.rule("rcpt", recipient="^bad@", reply="550-5.1.1 No\n550 5.1.1 such user")
        client = self.raw(sink)
        client.send(b"MAIL FROM:<a@b.c>\r\nRCPT TO:<bad@b.c>\r\nRCPT TO:<good@b.c>\r\nDATA\r\n")
        replies = [client.reply() for _ in range(4)]
        self.assertEqual([r[:3] for r in replies], ["250", "550", "250", "354"])
        self.assertEqual(replies[1].count("\n"), 1)
        client.send(b"x\r\n.\r\nMAIL FROM:<c@d.e>\r\n")
        self.assertEqual(client.reply()[:3], "250")
        self.assertEqual(client.reply()[:3], "250")
        self.assertEqual(sink.messages[0].recipients, ["good@b.c"])
        self.assertEqual(sink.violations, [])

    def test_takes_long_content_in_any_pieces(self):
        sink = self.make()
        content = b"".join(b"..%d\r\n" % i + b"y" * 900 + b"\r\n" for i in range(3000))
        client = self.raw(sink)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
        for _ in range(3):
            client.reply()
        for at in range(0, len(content), 9973):
            client.send(content[at:at + 9973])
        for byte in (b"\r", b"\n", b".", b"\r", b"\n"):
            client.send(byte)
        # The content ended in CRLF already: what came is one empty line more.
        self.assertEqual(client.reply()[:3], "250")
        got = sink.messages[0].content
        self.assertEqual(got, content.replace(b"\r\n..", b"\r\n.")[1:] + b"\r\n")

    def test_takes_empty_content(self):
        sink = self.make()
        client = self.raw(sink)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
        for _ in range(3):
            client.reply()
        client.send(b".\r\n")
        self.assertEqual(client.reply()[:3], "250")
        self.assertEqual(sink.messages[0].content, b"")

    def test_refuses_data_without_a_recipient(self):
        sink = self.make()
        sink.rule("rcpt", reply="550 no")
        client = self.raw(sink)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
        self.assertEqual([client.reply()[:3] for _ in range(3)], ["250", "550", "503"])

    def test_applies_rules_by_connection_message_and_count(self):
        sink = self.make()
        sink.rule("mail", message=2, reply="452 second in all")
        sink.rule("mail", connection=2, transaction=2, reply="453 second here")
        sink.rule("mail", sender="^x@", nth=2, reply="454 second x")
        sink.rule("greeting", connection=3, reply="554 go away", close="after")

        def mail(client, sender):
            client.send(b"MAIL FROM:<%s>\r\nRSET\r\n" % sender)
            code = client.reply()[:3]
            client.reply()
            return code

        first, second = self.raw(sink), self.raw(sink)
        self.assertEqual(mail(first, b"x@y.z"), "250")
        self.assertEqual(mail(second, b"a@y.z"), "452")
        self.assertEqual(mail(second, b"a@y.z"), "453")
        self.assertEqual(mail(first, b"x@y.z"), "454")
        third = self.raw(sink, greeted=False)
        self.assertEqual(third.reply(), "554 go away")
        self.assertEqual(third.reply(), "")
        self.assertEqual(sink.wait_closed(3).closed_by, "sink")

    def test_closes_drops_and_hangs(self):
        sink = self.make()
        sink.rule("connect", connection=1, close="before")
        sink.rule("mail", connection=2, drop=True)
        sink.rule("mail", connection=3, hang=True)
        self.assertEqual(self.raw(sink, greeted=False).reply(), "")
        second = self.raw(sink)
        second.send(b"MAIL FROM:<>\r\n")
        with self.assertRaises(ConnectionResetError):
            second.reply()
        third = self.raw(sink)
        third.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\n")
        third.socket.shutdown(socket.SHUT_WR)
        self.assertEqual(third.reply(), "")
        self.assertEqual(sink.wait_closed(3).closed_by, "peer")

    def test_reads_no_more_once_it_is_deaf(self):
        sink = self.make()
        sink.rule("content", deaf=True, hang=True)
        client = self.raw(sink)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
        for _ in range(3):
            client.reply()
        client.send(b"x")
        sink.wait(lambda: "content: reads no more" in sink.connections[0].notes(), 10, "deaf")
        client.socket.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            client.send(b"x" * 20_000_000)

    def test_says_something_unasked_and_closes(self):
        sink = self.make()
        client = self.raw(sink)
        sink.say(1, "421 4.3.2 Good bye")
        self.assertEqual((client.reply(), client.reply()), ("421 4.3.2 Good bye", ""))
        self.assertEqual(sink.wait_closed(1).closed_by, "sink")

    def test_sees_a_reset_by_the_peer(self):
        sink = self.make()
        client = self.raw(sink)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        self.assertEqual(sink.wait_closed(1).closed_by, "peer_reset")

    def test_closes_in_the_middle_of_content(self):
        sink = self.make()
        sink.rule("content", after_bytes=10, drop=True)
        client = self.raw(sink)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
        for _ in range(3):
            client.reply()
        client.send(b"0123456789abcdef")
        with self.assertRaises(ConnectionResetError):
            client.reply()
        self.assertEqual(sink.transactions, [])

    def test_holds_a_reply_until_the_gate_opens(self):
        sink = self.make()
        sink.rule("body", gate="dot")
        client = self.raw(sink)
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<a@b.c>\r\nDATA\r\n")
        for _ in range(3):
            client.reply()
        client.send(b"x\r\n.\r\n")
        sink.gates.wait_reached("dot")
        self.assertEqual(len(sink.transactions), 1)
        self.assertEqual(sink.messages, [])
        sink.gates.release("dot")
        self.assertEqual(client.reply()[:3], "250")
        self.assertEqual(len(sink.messages), 1)

    def test_notices_a_close_at_the_gate(self):
        sink = self.make()
        sink.rule("greeting", gate="never")
        client = self.raw(sink, greeted=False)
        sink.gates.wait_reached("never")
        client.close()
        sink.wait_closed(1)

    def test_listens_on_several_addresses_with_one_port(self):
        sink = self.make(addresses=("127.0.0.1", "127.0.0.2"))
        sink.rule("greeting", address="127.0.0.2", reply="220 second")
        self.assertNotEqual(self.raw(sink, greeted=False).reply(), "220 second")
        self.assertEqual(self.raw(sink, "127.0.0.2", greeted=False).reply(), "220 second")

    def test_offers_the_configured_capabilities(self):
        sink = self.make(capabilities=["SIZE 1000"])
        client = Raw(sink.port)
        self.addCleanup(client.close)
        client.reply()
        client.send(b"EHLO x\r\n")
        self.assertEqual(client.reply(), "250-sink.test\n250 SIZE 1000")

    def test_names_what_a_client_does_wrong(self):
        sink = self.make(capabilities=[])
        client = Raw(sink.port)
        self.addCleanup(client.close)
        client.reply()
        client.send(b"HELO x\r\nMAIL FROM:<a@b.c>\r\nRCPT TO:<a@b.c>\nDATA\r\n")
        for _ in range(4):
            client.reply()
        client.send(b"one\ntwo\r\n.unstuffed\r\n.\r\n")
        client.reply()
        told = "\n".join(sink.violations)
        self.assertIn("input behind HELO", told)
        self.assertIn("bare LF: b'RCPT", told)
        self.assertIn("bare CR or LF in the content", told)
        self.assertIn("not stuffed", told)

    def test_prints_the_transcript_when_a_wait_fails(self):
        sink = self.make()
        self.raw(sink)
        with self.assertRaisesRegex(AssertionError, "EHLO client.test"):
            sink.wait_messages(1, timeout=0.05)

    def test_full_backlog_lets_connects_time_out(self):
        with FullBacklog("127.0.0.9", 0) as full:
            with self.assertRaises(TimeoutError):
                socket.create_connection((full.address, full.port), timeout=0.2)


class ProgramTest(unittest.TestCase):
    def start(self, *args):
        process = spawn([sys.executable, PROGRAM, *args], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        first = process.stdout.readline()
        self.assertRegex(first, r"^listening 127\.0\.0\.1:\d+$")
        return process, int(first.rsplit(":", 1)[1])

    def test_runs_a_script_and_prints_sessions(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as script:
            json.dump({"rules": [{"stage": "mail", "reply": "451 later", "gate": "g"}]}, script)
            script.flush()
            process, port = self.start("--script", script.name, "--print")
        client = Raw(port)
        client.reply()
        client.send(b"EHLO x\r\nMAIL FROM:<>\r\nQUIT\r\n")
        self.assertEqual([client.reply()[:3] for _ in range(3)], ["250", "451", "221"])
        client.close()
        process.terminate()
        output = process.stdout.read()
        self.assertIn("[1] S 451 later", output)
        self.assertEqual(process.wait(10), 0)

    def test_exits_with_the_process_it_was_told(self):
        parent = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
        process, _ = self.start("--parent-pid", str(parent.pid))
        parent.stdin.close()
        parent.wait()
        self.assertEqual(process.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
