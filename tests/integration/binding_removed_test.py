"""What was under a binding that has left the configuration stays within an operator's reach."""

import unittest

from scenario import Scenario, scope


class BindingRemoved(Scenario):
    config = {"bindings": [{"name": "pool-1"}, {"name": "pool-2"}]}

    def test_mail_and_suspension(self):
        self.dns.domain("a.test")
        self.control("Suspend", scope=scope("*", "pool-1"), reason="listed")
        ident = self.daemon.submit(["r@a.test"], binding="pool-1")
        config = self.daemon.get_config().config
        del config.bindings[0]
        self.daemon.apply_config(config=config)
        self.assertIn("pool-3", self.assert_refused("INVALID_ARGUMENT", self.control, "Flush",
                                                    scope=scope("*", "pool-3")))
        self.assertEqual(self.control("Fail", scope=scope("*", "pool-1"), dry_run=True).rows, 1)
        self.assertEqual(
            self.control("Reroute", scope=scope("*", "pool-1"), to_binding="pool-2").rows, 1)
        self.daemon.wait_dispositions(ident, "DELIVERED")
        self.control("Resume", scope=scope("*", "pool-1"))
        self.assertEqual(list(self.control("ListQueues").suspensions), [])

    def test_what_remains_is_named(self):
        self.control("Suspend", scope=scope("*", "pool-1"), reason="listed")
        remaining, = self.control("Resume", scope=scope("a.test")).remaining
        self.assertEqual((remaining.scope.domain, remaining.scope.binding), ("*", "pool-1"))


if __name__ == "__main__":
    unittest.main()
