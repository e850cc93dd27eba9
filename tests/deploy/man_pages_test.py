"""The manual pages are made of --help and of the schema: all is there, and man can read it."""

import os
import re
import subprocess
import sys
import tempfile
import unittest

from deploy_files import ROOT, tool
from postern.v1 import config_pb2


def config_keys(descriptor, seen):
    """The names of all fields that the configuration can have, with those of its parts."""
    for field in descriptor.fields:
        yield field.name
        part = field.message_type
        if part and not part.GetOptions().map_entry and part.file.package == "postern.v1" \
                and part.full_name not in seen:
            seen.add(part.full_name)
            yield from config_keys(part, seen)


class ManPages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        subprocess.run([sys.executable, os.path.join(ROOT, "deploy/man/make-man"),
                        "--posternd", os.environ["POSTERND"], "--postern", os.environ["POSTERN"],
                        "--output", cls.directory.name], check=True)

    def page(self, name):
        with open(os.path.join(self.directory.name, name), encoding="utf-8") as file:
            return file.read()

    def test_man_reads_them_without_a_warning(self):
        for name in ("posternd.8", "postern.1", "postern.yaml.5"):
            with self.subTest(name):
                done = subprocess.run([tool("groff"), "-man", "-ww", "-z", "-Tutf8", "-k",
                                       os.path.join(self.directory.name, name)],
                                      capture_output=True, text=True, check=True)
                self.assertEqual(done.stderr, "")

    def test_every_command_and_every_option_of_it_is_there(self):
        page = self.page("postern.1")
        top = subprocess.run([os.environ["POSTERN"], "--help"], capture_output=True, text=True,
                             check=True).stdout
        commands = re.findall(r"^  ([a-z-]+) {2,}", top.split("Subcommands:")[1].split("\n\n")[0],
                              re.M)
        self.assertIn("submit", commands)
        for command in commands:
            with self.subTest(command):
                self.assertIn(f'.SS "postern {command}"'.replace("-", "\\-"), page)
                text = subprocess.run([os.environ["POSTERN"], command, "--help"],
                                      capture_output=True, text=True, check=True).stdout
                for option in re.findall(r"^  (?:-\w,)?(--[a-z-]+)", text, re.M):
                    self.assertIn(option.replace("-", "\\-"), page)

    def test_every_key_of_the_configuration_is_there(self):
        page = self.page("postern.yaml.5")
        keys = set(config_keys(config_pb2.Config.DESCRIPTOR, set()))
        self.assertIn("max_outbound_connections", keys)
        for key in sorted(keys):
            with self.subTest(key):
                self.assertIn(f'.BR "{key}" ', page)

    def test_the_daemon_s_page_names_its_options(self):
        self.assertIn("\\-\\-check\\-config", self.page("posternd.8"))


if __name__ == "__main__":
    unittest.main()
