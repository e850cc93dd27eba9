"""The files of deploy/ that others read: shell, systemd, compose, images."""
import pathlib
import re
import subprocess
import tempfile
import unittest

import yaml

from deploy_files import DEPLOY, ROOT, environment, run, tool


def scripts():
    """Every file of the repository that a shell runs."""
    names = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"],
                           cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        path = ROOT / name
        if path.is_file() and path.suffix in ("", ".sh"):
            with open(path, "rb") as file:
                if re.match(rb"#!.*\b(ba)?sh\b", file.readline()):
                    yield path


class Shell(unittest.TestCase):
    def test_shellcheck_finds_nothing(self):
        found = list(scripts())
        self.assertIn(DEPLOY / "make-certs", found)
        self.assertEqual(run(tool("shellcheck"), "--severity=warning", *found), (0, ""))


class Yaml(unittest.TestCase):
    def test_every_file_parses(self):
        for path in [*DEPLOY.rglob("*.yaml"), DEPLOY / "compose.yaml"]:
            text = path.read_text()
            if path.name == "quickstart.yaml":  # has @WORDS@ in it
                text = re.sub(r"@\w+@", "1", text)
            with self.subTest(path.name):
                self.assertIsNotNone(yaml.safe_load(text))

    def test_posternd_takes_the_configurations(self):
        for name in ("postern.yaml", "container.yaml", "compose/postern.yaml"):
            with self.subTest(name):
                code, text = run(environment("POSTERND"), "--check-config", "--config",
                                 DEPLOY / name)
                self.assertEqual(code, 0, text)


class Compose(unittest.TestCase):
    def test_docker_compose_takes_the_file(self):
        self.assertEqual(run(tool("docker-compose"), "-f", DEPLOY / "compose.yaml", "config", "-q"),
                         (0, ""))

    def test_what_it_mounts_and_builds_is_there(self):
        services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
        self.assertEqual(set(services), {"posternd", "policy", "sink"})
        for name, service in services.items():
            context = (DEPLOY / service["build"]["context"]).resolve()
            self.assertEqual(context, ROOT, name)
            self.assertTrue((ROOT / service["build"].get("dockerfile", "Dockerfile")).is_file())
            self.assertTrue(service["read_only"], name)
            for volume in service.get("volumes", []):
                if volume.startswith("."):
                    self.assertTrue((DEPLOY / volume.split(":")[0]).is_file(), volume)


class Images(unittest.TestCase):
    def test_what_is_copied_is_let_through_to_the_build(self):
        kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()
                if line.startswith("!")]
        for dockerfile in (ROOT / "Dockerfile", DEPLOY / "compose/Dockerfile"):
            text = dockerfile.read_text().replace("\\\n", " ")
            for words in re.findall(r"^COPY (?!--from)(.*)$", text, re.M):
                for source in words.split()[:-1]:
                    with self.subTest(source):
                        self.assertTrue((ROOT / source).exists())
                        self.assertTrue(source == "." or any(
                            source == k or source.startswith(k + "/") for k in kept))

    def test_the_image_runs_as_a_user_and_stops_in_good_order(self):
        text = (ROOT / "Dockerfile").read_text()
        for line in ("USER 10025:10025", "STOPSIGNAL SIGTERM", 'ENTRYPOINT ["posternd"]'):
            self.assertIn("\n" + line, text)
        # No compiler in the last stage: its packages are libraries.
        last = text[text.rindex("FROM "):]
        packages = re.search(r"--no-install-recommends \\\n(.*?)&&", last, re.S)[1]
        for package in packages.replace("\\", " ").split():
            self.assertRegex(package, r"^lib[a-z0-9+.-]*[0-9]$")


class Systemd(unittest.TestCase):
    # What `systemd-analyze security` gives at most, times ten; today it is 12.
    MOST_EXPOSED = 15

    def setUp(self):
        self.analyze = tool("systemd-analyze")
        self.unit = DEPLOY / "systemd/posternd.service"

    def test_verify_takes_the_unit(self):
        with tempfile.TemporaryDirectory() as directory:
            unit = pathlib.Path(directory) / "posternd.service"
            unit.write_text(self.unit.read_text().replace("/usr/sbin/posternd",
                                                          environment("POSTERND")))
            code, text = run(self.analyze, "verify", "--man=no", unit)
        ours = [line for line in text.splitlines() if "posternd" in line]
        self.assertEqual((code, ours), (0, []))

    def test_it_is_hardened(self):
        code, text = run(self.analyze, "security", "--offline=yes", "--no-pager",
                         f"--threshold={self.MOST_EXPOSED}", self.unit)
        self.assertEqual(code, 0, text)

    def test_it_has_time_for_the_drain(self):
        text = self.unit.read_text()
        self.assertGreater(int(re.search(r"^TimeoutStopSec=(\d+)s$", text, re.M)[1]), 8 + 10)


if __name__ == "__main__":
    unittest.main()
