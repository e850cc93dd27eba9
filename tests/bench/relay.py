#!/usr/bin/python3
"""relay.py: how many messages a second, and at what cost, from gRPC in to SMTP out.

usage: tests/bench/relay.py [--build build/release] [--count 20000] [--runs 3]

Per run, in turns: (1) SubmitStream with delivery held back (the only host refuses connections),
4 KiB messages, window 256, one and sixteen submissions a frame; (2) the whole way: submitted,
spooled with sync, delivered to Postfix's smtp-sink on the same machine. Prints messages/s, the
daemon's CPU time per message, and medians. Loopback only; ends by itself.
"""
import argparse
import os
import pathlib
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIG = """
server:
  spool_directory: {spool}
  grpc_listeners: [{{address: "127.0.0.1:0"}}]
  http_listener: "127.0.0.1:0"
  log_level: warning
options:
  prohibited_hosts: [none]
  remote_smtp_port: {port}
  ehlo_hostname: bench.example
  max_connections_per_host: 20000
routes:
{routes}
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Daemon:
    # Domain d<i> is routed to `host`, in which {0} and {1} stand for i / 250 and i % 250.
    def __init__(self, build, port, domains, host="127.0.0.1"):
        self.dir = tempfile.TemporaryDirectory(prefix="postern-bench-", dir=ROOT / "build")
        at = host.format
        routes = "\n".join(f"  - {{domain: d{i}.example, hosts: [\"{at(i // 250, i % 250)}\"]}}"
                           for i in range(domains))
        config = pathlib.Path(self.dir.name) / "postern.yaml"
        config.write_text(CONFIG.format(spool=self.dir.name + "/spool", port=port, routes=routes))
        self.process = subprocess.Popen([build / "server/posternd", "--config", config],
                                        stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        self.grpc, self.http = re.match(r"ready grpc=(\S+) http=(\S+)", ready).groups()

    def metric(self, name):
        text = urllib.request.urlopen(f"http://{self.http}/metrics", timeout=5).read().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        return float(found.group(1)) if found else 0.0

    def stop(self):
        self.process.terminate()
        self.process.wait(30)
        self.dir.cleanup()


def load(build, daemon, count, frame, domains):
    output = subprocess.run([build / "tests/bench/submit_load", "--server", daemon.grpc, "--count",
                             str(count), "--frame", str(frame), "--domains", str(domains)],
                            capture_output=True, text=True, timeout=300)
    if output.returncode != 0:
        sys.exit(f"submit_load failed: {output.stdout}{output.stderr}")
    return {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", output.stdout)}


def submit_only(build, count, frame):
    daemon = Daemon(build, free_port(), 1)
    before = cpu_seconds(daemon.process.pid)
    result = load(build, daemon, count, frame, 1)
    cost = (cpu_seconds(daemon.process.pid) - before) / count * 1e6
    daemon.stop()
    return result["rate"], cost, result["client_cpu_us"]


def relay(build, count, frame, domains):
    port = free_port()
    sink = subprocess.Popen(["/usr/sbin/smtp-sink", "-u", "nobody", f"127.0.0.1:{port}", "1000"],
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except ConnectionRefusedError:
            time.sleep(0.02)
    if sink.poll() is not None:
        sys.exit("smtp-sink did not start")
    daemon = Daemon(build, port, domains)
    pid = daemon.process.pid
    before, start = cpu_seconds(pid), time.monotonic()
    load(build, daemon, count, frame, domains)
    delivered = 0
    while delivered < count and time.monotonic() - start < 300:
        delivered = daemon.metric('postern_recipients_total{disposition="delivered"}')
        time.sleep(0.02)
    took = time.monotonic() - start
    cost = (cpu_seconds(pid) - before) / count * 1e6
    daemon.stop()
    sink.terminate()
    sink.wait()
    if delivered != count:
        sys.exit(f"delivered {delivered} of {count}")
    return count / took, cost


# Least messages a second, and most microseconds of the daemon's processor time for each.
LIMITS = {"submit": (10_000, float("inf")), "relay": (4_000, 200)}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--domains", type=int, default=5)
    args = parser.parse_args()
    results = {}
    for run in range(args.runs):
        for frame in (1, 16):
            rate, cost, client = submit_only(args.build, args.count, frame)
            results.setdefault(f"submit, {frame} a frame", []).append((rate, cost))
            print(f"run {run}: submit only, {frame:2} a frame: {rate:7.0f} msg/s, "
                  f"daemon {cost:5.1f} us CPU/msg, client {client:5.1f}", flush=True)
            rate, cost = relay(args.build, args.count, frame, args.domains)
            results.setdefault(f"relay, {frame} a frame", []).append((rate, cost))
            print(f"run {run}: gRPC to SMTP, {frame:2} a frame: {rate:7.0f} msg/s, "
                  f"daemon {cost:5.1f} us CPU/msg", flush=True)
    missed = []
    for name, figures in results.items():
        rate = statistics.median(f[0] for f in figures)
        cost = statistics.median(f[1] for f in figures)
        print(f"median {name}: {rate:.0f} msg/s, {cost:.1f} us CPU/msg")
        least, most = LIMITS[name.split(",")[0]]
        if rate < least:
            missed.append(f"{name}: {rate:.0f} msg/s, at least {least}")
        if cost > most:
            missed.append(f"{name}: {cost:.1f} us CPU/msg, at most {most}")
    if missed:
        sys.exit("missed: " + "; ".join(missed))


if __name__ == "__main__":
    main()
