"""`postern` against a real daemon, for people and with --json; wrong usage names the culprit."""

import json
import os
import re
import signal
import subprocess
import unittest

from scenario import ONE_CONNECTION, Scenario, eventually, merge, scaled

ID = "[0-9a-f]{32}"
SHORT_ID = "[0-9a-f]{8}"
# Of `postern watch`: its first line says that it sees what comes.
EVENTS = ("--events", "ready,attempt,verdict,closed", "--count", "4", "--snapshot")


class Cli(Scenario):
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": "1h"}})

    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")

    def postern(self, *arguments):
        """What the command prints; it must succeed and have nothing to complain about."""
        code, out, err = self.daemon.run_cli(*arguments)
        self.assertEqual((code, err), (0, ""), out)
        return out

    def json(self, *arguments):
        """The objects that the command prints, one on each line."""
        return [json.loads(line) for line in self.postern(*arguments, "--json").splitlines()]

    def running(self, *arguments):
        """A command that goes on; read its .stdout line by line, and end it with ended()."""
        process = subprocess.Popen(
            [os.environ["POSTERN"], "--address", self.daemon.grpc_address, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def ended(self, process):
        """The lines that are left, once the command has ended by itself, and well."""
        out, err = process.communicate(timeout=scaled(20))
        self.assertEqual((process.returncode, err), (0, ""), out)
        return out.splitlines()

    def assert_row(self, text, *cells):
        """One line of a table has these cells, in this order and alone."""
        self.assertRegex(text, re.compile(f"^ *{' +'.join(cells)} *$", re.MULTILINE))

    def test_watch(self):
        self.make_daemon(options={"idle_timeout": "0s"}).start()
        watch = self.running("watch", *EVENTS)
        self.assertEqual(watch.stdout.readline(), "snapshot: 0 connections open\n")
        ident = self.deliver("r@a.test")
        lines = self.ended(watch)
        told = (r"ready +SHORT a\.test/default plaintext \[.*PIPELINING.*\]",
                rf"attempt +SHORT a\.test/default {ident[-8:]} r@a\.test delivered "
                r"\(250 2\.0\.0 Accepted\) in \S+",
                r"verdict +SHORT a\.test/default keep \(none, waited 0s\)",
                r"closed +SHORT a\.test/default queue_empty; 1 of 1 delivered in \S+")
        self.assertEqual(len(lines), len(told), lines)
        for line, what in zip(lines, told):
            # With a date only if midnight has just passed.
            self.assertRegex(line, r"^([\d-]+ )?\d\d:\d\d:\d\d\.\d{3} +\d+ " +
                             what.replace("SHORT", SHORT_ID) + "$")

    def test_watch_as_json(self):
        self.make_daemon(options={"idle_timeout": "0s"}).start()
        watch = self.running("watch", *EVENTS, "--json")
        self.assertEqual(json.loads(watch.stdout.readline())["snapshot"]["connections"], [])
        ident = self.deliver("r@a.test")
        events = [json.loads(line) for line in self.ended(watch)]
        kinds = ("session_ready", "delivery_attempt", "verdict", "connection_closed")
        self.assertEqual([next(kind for kind in kinds if kind in event) for event in events],
                         list(kinds))
        self.assertEqual({event["connection"]["domain"] for event in events}, {"a.test"})
        self.assertEqual(events[1]["delivery_attempt"]["message_id"], ident)
        self.assertEqual(events[3]["connection_closed"]["cause"], "CLOSE_CAUSE_QUEUE_EMPTY")
        # Each line is a place to resume from.
        again = self.json("watch", "--events", "all", "--count", "2", "--after",
                          f"{events[1]['epoch']}:{events[1]['sequence']}")
        self.assertEqual(again, events[2:])

    def test_watch_ends_with_a_signal(self):
        watch = self.running("watch", "--snapshot")
        watch.stdout.readline()
        watch.send_signal(signal.SIGINT)
        self.assertEqual(self.ended(watch), [])

    def test_hooks(self):
        self.daemon.policy("client", on_question=lambda question: "KEEP")
        watch = self.daemon.watch()
        self.deliver("r@a.test")
        watch.wait_event("verdict")
        out = self.postern("hooks")
        self.assert_row(out, "HOOK", "PROVIDER", "KIND", "CALLS", "TOTAL", "SLOWEST", "NONZERO")
        self.assert_row(out, "smtp_should_session_shutdown", "bridge", "bridge", "1", r"\S+",
                        r"\S+", "0")
        self.assert_row(out, "CLIENT", "ASK", "STREAMS", "QUESTIONS", "ANSWERED", "DEFAULTS",
                        "CANCELLED", "EVENTS", "DROPPED")
        self.assert_row(out, "client", "sync", "1", "1", "1", "0", "0", r"\d+", "0")
        *chains, client = self.json("hooks")
        self.assertEqual({chain["hook"]: [p["name"] for p in chain["providers"]]
                          for chain in chains},
                         {"post_initiate_connection_smtp": ["bridge"],
                          "smtp_should_session_shutdown": ["bridge"]})
        self.assertEqual((client["name"], client["ask"], client["answered"]),
                         ("client", "ASK_MODE_SYNC", "1"))

    def test_connections(self):
        self.assertEqual(self.postern("connections"), "")
        self.sink.rule("body", times=1, gate="dot")
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        address = f"127.0.0.1:{self.sink.port}"
        out = self.postern("connections")
        self.assert_row(out, "CONNECTION", "QUEUE", "HOST", "ADDRESS", "STATE", "STAGE", "AGE",
                        "DELIVERIES", "ATTEMPTS")
        self.assert_row(out, ID, "a.test/default", "mx.a.test", address, "transaction", "body",
                        r"\S+", "0", "0")
        found, = self.json("connections")
        self.assertRegex(found["connection"]["connection_id"], f"^{ID}$")
        self.assertEqual((found["connection"]["remote_address"], found["state"], found["stage"],
                          found["message_id"]),
                         (address, "CONNECTION_STATE_TRANSACTION", "SMTP_STAGE_BODY", ident))
        self.assertEqual(self.json("connections", "--domain", "b.test"), [])
        self.sink.gates.release("dot")
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def queued(self, recipient):
        """Submits a message and returns its id when its queue, which is suspended, has it."""
        ident = self.daemon.submit([recipient])
        domain = recipient.split("@")[1]
        eventually(lambda: (queue := self.queue(domain)) and queue.active,
                   what=f"mail in the queue of {domain}")
        return ident

    def test_suspend_and_queues_and_resume(self):
        self.assertEqual(self.postern("suspend", "*.test", "--reason", "their maintenance"),
                         "0 queues stop\n")
        ident = self.queued("r@a.test")
        out = self.postern("queues")
        self.assert_row(out, "QUEUE", "ACTIVE", "DELAYED", "OPEN", "DIALING", "OLDEST", "BACKOFF",
                        "REASON", "LAST FAILURE")
        self.assert_row(out, "a.test/default", "1", "0", "0", "0", r"\S+", "-", "suspended", "-")
        self.assertIn("\nIn force:\n  *.test: suspended by local until resumed: their "
                      "maintenance\n", out)
        self.assertEqual(self.postern("suspend", "a.test", "--reason", "more", "--for", "1h"),
                         "1 queue stops\n")
        self.assertRegex(self.postern("resume", "a.test"),
                         r"^0 queues go on\nstill suspended, by a wider scope: \*\.test: .*\n$")
        self.assertEqual(self.postern("resume", "*"), "1 queue goes on\n")
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def test_suspend_and_queues_and_resume_as_json(self):
        self.deliver("r@a.test")  # its session idles
        answer, = self.json("suspend", "*", "--reason", "all of it")
        self.assertEqual(answer, {"queues": "1"})
        ident = self.queued("q@a.test")
        queue, = self.json("queues", "--domain", "*.test")
        self.assertEqual((queue["domain"], queue["active"], queue["reason"], queue["suspended"]),
                         ("a.test", "1", "REQUEUE_REASON_SUSPENDED", True))
        self.assertEqual(queue["suspension"]["reason"], "all of it")
        answer, = self.json("resume", "a.test")
        self.assertEqual([s["scope"]["domain"] for s in answer["remaining"]], ["*"])
        answer, = self.json("resume", "*")
        self.assertEqual(answer, {"queues": "1", "remaining": []})
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def drain(self, *arguments):
        """The lines of a drain with a session that is in a transaction for the first two."""
        self.sink.rule("body", times=1, gate="dot")
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("dot")
        self.suspend("z.test")
        self.queued("r@z.test")
        process = self.running("drain", "--budget", "1h", *arguments)
        # It tells how far it is at least once a second.
        lines = [process.stdout.readline() for _ in range(2)]
        self.sink.gates.release("dot")
        lines += self.ended(process)
        self.daemon.wait_dispositions(ident, "DELIVERED")
        code, _, err = self.daemon.run_cli("submit", "--to", "q@a.test", os.devnull)
        self.assertEqual(code, 1)
        self.assertRegex(err, "^postern: UNAVAILABLE: draining")
        return lines

    def test_drain(self):
        *progress, last = self.drain()
        for line in progress[:2]:
            self.assertRegex(line, r"^draining: 1 connections, 1 in a transaction, \S+ left$")
        self.assertRegex(last, r"^done: 0 connections, 0 in a transaction, \S+ left; "
                               r"0 cut, 0 in doubt, 1 rows stay in the spool$")

    def test_drain_as_json(self):
        *progress, last = [json.loads(line) for line in self.drain("--json")]
        for line in progress[:2]:
            self.assertEqual((line["phase"], line["open_connections"], line["open_transactions"]),
                             ("DRAIN_PHASE_DRAINING", 1, 1))
        self.assertEqual((last["phase"], last["open_connections"], last["cut"], last["queued"]),
                         ("DRAIN_PHASE_DONE", 0, 0, "1"))


class WrongUsage(unittest.TestCase):
    def refused(self, program, *arguments):
        """What the program says; it must have done nothing and end with 2."""
        done = subprocess.run([os.environ[program], *arguments], capture_output=True, text=True,
                              timeout=scaled(20), check=False)
        self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
        return done.stderr

    def test_postern_names_what_it_does_not_take(self):
        for arguments, culprit in (
                (("queues", "--colour"), "--colour"),
                (("watch", "--events", "opened"), "--events"),
                (("watch", "--after", "here"), "--after"),
                (("watch", "--count", "some"), "--count"),
                (("drain", "--budget", "soon"), "--budget"),
                (("suspend", "a.test"), "--reason"),
                (("suspend", "a.test", "--reason", "x", "--for", "long"), "--for"),
                (("resume",), "domain"),
                (("connections", "--domain"), "--domain"),
                (("hooks", "all"), "all"),
                (("--timeout", "0s", "queues"), "--timeout")):
            with self.subTest(" ".join(arguments)):
                self.assertIn(culprit, self.refused("POSTERN", *arguments))

    def test_postern_needs_a_command(self):
        for arguments in ((), ("--json",)):
            with self.subTest(" ".join(arguments)):
                self.assertIn("subcommand is required", self.refused("POSTERN", *arguments))
        self.assertIn('no command "quues"', self.refused("POSTERN", "quues"))

    def test_posternd_names_what_it_does_not_take(self):
        for arguments, culprit in ((("--colour",), "--colour"), (("--config",), "--config"),
                                   (("--check-config", "twice"), "twice")):
            with self.subTest(" ".join(arguments)):
                self.assertIn(culprit, self.refused("POSTERND", *arguments))


if __name__ == "__main__":
    unittest.main()
