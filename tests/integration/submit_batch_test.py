"""`postern submit --batch`: a submission a line over one stream; a bad one is refused, the rest goes on."""

import base64
import concurrent.futures
import json
import os
import pty
import signal
import subprocess
import unittest

import grpc

from callers import postern
from postern.v1 import delivery_pb2, delivery_pb2_grpc
from scenario import Scenario, scaled

LETTER = "Subject: hi\n\nHello\n"


class SubmitBatch(Scenario):
    def write(self, name, text):
        path = f"{self.directory}/{name}"
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def batch(self, *lines):
        return self.write("batch.jsonl", "\n".join(
            line if isinstance(line, str) else json.dumps(line) for line in lines))

    def cli(self, *arguments, **options):
        return subprocess.run([os.environ["POSTERN"], "--address", self.daemon.grpc_address,
                               "submit", *arguments], text=True, timeout=scaled(30), check=False,
                              **options)

    def test_one_bad_line_is_named_and_the_rest_is_delivered(self):
        self.dns.domain("a.test")
        letter = self.write("letter.eml", LETTER)
        batch = self.batch(
            {"recipients": ["one@a.test"]},
            {"recipients": ["nobody"]},
            "",
            "{\"recipients\": [\"two@a.test\"",
            {"recipients": ["three@a.test"], "sender": "other@source.test",
             "content": base64.b64encode(b"Subject: own\r\n\r\nOwn.\r\n").decode()})
        code, out, err = self.daemon.run_cli("submit", "--from", "s@source.test", "--batch", batch,
                                             letter)
        self.assertEqual(code, 1)
        self.assertRegex(out, r"^2 accepted, 2 refused in [0-9.]+s \([0-9]+ messages/s\)\n$")
        self.assertIn("postern: INVALID_ARGUMENT: line 2: recipients[0]: ", err)
        self.assertIn("postern: INVALID_ARGUMENT: line 4: not a SubmitRequest: ", err)
        self.sink.wait_messages(2)
        sent = {m.recipients[0]: m for m in self.sink.messages}
        self.assertEqual(set(sent), {"one@a.test", "three@a.test"})
        self.assertEqual((sent["one@a.test"].sender, sent["three@a.test"].sender),
                         ("s@source.test", "other@source.test"))
        self.assertIn(b"Hello", sent["one@a.test"].content)
        self.assertIn(b"Own.", sent["three@a.test"].content)

    def test_json_has_a_result_for_each_line_in_order(self):
        self.suspend("*")
        letter = self.write("letter.eml", LETTER)
        lines = [{"recipients": [f"r{i}@a.test"]} if i % 10 else "nonsense" for i in range(200)]
        code, out, err = self.daemon.run_cli("--json", "submit", "--batch", self.batch(*lines), letter)
        self.assertEqual(code, 1, err)
        results = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(["receipt" in result for result in results],
                         [bool(i % 10) for i in range(200)])

    def test_all_good_is_exit_code_0_and_tokens_make_it_safe_to_run_again(self):
        self.suspend("*")
        letter = self.write("letter.eml", LETTER)
        batch = self.batch(*({"recipients": [f"r{i}@a.test"], "token": f"t{i}"} for i in range(5)))
        for _ in range(2):
            code, out, err = self.daemon.run_cli("submit", "--batch", batch, letter)
            self.assertEqual((code, err), (0, ""))
            self.assertIn("5 accepted, 0 refused", out)
        self.assertEqual(self.queue("a.test").active + self.queue("a.test").delayed, 5)

    def test_a_line_of_a_pipe_is_submitted_when_it_comes(self):
        self.suspend("*")
        content = base64.b64encode(LETTER.encode()).decode()
        with subprocess.Popen([os.environ["POSTERN"], "--address", self.daemon.grpc_address,
                               "--json", "submit", "--batch", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as process:
            for i in range(3):
                process.stdin.write(json.dumps({"recipients": [f"r{i}@a.test"],
                                                "content": content}) + "\n")
                process.stdin.flush()
                # Its result is there although the batch goes on.
                self.assertIn("receipt", json.loads(process.stdout.readline()))
            process.stdin.close()
            self.assertEqual(process.wait(scaled(20)), 0)

    def test_ctrl_c_ends_the_wait_for_a_line(self):
        self.suspend("*")
        content = base64.b64encode(LETTER.encode()).decode()
        with subprocess.Popen([os.environ["POSTERN"], "--address", self.daemon.grpc_address,
                               "--json", "submit", "--batch", "-"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            process.stdin.write(json.dumps({"recipients": ["r@a.test"], "content": content}) + "\n")
            process.stdin.flush()
            self.assertIn("receipt", json.loads(process.stdout.readline()))
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.wait(scaled(20)), 1)
            self.assertIn("CANCELLED", process.stderr.read())

    def test_what_cannot_be_read_is_said(self):
        code, out, err = self.daemon.run_cli("submit", "--batch", f"{self.directory}/missing")
        self.assertEqual((code, out), (1, ""))
        self.assertIn("No such file", err)

    def test_a_stream_that_breaks_says_what_has_no_answer(self):
        class Breaks(delivery_pb2_grpc.DeliveryServicer):
            def SubmitStream(self, request_iterator, context):
                next(request_iterator)
                yield delivery_pb2.SubmitStreamResponse(results=[delivery_pb2.SubmitResult(
                    receipt=delivery_pb2.SubmitReceipt(message_id="0" * 32))])
                context.abort(grpc.StatusCode.UNAVAILABLE, "gone")

        server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
        self.addCleanup(server.stop, None)
        delivery_pb2_grpc.add_DeliveryServicer_to_server(Breaks(), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        batch = self.batch("", *({"recipients": ["r@a.test"]} for _ in range(3)))
        done = postern(f"127.0.0.1:{port}", "submit", "--batch", batch)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stdout,
                         r"^1 accepted, 0 refused in .*; 2 without an answer, behind line 2\n$")
        self.assertIn("postern: UNAVAILABLE: gone", done.stderr)

    def test_a_terminal_sees_how_far_it_is(self):
        self.suspend("*")
        letter = self.write("letter.eml", LETTER)
        terminal, other = pty.openpty()
        done = self.cli("--batch", self.batch(*({"recipients": ["r@a.test"]} for _ in range(100))),
                        letter, stdout=subprocess.PIPE, stderr=other)
        os.close(other)
        shown = os.read(terminal, 65536).decode()
        os.close(terminal)
        self.assertEqual(done.returncode, 0)
        self.assertRegex(shown, r"\d+ accepted, 0 refused, \d+ messages/s, \d+ %")


if __name__ == "__main__":
    unittest.main()
