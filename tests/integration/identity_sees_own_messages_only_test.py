"""Queries show one's own messages; those of others are not there, also after a restart."""

import unittest

from callers import Caller, assert_denied, token_file
from postern.v1 import delivery_pb2
from running import scaled
from scenario import Scenario


class IdentitySeesOwnMessagesOnly(Scenario):
    def listed(self, caller):
        request = delivery_pb2.ListMessagesRequest()
        answer = caller.delivery.ListMessages(request, timeout=scaled(10))
        return {message.message_id for message in answer.messages}

    def assert_own(self, red, blue, auditor):
        callers = {name: Caller(self, self.daemon.grpc_address, token=token)
                   for name, token in self.tokens.items()}
        self.assertEqual(self.listed(callers["red"]), {red})
        self.assertEqual(self.listed(callers["blue"]), {blue})
        self.assertEqual(self.listed(callers["auditor"]), {red, blue, auditor})
        self.assertEqual(callers["red"].message(red).message_id, red)
        self.assertEqual(callers["auditor"].message(red).message_id, red)
        assert_denied(self, "NOT_FOUND", "no message", lambda: callers["blue"].message(red))

    def test_queries_are_narrowed(self):
        self.tokens, identities = {}, []
        for name in ("red", "blue", "auditor"):
            path, self.tokens[name] = token_file(self.directory, name)
            identities.append({"name": name, "token_file": path, "rights": {
                "submit": {}, "all": name == "auditor"}})
        self.dns.mx("a.test", "mx.a.test", 10)
        self.dns.a("mx.a.test", "127.0.0.9")  # nobody listens there: the mail stays
        self.make_daemon(identities=identities, options={"retry_schedule": ["1h"]}).start()
        red, blue, auditor = (Caller(self, self.daemon.grpc_address, token=token).submit()
                              for token in self.tokens.values())
        self.assert_own(red, blue, auditor)
        self.daemon.restart(kill=True)
        self.assert_own(red, blue, auditor)


if __name__ == "__main__":
    unittest.main()
