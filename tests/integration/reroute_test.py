"""Reroute moves what is queued to another binding, across a restart."""

import unittest

from scenario import Scenario, dispositions, reason_of, scope


class Reroute(Scenario):
    config = {"bindings": [{"name": "pool-1"}, {"name": "pool-2"}]}

    def test_moves_queued_mail_with_its_state(self):
        self.dns.domain("a.test")
        self.control("Suspend", scope=scope("*", "pool-1"), reason="address is listed")
        held = self.daemon.submit(["r@a.test"], binding="pool-1")
        other = self.daemon.submit(["q@a.test"])
        self.daemon.wait_dispositions(other, "DELIVERED")
        self.assertEqual(reason_of(self.daemon.message(held)), "SUSPENDED")
        code, out, err = self.daemon.run_cli("reroute", "*", "--binding", "pool-1",
                                             "--to", "pool-2")
        self.assertEqual((code, out), (0, "1 row moved\n"), err)
        message = self.daemon.wait_dispositions(held, "DELIVERED")
        self.assertEqual(message.rows[0].binding.name, "pool-2")

    def test_is_kept(self):
        self.dns.domain("a.test")
        self.suspend("*")
        ident = self.daemon.submit(["r@a.test"], binding="pool-1")
        self.assertEqual(self.control("Reroute", scope=scope("a.test"),
                                      to_binding="pool-2").rows, 1)
        self.daemon.restart(kill=True)
        message = self.daemon.message(ident)
        self.assertEqual(message.rows[0].binding.name, "pool-2")
        self.assertEqual(dispositions(message), {"r@a.test": "QUEUED"})
        self.control("Resume", scope=scope("*"))
        self.daemon.wait_dispositions(ident, "DELIVERED")

    def test_needs_a_binding_that_is_there(self):
        self.assertIn("to_binding", self.assert_refused(
            "INVALID_ARGUMENT", self.control, "Reroute", scope=scope("*"), to_binding="nobody"))


if __name__ == "__main__":
    unittest.main()
