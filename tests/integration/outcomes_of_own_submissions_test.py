"""A submitter keeps books of its own mail and hears nothing of others'; `all` hears of everything."""

import unittest

from callers import Caller, assert_denied, token_file
from scenario import Scenario
from streams import Outcomes


class OutcomesOfOwnSubmissions(Scenario):
    def outcomes(self, name, consumer):
        stream = Outcomes(self.callers[name].delivery, consumer).start()
        self.addCleanup(stream.cancel)
        return stream

    def test_each_reads_its_own_and_all_reads_every_one(self):
        self.dns.domain("a.test")
        self.callers, identities = {}, []
        tokens = {}
        for name in ("red", "blue", "auditor"):
            path, tokens[name] = token_file(self.directory, name)
            identities.append({"name": name, "token_file": path, "rights": (
                {"all": True} if name == "auditor" else {"submit": {}})})
        self.make_daemon(identities=identities).start()
        for name, token in tokens.items():
            self.callers[name] = Caller(self, self.daemon.grpc_address, token=token)
        ids = {name: [self.callers[name].submit([f"{name}{i}@a.test"]) for i in range(2)]
               for name in ("red", "blue")}
        everyone = self.outcomes("auditor", "books").wait_outcomes(4)
        self.assertEqual({o.message_id for o in everyone}, {*ids["red"], *ids["blue"]})
        # One name, two consumers: each has its own cursor.
        for name in ("red", "blue"):
            stream = self.outcomes(name, "books")
            self.assertEqual({o.message_id for o in stream.wait_outcomes(2)}, {*ids[name]})
            stream.ack()
            self.assertEqual(stream.close().name, "OK")
            self.assertEqual(len(stream.outcomes), 2)
        again = self.callers["red"].submit(["red2@a.test"])
        outcome, = self.outcomes("red", "books").wait_outcomes(1)
        self.assertEqual(outcome.message_id, again)
        assert_denied(self, "UNAUTHENTICATED", "token", lambda: next(iter(Caller(
            self, self.daemon.grpc_address, token="of-nobody-at-all-0123").delivery.Outcomes(
                iter(()), timeout=20))))


if __name__ == "__main__":
    unittest.main()
