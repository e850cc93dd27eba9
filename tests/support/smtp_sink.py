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
before the greeting), greeting, ehlo, helo, starttls, tls (before the handshake), auth, mail, rcpt,
data (the answer to DATA), content (content is arriving, with after_bytes), body (the answer to the
final dot), rset, noop, quit, other.

The same as a program: smtp_sink.py --listen 127.0.0.1:0 --script rules.json --print
where rules.json is {"capabilities": [...], "rules": [{"stage": "rcpt", "reply": "550 no"}, ...]}.
"""

import argparse
import asyncio
import socket

from running import Gates, LoopThread, Watched, parse_listen, told_to_stop
from sink_rules import DEFAULT_CAPABILITIES, Rule, load_script, transcripts
from sink_session import Connection


class SmtpSink(Watched):
    """The receiver. Every public method may be called from any thread."""

    def __init__(self, addresses=("127.0.0.1",), port=0, capabilities=DEFAULT_CAPABILITIES,
                 rules=(), host_name="sink.test", tls=None):
        super().__init__()
        self.addresses = list(addresses)
        self.port = port
        self.capabilities = list(capabilities)
        self.host_name = host_name
        self.tls = tls              # ssl.SSLContext of a server; offers STARTTLS
        if tls:
            self.capabilities.append("STARTTLS")
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

    def say(self, number, reply):
        """Says something unasked on connection `number` (from 1) and closes it."""
        async def speak():
            await self.connections[number - 1]._send(reply)
            self.connections[number - 1]._end("sink")

        self._thread.call(speak())

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
