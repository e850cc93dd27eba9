"""The image, run for real: small, unprivileged, drains, keeps its mail, and is reached from outside."""

import json
import os
import socket
import time
import unittest

from container import INSIDE, DRAIN_BUDGET, MEMORY_BYTES, ContainerTest, run, say

MOST_BYTES = 140 * 2**20
MOST_RESIDENT_MIB = 64
# A configuration that is mounted over the image's: it comes back to a host soon.
SOON = """server:
  spool_directory: /var/spool/postern/spool
  grpc_listeners:
  - address: unix:/run/postern/postern.sock
  http_listener: "[::]:9091"
options:
  retry_schedule: [1s]
  retry_jitter_percent: 0
  redial_rate: {count: 10, per: 1s}
"""


class Image(unittest.TestCase):
    def setUp(self):
        self.image = json.loads(run("podman", "image", "inspect", os.environ["IMAGE"]))[0]

    def test_is_small(self):
        say(f"image {self.image['Size'] / 2**20:.1f} MiB, at most {MOST_BYTES / 2**20:.0f}")
        self.assertLessEqual(self.image["Size"], MOST_BYTES)

    def test_is_described_as_it_behaves(self):
        config = self.image["Config"]
        self.assertEqual(config["User"], "10025:10025")
        self.assertEqual(config["Entrypoint"], ["posternd"])
        self.assertEqual(config.get("StopSignal"), "SIGTERM")
        self.assertEqual(set(config["Volumes"]), {"/var/spool/postern", "/run/postern"})
        self.assertEqual(self.image["Healthcheck"]["Test"], ["CMD", "postern", "health"])

    def test_has_no_compiler_and_no_symbols(self):
        found = run("podman", "run", "--rm", "--no-healthcheck", "--network", "none",
                    "--entrypoint", "/bin/sh", os.environ["IMAGE"], "-c",
                    "for p in cc gcc g++ c++ clang ld as cmake ninja make python3 perl curl; do "
                    "command -v $p; done; true")
        # perl-base is in Debian's own base image.
        self.assertEqual([p for p in found.split() if not p.endswith("/perl")], [])

    def test_the_programs_explain_themselves(self):
        for program, words in (("posternd", "POSTERN_SPOOL_DIRECTORY"), ("postern", "submit")):
            text = run("podman", "run", "--rm", "--no-healthcheck", "--network", "none",
                       "--entrypoint", program, os.environ["IMAGE"], "--help")
            self.assertIn(words, text)


class Running(ContainerTest):
    def test_delivers_within_ten_seconds_of_the_start(self):
        # The machine may be busy with something else once, and twice.
        for attempt in range(1, 4):
            container = self.make()
            begin = time.monotonic()
            container.start().wait_ready()
            ready = time.monotonic() - begin
            container.submit("r@a.test")
            self.sink.wait_messages(attempt, 60)
            took = time.monotonic() - begin
            say(f"from image to ready {ready:.2f} s, to the first delivered mail {took:.2f} s")
            if took <= 10:
                break
            container.remove()
        self.assertLessEqual(took, 10)
        self.assertEqual(self.sink.connections[0].helo, "container.test")

    def test_is_one_unprivileged_process_that_writes_to_its_volumes_only(self):
        container = self.started()
        with open(f"/proc/{container.pid}/status", encoding="utf-8") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        self.assertEqual(status["Uid"].split(), ["10025"] * 4)
        self.assertEqual(int(status["CapEff"], 16), 0)
        self.assertEqual(status["NoNewPrivs"], "1")
        with open(f"/proc/{container.pid}/task/{container.pid}/children", encoding="utf-8") as file:
            self.assertEqual(file.read().split(), [])
        with open(f"/proc/{container.pid}/mountinfo", encoding="utf-8") as file:
            root, = [line.split() for line in file if line.split()[4] == "/"]
        self.assertIn("ro", root[5].split(","))
        self.assertEqual(run("podman", "healthcheck", "run", container.name), "")

    def test_is_small_in_memory_and_knows_what_it_may_take(self):
        container = self.started()
        with open(f"/proc/{container.pid}/status", encoding="utf-8") as file:
            resident = next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmRSS"))
        say(f"resident {resident:.1f} MiB after the start, at most {MOST_RESIDENT_MIB}")
        self.assertLessEqual(resident, MOST_RESIDENT_MIB)
        self.assertEqual(container.metric("postern_memory_group_limit_bytes"), MEMORY_BYTES)
        used = container.metric("postern_memory_group_used_bytes")
        self.assertGreater(used, 0)
        self.assertLess(used, MEMORY_BYTES)

    def test_shows_its_health_to_the_network_and_gives_control_to_nobody(self):
        container = self.started()
        for path in ("/livez", "/readyz", "/startupz", "/metrics"):
            self.assertEqual(container.get(path)[0], 200, path)
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection((INSIDE, 9090), timeout=5)
        self.assertRegex(container.logs(), r"no /etc/postern/tls/tls\.crt: .*Mount tls\.crt, "
                         r"tls\.key and ca\.crt")

    def test_drains_on_sigterm_within_its_budget_although_a_receiver_hangs(self):
        self.sink.rule("body", hang=True, recipient="slow@")
        for attempt in range(1, 4):  # the machine may be busy with something else once, and twice
            container = self.started()
            container.submit("slow@a.test")
            self.sink.wait_transactions(attempt, 60)
            code, took = container.stop()
            say(f"SIGTERM with a receiver that hangs: exit {code} after {took:.1f} s")
            self.assertEqual(code, 0)
            if took <= DRAIN_BUDGET + 2:
                break
            container.remove()
        self.assertLessEqual(took, DRAIN_BUDGET + 2)

    def test_ends_at_once_on_sigterm_when_nothing_is_under_way(self):
        container = self.started()
        container.submit("r@a.test")
        self.sink.wait_messages(1, 60)
        code, took = container.stop()
        say(f"SIGTERM with an idle session: exit {code} after {took:.1f} s")
        self.assertEqual(code, 0)
        self.assertLessEqual(took, DRAIN_BUDGET)

    def test_keeps_the_mail_when_it_is_killed(self):
        # Nothing can be delivered until the container has been killed and started again.
        self.sink.rule("greeting", reply="421 4.3.2 Not yet", close="after")
        container = self.started(mounts=[f"{self.write_config(SOON)}:/etc/postern/postern.yaml:ro"])
        wanted = sorted(f"r{i}@a.test" for i in range(20))
        for recipient in wanted:
            container.submit(recipient)
        self.sink.wait_connections(1, 60)
        container.kill()
        self.assertEqual(self.sink.messages, [])
        self.sink.clear_rules()
        container.restart().wait_ready()
        self.sink.wait_messages(len(wanted), 60)
        self.assertEqual(self.recipients(), wanted)  # none is missing, none came twice
        self.assertEqual(container.stop()[0], 0)
        self.assertEqual(self.recipients(), wanted)

    def test_the_environment_goes_before_the_file(self):
        container = self.started(environment=["POSTERN_SPOOL_DIRECTORY=/var/spool/postern/other",
                                              "POSTERN_LOG_LEVEL=debug"])
        self.assertIn("POSTERN_SPOOL_DIRECTORY=/var/spool/postern/other goes before "
                      "/etc/postern/postern.yaml", container.logs())
        names = run("podman", "exec", container.name, "ls", "/var/spool/postern").split()
        self.assertIn("other", names)
        self.assertNotIn("spool", names)

    def test_a_variable_that_makes_no_sense_is_named(self):
        container = self.make(environment=["POSTERN_GRPC_LISTENER=0.0.0.0:9090"]).launch()
        self.assertEqual(run("podman", "wait", container.name), "1")
        self.assertRegex(container.logs(), r"posternd: POSTERN_GRPC_LISTENER: .*insecure: true")


if __name__ == "__main__":
    unittest.main()
