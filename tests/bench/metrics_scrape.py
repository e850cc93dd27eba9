#!/usr/bin/python3
"""metrics_scrape.py: what one look at /metrics costs with many queues.

usage: PYTHONPATH=tests/support:build/release/python tests/bench/metrics_scrape.py
           [--queues 10000] [--bindings 10] [--scrapes 50]

Fills that many queues, each with one message for a host that refuses connections, and reads
/metrics again and again. Prints median, 99th percentile and size; exits 1 above 50 ms (median) or
1 MiB. Loopback only; ends by itself.
"""
import argparse
import pathlib
import re
import statistics
import sys
import time
import urllib.request

import grpc

import relay
from postern.v1 import delivery_pb2, delivery_pb2_grpc

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_SECONDS = 0.050
MOST_BYTES = 1 << 20


def frames(queues, bindings):
    """SubmitStream requests of 250 submissions each."""
    submissions = [delivery_pb2.SubmitRequest(
        sender="s@bench.example", recipients=[f"r@d{i}.example"], binding=f"b{i % bindings}",
        content=b"Subject: x\r\n\r\nx\r\n") for i in range(queues)]
    for start in range(0, queues, 250):
        yield delivery_pb2.SubmitStreamRequest(submissions=submissions[start:start + 250])


def scrape(http):
    started = time.monotonic()
    text = urllib.request.urlopen(f"http://{http}/metrics", timeout=10).read()
    return time.monotonic() - started, text


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--queues", type=int, default=10000)
    parser.add_argument("--bindings", type=int, default=10)
    parser.add_argument("--scrapes", type=int, default=50)
    args = parser.parse_args()
    relay.CONFIG = relay.CONFIG.replace("routes:\n{routes}", "routes: [{{domain: \"*\", hosts: "
                                        "[\"127.0.0.1\"]}}]\nbindings:\n" + "".join(
                                            f"  - {{{{name: b{i}}}}}\n" for i in range(args.bindings)))
    daemon = relay.Daemon(args.build, relay.free_port(), 0)
    try:
        with grpc.insecure_channel(daemon.grpc) as channel:
            answers = delivery_pb2_grpc.DeliveryStub(channel).SubmitStream(
                frames(args.queues, args.bindings))
            stored = sum(r.HasField("receipt") for frame in answers for r in frame.results)
        deadline = time.monotonic() + 120
        queues = 0
        while queues < stored and time.monotonic() < deadline:
            _, text = scrape(daemon.http)
            queues = sum(int(n) for n in re.findall(rb"^postern_queues\{.*\} (\d+)$", text, re.M))
            time.sleep(0.2)
        if queues != args.queues:
            sys.exit(f"{queues} queues, not {args.queues}")
        took = sorted(scrape(daemon.http)[0] for _ in range(args.scrapes))
        size = len(scrape(daemon.http)[1])
    finally:
        daemon.stop()
    median, high = statistics.median(took), took[int(len(took) * 0.99)]
    print(f"/metrics with {args.queues} queues of {args.bindings} bindings: median "
          f"{median * 1e3:.1f} ms, p99 {high * 1e3:.1f} ms, {size} bytes")
    sys.exit(0 if median <= MOST_SECONDS and size <= MOST_BYTES else 1)


if __name__ == "__main__":
    main()
