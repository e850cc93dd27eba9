"""Each right is asked for: who lacks it is told which one, and it is counted and logged."""

import unittest

import grpc
from callers import Caller, assert_denied, postern, token_file
from postern.v1 import control_pb2, delivery_pb2, hooks_pb2, types_pb2
from running import scaled
from scenario import ONE_CONNECTION, Scenario, merge
from streams import Policy, Watch

RIGHTS = {
    "mailer": {"submit": {"sender_domains": ["source.test"], "bindings": ["default"]}},
    "watcher": {"watch": {"domains": ["a.test", "*.b.test"]}},
    "judge": {"decide": {"domains": ["a.test"], "providers": ["judge*"]}},
    "operator": {"control": True, "all": True, "submit": {}},
    "stranger": {},
}


class RightsDenied(Scenario):
    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        self.dns.domain("z.test")
        identities, self.tokens = [], {}
        for name, rights in RIGHTS.items():
            path, self.tokens[name] = token_file(self.directory, name)
            identities.append({"name": name, "token_file": path, "rights": rights})
        identities.append({"name": "local", "local": ["loopback"], "rights": {
            "submit": {}, "watch": {}, "decide": {}, "control": True, "all": True}})
        self.make_daemon(**merge(ONE_CONNECTION, {
            "options": {"idle_timeout": "1m"},
            "identities": identities, "bindings": [{"name": "bulk"}],
            "policy": {"max_streams_per_identity": 3, "max_verdicts_per_second": 50, "providers": [
                {"name": "judge-one", "identities": ["judge"]},
                {"name": "reserved", "identities": ["operator"]}]}})).start()

    def caller(self, name):
        return Caller(self, self.daemon.grpc_address, token=self.tokens[name])

    def denied(self, method, reason):
        return self.daemon.metric("postern_rpc_denied_total", method=method, reason=reason)

    def test_submit(self):
        mailer = self.caller("mailer")
        mailer.submit()
        for text, fields in (("sender_domains: other.test", {"sender": "s@other.test"}),
                             ("null sender", {"sender": ""}),
                             ("bindings: bulk", {"binding": "bulk"})):
            with self.subTest(text):
                assert_denied(self, "PERMISSION_DENIED", text,
                              lambda fields=fields: mailer.submit(**fields))
        assert_denied(self, "PERMISSION_DENIED", "submit: ", self.caller("stranger").submit)
        self.assertEqual(self.denied("Delivery.Submit", "submit"), 4)
        self.daemon.wait_log(r'audit call=Delivery.Submit who="mailer" from="token .*outcome=PERMISSION_DENIED')

    def test_submit_in_a_stream_denies_one_by_one(self):
        frame = delivery_pb2.SubmitStreamRequest(submissions=[
            delivery_pb2.SubmitRequest(sender=sender, recipients=["r@a.test"], content=b"x: y\n\n")
            for sender in ("s@source.test", "s@other.test", "t@source.test")])
        answers = self.caller("mailer").delivery.SubmitStream(iter([frame]), timeout=scaled(20))
        results = [result for answer in answers for result in answer.results]
        self.assertEqual([r.error.code for r in results],
                         [0, grpc.StatusCode.PERMISSION_DENIED.value[0], 0])
        self.assertIn("sender_domains", results[1].error.message)

    def test_watch_sees_what_it_may(self):
        request = hooks_pb2.WatchRequest(filter=types_pb2.Filter(domains=["z.test"]))
        assert_denied(self, "PERMISSION_DENIED", "watch: ", lambda: next(iter(
            self.caller("watcher").hooks.Watch(request, timeout=scaled(10)))))
        assert_denied(self, "PERMISSION_DENIED", "watch: ", lambda: next(iter(
            self.caller("mailer").hooks.Watch(hooks_pb2.WatchRequest(), timeout=scaled(10)))))
        watch = Watch(self.caller("watcher").hooks).start()
        self.addCleanup(watch.cancel)
        self.deliver("r@z.test")
        self.deliver("r@a.test")
        watch.wait_event("delivery_attempt")
        self.assertEqual({e.connection.domain for e in watch.events}, {"a.test"})

    def test_decide_is_asked_about_what_it_may_decide(self):
        judge = self.caller("judge")
        policy = Policy(judge.hooks, "judge-one", on_question=lambda q: "SHUTDOWN").start()
        self.addCleanup(policy.cancel)
        outside = self.daemon.watch(domains=["z.test"])
        self.deliver("r@z.test")
        self.deliver("r@a.test")
        self.assertEqual({q.domain for q in policy.wait_questions(1)}, {"a.test"})
        # A verdict for a connection that is outside; it idles.
        ready = outside.wait_event("session_ready")
        self.assertEqual(policy.wait_result(
            policy.say(ready.connection.connection_id, "SHUTDOWN")), "DENIED")

    def attach(self, caller, provider, domains=()):
        frame = hooks_pb2.DecideRequest(attach=hooks_pb2.Attach(
            provider=provider, filter=types_pb2.Filter(domains=domains)))
        return next(iter(caller.hooks.Decide(iter([frame]), timeout=scaled(10))))

    def test_decide_denies_names_and_domains(self):
        judge = self.caller("judge")
        self.assertEqual(list(self.attach(judge, "judge-two").attached.filter.domains), ["a.test"])
        for caller, provider, domains, text in (
                (judge, "other", (), "providers: other"),
                (judge, "judge-two", ("z.test",), "decide: "),
                (judge, "reserved", (), "providers: reserved"),
                (self.caller("watcher"), "judge-two", (), "decide: ")):
            with self.subTest(text=text, provider=provider):
                assert_denied(self, "PERMISSION_DENIED", text,
                              lambda: self.attach(caller, provider, domains))
        # Of all that may decide, only the one that the name is kept for.
        local = Caller(self, self.daemon.grpc_address)
        assert_denied(self, "PERMISSION_DENIED", "local may not attach as reserved",
                      lambda: self.attach(local, "reserved"))
        self.assertEqual(self.denied("Hooks.Decide", "decide"), 5)

    def test_verdicts_of_an_identity_are_limited(self):
        policy = Policy(self.caller("judge").hooks, "judge-one").start()
        self.addCleanup(policy.cancel)
        for _ in range(2000):
            policy.say("0" * 32, "KEEP")
        policy.wait(lambda: len(policy.results) == 2000, 20, "results")
        limit = hooks_pb2.VERDICT_STATUS_LIMIT
        self.assertGreater(sum(r.status == limit for r in policy.results), 0)
        self.assertGreaterEqual(sum(r.status != limit for r in policy.results), 50)
        self.assertEqual({r.detail for r in policy.results if r.status == limit},
                         {"policy.max_verdicts_per_second"})

    def test_streams_of_an_identity_are_limited(self):
        watcher = self.caller("watcher")
        streams = [Watch(watcher.hooks).start() for _ in range(3)]
        for stream in streams:
            self.addCleanup(stream.cancel)
        assert_denied(self, "RESOURCE_EXHAUSTED", "max_streams_per_identity", lambda: next(iter(
            watcher.hooks.Watch(hooks_pb2.WatchRequest(snapshot=True), timeout=scaled(10)))))

    def test_words_of_strangers_do_not_forge_lines_of_the_log(self):
        assert_denied(self, "PERMISSION_DENIED", "bindings", lambda: self.caller("mailer").submit(
            binding='x"\naudit call=Control.Fail who="operator"'))
        self.daemon.wait_log(r'detail="submit: bindings: x\\"\\naudit')
        self.assertFalse([line for line in self.daemon.stderr if line.startswith("audit")])

    def test_control(self):
        request = control_pb2.ListQueuesRequest()
        self.caller("operator").control.ListQueues(request, timeout=scaled(10))
        assert_denied(self, "PERMISSION_DENIED", "control: mailer",
                      lambda: self.caller("mailer").control.ListQueues(request, timeout=scaled(10)))
        assert_denied(self, "PERMISSION_DENIED", "control: ", lambda: list(
            self.caller("judge").control.Drain(control_pb2.DrainRequest(), timeout=scaled(10))))
        self.assertEqual(self.denied("Control.Drain", "control"), 1)
        self.deliver("r@a.test")  # it does not drain

    def test_health_is_open_to_everyone(self):
        done = postern(self.daemon.grpc_address, "health", "--token-file", self.unknown_token())
        self.assertEqual(done.returncode, 0, done.stderr)

    def unknown_token(self):
        return token_file(self.directory, "nobody")[0]


if __name__ == "__main__":
    unittest.main()
