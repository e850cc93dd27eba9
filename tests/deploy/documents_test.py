"""What the documents name is there, and what must be named is."""
import re
import unittest

from deploy_files import DEPLOY, ROOT


def words(pattern, path):
    return set(re.findall(pattern, (ROOT / path).read_text()))


def section(name):
    """A section of the runbook."""
    return re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", (DEPLOY / "RUNBOOK.md").read_text(),
                     re.M | re.S)[1]


class Documents(unittest.TestCase):
    def test_readme_names_every_benchmark(self):
        readme = (ROOT / "README.md").read_text()
        for path in sorted((ROOT / "tests/bench").iterdir()):
            name = {".py": path.name, ".cc": path.stem}.get(path.suffix)
            if name:
                self.assertIn(f"`{name}`", readme)

    def test_the_runbook_explains_every_code_of_a_connection_and_no_other(self):
        codes = {name.lower() for name in
                 words(r'return "([A-Z_]+)";', "server/mail/conn_error.cc")} - {"unknown"}
        named = set(re.findall(r"`([a-z_]+)`", section("PosternConnectFailures")))
        self.assertEqual(named - {"bind_address"}, codes)

    def test_the_runbook_calls_commands_that_exist(self):
        commands = set()
        for path in (ROOT / "client").glob("*.cc"):
            commands |= set(re.findall(r'add_subcommand\(\s*"([a-z-]+)"', path.read_text()))
        called = words(r"`postern ([a-z-]+)", "deploy/RUNBOOK.md")
        self.assertGreater(len(called), 5)
        self.assertEqual(called - commands, set())


if __name__ == "__main__":
    unittest.main()
