#!/usr/bin/python3
"""A scripted SMTP receiver: accepts everything unless a rule says otherwise, and records it all.

    sink = SmtpSink()                                  # 127.0.0.1, a free port
    sink.rule("rcpt", domain="b.test", reply="550 5.1.1 No such user")
    sink.rule("body", times=1, reply="451 4.3.0 Try again")
    sink.rule("mail", gate="mail")                     # answers after sink.gates.release("mail")
    sink.start()
    ...
    sink.wait_messages(1)[0].content
    sink.stop()

A rule names a stage and conditions; the first rule that fits decides. Stages: connect (accepted,
before the greeting), greeting, ehlo, helo, mail, rcpt, data (the answer to DATA), content (content
is arriving, with after_bytes), body (the answer to the final dot), rset, noop, quit, other.

The same as a program: smtp_sink.py --listen 127.0.0.1:0 --script rules.json --print
where rules.json is {"capabilities": [...], "rules": [{"stage": "rcpt", "reply": "550 no"}, ...]}.
"""

import argparse
import asyncio
import re
import socket
import struct
import time

from running import Gates, LoopThread, Watched, parse_listen, told_to_stop
from sink_rules import (DEFAULT_CAPABILITIES, MAX_COMMAND_BYTES, Message, Rule, load_script,
                        transcripts, wire_violations)


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
        if self._buffer and (verb in ("EHLO", "HELO", "DATA", "QUIT", "NOOP") or
                             not self._sink.offers("PIPELINING")):
            self.violations.append(f"input behind {verb} before its reply")
        if verb == "EHLO":
            self.helo = rest
            self.reset_transaction()
            lines = [self._sink.host_name] + list(self._sink.capabilities)
            reply = "\n".join(f"250{'-' if i + 1 < len(lines) else ' '}{text}"
                              for i, text in enumerate(lines))
            return await self._act("ehlo", reply)
        if verb == "HELO":
            self.helo = rest
            self.reset_transaction()
            return await self._act("helo", f"250 {self._sink.host_name}")
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


class SmtpSink(Watched):
    """The receiver. Every public method may be called from any thread."""

    def __init__(self, addresses=("127.0.0.1",), port=0, capabilities=DEFAULT_CAPABILITIES,
                 rules=(), host_name="sink.test"):
        super().__init__()
        self.addresses = list(addresses)
        self.port = port
        self.capabilities = list(capabilities)
        self.host_name = host_name
        self.rules = [r if isinstance(r, Rule) else Rule(**r) for r in rules]
        self.connections = []
        self.transactions = []      # every Message that reached its dot
        self.gates = Gates(self)
        self.echo = None            # called with each line of each transcript
        self.on_message = None      # called with each accepted Message
        self._message_count = 0
        self._thread = None

    # Script.
    def rule(self, stage, **conditions_and_action):
        """Adds a rule behind the others; also while running. Returns it (`.hits` counts)."""
        rule = Rule(stage, **conditions_and_action)
        with self.changed:
            self.rules.append(rule)
        return rule

    def clear_rules(self):
        with self.changed:
            self.rules.clear()

    def offers(self, capability):
        return any(c.split()[0].upper() == capability for c in self.capabilities)

    # Life.
    def start(self):
        self._thread = LoopThread("smtp-sink")
        self.gates.loop = self._thread.loop
        self._servers = self._thread.call(self._listen())
        return self

    async def _listen(self):
        loop = asyncio.get_running_loop()
        for attempt in range(20):
            sockets = []
            port = self.port
            try:
                for address in self.addresses:
                    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
                    sockets.append(sock)
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    sock.bind((address, port))
                    port = sock.getsockname()[1]
                break
            except OSError:
                # The port that the first address got may be taken at another one: try again.
                for sock in sockets:
                    sock.close()
                if self.port or attempt == 19:
                    raise
        self.port = port
        return [await loop.create_server(lambda: Connection(self), sock=s, backlog=1024)
                for s in sockets]

    def stop(self):
        if not self._thread:
            return

        async def close():
            for server in self._servers:
                server.close()
            for conn in self.connections:
                if not conn.closed:
                    conn._end("sink")

        self._thread.call(close())
        self._thread.stop()
        self._thread = None

    # Called by the connections, in the loop's thread.
    def opened(self, conn):
        with self.changed:
            self.connections.append(conn)
            conn.number = len(self.connections)
            conn.note("*", f"{conn.peer} -> {conn.local_address}")
            self.changed.notify_all()

    def find(self, stage, conn, recipient):
        with self.changed:
            return next((r for r in self.rules if r.fits(stage, conn, recipient)), None)

    def next_message_number(self):
        self._message_count += 1
        return self._message_count

    def received(self, message):
        with self.changed:
            self.transactions.append(message)
            self.changed.notify_all()

    def answered(self, message, reply):
        with self.changed:
            message.reply = reply
            self.changed.notify_all()
        if self.on_message and reply.startswith("2"):
            self.on_message(message)

    # What came.
    @property
    def messages(self):
        """The messages that were accepted, in order."""
        return [m for m in list(self.transactions) if m.reply and m.reply.startswith("2")]

    @property
    def open_connections(self):
        return [c for c in list(self.connections) if not c.closed]

    @property
    def violations(self):
        return [f"[{c.number}] {v}" for c in list(self.connections) for v in c.violations]

    def wait_messages(self, count, timeout=10):
        """Blocks until `count` messages have been accepted; returns all that were."""
        return self.wait(lambda: len(self.messages) >= count and self.messages, timeout,
                         f"{count} messages")

    def wait_transactions(self, count, timeout=10):
        """Blocks until `count` transactions have reached their dot, accepted or not."""
        return self.wait(
            lambda: len(self.transactions) >= count and list(self.transactions), timeout,
            f"{count} transactions")

    def wait_connections(self, count, timeout=10):
        """Blocks until `count` connections have been opened; returns all."""
        return self.wait(lambda: len(self.connections) >= count and list(self.connections),
                         timeout, f"{count} connections")

    def wait_closed(self, number, timeout=10):
        """Blocks until connection `number` (from 1) is closed; returns it."""
        return self.wait(
            lambda: len(self.connections) >= number and self.connections[number - 1].closed and
            self.connections[number - 1], timeout, f"connection {number} closed")

    def transcripts(self):
        return transcripts(self.connections)

    describe = transcripts


def main():
    parser = argparse.ArgumentParser(description="A scripted SMTP receiver.")
    parser.add_argument("--listen", type=parse_listen, action="append",
                        help="ADDRESS:PORT, again for further addresses (one port for all)")
    parser.add_argument("--script", help="JSON file with capabilities and rules")
    parser.add_argument("--print", action="store_true", dest="echo",
                        help="print every line of every session")
    parser.add_argument("--parent-pid", type=int, help="exit when this process is gone")
    args = parser.parse_args()
    stop = told_to_stop(args.parent_pid)
    listen, script = args.listen or [("127.0.0.1", 0)], load_script(args.script)
    sink = SmtpSink(addresses=[a for a, _ in listen], port=listen[0][1],
                    capabilities=script.get("capabilities", DEFAULT_CAPABILITIES),
                    rules=script.get("rules", []))
    if args.echo:
        sink.echo = lambda line: print(line, flush=True)
    sink.start()
    # Nobody opens a gate for a program: all stand open.
    for rule in sink.rules:
        if rule.gate:
            sink.gates.release(rule.gate)
    print(f"listening {sink.addresses[0]}:{sink.port}", flush=True)
    stop.wait()
    print(f"{len(sink.messages)} messages on {len(sink.connections)} connections", flush=True)
    sink.stop()


if __name__ == "__main__":
    main()
