#!/usr/bin/python3
"""idle.py: what a daemon costs that was just started and has nothing to do.

usage: tests/bench/idle.py [--seconds 20]

Starts posternd with an empty spool, waits until it is ready, and prints its resident memory and
how often its threads wake up: their voluntary context switches over the time, by thread name.
Exits 1 above 64 MiB or 10 wake-ups a second. Loopback only; ends by itself.
"""
import argparse
import collections
import pathlib
import sys
import time

import relay

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_MIB = 64
MOST_WAKE_UPS = 10


def field(path, name):
    return int(dict(line.split(":", 1) for line in path.read_text().splitlines())[name].split()[0])


def switches(pid):
    """{thread name: voluntary context switches}."""
    found = collections.Counter()
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        found[task.joinpath("comm").read_text().strip()] += field(task / "status",
                                                                  "voluntary_ctxt_switches")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release")
    parser.add_argument("--seconds", type=float, default=20)
    args = parser.parse_args()
    daemon = relay.Daemon(args.build, relay.free_port(), 1)
    pid = daemon.process.pid
    time.sleep(2)  # what happens once after the start is not idleness
    before = switches(pid)
    time.sleep(args.seconds)
    woken = switches(pid) - before
    resident = field(pathlib.Path(f"/proc/{pid}/status"), "VmRSS") / 1024
    daemon.stop()
    rate = sum(woken.values()) / args.seconds
    print(f"resident {resident:.1f} MiB, {rate:.1f} wake-ups a second")
    for name, count in woken.most_common():
        print(f"  {name}: {count / args.seconds:.2f} a second")
    sys.exit(resident > MOST_MIB or rate > MOST_WAKE_UPS)


if __name__ == "__main__":
    main()
