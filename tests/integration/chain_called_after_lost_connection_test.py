"""smtp_should_session_shutdown is called when the connection is lost, too; nobody is awaited."""

import unittest

from google.protobuf import duration_pb2
from postern.v1 import hooks_pb2, types_pb2
from scenario import ONE_CONNECTION, Scenario, merge, module, ms, scaled, short

STAGES = ("mail", "rcpt", "data", "body")


class ChainCalledAfterLostConnection(Scenario):
    def setUp(self):
        super().setUp()
        # Lost mail stays where it is, and the module counts without ever ending a session.
        self.config = merge(ONE_CONNECTION, {
            "options": {"retry_schedule": ["1h"], "idle_timeout": "1h"},
            "modules": [module("end_session", deliveries=100)]})
        for name in ("a", *STAGES):
            self.dns.domain(f"{name}.test")

    def calls_of_module(self):
        answer = self.daemon.hooks.ListProviders(hooks_pb2.ListProvidersRequest(),
                                                 timeout=scaled(10))
        chain, = [c for c in answer.chains if c.hook == "smtp_should_session_shutdown"]
        return sum(p.calls for p in chain.providers if p.name == "end_session")

    def check_called(self, watch, ident, cause):
        """The chain was called once for the message, between its attempt and the close."""
        domain = self.daemon.message(ident).rows[0].domain
        closed = watch.wait_event("connection_closed", lambda e: e.connection.domain == domain)
        self.assert_closed(closed, cause, provider="")
        attempt, = [e for e in watch.of_kind("delivery_attempt")
                    if e.delivery_attempt.message_id == ident]
        event, = [e for e in watch.of_kind("verdict") if e.verdict.message_id == ident]
        self.assert_verdict(event, None, "IGNORED")
        self.assertEqual(event.verdict.waited, duration_pb2.Duration())
        self.assertLess(attempt.sequence, event.sequence)
        self.assertLess(event.sequence, closed.sequence)

    def test_when_the_receiver_cuts_a_transaction(self):
        watch = self.daemon.watch()
        for number, stage in enumerate(STAGES, 1):
            with self.subTest(stage):
                self.sink.rule(stage, sender=f"^{stage}@", drop=True)
                ident = self.daemon.submit([f"r@{stage}.test"], sender=f"{stage}@source.test")
                self.check_called(watch, ident, "IO_ERROR")
                self.assertEqual(self.calls_of_module(), number)

    def test_when_the_receiver_closes_in_good_order(self):
        watch = self.daemon.watch()
        self.sink.rule("rcpt", close="before")
        self.check_called(watch, self.daemon.submit(["r@a.test"]), "IO_ERROR")
        self.assertEqual(self.calls_of_module(), 1)

    def test_when_a_time_limit_runs_out(self):
        self.make_daemon(options={"mailfrom_timeout": ms(300)}).start()
        watch = self.daemon.watch()
        self.sink.rule("mail", hang=True)
        self.check_called(watch, self.daemon.submit(["r@a.test"]), "TIMEOUT")
        self.assertEqual(self.calls_of_module(), 1)

    def test_a_client_is_not_asked_and_what_it_said_does_not_matter(self):
        watch = self.daemon.watch()
        client = self.daemon.policy("client", default_verdict=types_pb2.DEFAULT_VERDICT_SHUTDOWN)
        self.sink.rule("mail", gate="cut", drop=True)
        ident = self.daemon.submit(["r@a.test"])
        self.sink.gates.wait_reached("cut")
        ready = watch.wait_event("session_ready")
        verdict = client.say(ready.connection.connection_id, "SHUTDOWN", "enough")
        self.assertIn(client.wait_result(verdict), ("APPLIED", "STORED"))
        self.sink.gates.release("cut")
        self.check_called(watch, ident, "IO_ERROR")
        self.assertEqual(client.questions, [])
        self.assertEqual(self.calls_of_module(), 1)


class After5xxAtData(Scenario):
    """The session is whole: what the chain says counts."""
    config = merge(ONE_CONNECTION, {"options": {"idle_timeout": "1h"}})

    def refused(self, decision):
        """A message that is refused at DATA, after which a client has said so."""
        self.dns.domain("a.test")
        self.sink.rule("data", times=1, reply="554 5.7.1 no such content")
        self.watch = self.daemon.watch()
        client = self.daemon.policy()
        ident = self.daemon.submit(["r@a.test"])
        question = client.wait_question()
        self.assertEqual((question.number, question.message_id, question.attempts,
                          question.deliveries), (1, ident, 1, 0))
        self.assertEqual((question.reply.code, short(types_pb2.SmtpStage, question.reply.stage)),
                         (554, "DATA"))
        self.assertEqual(question.disposition, types_pb2.DISPOSITION_FAILED)
        verdict = client.answer(question, decision, "as it should be")
        self.assertEqual(client.wait_result(verdict), "APPLIED")
        event = self.watch.wait_event("verdict")
        self.assert_verdict(event, decision, "ANSWER", provider="policy")
        self.assertEqual(event.verdict.message_id, ident)
        client.cancel()

    def test_keep_leaves_the_session_open(self):
        self.refused("KEEP")
        self.deliver("q@a.test")
        connection, = self.sink.connections
        self.assertEqual([line.split()[0] for line in connection.commands()],
                         ["EHLO", "MAIL", "RCPT", "DATA", "RSET", "MAIL", "RCPT", "DATA"])
        self.assertEqual(self.watch.of_kind("connection_closed"), [])

    def test_shutdown_ends_it(self):
        self.refused("SHUTDOWN")
        self.assert_closed(self.watch.wait_event("connection_closed"), "REMOTE_POLICY", "policy",
                           "as it should be")
        self.assertEqual(self.sink.wait_closed(1).closed_by, "quit")


if __name__ == "__main__":
    unittest.main()
