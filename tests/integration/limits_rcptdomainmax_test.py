"""LIMITS RCPTDOMAINMAX (RFC 9422): a gateway that wants few domains in one transaction gets several
transactions, on one session."""

import unittest

from scenario import Scenario


class LimitsRcptdomainmax(Scenario):
    recipients = ["r@a.test", "r@b.test", "q@a.test", "r@c.test"]

    def through_gateway(self, *limits):
        self.sink_capabilities = (*Scenario.sink_capabilities, *limits)
        gateway = {"host": "127.0.0.1", "port": self.sink.port}
        self.make_daemon(options={"gateway": gateway}).start()
        self.deliver(*self.recipients)
        self.assertEqual(len(self.sink.connections), 1)
        return [message.recipients for message in self.sink.messages]

    def test_each_domain_has_a_transaction_of_its_own(self):
        self.assertEqual(self.through_gateway("LIMITS RCPTDOMAINMAX=1"),
                         [["r@a.test", "q@a.test"], ["r@b.test"], ["r@c.test"]])

    def test_as_many_domains_as_are_allowed_go_together(self):
        self.assertEqual(self.through_gateway("LIMITS RCPTMAX=100 RCPTDOMAINMAX=2"),
                         [["r@a.test", "r@b.test", "q@a.test"], ["r@c.test"]])

    def test_without_the_limit_all_go_together(self):
        self.assertEqual(self.through_gateway(), [self.recipients])


if __name__ == "__main__":
    unittest.main()
