"""The scripted DNS server, asked over UDP and TCP."""

import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

from dns_server import (NOERROR, NXDOMAIN, REFUSED, SERVFAIL, TYPE_NAMES, TYPES, DnsServer,
                        decode_name, encode_name)
from running import spawn

PROGRAM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "dns_server.py")


def query(name, kind):
    return struct.pack("!HHHHHH", 77, 0x0100, 1, 0, 0, 0) + encode_name(name) + \
        struct.pack("!HH", TYPES[kind], 1)


def parse(packet):
    """(code, truncated, [(name, kind, ttl, value)]) of an answer."""
    ident, flags, questions, answers, _, _ = struct.unpack_from("!HHHHHH", packet)
    assert ident == 77 and flags & 0x8000 and questions == 1
    at = decode_name(packet, 12)[1] + 4
    records = []
    for _ in range(answers):
        name, at = decode_name(packet, at)
        kind, _, ttl, size = struct.unpack_from("!HHIH", packet, at)
        at += 10
        kind = TYPE_NAMES[kind]
        if kind == "A":
            value = socket.inet_ntoa(packet[at:at + 4])
        elif kind == "AAAA":
            value = socket.inet_ntop(socket.AF_INET6, packet[at:at + 16])
        elif kind == "MX":
            value = (struct.unpack_from("!H", packet, at)[0], decode_name(packet, at + 2)[0])
        else:
            value = decode_name(packet, at)[0]
        records.append((name, kind, ttl, value))
        at += size
    return flags & 15, bool(flags & 0x0200), records


def ask_udp(port, name, kind, timeout=10):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(timeout)
        sock.sendto(query(name, kind), ("127.0.0.1", port))
        return parse(sock.recv(4096))


def ask_tcp(port, name, kind):
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        packet = query(name, kind)
        sock.sendall(struct.pack("!H", len(packet)) + packet)
        file = sock.makefile("rb")
        size, = struct.unpack("!H", file.read(2))
        return parse(file.read(size))


class DnsTest(unittest.TestCase):
    def make(self, **options):
        dns = DnsServer(**options).start()
        self.addCleanup(dns.stop)
        return dns

    def test_answers_mx_and_addresses_over_both_transports(self):
        dns = self.make()
        dns.mx("a.test", "mx2.a.test", 20, ttl=7)
        dns.mx("A.test", "mx1.a.test", 10)
        dns.a("mx1.a.test", "127.0.0.1", "::1")
        for ask in (ask_udp, ask_tcp):
            code, truncated, records = ask(dns.port, "a.TEST", "MX")
            self.assertEqual((code, truncated), (NOERROR, False))
            self.assertEqual([(r[2], r[3]) for r in records],
                             [(7, (20, "mx2.a.test")), (7, (10, "mx1.a.test"))])
            self.assertEqual(ask(dns.port, "mx1.a.test", "A")[2],
                             [("mx1.a.test", "A", 60, "127.0.0.1")])
            self.assertEqual(ask(dns.port, "mx1.a.test", "AAAA")[2][0][3], "::1")
        self.assertEqual(dns.count("a.test", "MX"), 2)
        self.assertEqual(dns.count(transport="tcp"), 3)

    def test_tells_a_missing_name_from_a_missing_record(self):
        dns = self.make()
        dns.a("host.a.test", "127.0.0.1")
        self.assertEqual(ask_udp(dns.port, "host.a.test", "MX"), (NOERROR, False, []))
        self.assertEqual(ask_udp(dns.port, "a.test", "A"), (NOERROR, False, []))
        self.assertEqual(ask_udp(dns.port, "b.test", "MX"), (NXDOMAIN, False, []))

    def test_follows_aliases_and_wildcards(self):
        dns = self.make()
        dns.cname("alias.test", "real.test")
        dns.a("real.test", "127.0.0.5")
        dns.a("*.wild.test", "127.0.0.6")
        dns.cname("loop.test", "loop.test")
        self.assertEqual([r[1:] for r in ask_udp(dns.port, "alias.test", "A")[2]],
                         [("CNAME", 60, "real.test"), ("A", 60, "127.0.0.5")])
        self.assertEqual(ask_udp(dns.port, "x.y.wild.test", "A")[2][0],
                         ("x.y.wild.test", "A", 60, "127.0.0.6"))
        self.assertEqual(ask_udp(dns.port, "loop.test", "A")[0], SERVFAIL)

    def test_publishes_a_null_mx(self):
        dns = self.make()
        dns.null_mx("none.test")
        self.assertEqual(ask_udp(dns.port, "none.test", "MX")[2],
                         [("none.test", "MX", 60, (0, ""))])

    def test_misbehaves_as_told(self):
        dns = self.make()
        for name, what in (("s.test", "servfail"), ("r.test", "refused"), ("n.test", "nxdomain"),
                           ("e.test", "empty"), ("t.test", "truncate"), ("q.test", "timeout")):
            dns.domain(name)
            dns.behave(name, what)
        self.assertEqual(ask_udp(dns.port, "s.test", "MX")[0], SERVFAIL)
        self.assertEqual(ask_udp(dns.port, "r.test", "MX")[0], REFUSED)
        self.assertEqual(ask_udp(dns.port, "n.test", "MX")[0], NXDOMAIN)
        self.assertEqual(ask_udp(dns.port, "e.test", "MX"), (NOERROR, False, []))
        self.assertEqual(ask_udp(dns.port, "t.test", "MX"), (NOERROR, True, []))
        self.assertEqual(len(ask_tcp(dns.port, "t.test", "MX")[2]), 1)
        with self.assertRaises(TimeoutError):
            ask_udp(dns.port, "q.test", "MX", timeout=0.1)

    def test_misbehaves_for_one_type_a_limited_number_of_times(self):
        dns = self.make()
        dns.domain("a.test")
        dns.behave("a.test", "servfail", kind="MX", times=1)
        self.assertEqual(ask_udp(dns.port, "a.test", "A")[0], NOERROR)
        self.assertEqual(ask_udp(dns.port, "a.test", "MX")[0], SERVFAIL)
        self.assertEqual(ask_udp(dns.port, "a.test", "MX")[0], NOERROR)

    def test_truncates_what_does_not_fit_a_datagram(self):
        dns = self.make()
        for i in range(40):
            dns.mx("big.test", f"mx{i}.big.test", i)
        self.assertEqual(ask_udp(dns.port, "big.test", "MX"), (NOERROR, True, []))
        self.assertEqual(len(ask_tcp(dns.port, "big.test", "MX")[2]), 40)

    def test_waits_at_a_gate(self):
        dns = self.make()
        dns.domain("a.test")
        dns.behave("a.test", "", gate="mx")
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(10)
            sock.sendto(query("a.test", "MX"), ("127.0.0.1", dns.port))
            dns.gates.wait_reached("mx")
            dns.gates.release("mx")
            self.assertEqual(len(parse(sock.recv(4096))[2]), 1)

    def test_survives_garbage(self):
        dns = self.make()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for packet in (b"", b"\0", b"\xff" * 12, b"\0" * 11 + b"\1" + b"\xc0\x0c", bytes(17)):
                sock.sendto(packet, ("127.0.0.1", dns.port))
        dns.a("a.test", "127.0.0.1")
        self.assertEqual(ask_udp(dns.port, "a.test", "A")[0], NOERROR)

    def test_runs_as_a_program(self):
        zone = {"a.test": {"MX": [[10, "mx.a.test"]], "ttl": 5}, "mx.a.test": {"A": ["127.0.0.3"]},
                "b.test": {"MX": [[0, "."]]}, "c.test": {"behaviour": {"MX": "servfail"}},
                "d.test": {"CNAME": "mx.a.test"}}
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump(zone, file)
            file.flush()
            process = spawn([sys.executable, PROGRAM, "--zone", file.name],
                            stdout=subprocess.PIPE, text=True)
            self.addCleanup(process.stdout.close)
            first = process.stdout.readline()
        self.assertRegex(first, r"^listening 127\.0\.0\.1:\d+$")
        port = int(first.rsplit(":", 1)[1])
        self.assertEqual(ask_udp(port, "a.test", "MX")[2][0][3], (10, "mx.a.test"))
        self.assertEqual(ask_udp(port, "c.test", "MX")[0], SERVFAIL)
        self.assertEqual(ask_udp(port, "d.test", "A")[2][-1][3], "127.0.0.3")
        process.terminate()
        self.assertEqual(process.wait(10), 0)


if __name__ == "__main__":
    unittest.main()
