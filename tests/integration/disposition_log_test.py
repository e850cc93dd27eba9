"""The disposition log: one JSON line for each attempt and for each final disposition."""

import json
import os
import unittest

from scenario import Scenario, eventually


class DispositionLog(Scenario):
    def setUp(self):
        super().setUp()
        self.path = os.path.join(self.directory, "dispositions.log")
        self.config = {"server": {"disposition_log": {"path": self.path}}}

    def lines(self, event=None):
        with open(self.path, encoding="utf-8") as file:
            found = [json.loads(line) for line in file.read().split("\n")[:-1]]
        return [line for line in found if event in (None, line["event"])]

    def test_tells_attempts_and_what_became_of_each_recipient(self):
        self.dns.domain("a.test")
        self.sink.rule("rcpt", recipient="^no@", reply="550 5.1.1 who?")
        self.sink.rule("rcpt", recipient="^slow@", times=1, reply="451 4.7.1 later")
        ident = self.daemon.submit(["yes@a.test", "no@a.test", "slow@a.test"])
        self.daemon.wait_dispositions(ident, {"yes@a.test": "DELIVERED", "no@a.test": "FAILED",
                                              "slow@a.test": "DELIVERED"})
        eventually(lambda: len(self.lines()) == 5, what="two attempts and three recipients")
        first, second = self.lines("attempt")
        self.assertEqual((first["message_id"], first["domain"], first["binding"], first["attempt"]),
                         (ident, "a.test", "default", 1))
        self.assertEqual({r["address"]: r["disposition"] for r in first["recipients"]},
                         {"yes@a.test": "delivered", "no@a.test": "failed",
                          "slow@a.test": "deferred"})
        refused = next(r for r in first["recipients"] if r["address"] == "no@a.test")
        self.assertEqual((refused["code"], refused["enhanced"], refused["text"], refused["stage"]),
                         (550, "5.1.1", "who?", "rcpt"))
        self.assertEqual(first["reason"], "transient_failure")
        self.assertNotIn("reason", second)
        self.assertEqual(set(first["seconds"]), {"mail", "rcpt", "data", "body"})
        self.assertEqual(first["remote_address"], f"127.0.0.1:{self.sink.port}")
        self.assertEqual((second["attempt"], second["disposition"], second["code"]),
                         (2, "delivered", 250))
        final = {line["recipient"]: line for line in self.lines("final")}
        self.assertEqual({who: line["disposition"] for who, line in final.items()},
                         {"yes@a.test": "delivered", "no@a.test": "failed",
                          "slow@a.test": "delivered"})
        self.assertEqual(final["slow@a.test"]["sender"], "s@source.test")
        self.assertGreater(final["slow@a.test"]["age"], 0.2)
        # Counted once they are written.
        eventually(lambda: self.daemon.metric("postern_disposition_log_lines_total") == 5,
                   what="five lines counted")
        self.assertEqual(self.daemon.metric("postern_disposition_log_dropped_total"), 0)

    def test_tells_what_ended_without_an_attempt(self):
        self.dns.null_mx("b.test")
        ident = self.daemon.submit(["r@b.test"])
        self.daemon.wait_dispositions(ident, "FAILED")
        eventually(lambda: len(self.lines()) == 1, what="one line")
        line, = self.lines("final")
        self.assertEqual((line["code"], line["enhanced"], line["attempts"]), (556, "5.1.10", 0))

    def test_a_full_file_is_kept_beside_and_only_so_many(self):
        self.make_daemon(server={"disposition_log": {"max_bytes": "1MiB", "keep_files": 1}}).start()
        self.dns.null_mx("b.test")
        kept = self.path + ".1"

        def turns():
            """How many files have been kept so far, after more lines."""
            ident = self.daemon.submit([f"r{i}@b.test" for i in range(2000)])
            self.daemon.wait_dispositions(ident, "FAILED")
            if os.path.exists(kept):
                inodes.add(os.stat(kept).st_ino)
            return len(inodes)
        inodes = set()
        eventually(lambda: turns() >= 2, 60, "the second file that is kept")
        with open(kept, encoding="utf-8") as file:
            lines = [json.loads(line) for line in file]  # whole ones
        self.assertGreaterEqual(os.path.getsize(kept), 1 << 20)
        self.assertEqual({line["disposition"] for line in lines}, {"failed"})
        self.assertFalse(os.path.exists(self.path + ".2"))

    def test_a_file_that_cannot_be_written_is_told_at_the_start(self):
        daemon = self.make_daemon(server={"disposition_log": {"path": "/not/there/log"}})
        daemon.launch()
        self.assertEqual(daemon.wait_exit(), 1)
        self.assertIn("server.disposition_log: cannot write /not/there/log",
                      "\n".join(daemon.stderr))
        daemon.process = None


if __name__ == "__main__":
    unittest.main()
