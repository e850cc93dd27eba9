#!/usr/bin/python3
"""A policy service for Postern: ends each SMTP session after N deliveries.

    client/python/generate-stubs /tmp/stubs
    PYTHONPATH=/tmp/stubs client/python/policy.py --shutdown-after 10
"""
import argparse
import queue
import random
import sys
import time

import grpc
from postern.v1 import hooks_pb2 as pb
from postern.v1 import hooks_pb2_grpc

KINDS = [pb.EVENT_KIND_POST_INITIATE_CONNECTION_SMTP, pb.EVENT_KIND_CONNECTION_CLOSED]


def say(*words):
    print(*words, flush=True)


def judge(question, limit, verdict_id):
    """The policy itself: one answer to one question."""
    verdict = pb.Verdict(verdict_id=verdict_id, decision=pb.DECISION_KEEP)
    verdict.question.connection_id, verdict.question.number = question.connection_id, question.number
    if question.deliveries >= limit:
        verdict.decision, verdict.reason = pb.DECISION_SHUTDOWN, f"after {limit} deliveries"
    return verdict


def converse(channel, args):
    """One Decide stream, until the server or the network ends it. Yields after each frame."""
    out = queue.SimpleQueue()  # what we send; None ends our half of the stream
    out.put(pb.DecideRequest(attach=pb.Attach(provider=args.name, kinds=KINDS, protocol_version=1)))
    next_id = 1
    try:
        for frame in hooks_pb2_grpc.HooksStub(channel).Decide(iter(out.get, None)):
            verdicts = pb.Verdicts()
            for question in frame.questions.questions:
                verdicts.verdicts.append(judge(question, args.shutdown_after, next_id))
                next_id += 1
                say("question", question.domain, question.number, "deliveries", question.deliveries)
            if verdicts.verdicts:
                out.put(pb.DecideRequest(verdicts=verdicts))
            for event in frame.events.events:
                say("event", event.WhichOneof("what"), event.connection.domain,
                    event.connection.remote_address or "-")
            if frame.events.events:
                last = frame.events.first_position + len(frame.events.events) - 1
                out.put(pb.DecideRequest(acknowledge=pb.Acknowledge(position=last)))
            for result in frame.verdict_results.results:
                say("verdict", result.verdict_id, pb.VerdictStatus.Name(result.status))
            if frame.HasField("attached"):
                say("attached", frame.attached.provider_id)
            yield frame
    finally:
        out.put(None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="127.0.0.1:9090")
    parser.add_argument("--name", default="sample", help="provider name")
    parser.add_argument("--shutdown-after", type=int, default=10, metavar="N")
    args = parser.parse_args()
    pause = 0.1
    with grpc.insecure_channel(args.server) as channel:
        while True:
            try:
                for _ in converse(channel, args):
                    pause = 0.1  # it talks to us: the next trouble is a new one
            except grpc.RpcError as error:
                print(error.code().name, error.details(), file=sys.stderr, flush=True)
                if error.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED):
                    return 1  # trying again would not help
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 5.0)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        pass
