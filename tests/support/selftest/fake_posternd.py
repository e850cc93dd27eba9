#!/usr/bin/python3
"""As much of a posternd as the tests of the harness need: every message is delivered at once.

It keeps the contract of the harness (ready line, SIGTERM, streams) and no other. The file
`misbehave` beside the configuration holds words that make it fail on purpose.
"""

import argparse
import concurrent.futures
import http.server
import os
import queue
import signal
import sys
import threading

import grpc

from postern.v1 import (delivery_pb2, delivery_pb2_grpc, hooks_pb2, hooks_pb2_grpc, types_pb2)

METRICS = ('# HELP x_total Things.\n# TYPE x_total counter\n'
           'x_total{what="a b",who="q\\"q"} 2\nx_total{what="c"} 3.5\ny 1e3\n')


class Service(delivery_pb2_grpc.DeliveryServicer, hooks_pb2_grpc.HooksServicer):
    def __init__(self):
        self.messages = {}
        self.watchers = []
        self.deciders = []

    def Submit(self, request, context):
        if not request.recipients:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "recipients: at least one")
        ident = f"{len(self.messages) + 1:032x}"
        states = [delivery_pb2.RecipientState(
            address=r, disposition=types_pb2.DISPOSITION_DELIVERED) for r in request.recipients]
        self.messages[ident] = delivery_pb2.Message(
            message_id=ident, rows=[delivery_pb2.MessageRow(recipients=states)])
        event = hooks_pb2.Event(sequence=1, delivery_attempt=hooks_pb2.DeliveryAttempt(
            message_id=ident))
        for position, out in enumerate(self.watchers):
            out.put(hooks_pb2.WatchResponse(events=hooks_pb2.Events(
                first_position=1, events=[event])))
        for out in self.deciders:
            out.put(hooks_pb2.DecideResponse(questions=hooks_pb2.Questions(questions=[
                hooks_pb2.Question(connection_id="c", number=1, message_id=ident)])))
        return delivery_pb2.SubmitReceipt(message_id=ident)

    def GetMessage(self, request, context):
        if request.message_id not in self.messages:
            context.abort(grpc.StatusCode.NOT_FOUND, "unknown")
        return self.messages[request.message_id]

    def Watch(self, request, context):
        out = queue.Queue()
        out.put(hooks_pb2.WatchResponse(snapshot=hooks_pb2.Snapshot()))
        self.watchers.append(out)
        context.add_callback(lambda: out.put(None))
        yield from iter(out.get, None)

    def Decide(self, requests, context):
        first = next(requests)
        if first.WhichOneof("frame") != "attach":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Attach first")
        out = queue.Queue()
        out.put(hooks_pb2.DecideResponse(attached=hooks_pb2.Attached()))
        self.deciders.append(out)

        def read():
            try:
                for frame in requests:
                    out.put(hooks_pb2.DecideResponse(verdict_results=hooks_pb2.VerdictResults(
                        results=[hooks_pb2.VerdictResult(
                            verdict_id=v.verdict_id, status=hooks_pb2.VERDICT_STATUS_APPLIED)
                            for v in frame.verdicts.verdicts])))
            except grpc.RpcError:
                pass
            out.put(None)

        threading.Thread(target=read, daemon=True).start()
        yield from iter(out.get, None)


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(METRICS.encode())

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    path = parser.parse_args().config
    misbehave = os.path.join(os.path.dirname(path), "misbehave")
    words = ""
    if os.path.exists(misbehave):
        with open(misbehave, encoding="utf-8") as file:
            words = file.read()
    if "refuse" in words:
        print(f"{path}:1: no", file=sys.stderr)
        sys.exit(1)
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8))
    service = Service()
    delivery_pb2_grpc.add_DeliveryServicer_to_server(service, server)
    hooks_pb2_grpc.add_HooksServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    pages = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=pages.serve_forever, daemon=True).start()
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    print(f"ready grpc=127.0.0.1:{port} http=127.0.0.1:{pages.server_port} pid={os.getpid()}",
          flush=True)
    done.wait()
    if "sanitizer" in words:
        print("x.cc:1:2: runtime error: signed integer overflow", file=sys.stderr)
    server.stop(0)
    sys.stdout.flush()
    os._exit(3 if "exit3" in words else 0)


if __name__ == "__main__":
    main()
