"""Clients with an identity of their own: a certificate, a token, or a socket.

    mailer = Caller(self, daemon.grpc_addresses[1], token="...")
    mailer.delivery.Submit(...)
    callers.assert_denied(self, "PERMISSION_DENIED", "submit", lambda: mailer.submit(["r@a.test"]))
"""

import os
import subprocess

import grpc

from daemon import CONTENT
from postern.v1 import control_pb2_grpc, delivery_pb2, delivery_pb2_grpc, hooks_pb2_grpc
from running import scaled


class Caller:
    """The services at one address, as seen by one client."""

    def __init__(self, test, address, token=None, ca=None, certificate=None, server_name=None):
        options = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        if ca:
            key, chain = certificate.pems() if certificate else (None, None)
            credentials = grpc.ssl_channel_credentials(ca.pem(), key, chain)
            self.channel = grpc.secure_channel(address, credentials, options)
        else:
            self.channel = grpc.insecure_channel(address, options)
        self.metadata = (("authorization", f"Bearer {token}"),) if token else ()
        test.addCleanup(self.channel.close)
        # For streams.Watch and streams.Policy, which know nothing of tokens.
        channel = grpc.intercept_channel(self.channel, _Token(self.metadata))
        self.delivery = delivery_pb2_grpc.DeliveryStub(channel)
        self.hooks = hooks_pb2_grpc.HooksStub(channel)
        self.control = control_pb2_grpc.ControlStub(channel)

    def submit(self, recipients=("r@a.test",), sender="s@source.test", **fields):
        """Submits one message; returns its id."""
        request = delivery_pb2.SubmitRequest(sender=sender, recipients=recipients, content=CONTENT,
                                             **fields)
        return self.delivery.Submit(request, timeout=scaled(20)).message_id

    def message(self, ident):
        return self.delivery.GetMessage(delivery_pb2.GetMessageRequest(message_id=ident),
                                        timeout=scaled(10))


class _Token(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor,
             grpc.StreamStreamClientInterceptor):
    def __init__(self, metadata):
        self._metadata = metadata

    def _with(self, details):
        class Details(grpc.ClientCallDetails):
            method, timeout, credentials = details.method, details.timeout, details.credentials
            metadata = tuple(details.metadata or ()) + self._metadata
            wait_for_ready, compression = details.wait_for_ready, details.compression
        return Details()

    def intercept_unary_unary(self, continuation, details, request):
        return continuation(self._with(details), request)

    def intercept_unary_stream(self, continuation, details, request):
        return continuation(self._with(details), request)

    def intercept_stream_stream(self, continuation, details, requests):
        return continuation(self._with(details), requests)


def assert_denied(test, code, text, call):
    """call() ends with this code ("PERMISSION_DENIED") and says `text`."""
    with test.assertRaises(grpc.RpcError) as caught:
        call()
    test.assertEqual(caught.exception.code().name, code, caught.exception.details())
    test.assertIn(text, caught.exception.details())


def token_file(directory, name):
    """A file with the token of `name`; returns (path, token)."""
    path = os.path.join(directory, f"{name}.token")
    token = f"token-of-{name}-0123456789"
    with open(path, "w", encoding="utf-8") as file:
        file.write(token + "\n")
    return path, token


def postern(address, *arguments, **environment):
    """Runs the command line; returns the finished process.

    Names are looked up through the system: gRPC's own resolver leaves some bytes behind when a
    program ends right after a call, which AddressSanitizer takes for a leak of ours.
    """
    return subprocess.run([os.environ["POSTERN"], "--address", address, *arguments],
                          capture_output=True, text=True, check=False, timeout=scaled(30),
                          env={"GRPC_DNS_RESOLVER": "native", **os.environ, **environment})
