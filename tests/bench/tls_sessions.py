#!/usr/bin/python3
"""tls_sessions.py: what an idle TLS session costs in memory.

usage: PYTHONPATH=tests/support:build/release/python tests/bench/tls_sessions.py [--sessions 1000]

Delivers one message on each of so many sessions to one receiver, each for a domain of its own, and
leaves them open. Prints the daemon's resident memory for each, once over plaintext and once over
TLS, when the daemon has had 12 s to give back what the handshakes left, and the CPU time of the
deliveries. Exits 1 if a TLS session is above 40 KiB. Loopback only; ends by itself.
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
SETTLE_SECONDS = 12  # the heap is looked at every 10 s
relay.CONFIG = relay.CONFIG.replace("\nroutes:", "\n  idle_timeout: 300s\nroutes:")


def resident_kib(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(l for l in text.splitlines() if l.startswith("VmRSS")).split()[1])


def submit(stub, names):
    submissions = [delivery_pb2.SubmitRequest(sender="s@bench.example", recipients=[f"u@{name}"],
                                              content=b"Subject: x\r\n\r\nx\r\n") for name in names]
    for _ in stub.SubmitStream(iter([delivery_pb2.SubmitStreamRequest(submissions=submissions)])):
        pass


def run(build, directory, sessions, tls):
    context = server_context(Authority(directory).issue_for("mx", hosts=["mx"])) if tls else None
    sink = SmtpSink(addresses=["0.0.0.0"], tls=context).start()
    # The first few are for what is made once: threads, CAs, the allocator's arenas.
    warm_up = 20
    daemon = relay.Daemon(build, sink.port, sessions + warm_up)
    pid = daemon.process.pid
    stub = delivery_pb2_grpc.DeliveryStub(grpc.insecure_channel(daemon.grpc))
    names = [f"d{i}.example" for i in range(sessions + warm_up)]
    submit(stub, names[:warm_up])
    sink.wait_messages(warm_up, timeout=60)
    time.sleep(SETTLE_SECONDS)
    before, cpu = resident_kib(pid), relay.cpu_seconds(pid)
    submit(stub, names[warm_up:])
    sink.wait_messages(sessions + warm_up, timeout=300)
    time.sleep(SETTLE_SECONDS)
    each = (resident_kib(pid) - before) / sessions
    cpu = (relay.cpu_seconds(pid) - cpu) / sessions * 1000
    assert len(sink.open_connections) == sessions + warm_up, "sessions were closed meanwhile"
    assert all(bool(c.tls) == tls for c in sink.connections)
    print(f"{'TLS' if tls else 'plaintext'}: {sessions} idle sessions, {each:.1f} KiB resident each, "
          f"{cpu:.2f} ms of CPU for connection and message")
    daemon.stop()
    sink.stop()
    return each


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--sessions", type=int, default=1000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        plain = run(args.build, directory, args.sessions, False)
        secure = run(args.build, directory, args.sessions, True)
    print(f"TLS adds {secure - plain:.1f} KiB")
    sys.exit(secure > LIMIT_KIB)


if __name__ == "__main__":
    main()
