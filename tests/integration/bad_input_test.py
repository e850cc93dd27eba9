"""Submissions that are refused: the code, the field at fault, and nothing stored."""

import unittest

import grpc

from google.protobuf import duration_pb2
from postern.v1 import delivery_pb2
from scenario import Scenario, scaled


class BadInput(Scenario):
    config = {"bindings": [{"name": "known"}]}

    def refused(self, code, field, recipients=("r@a.test",), **fields):
        with self.assertRaises(grpc.RpcError) as caught:
            self.daemon.submit(list(recipients), **fields)
        error = caught.exception
        self.assertEqual((error.code().name, error.details()[:len(field)]), (code, field),
                         error.details())
        self.assertEqual(self.all_messages(), [])

    def all_messages(self):
        return list(self.daemon.delivery.ListMessages(delivery_pb2.ListMessagesRequest(),
                                                      timeout=scaled(10)).messages)

    def test_addresses(self):
        for bad in ("", "no-at-sign", "@a.test", "r@", "r@a..test", "r r@a.test",
                    "r@a.test\r\nRCPT TO:<x@b.test>", "r@-a.test", "x" * 65 + "@a.test",
                    "r@" + "a" * 64 + ".test", "r@" + "abcdefgh." * 32 + "test", "r@a.test\0"):
            with self.subTest(address=bad):
                self.refused("INVALID_ARGUMENT", "recipients[1]", ["good@a.test", bad])

    def test_the_sender(self):
        for bad in ("no-at-sign", "<s@a.test>", "s@a.test\nX"):
            with self.subTest(sender=bad):
                self.refused("INVALID_ARGUMENT", "sender", sender=bad)

    def test_no_recipients(self):
        self.refused("INVALID_ARGUMENT", "recipients", [])

    def test_too_many_recipients(self):
        self.refused("INVALID_ARGUMENT", "recipients", [f"r{i}@a.test" for i in range(10001)])

    def test_no_content(self):
        self.refused("INVALID_ARGUMENT", "content", content=b"")

    def test_content_above_the_limit(self):
        self.refused("INVALID_ARGUMENT", "content", content=b"x" * (50 * 1024 * 1024 + 1))

    def test_an_unknown_binding(self):
        self.refused("INVALID_ARGUMENT", "binding", binding="unknown")

    def test_an_expiration_out_of_bounds(self):
        for seconds in (0, -1, 31 * 86400):
            with self.subTest(seconds=seconds):
                self.refused("INVALID_ARGUMENT", "message_expiration",
                             message_expiration=duration_pb2.Duration(seconds=seconds))

    def test_fields_that_are_not_served_yet(self):
        for name, value in (("priority", 1), ("metadata", {"tenant": "t"})):
            with self.subTest(field=name):
                with self.assertRaises(grpc.RpcError) as caught:
                    self.daemon.submit(["r@a.test"], **{name: value})
                self.assertEqual(caught.exception.code(), grpc.StatusCode.UNIMPLEMENTED)
                self.assertIn(name, caught.exception.details())

    def test_a_stream_goes_on_after_a_refused_submission(self):
        self.dns.domain("a.test")

        def submission(recipient):
            return delivery_pb2.SubmitRequest(sender="s@a.test", recipients=[recipient],
                                              content=b"A: b\r\n\r\n", binding="known")

        frames = [delivery_pb2.SubmitStreamRequest(submissions=[
            submission("one@a.test"), submission("bad"), submission("two@a.test")])]
        results = [r for answer in self.daemon.delivery.SubmitStream(iter(frames),
                                                                     timeout=scaled(20))
                   for r in answer.results]
        self.assertEqual([r.WhichOneof("result") for r in results],
                         ["receipt", "error", "receipt"])
        self.assertEqual((results[1].error.code, results[1].error.field), (3, "recipients[0]"))
        self.sink.wait_messages(2)

    def test_an_unknown_message(self):
        for ident in ("0" * 32, "not an id", ""):
            with self.assertRaises(grpc.RpcError) as caught:
                self.daemon.message(ident)
            self.assertIn(caught.exception.code(), (grpc.StatusCode.NOT_FOUND,
                                                    grpc.StatusCode.INVALID_ARGUMENT))


if __name__ == "__main__":
    unittest.main()
