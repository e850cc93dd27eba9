"""A reload takes rights away: streams that are open feel it, and others do not."""

import unittest

from callers import Caller, token_file
from scenario import Scenario
from streams import Outcomes, Policy, Watch


class RightsChangeOnOpenStreams(Scenario):
    def setUp(self):
        super().setUp()
        self.dns.domain("a.test")
        self.identities = [{"name": "local", "local": ["loopback"], "rights": {
            "submit": {}, "watch": {}, "decide": {}, "control": True, "all": True}}]
        self.callers = {}
        tokens = {}
        for name in ("goes", "stays"):
            path, tokens[name] = token_file(self.directory, name)
            self.identities.append({"name": name, "token_file": path, "rights": {
                "submit": {}, "watch": {"domains": ["a.test", "b.test"]}, "decide": {}}})
        self.make_daemon(identities=self.identities).start()
        for name, token in tokens.items():
            self.callers[name] = Caller(self, self.daemon.grpc_address, token=token)

    def open_streams(self, name):
        caller = self.callers[name]
        streams = [Watch(caller.hooks).start(), Policy(caller.hooks, f"p-{name}").start(),
                   Outcomes(caller.delivery, "books").start()]
        for stream in streams:
            self.addCleanup(stream.cancel)
        return streams

    def test_who_is_removed_is_out_at_once(self):
        gone, stay = self.open_streams("goes"), self.open_streams("stays")
        self.daemon.reload(identities=[i for i in self.identities if i["name"] != "goes"])
        for stream in gone:
            self.assertEqual(stream.wait_ended().name, "UNAUTHENTICATED")
        self.callers["stays"].submit()
        stay[0].wait_event("delivery_attempt")
        stay[1].wait_questions(1)
        stay[2].wait_outcomes(1)
        self.assertEqual([stream.ended for stream in stay], [False] * 3)
        for method in ("Hooks.Watch", "Hooks.Decide", "Delivery.Outcomes"):
            self.assertEqual(self.daemon.metric("postern_rpc_denied_total", method=method,
                                                reason="unauthenticated"), 1)
        self.daemon.wait_log(r'audit call=Hooks.Decide who="goes" .*outcome=UNAUTHENTICATED')

    def test_who_is_narrowed_is_told_to_open_again(self):
        watch = self.open_streams("goes")[0]
        self.identities[1]["rights"]["watch"]["domains"] = ["a.test"]
        self.daemon.reload(identities=self.identities)
        self.assertEqual(watch.wait_ended().name, "ABORTED")
        again = Watch(self.callers["goes"].hooks).start()
        self.addCleanup(again.cancel)
        self.deliver("r@a.test")
        again.wait_event("delivery_attempt")


if __name__ == "__main__":
    unittest.main()
