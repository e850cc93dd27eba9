"""A container of the image at the other end of a cable, and what is seen of it from here.

The test runs in a network namespace of its own ("outside", 192.0.2.1). Each container starts with no
network and is then given one end of a veth pair: 192.0.2.2. Nothing of this reaches the machine.
"""

import datetime
import http.client
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

from daemon import parse_metrics
from dns_server import DnsServer
from running import eventually
from smtp_sink import SmtpSink

OUTSIDE, INSIDE = "192.0.2.1", "192.0.2.2"
DRAIN_BUDGET = 8  # options.drain_budget by default
MEMORY_BYTES = 512 * 2**20  # what each container may take


def say(*words):
    """A figure for whoever reads the log of the run."""
    print("container:", *words, file=sys.stderr, flush=True)


def run(*words, check=True, stdin=None, timeout=120):
    """Runs a program; its standard output. AssertionError with everything it said if it fails."""
    done = subprocess.run([str(w) for w in words], input=stdin, capture_output=True, text=True,
                          timeout=timeout)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, words))}: exit {done.returncode}\n"
                             f"{done.stdout}{done.stderr}")
    return done.stdout.strip()


def seconds_of(text):
    """"2024-05-01T10:00:00.123456789Z" or with an offset, as seconds since the epoch."""
    text = re.sub(r"\.(\d{1,6})\d*", lambda m: "." + m[1].ljust(6, "0"), text)
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


class Container:
    """One container, with volumes of its own that survive its restarts. As strict as it gets: no
    capability, no new privileges, a root file system that nobody can write to."""

    def __init__(self, directory, image=None, environment=(), mounts=()):
        self.image = image or os.environ["IMAGE"]
        self.name = f"postern-test-{uuid.uuid4().hex[:8]}"
        resolv = os.path.join(directory, "resolv.conf")
        with open(resolv, "w", encoding="utf-8") as file:
            file.write(f"nameserver {OUTSIDE}\n")
        self.arguments = ["--read-only", "--read-only-tmpfs=false", "--cap-drop", "all",
                          "--security-opt", "no-new-privileges", "--memory", MEMORY_BYTES,
                          "--network", "none", "-v", f"{resolv}:/etc/resolv.conf:ro",
                          "-v", f"{self.name}-spool:/var/spool/postern"]
        for pair in environment:
            self.arguments += ["-e", pair]
        for mount in mounts:
            self.arguments += ["-v", mount]
        self.pid = 0

    def launch(self):
        """From the image to a process, without a network."""
        run("podman", "run", "-d", "--name", self.name, *self.arguments, self.image)
        return self

    def start(self):
        """From the image to a process that is on the network."""
        return self.launch()._plug()

    def restart(self):
        run("podman", "start", self.name)
        return self._plug()

    def _plug(self):
        self.pid = int(run("podman", "inspect", "-f", "{{.State.Pid}}", self.name))
        run("ip", "link", "delete", "cable", check=False)
        run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "eth0", "netns", self.pid)
        run("ip", "address", "add", f"{OUTSIDE}/24", "dev", "cable")
        run("ip", "link", "set", "cable", "up")
        inside = ("nsenter", "--net", "-t", self.pid, "ip")
        run(*inside, "address", "add", f"{INSIDE}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        return self

    def wait_ready(self, timeout=60):
        def ready():
            if not self.running():
                raise AssertionError(f"the container ended\n{self.logs()}")
            try:
                return self.get("/readyz")[0] == 200
            except OSError:
                return False
        eventually(ready, timeout, "/readyz")
        return self

    def running(self):
        return self.inspect("{{.State.Running}}") == "true"

    def inspect(self, form):
        return run("podman", "inspect", "-f", form, self.name)

    def logs(self):
        done = subprocess.run(["podman", "logs", self.name], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=60)
        return done.stdout

    def get(self, path):
        """(status, body) of a page, from outside."""
        connection = http.client.HTTPConnection(INSIDE, 9091, timeout=10)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metric(self, name):
        """The value of a metric without labels."""
        (_, value), = parse_metrics(self.get("/metrics")[1])[name]
        return value

    def postern(self, *words, stdin=None):
        """`postern` in the container."""
        interactive = ["-i"] if stdin is not None else []
        return run("podman", "exec", *interactive, self.name, "postern", *words, stdin=stdin)

    def submit(self, recipient, content="Subject: test\n\nHello\n"):
        """Over the unix socket; the id of the message."""
        out = self.postern("submit", "--json", "--from", "s@source.test", "--to", recipient,
                           stdin=content)
        return json.loads(out)["message_id"]

    def stop(self, patience=60):
        """SIGTERM, and SIGKILL after `patience` s; (exit code, seconds from the signal to the end).

        The seconds are those between the daemon's own line and the end of its process: without
        what podman takes for both.
        """
        run("podman", "stop", "-t", patience, self.name)
        begin = re.search(r"^(\S+) info signal 15: ", self.logs(), re.M)[1]
        ended = json.loads(run("podman", "inspect", self.name))[0]["State"]["FinishedAt"]
        return int(self.inspect("{{.State.ExitCode}}")), seconds_of(ended) - seconds_of(begin)

    def kill(self):
        run("podman", "kill", "--signal", "KILL", self.name)
        run("podman", "wait", self.name)

    def remove(self):
        run("podman", "rm", "-f", "-v", "-t", "1", self.name, check=False)
        run("podman", "volume", "rm", "-f", f"{self.name}-spool", check=False)


def scratch(test):
    """A temporary directory that goes with the test."""
    directory = tempfile.TemporaryDirectory(prefix="postern-container-")
    test.addCleanup(directory.cleanup)
    return directory.name


class ContainerTest(unittest.TestCase):
    """A receiver and a DNS server outside, and at most one container that finds them."""

    log = ""

    def setUp(self):
        self.directory = scratch(self)
        run("ip", "link", "set", "lo", "up")
        self.dns = DnsServer("0.0.0.0", 53).start()
        self.addCleanup(self.dns.stop)
        self.dns.domain("a.test", OUTSIDE)
        self.sink = SmtpSink(addresses=["0.0.0.0"], port=25).start()
        self.addCleanup(self.sink.stop)
        self.container = None

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            print(f"===== {self.id()} failed =====\n{self.sink.transcripts()}\n"
                  f"{self.dns.describe()}\n{self.log}", file=sys.stderr)
        return result

    def make(self, **options):
        environment = ["POSTERN_HOSTNAME=container.test", *options.pop("environment", ())]
        self.container = Container(self.directory, environment=environment, **options)
        self.addCleanup(self.container.remove)
        self.addCleanup(self._keep_log)
        return self.container

    def _keep_log(self):
        self.log = self.container.logs()

    def started(self, **options):
        return self.make(**options).start().wait_ready()

    def recipients(self):
        return sorted(r for m in self.sink.messages for r in m.recipients)

    def write_config(self, text):
        """A file to be mounted over the image's configuration; its path."""
        path = os.path.join(self.directory, "postern.yaml")
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path
