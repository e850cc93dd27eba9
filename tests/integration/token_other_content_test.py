"""A token with other content is refused, naming the message that has it."""

import unittest

import grpc
from postern.v1 import delivery_pb2
from scenario import Scenario


class TokenOtherContent(Scenario):
    def test_any_difference_is_other_content(self):
        self.dns.domain("a.test")
        first = self.daemon.submit_request(["r@a.test"], token="t")
        for change in ({"content": b"Subject: other\r\n\r\nx\r\n"}, {"sender": "z@source.test"},
                       {"recipients": ["q@a.test"]}, {"smtputf8": True}):
            arguments = {"recipients": ["r@a.test"], "token": "t", **change}
            with self.assertRaises(grpc.RpcError) as caught:
                self.daemon.submit_request(**arguments)
            self.assertEqual(caught.exception.code(), grpc.StatusCode.ALREADY_EXISTS, change)
            self.assertIn(first.message_id, caught.exception.details())
        self.daemon.wait_dispositions(first.message_id, "DELIVERED")
        self.daemon.restart(kill=True)
        frame = delivery_pb2.SubmitStreamRequest(submissions=[delivery_pb2.SubmitRequest(
            sender="s@source.test", recipients=["q@a.test"], content=b"x\r\n", token="t")])
        results = [r for answer in self.daemon.delivery.SubmitStream(iter([frame]))
                   for r in answer.results]
        self.assertEqual(results[0].error.code, grpc.StatusCode.ALREADY_EXISTS.value[0])
        self.assertEqual(results[0].error.field, "token")
        self.assertEqual(len(self.sink.messages), 1)

    def test_a_token_has_128_bytes_at_most(self):
        self.dns.domain("a.test")
        with self.assertRaises(grpc.RpcError) as caught:
            self.daemon.submit_request(["r@a.test"], token="x" * 129)
        self.assertEqual(caught.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        self.assertIn("token", caught.exception.details())
        self.deliver("r@a.test", token="x" * 128)


if __name__ == "__main__":
    unittest.main()
