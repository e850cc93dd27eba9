#!/usr/bin/python3
"""What became of the quickstart's mail: one line per domain, and whether all went as it should.

Reads the receipts (`postern submit --json`) and the events (`postern watch --json`) of a run and
asks the service for the dispositions (`postern messages --json`; POSTERN_ADDRESS says where). Exits
0 when every submitted message is DELIVERED and at least one session was closed by a verdict of
--provider, else 1 with the reason.
"""

import argparse
import collections
import json
import subprocess
import sys


def lines(path):
    """The JSON objects of a file, one a line; an unfinished last line is left out."""
    with open(path, encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n") and line.startswith("{"):
                yield json.loads(line)


def dispositions(postern):
    """{message_id: {disposition, ...}} of all messages that the service still knows."""
    command = [postern, "messages", "--json", "--limit", "100000"]
    for state in ("queued", "deferred", "delivered", "failed", "expired", "cancelled"):
        command += ["--state", state]
    out = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout
    return {message["message_id"]: {recipient["disposition"].replace("DISPOSITION_", "")
                                    for row in message["rows"] for recipient in row["recipients"]}
            for message in map(json.loads, out.splitlines())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--receipts", required=True)
    parser.add_argument("--events", required=True)
    parser.add_argument("--provider", required=True, help="name of the policy client")
    parser.add_argument("--postern", required=True, help="the command line program")
    parser.add_argument("--quiet", action="store_true", help="only the exit code")
    args = parser.parse_args()

    domain_of = {r["message_id"]: r["rows"][0]["domain"] for r in lines(args.receipts)}
    found = dispositions(args.postern)
    states = {domain: collections.Counter() for domain in domain_of.values()}
    for ident, domain in domain_of.items():
        states[domain][" and ".join(sorted(found.get(ident, {"UNKNOWN"})))] += 1
    sessions, ended = collections.Counter(), collections.Counter()
    for event in lines(args.events):
        closed = event.get("connection_closed")
        if closed:
            domain = event["connection"]["domain"]
            sessions[domain] += 1
            ended[domain] += (closed["cause"] == "CLOSE_CAUSE_REMOTE_POLICY"
                              and closed["provider"] == args.provider)

    delivered = sum(state["DELIVERED"] for state in states.values())
    trouble = ""
    if delivered < len(domain_of):
        trouble = f"{len(domain_of) - delivered} of {len(domain_of)} messages are not DELIVERED"
    elif not sum(ended.values()):
        trouble = f"no session was closed by a verdict of {args.provider}"
    if not args.quiet:
        for domain, state in states.items():
            said = ", ".join(f"{count} {name}" for name, count in sorted(state.items()))
            print(f"  {domain:12} {said}; {sessions[domain]} sessions closed, "
                  f"{ended[domain]} of them by {args.provider}")
        print(f"  {delivered} of {len(domain_of)} messages DELIVERED, {sum(ended.values())} "
              f"sessions ended by verdicts of the remote client {args.provider}"
              + (f"\n  NOT GOOD: {trouble}" if trouble else ""))
    sys.exit(1 if trouble else 0)


main()
