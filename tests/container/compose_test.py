"""What deploy/compose.yaml puts together works together.

There is no Docker here, so the services are started by podman as the file describes them: images,
commands, volumes, mounts. The name "sink" comes from the scripted DNS server.
"""

import json
import os
import pathlib
import subprocess
import unittest

import yaml

from container import OUTSIDE, Container, run, say, scratch
from dns_server import DnsServer
from running import eventually

DEPLOY = pathlib.Path(__file__).resolve().parents[2] / "deploy"
MAIL = 12


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
        run("ip", "link", "set", "lo", "up")
        dns = DnsServer("0.0.0.0", 53).start()
        self.addCleanup(dns.stop)
        dns.a("sink", OUTSIDE)
        self.shared = f"postern-test-run-{os.getpid()}"
        self.addCleanup(run, "podman", "volume", "rm", "-f", self.shared, check=False)

    def mounts(self, service):
        """The volumes of the service, without those that Container makes for each container."""
        out = []
        for volume in self.services[service].get("volumes", []):
            source, target = volume.split(":", 1)
            if source.startswith("."):
                out.append(f"{(DEPLOY / source).resolve()}:{target}")
            elif source == "run":
                out.append(f"{self.shared}:{target}")
        return out

    def peer(self, service, network):
        """A container of the second image, with the service's command; its name."""
        name = f"postern-test-{service}-{os.getpid()}"
        mounts = [word for mount in self.mounts(service) for word in ("-v", mount)]
        run("podman", "run", "-d", "--name", name, "--read-only", "--read-only-tmpfs=false",
            "--network", network, *mounts, os.environ["PEERS"], *self.services[service]["command"])
        self.addCleanup(run, "podman", "rm", "-f", "-v", "-t", "1", name, check=False)
        return name

    @staticmethod
    def log_of(name):
        return subprocess.run(["podman", "logs", name], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60).stdout

    def test_mail_goes_to_the_sink_and_the_policy_ends_sessions(self):
        sink = self.peer("sink", "host")  # this process's network namespace: "outside"
        posternd = Container(scratch(self), mounts=self.mounts("posternd"))
        self.addCleanup(posternd.remove)
        posternd.start().wait_ready()
        policy = self.peer("policy", "none")
        eventually(lambda: "attached" in self.log_of(policy), 60, "the policy client attaches")
        submitted = 0

        def ended_by_policy():
            """After another round of mail: of one round the client may have been too late for all."""
            nonlocal submitted
            submitted += MAIL
            posternd.postern("submit", "--from", "me@sender.test", "--to", "you@orchid.test",
                             "--count", MAIL, stdin="Subject: hi\n\nHello\n")
            eventually(lambda: self.delivered(posternd) == submitted, 60, "all mail is delivered")
            return self.value(posternd, 'postern_sessions_closed_total{cause="remote_policy"}') > 0

        eventually(ended_by_policy, 60, "the policy client ends a session")
        # What a container says reaches its log a little later.
        eventually(lambda: self.log_of(sink).count("250 2.0.0 Accepted") >= submitted, 60,
                   "the sink has logged all of it")
        self.assertEqual(self.log_of(sink).count("250 2.0.0 Accepted"), submitted)
        size = json.loads(run("podman", "image", "inspect", os.environ["PEERS"]))[0]["Size"]
        say(f"compose's services work together; the peers' image {size / 2**20:.0f} MiB")

    @staticmethod
    def value(posternd, series):
        for line in posternd.get("/metrics")[1].splitlines():
            if line.startswith(series):
                return int(float(line.split()[-1]))
        return 0

    def delivered(self, posternd):
        return self.value(posternd, 'postern_recipients_total{disposition="delivered"}')


if __name__ == "__main__":
    unittest.main()
