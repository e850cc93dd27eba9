#!/usr/bin/python3
"""A scripted authoritative DNS server, UDP and TCP on one port.

    dns = DnsServer()
    dns.mx("a.test", "mx.a.test")            # MX 10, and
    dns.a("mx.a.test", "127.0.0.1")          # its address
    dns.domain("b.test", "127.0.0.2")        # both at once
    dns.null_mx("c.test")
    dns.behave("d.test", "servfail")         # nxdomain, refused, timeout, truncate, empty
    dns.start()

Names that were never mentioned get NXDOMAIN. `*.test` answers for names below test that have no
records of their own. All queries are recorded.

The same as a program: dns_server.py --listen 127.0.0.1:0 --zone zone.json, where zone.json is
    {"a.test": {"MX": [[10, "mx.a.test"]], "ttl": 60}, "mx.a.test": {"A": ["127.0.0.1"]},
     "c.test": {"MX": [[0, "."]]}, "d.test": {"behaviour": {"MX": "servfail"}},
     "e.test": {"CNAME": "a.test"}}
"""

import argparse
import asyncio
import dataclasses
import ipaddress
import json
import socket
import struct
from typing import Optional

from running import Gates, LoopThread, Watched, parse_listen, told_to_stop

TYPES = {"A": 1, "CNAME": 5, "SOA": 6, "MX": 15, "AAAA": 28}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
BEHAVIOURS = ("nxdomain", "servfail", "refused", "timeout", "truncate", "empty")
MAX_UDP_BYTES = 512  # RFC 1035 4.2.1; EDNS is not offered


def normal(name):
    return name.rstrip(".").lower()


# The wire format (RFC 1035 section 4).
def encode_name(name):
    out = b""
    for label in normal(name).split("."):
        if label:
            raw = label.encode("ascii")
            if len(raw) > 63:
                raise ValueError(f"label too long in {name!r}")
            out += bytes([len(raw)]) + raw
    return out + b"\0"


def decode_name(packet, at):
    """(name, offset behind it). Follows compression pointers, backwards only."""
    labels, end, limit = [], None, at + 1
    while True:
        size = packet[at]
        if size >= 0xC0:
            target = struct.unpack_from("!H", packet, at)[0] & 0x3FFF
            end = end if end is not None else at + 2
            if target >= limit:
                raise ValueError("compression pointer that does not point back")
            at = limit = target
        elif size == 0:
            return ".".join(labels), end if end is not None else at + 1
        else:
            labels.append(packet[at + 1:at + 1 + size].decode("ascii", "backslashreplace"))
            at += 1 + size


def encode_data(kind, value):
    if kind == "A":
        return ipaddress.IPv4Address(value).packed
    if kind == "AAAA":
        return ipaddress.IPv6Address(value).packed
    if kind == "MX":
        return struct.pack("!H", value[0]) + encode_name(value[1])
    if kind == "CNAME":
        return encode_name(value)
    if kind == "SOA":  # names, serial, refresh, retry, expire, negative TTL
        return encode_name("ns.test") + encode_name("root.test") + struct.pack(
            "!IIIII", 1, 3600, 600, 86400, 1)
    raise ValueError(f"cannot encode a {kind} record")


def encode_record(name, kind, ttl, value):
    data = encode_data(kind, value)
    return encode_name(name) + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(data)) + data


@dataclasses.dataclass
class Behaviour:
    what: str
    kind: Optional[str] = None    # record type; None: all
    times: Optional[int] = None   # only for the first that many queries
    gate: Optional[str] = None    # wait for the gate before answering
    hits: int = 0


@dataclasses.dataclass
class Query:
    name: str
    kind: str
    transport: str  # "udp" or "tcp"


class DnsServer(Watched):
    """The server. Every public method may be called from any thread."""

    def __init__(self, address="127.0.0.1", port=0, zone=None, ttl=60):
        super().__init__()
        self.address = address
        self.port = port
        self.ttl = ttl
        self.gates = Gates(self)
        self.queries = []
        self._records = {}      # name -> {type: [value]}
        self._ttls = {}         # name -> seconds
        self._behaviours = {}   # name -> [Behaviour]
        self._thread = None
        if zone:
            self.load(zone)

    # Script.
    def load(self, zone):
        """Adds the records and behaviours of a dictionary (see above)."""
        for name, entry in zone.items():
            self.records(name)
            for key, value in entry.items():
                if key == "ttl":
                    self._ttls[normal(name)] = int(value)
                elif key == "behaviour":
                    kinds = value if isinstance(value, dict) else {None: value}
                    for kind, what in kinds.items():
                        self.behave(name, what, kind)
                elif key == "CNAME":
                    self.add(name, key, value)
                elif key == "MX":
                    for preference, host in value:
                        self.add(name, key, (preference, host))
                elif key in ("A", "AAAA"):
                    for address in value:
                        self.add(name, key, address)
                else:
                    raise ValueError(f"{name}: unknown key {key!r}")

    def records(self, name):
        with self.changed:
            return self._records.setdefault(normal(name), {})

    def add(self, name, kind, value, ttl=None):
        encode_data(kind, value)  # refuses what cannot be sent
        self.records(name).setdefault(kind, []).append(value)
        if ttl is not None:
            self._ttls[normal(name)] = ttl

    def mx(self, name, host, preference=10, ttl=None):
        self.add(name, "MX", (preference, host), ttl)

    def a(self, name, *addresses, ttl=None):
        for address in addresses:
            self.add(name, "AAAA" if ":" in address else "A", address, ttl)

    def cname(self, name, target, ttl=None):
        self.add(name, "CNAME", target, ttl)

    def null_mx(self, name, ttl=None):
        """RFC 7505: the domain takes no mail."""
        self.add(name, "MX", (0, "."), ttl)

    def domain(self, name, *addresses):
        """A domain with one MX host, mx.<name>, at these addresses."""
        self.mx(name, "mx." + name)
        self.a("mx." + name, *(addresses or ("127.0.0.1",)))

    def remove(self, name, kind=None):
        with self.changed:
            if kind is None:
                self._records.pop(normal(name), None)
            else:
                self._records.get(normal(name), {}).pop(kind, None)

    def behave(self, name, what, kind=None, times=None, gate=None):
        """From now on queries for the name end like this. what "" only waits for the gate."""
        if what and what not in BEHAVIOURS:
            raise ValueError(f"unknown behaviour {what!r}")
        with self.changed:
            self._behaviours.setdefault(normal(name), []).append(
                Behaviour(what, kind, times, gate))

    def forgive(self, name):
        """Ends the behaviours of a name: its records are served again."""
        with self.changed:
            self._behaviours.pop(normal(name), None)

    def count(self, name=None, kind=None, transport=None):
        """How many queries came so far."""
        return sum(1 for q in list(self.queries)
                   if name in (None, q.name) and kind in (None, q.kind) and
                   transport in (None, q.transport))

    def wait_queries(self, count, name=None, kind=None, timeout=10):
        self.wait(lambda: self.count(name, kind) >= count, timeout, f"{count} queries for {name}")

    def describe(self):
        return "\n".join(f"{q.transport} {q.kind} {q.name}" for q in list(self.queries)) or \
            "(no DNS query)"

    # Life.
    def start(self):
        self._thread = LoopThread("dns-server")
        self.gates.loop = self._thread.loop
        self._udp, self._tcp = self._thread.call(self._listen())
        return self

    async def _listen(self):
        loop = asyncio.get_running_loop()
        for attempt in range(20):
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.bind((self.address, self.port))
            port = udp.getsockname()[1]
            try:
                tcp = await asyncio.start_server(self._serve_tcp, self.address, port)
                break
            except OSError:
                # The UDP port is free, the TCP port of that number is not: another one.
                udp.close()
                if self.port or attempt == 19:
                    raise
        self.port = port
        transport, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp)
        return transport, tcp

    def stop(self):
        if not self._thread:
            return

        async def close():
            self._udp.close()
            self._tcp.close()

        self._thread.call(close())
        self._thread.stop()
        self._thread = None

    async def _serve_tcp(self, reader, writer):
        try:
            while True:
                size, = struct.unpack("!H", await reader.readexactly(2))
                answer = await self.answer(await reader.readexactly(size), "tcp")
                if answer is not None:
                    writer.write(struct.pack("!H", len(answer)) + answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    # Answering.
    async def answer(self, packet, transport):
        """The answer to one query; None: no answer."""
        try:
            ident, flags, questions = struct.unpack_from("!HHH", packet)
            if flags & 0x8000:
                return None  # an answer, not a query
            name, at = decode_name(packet, 12)
            number, _ = struct.unpack_from("!HH", packet, at)
            question = packet[12:at + 4]
        except (IndexError, struct.error, ValueError):
            return packet[:2] + struct.pack("!HHHHH", 0x8000 | FORMERR, 0, 0, 0, 0)
        header_flags = 0x8400 | (flags & 0x0100)  # answer, authoritative, RD copied
        if questions != 1 or flags & 0x7800:
            return struct.pack("!HHHHHH", ident, header_flags | NOTIMP, 0, 0, 0, 0)
        name, kind = normal(name), TYPE_NAMES.get(number, f"TYPE{number}")
        with self.changed:
            self.queries.append(Query(name, kind, transport))
            self.changed.notify_all()
            behaviour = self._behaviour(name, kind)
        what = ""
        if behaviour:
            what = behaviour.what
            if behaviour.gate:
                await self.gates.passed(behaviour.gate)
        if what == "timeout":
            return None

        def reply(code, answers=(), authority=(), truncated=False):
            head = struct.pack("!HHHHHH", ident, header_flags | code | (0x0200 if truncated else 0),
                               1, len(answers), len(authority), 0)
            return head + question + b"".join(answers) + b"".join(authority)

        if what in ("servfail", "refused"):
            return reply(SERVFAIL if what == "servfail" else REFUSED)
        if what == "truncate" and transport == "udp":
            return reply(NOERROR, truncated=True)
        soa = [encode_record(name.split(".", 1)[-1], "SOA", 1, None)]
        if what == "nxdomain":
            return reply(NXDOMAIN, authority=soa)
        code, answers = (NOERROR, []) if what == "empty" else self._lookup(name, kind)
        full = reply(code, answers, [] if answers else soa)
        if transport == "udp" and len(full) > MAX_UDP_BYTES:
            return reply(NOERROR, truncated=True)
        return full

    def _behaviour(self, name, kind):
        for candidate in self._behaviours.get(name, []):
            if candidate.kind not in (None, kind):
                continue
            candidate.hits += 1
            if candidate.times is None or candidate.hits <= candidate.times:
                return candidate
        return None

    def _find(self, name):
        """The records of a name, by wildcard if need be; None if it does not exist."""
        if name in self._records:
            return self._records[name]
        if any(other.endswith("." + name) for other in self._records):
            return {}  # a name between two that exist (RFC 8020)
        parent = name
        while "." in parent:
            parent = parent.split(".", 1)[1]
            if "*." + parent in self._records:
                return self._records["*." + parent]
        return None

    def _lookup(self, name, kind):
        answers = []
        with self.changed:
            for _ in range(10):  # the longest chain of CNAMEs
                records = self._find(name)
                ttl = self._ttls.get(name, self.ttl)
                if records is None:
                    return NXDOMAIN, answers
                if "CNAME" in records and kind != "CNAME":
                    target = records["CNAME"][0]
                    answers.append(encode_record(name, "CNAME", ttl, target))
                    name = normal(target)
                    continue
                answers += [encode_record(name, kind, ttl, v) for v in records.get(kind, [])]
                return NOERROR, answers
        return SERVFAIL, []


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server):
        self._server = server
        self._tasks = set()

    def connection_made(self, transport):
        self._transport = transport

    def datagram_received(self, data, addr):
        async def respond():
            answer = await self._server.answer(data, "udp")
            if answer is not None:
                self._transport.sendto(answer, addr)

        task = asyncio.ensure_future(respond())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def main():
    parser = argparse.ArgumentParser(description="A scripted DNS server.")
    parser.add_argument("--listen", type=parse_listen, default=("127.0.0.1", 0),
                        help="ADDRESS:PORT")
    parser.add_argument("--zone", required=True, help="JSON file")
    parser.add_argument("--parent-pid", type=int, help="exit when this process is gone")
    args = parser.parse_args()
    stop = told_to_stop(args.parent_pid)
    with open(args.zone, encoding="utf-8") as file:
        zone = json.load(file)
    server = DnsServer(*args.listen, zone=zone).start()
    print(f"listening {server.address}:{server.port}", flush=True)
    stop.wait()
    server.stop()


if __name__ == "__main__":
    main()
