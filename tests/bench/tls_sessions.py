#!/usr/bin/python3
"""tls_sessions.py: what an idle TLS session costs in memory.

usage: PYTHONPATH=tests/support:build/release/python tests/bench/tls_sessions.py
           [--sessions 1000] [--domains 10]

Delivers one message on each of so many sessions, spread over so many domains, each of which has a
host of its own (addresses of 127.0.0.0/8), and leaves them open. Prints the daemon's resident memory
for each, once over plaintext and once over TLS, after the daemon has had 12 s to give back what the
handshakes left, and the CPU time of the deliveries. Exits 1 if a TLS session is above 40 KiB. Loopback only; ends by itself.
"""
import argparse
import pathlib
import sys
import tempfile
import time

import grpc
import relay
from certificates import Authority, server_context
from postern.v1 import delivery_pb2, delivery_pb2_grpc
from smtp_sink import SmtpSink

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIMIT_KIB = 40
relay.CONFIG = relay.CONFIG.replace(
    "\nroutes:", "\n  idle_timeout: 300s\n  max_outbound_connections: 20000\nroutes:")
SETTLE_SECONDS = 12  # the heap is looked at every 10 s


def resident_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(l for l in text.splitlines() if l.startswith("VmRSS")).split()[1])


def submit(stub, names):
    submissions = [delivery_pb2.SubmitRequest(sender="s@bench.example", recipients=[f"u@{name}"],
                                              content=b"Subject: x\r\n\r\nx\r\n") for name in names]
    for _ in stub.SubmitStream(iter([delivery_pb2.SubmitStreamRequest(submissions=submissions)])):
        pass


def run(build, directory, sessions, domains, tls):
    context = server_context(Authority(directory).issue_for("mx", hosts=["mx"])) if tls else None
    sink = SmtpSink(addresses=["0.0.0.0"], tls=context).start()
    # One more domain is for what is made once: threads, CAs, the allocator's arenas.
    warm_up = 20
    daemon = relay.Daemon(build, sink.port, domains + 1, host="127.{0}.{1}.1")
    pid = daemon.process.pid
    stub = delivery_pb2_grpc.DeliveryStub(grpc.insecure_channel(daemon.grpc))
    # Nobody is done before all are there, so that each takes a session of its own.
    sink.rule("mail", gate="all")

    def open_sessions(names):
        before = len(sink.connections)
        submit(stub, names)
        sink.gates.wait_reached("all", before + len(names), timeout=300)
        time.sleep(SETTLE_SECONDS)

    open_sessions([f"d{domains}.example"] * warm_up)
    before, cpu = resident_kib(pid), relay.cpu_seconds(pid)
    open_sessions([f"d{i % domains}.example" for i in range(sessions)])
    sink.gates.release("all")
    sink.wait_messages(sessions + warm_up, timeout=300)
    time.sleep(SETTLE_SECONDS)
    each = (resident_kib(pid) - before) / sessions
    cpu = (relay.cpu_seconds(pid) - cpu) / sessions * 1000
    assert len(sink.open_connections) == sessions + warm_up, "sessions were closed meanwhile"
    assert all(bool(c.tls) == tls for c in sink.connections)
    print(f"{'TLS' if tls else 'plaintext'}: {sessions} idle sessions to {domains} domains, "
          f"{each:.1f} KiB resident each, {cpu:.2f} ms of CPU for connection and message")
    daemon.stop()
    sink.stop()
    return each


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--domains", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        plain = run(args.build, directory, args.sessions, args.domains, False)
        secure = run(args.build, directory, args.sessions, args.domains, True)
    print(f"TLS adds {secure - plain:.1f} KiB")
    sys.exit(secure > LIMIT_KIB)


if __name__ == "__main__":
    main()
