"""One session of the scripted receiver: the dialogue, STARTTLS and AUTH (RFC 3207, RFC 4954)."""
import asyncio
import base64
import re
import socket
import struct
import time

from sink_rules import MAX_COMMAND_BYTES, Message, wire_violations


class Connection(asyncio.Protocol):
    """One session, as the sink saw it. Read it through the sink's waits."""

    def __init__(self, sink):
        self._sink = sink
        self._buffer = bytearray()
        self._input = asyncio.Event()
        self._lost = None          # future
        self.number = 0
        self.local_address = self.peer = ""
        self.opened = time.monotonic()
        self.closed_at = None      # seconds of time.monotonic(); None while it is open
        self.closed_by = None      # "quit", "peer", "peer_reset", "sink"
        self.helo = None           # the name in EHLO or HELO
        self.tls = None            # the ssl.SSLObject once STARTTLS has succeeded
        self.client_certificate = None  # getpeercert() of the client; None without TLS
        self.login = None          # (user, password) of AUTH
        self.transcript = []       # (seconds since opened, "C"/"S"/"*", line)
        self.violations = []       # what a correct client does not do
        self.reset_transaction()
        self.transactions = 0
        self.message_number = 0

    # What the client has set up so far.
    def reset_transaction(self):
        self.sender = None
        self.recipients = []
        self.mail_parameters = ""

    @property
    def closed(self):
        return self.closed_at is not None

    def note(self, who, line):
        with self._sink.changed:
            self.transcript.append((time.monotonic() - self.opened, who, line))
            self._sink.changed.notify_all()
        if self._sink.echo:
            self._sink.echo(f"[{self.number}] {who} {line}")

    def commands(self):
        """The commands of the client, in order, without content."""
        return [line for _, who, line in list(self.transcript) if who == "C"]

    def notes(self):
        """What the sink remarked: "body: hangs"."""
        return [line for _, who, line in list(self.transcript) if who == "*"]

    # asyncio.Protocol
    def connection_made(self, transport):
        self.transport = transport
        self._lost = asyncio.get_running_loop().create_future()
        # asyncio sets it only on sockets that say IPPROTO_TCP; without it replies wait for ACKs.
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_address = transport.get_extra_info("sockname")[0]
        self.peer = "%s:%s" % transport.get_extra_info("peername")[:2]
        self._sink.opened(self)
        self._task = asyncio.ensure_future(self._serve())

    def data_received(self, data):
        self._buffer += data
        self._input.set()

    def connection_lost(self, exc):
        with self._sink.changed:
            self.closed_at = time.monotonic()
            self.closed_by = self.closed_by or ("peer_reset" if exc else "peer")
            self.note("*", f"closed by {self.closed_by}")
            self._sink.changed.notify_all()
        if not self._lost.done():
            self._lost.set_result(None)
        self._input.set()

    # The dialogue.
    async def _serve(self):
        try:
            if not await self._act("connect", None):
                return
            if self._buffer:
                self.violations.append("input before the greeting")
            if not await self._act("greeting", f"220 {self._sink.host_name} ESMTP scripted sink"):
                return
            while True:
                line = await self._line()
                if line is None or not await self._command(line):
                    return
        except asyncio.CancelledError:
            self._end("sink")
        except Exception as error:  # a fault of the sink: show it in the transcript
            self.note("*", f"sink failed: {error!r}")
            self.violations.append(f"sink failed: {error!r}")
            self._end("sink")

    async def _more(self):
        """Waits for input. False when the connection is gone and nothing is left."""
        if self._lost.done():
            return False
        self._input.clear()
        await self._input.wait()
        return not self._lost.done() or bool(self._buffer)

    async def _line(self):
        searched = 0
        while True:
            end = self._buffer.find(b"\n", searched)
            if end >= 0:
                break
            searched = len(self._buffer)
            if searched > MAX_COMMAND_BYTES:
                self.violations.append("command line too long")
                self._end("sink")
                return None
            if not await self._more():
                return None
        line = bytes(self._buffer[:end + 1])
        del self._buffer[:end + 1]
        if not line.endswith(b"\r\n"):
            self.violations.append(f"command ends in a bare LF: {line!r}")
        return line.rstrip(b"\r\n").decode("utf-8", "backslashreplace")

    async def _content(self):
        """Everything up to the final dot, unstuffed. None when the connection ends before it."""
        searched = 0
        raised = False
        while True:
            if self._buffer.startswith(b".\r\n"):
                end, tail = 0, 3
                break
            end, tail = self._buffer.find(b"\r\n.\r\n", searched) + 2, 3
            if end >= 2:
                break
            searched = max(0, len(self._buffer) - 4)
            if not raised:
                for rule in self._sink.rules:
                    if rule.stage == "content" and len(self._buffer) >= max(1, rule.after_bytes):
                        raised = True
                        if not await self._act("content", None):
                            return None
                        break
            if not await self._more():
                self.note("*", f"{len(self._buffer)} bytes of content, then no more")
                return None
        raw = bytes(self._buffer[:end])
        del self._buffer[:end + tail]
        self.violations += wire_violations(raw)
        return re.sub(rb"(^|\r\n)\.", rb"\1", raw)

    async def _command(self, line):
        """Answers one command. False when the connection is over."""
        self.note("C", line)
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if self._buffer and (verb in ("EHLO", "HELO", "DATA", "QUIT", "NOOP", "STARTTLS") or
                             not self._sink.offers("PIPELINING")):
            self.violations.append(f"input behind {verb} before its reply")
        if verb == "EHLO":
            self.helo = rest
            self.reset_transaction()
            lines = [self._sink.host_name] + [c for c in self._sink.capabilities
                                              if not (self.tls and c == "STARTTLS")]
            reply = "\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{text}"
                              for i, text in enumerate(lines))
            return await self._act("ehlo", reply)
        if verb == "HELO":
            self.helo = rest
            self.reset_transaction()
            return await self._act("helo", f"250 {self._sink.host_name}")
        if verb == "STARTTLS":
            return await self._start_tls()
        if verb == "AUTH":
            return await self._auth(rest)
        if verb == "MAIL":
            return await self._mail(rest)
        if verb == "RCPT":
            return await self._rcpt(rest)
        if verb == "DATA":
            return await self._data()
        if verb == "RSET":
            going = await self._act("rset", "250 2.0.0 Reset")
            self.reset_transaction()
            return going
        if verb == "NOOP":
            return await self._act("noop", "250 2.0.0 OK")
        if verb == "QUIT":
            if await self._act("quit", "221 2.0.0 Bye"):
                self._end("quit")
            return False
        return await self._act("other", "502 5.5.2 Command not implemented")

    async def _start_tls(self):
        if not self._sink.tls or self.tls:
            return await self._send("503 5.5.1 No TLS here")
        going, code = await self._reply("starttls", "220 2.0.0 Ready for TLS")
        if not going or code != 2:
            return going
        if not await self._act("tls", None):
            return False
        try:
            self.transport = await asyncio.get_running_loop().start_tls(
                self.transport, self, self._sink.tls, server_side=True)
        except OSError as error:
            self.note("*", f"tls: failed: {error}")
            if not self.closed:
                self.connection_lost(error)
            return False
        self.tls = self.transport.get_extra_info("ssl_object")
        self.client_certificate = self.tls.getpeercert()
        self.note("*", f"tls: {self.tls.version()} {self.tls.cipher()[0]}"
                       f"{' resumed' if self.tls.session_reused else ''}")
        self.helo = None
        self.reset_transaction()
        return True

    async def _auth(self, rest):
        if not self.tls:
            self.violations.append("AUTH without TLS")
        mechanism, _, initial = rest.partition(" ")
        words = [initial] if initial else []
        prompts = ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6"] if mechanism == "LOGIN" else ["334 "]
        while len(words) < len(prompts):
            await self._send(prompts[len(words)])
            line = await self._line()
            if line is None:
                return False
            words.append(line)
        words = [base64.b64decode(word).decode() for word in words]
        self.login = tuple(words if mechanism == "LOGIN" else words[0].split("\0")[1:])
        return await self._act("auth", "235 2.7.0 Authenticated")

    async def _mail(self, rest):
        path = re.fullmatch(r"FROM:<([^>]*)>(?: (.*))?", rest, re.IGNORECASE)
        if not path:
            self.violations.append(f"bad MAIL: {rest!r}")
            return await self._send("501 5.5.4 Syntax: MAIL FROM:<address>")
        if self.sender is not None:
            self.violations.append("nested MAIL")
            return await self._send("503 5.5.1 Nested MAIL")
        if self.helo is None:
            self.violations.append("MAIL before EHLO")
            return await self._send("503 5.5.1 EHLO first")
        self.transactions += 1
        self.message_number = self._sink.next_message_number()
        self.sender, self.mail_parameters = path.group(1), path.group(2) or ""
        going, code = await self._reply("mail", "250 2.1.0 OK")
        if code != 2:
            self.sender = None
        return going

    async def _rcpt(self, rest):
        path = re.fullmatch(r"TO:<([^>]+)>(?: (.*))?", rest, re.IGNORECASE)
        if not path:
            self.violations.append(f"bad RCPT: {rest!r}")
            return await self._send("501 5.5.4 Syntax: RCPT TO:<address>")
        if self.sender is None:
            # Normal in a pipelined group after a refused MAIL.
            return await self._send("503 5.5.1 MAIL first")
        going, code = await self._reply("rcpt", "250 2.1.5 OK", recipient=path.group(1))
        if code == 2:
            self.recipients.append(path.group(1))
        return going

    async def _data(self):
        ready = "354 Go ahead" if self.recipients else "503 5.5.1 No valid recipients"
        going, code = await self._reply("data", ready)
        if not going or code != 3:
            return going
        content = await self._content()
        if content is None:
            return False
        self.note("*", f"{len(content)} bytes of content, final dot")
        message = Message(self.number, self.message_number, self.sender or "",
                          list(self.recipients), content, self.mail_parameters)
        default = "250 2.0.0 Accepted" if self.recipients else "554 5.5.1 No valid recipients"
        going, _ = await self._reply("body", default, message=message)
        self.reset_transaction()
        return going

    # Acting on the script.
    async def _act(self, stage, default):
        return (await self._reply(stage, default))[0]

    async def _reply(self, stage, default, recipient=None, message=None):
        """Carries out the script: (connection goes on, first digit of the reply or 0)."""
        rule = self._sink.find(stage, self, recipient)
        if message:
            self._sink.received(message)
        text = rule.reply if rule and rule.reply is not None else default
        if rule:
            if rule.deaf:
                self.note("*", f"{stage}: reads no more")
                self.transport.pause_reading()
            if rule.gate:
                self.note("*", f"{stage}: at gate {rule.gate}")
                await self._sink.gates.passed(rule.gate, self._lost)
            if rule.delay:
                await asyncio.sleep(rule.delay)
            if rule.hang:
                self.note("*", f"{stage}: hangs")
                await self._lost
                return False, 0
            if rule.drop:
                self._drop()
                return False, 0
            if rule.close == "before":
                self._end("sink")
                return False, 0
        if text is None:
            return not self._lost.done(), 0
        if message:
            self._sink.answered(message, text)
        going = await self._send(text, rule.slow if rule else 0)
        if rule and rule.close == "after":
            self._end("sink")
            going = False
        return going, int(text[0]) if text[:1].isdigit() else 0

    async def _send(self, text, slow=0):
        lines = text.split("\n")
        for line in lines:
            self.note("S", line)
        data = "".join(line + "\r\n" for line in lines).encode()
        if slow:
            for i in range(len(data)):
                self.transport.write(data[i:i + 1])
                await asyncio.sleep(slow)
        else:
            self.transport.write(data)
        return not self._lost.done() or bool(self._buffer)

    def _end(self, who):
        self.closed_by = self.closed_by or who
        self.transport.close()

    def _drop(self):
        self.closed_by = self.closed_by or "sink"
        self.transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()
