"""The completion script for bash offers commands, and the options of the command before the cursor."""

import os
import subprocess
import unittest


class Completion(unittest.TestCase):
    def complete(self, *words):
        """What bash offers for the last word."""
        script = subprocess.run([os.environ["POSTERN"], "completion", "bash"], check=True,
                                capture_output=True, text=True).stdout
        line = " ".join(f"'{word}'" for word in words)
        script += (f"\nCOMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; _postern; "
                   "printf '%s\\n' \"${COMPREPLY[@]}\"")
        done = subprocess.run(["bash", "--norc", "-c", script], check=True, capture_output=True,
                              text=True)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_offers_commands(self):
        self.assertEqual(self.complete("postern", "conn"), ["connections"])

    def test_offers_the_options_of_the_command_and_the_global_ones(self):
        offered = self.complete("postern", "submit", "--")
        self.assertIn("--from", offered)
        self.assertIn("--json", offered)
        self.assertNotIn("--shutdown-after", offered)

    def test_offers_the_options_of_a_command_below_a_command(self):
        self.assertEqual(self.complete("postern", "verdict", "sc"), ["scope"])
        offered = self.complete("postern", "verdict", "scope", "--")
        self.assertIn("--recycle", offered)
        self.assertNotIn("--keep", offered)

    def test_finds_the_command_behind_global_options(self):
        self.assertIn("--from", self.complete("postern", "--json", "submit", "--fr"))

    def test_offers_files_where_nothing_else_fits(self):
        self.assertIn("/etc/passwd", self.complete("postern", "submit", "/etc/passw"))


if __name__ == "__main__":
    unittest.main()
