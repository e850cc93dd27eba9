#!/usr/bin/python3
"""waiting_sessions.py: what sessions cost that wait for a remote verdict.

usage: PYTHONPATH=tests/support:build/release/python tests/bench/waiting_sessions.py [--sessions 1000]

Opens that many SMTP sessions to smtp-sink, one a domain, delivers one message on each and leaves
every question unanswered for 5 s. Prints the daemon's threads and resident memory before, and
while all wait, and the names of threads that were added: gRPC's own pool may grow by one or two,
whatever the number of sessions. Exits 1 if more were. Loopback only; ends by itself.
"""
import argparse
import collections
import pathlib
import subprocess
import sys
import tempfile
import time

import relay
from postern.v1 import delivery_pb2, delivery_pb2_grpc, hooks_pb2, hooks_pb2_grpc
import grpc
from google.protobuf import duration_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]


def names(pid):
    return sorted(t.joinpath("comm").read_text().strip()
                  for t in pathlib.Path(f"/proc/{pid}/task").iterdir())


def status(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = dict(line.split(":", 1) for line in text.splitlines())
    return int(fields["Threads"]), int(fields["VmRSS"].split()[0]) // 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--sessions", type=int, default=1000)
    args = parser.parse_args()
    relay.CONFIG += "policy:\n  timeout: 5s\n"
    port = relay.free_port()
    sink = subprocess.Popen(["/usr/sbin/smtp-sink", "-u", "nobody", "-m", str(args.sessions + 10),
                             f"127.0.0.1:{port}", "4000"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemon = relay.Daemon(args.build, port, args.sessions)
    pid = daemon.process.pid
    channel = grpc.insecure_channel(daemon.grpc)
    attach = hooks_pb2.DecideRequest(attach=hooks_pb2.Attach(
        provider="silent", ask=hooks_pb2.ASK_MODE_SYNC, timeout=duration_pb2.Duration(seconds=5)))
    asked = 0

    def requests():
        yield attach
        time.sleep(30)

    frames = hooks_pb2_grpc.HooksStub(channel).Decide(requests())
    next(frames)  # attached
    stub = delivery_pb2_grpc.DeliveryStub(channel)
    # A refused submission: what gRPC starts at its first stream is there before we count.
    for _ in stub.SubmitStream(iter([delivery_pb2.SubmitStreamRequest(
            submissions=[delivery_pb2.SubmitRequest()])])):
        pass
    before, names_before = status(pid), names(pid)
    submissions = [delivery_pb2.SubmitRequest(
        sender="s@bench.example", recipients=[f"u@d{i}.example"],
        content=b"Subject: x\r\n\r\nx\r\n") for i in range(args.sessions)]
    for _ in stub.SubmitStream(iter([delivery_pb2.SubmitStreamRequest(submissions=submissions)])):
        pass
    for frame in frames:
        asked += len(frame.questions.questions)
        if asked == args.sessions:
            break
    during, names_during = status(pid), names(pid)
    print(f"{asked} sessions wait for a verdict: threads {before[0]} -> {during[0]}, "
          f"resident {before[1]} -> {during[1]} MiB")
    added = collections.Counter(names_during) - collections.Counter(names_before)
    print("threads added:", dict(added) or "none")
    frames.cancel()
    daemon.stop()
    sink.terminate()
    sink.wait()
    sys.exit(during[0] > before[0] + 2)


if __name__ == "__main__":
    main()
