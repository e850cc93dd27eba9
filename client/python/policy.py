#!/usr/bin/python3
"""A policy service for Postern: ends each SMTP session after N deliveries.

    client/python/generate-stubs /tmp/stubs
    PYTHONPATH=/tmp/stubs client/python/policy.py --shutdown-after 10
"""
import argparse
import itertools
import pathlib
import queue
import signal
import time

import grpc
from postern.v1 import hooks_pb2 as pb
from postern.v1 import hooks_pb2_grpc


def judge(question, limit):
    """The policy itself: may this session go on, and if not, why."""
    if question.deliveries >= limit:
        return pb.DECISION_SHUTDOWN, f"after {limit} deliveries"
    return pb.DECISION_KEEP, ""


def converse(stub, args):
    """One Decide stream, until the server or the network ends it."""
    ids = itertools.count(1)
    out = queue.SimpleQueue()  # what we send; None ends our half of the stream
    out.put(pb.DecideRequest(attach=pb.Attach(provider=args.name, protocol_version=1, kinds=[
        pb.EVENT_KIND_POST_INITIATE_CONNECTION_SMTP, pb.EVENT_KIND_CONNECTION_CLOSED])))
    try:
        for frame in stub.Decide(iter(out.get, None)):
            if frame.HasField("attached"):
                print("attached", frame.attached.provider_id, flush=True)
            for question in frame.questions.questions:
                decision, reason = judge(question, args.shutdown_after)
                verdict = pb.Verdict(verdict_id=next(ids), decision=decision, reason=reason)
                verdict.question.connection_id = question.connection_id
                verdict.question.number = question.number
                out.put(pb.DecideRequest(verdicts=pb.Verdicts(verdicts=[verdict])))
                print("question", question.domain, question.deliveries, reason, flush=True)
            for event in frame.events.events:
                print("event", event.WhichOneof("what"), event.connection.domain, flush=True)
            if frame.events.events:  # say what was read: the server bounds what it holds for us
                last = frame.events.first_position + len(frame.events.events) - 1
                out.put(pb.DecideRequest(acknowledge=pb.Acknowledge(position=last)))
            for result in frame.verdict_results.results:
                print("verdict", pb.VerdictStatus.Name(result.status), flush=True)
    finally:
        out.put(None)


def connect(args):
    options = [("grpc.enable_retries", 0)]  # trying again is what the loop below is for
    if not args.tls:
        return grpc.insecure_channel(args.server, options)
    ca, certificate, key = (pathlib.Path(name).read_bytes() for name in args.tls)
    return grpc.secure_channel(args.server, grpc.ssl_channel_credentials(ca, key, certificate),
                               options)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--server", default="127.0.0.1:9090")
    parser.add_argument("--tls", nargs=3, metavar=("CA", "CERTIFICATE", "KEY"), help="PEM files")
    parser.add_argument("--name", default="sample", help="provider name")
    parser.add_argument("--shutdown-after", type=int, default=10, metavar="N")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a traceback
    with connect(args) as channel:
        while True:
            try:
                converse(hooks_pb2_grpc.HooksStub(channel), args)
            except grpc.RpcError as error:
                print(error.code().name, error.details(), flush=True)
            time.sleep(1)  # whatever ended the stream: attach again, without haste
