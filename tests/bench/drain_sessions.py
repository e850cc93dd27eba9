#!/usr/bin/python3
"""drain_sessions.py: how long a drain of many open sessions takes when some peers hang.

usage: PYTHONPATH=tests/support:build/release/python tests/bench/drain_sessions.py
           [--sessions 1000] [--hanging 10] [--budget 3]

One session a domain: all but a few are idle at Postfix's smtp-sink, the others hang in their
transaction at a receiver that never answers the final dot. Then Drain. Prints the time, and what
was cut and left in doubt; exits 1 if it took more than the budget and 2 s, or if anything else was
cut than what hung. Loopback only; ends by itself.
"""
import argparse
import pathlib
import subprocess
import sys
import time

import grpc
from google.protobuf import duration_pb2

import relay
from postern.v1 import control_pb2, control_pb2_grpc, delivery_pb2, delivery_pb2_grpc
from running import eventually
from smtp_sink import SmtpSink

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--hanging", type=int, default=10)
    parser.add_argument("--budget", type=int, default=3)
    args = parser.parse_args()
    port = relay.free_port()
    hang = SmtpSink(addresses=["127.0.0.2"], port=port).start()
    hang.rule("body", hang=True)
    sink = subprocess.Popen(["/usr/sbin/smtp-sink", "-u", "nobody", "-m", str(args.sessions + 10),
                             f"127.0.0.1:{port}", "4000"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    relay.CONFIG = relay.CONFIG.replace("options:\n", "options:\n  idle_timeout: 10m\n").replace(
        "routes:\n", "routes:\n  - {{domain: \"*.hang.example\", hosts: [\"127.0.0.2\"]}}\n")
    daemon = relay.Daemon(args.build, port, args.sessions)
    names = [f"d{i}.example" for i in range(args.sessions - args.hanging)]
    names += [f"d{i}.hang.example" for i in range(args.hanging)]
    channel = grpc.insecure_channel(daemon.grpc)
    request = delivery_pb2.SubmitStreamRequest(submissions=[delivery_pb2.SubmitRequest(
        sender="s@bench.example", recipients=[f"u@{name}"], content=b"Subject: x\r\n\r\nx\r\n")
        for name in names])
    for _ in delivery_pb2_grpc.DeliveryStub(channel).SubmitStream(iter([request])):
        pass
    eventually(lambda: daemon.metric('postern_recipients_total{disposition="delivered"}')
               == args.sessions - args.hanging, 60, "all others are delivered")
    hang.wait_transactions(args.hanging, 60)
    opened = daemon.metric("postern_open_sessions")
    started = time.monotonic()
    progress = list(control_pb2_grpc.ControlStub(channel).Drain(control_pb2.DrainRequest(
        budget=duration_pb2.Duration(seconds=args.budget)), timeout=60))
    took = time.monotonic() - started
    last = progress[-1]
    print(f"{opened:.0f} sessions, {args.hanging} of them hang: drained in {took:.2f} s with a "
          f"budget of {args.budget} s; {last.cut} cut, {last.in_doubt} in doubt, "
          f"{last.queued} rows stay")
    daemon.stop()
    sink.terminate()
    sink.wait()
    hang.stop()
    sys.exit(took > args.budget + 2 or last.cut != args.hanging)


if __name__ == "__main__":
    main()
