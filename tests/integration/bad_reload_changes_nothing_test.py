"""SIGHUP with a bad file: every error is in the log, and what was in force stays."""

import unittest

from daemon import to_yaml
from scenario import Scenario, merge


class BadReloadChangesNothing(Scenario):
    def test_all_errors_are_logged_and_the_old_configuration_stays(self):
        self.dns.domain("a.test")
        before = self.daemon.get_config()
        bad = to_yaml(merge(self.daemon.config, {"options": {
            "connect_timeout": "5", "no_such_key": 1}}))
        self.daemon.reload(text=bad)
        self.daemon.wait_log(r"generation 1 stays")
        self.daemon.wait_log(r"postern.yaml:\d+: options.connect_timeout: ")
        self.daemon.wait_log(r"postern.yaml:\d+: options.no_such_key: unknown key")
        self.assertEqual(self.daemon.get_config(), before)
        self.deliver("one@a.test")

        self.daemon.reload(text="server: [")
        self.daemon.wait_log(r"postern.yaml:1: ")
        self.assertEqual(self.daemon.get_config(), before)

        # The next good one counts from there.
        self.daemon.reload(options={"max_retries": 3})
        self.assertEqual(self.daemon.wait_generation(2).config.options.max_retries, 3)


if __name__ == "__main__":
    unittest.main()
