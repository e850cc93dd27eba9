"""posternd as a process under test: its configuration, its life, its gRPC and HTTP interfaces.

    daemon = Daemon(directory, config(sink=sink, dns=dns, policy={"timeout": "50ms"}))
    daemon.start()                        # waits for the line "ready grpc=... http=... pid=..."
    ident = daemon.submit(["r@a.test"])
    daemon.wait_dispositions(ident, "DELIVERED")
    daemon.stop()                         # SIGTERM; raises on a sanitizer's report

Environment: POSTERND and POSTERN (programs), POSTERN_EXAMPLES (directory of the example modules),
POSTERN_TEST_TIME_SCALE. The generated stubs (postern.v1.*_pb2) are on PYTHONPATH.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import threading

import grpc

from postern.v1 import (control_pb2, control_pb2_grpc, delivery_pb2, delivery_pb2_grpc,
                        hooks_pb2_grpc, types_pb2)
from running import Watched, eventually, scaled, spawn, time_scale
from streams import Outcomes, Policy, Watch

SANITIZER_REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                     "WARNING: ThreadSanitizer")
CONTENT = b"From: s@source.test\r\nSubject: test\r\n\r\nHello.\r\n"


def short(enum, number):
    """(types_pb2.Disposition, 3) -> "DELIVERED"."""
    value = enum.Name(number)
    prefix = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", enum.DESCRIPTOR.name).upper() + "_"
    return value[len(prefix):] if value.startswith(prefix) else value


def ms(milliseconds):
    """A time limit for the configuration, adapted to the build: ms(200) -> "200ms"."""
    return f"{int(milliseconds * time_scale())}ms"


def merge(base, over):
    """base with the entries of over, dictionaries merged, everything else replaced.

    None in over removes the key.
    """
    result = dict(base)
    for key, value in over.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def config(sink=None, dns=None, **overrides):
    """The configuration of the tests: everything on loopback, limits short, retries at once.

    The keys are those of proto/postern/v1/config.proto.
    """
    base = {
        "server": {
            "grpc_listeners": [{"address": "127.0.0.1:0"}],
            "http_listener": "127.0.0.1:0",
            "scheduler_threads": 2,
            "log_level": "debug",
            "hostname": "source.test",
            "spool_reserve_bytes": "1MiB",
        },
        # Long: a verdict that is expected must not come late on a busy machine. Nor is a client to
        # be treated as async for the share of the time, of which a scenario always takes too much.
        "policy": {"timeout": "5s", "max_wait_share": 1},
        "options": {
            "remote_smtp_port": sink.port if sink else 25,
            "prohibited_hosts": ["none"],
            "retry_schedule": ["300ms"],
            "retry_jitter_percent": 0,
            "host_failure_retry": "300ms",
            "redial_rate": {"count": 1000, "per": "1s", "burst": 1000},
            # Long: a busy machine must not look like a peer that hangs. Who waits for one of them
            # sets its own.
            "connect_timeout": ms(20_000),
            "banner_timeout": ms(20_000),
            "ehlo_timeout": ms(20_000),
            "mailfrom_timeout": ms(20_000),
            "rcptto_timeout": ms(20_000),
            "data_timeout": ms(20_000),
            "block_timeout": ms(20_000),
            "body_timeout": ms(20_000),
            "rset_timeout": ms(20_000),
            "quit_timeout": ms(20_000),
            "mx_lookup_timeout": ms(20_000),
            # Short: scenarios wait for these.
            "idle_timeout": ms(2000),
            "drain_budget": ms(1000),
        },
    }
    if dns:
        base["dns_servers"] = [f"{dns.address}:{dns.port}"]
    return merge(base, overrides)


def to_yaml(value, indent=0):
    """YAML of dictionaries, lists and scalars; strings are quoted where they need it."""
    pad = "  " * indent
    out = ""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                out += f"{pad}{key}:\n{to_yaml(item, indent + 1)}"
            else:
                out += f"{pad}{key}: {scalar(item)}\n"
    else:
        for item in value:
            if isinstance(item, (dict, list)) and item:
                nested = to_yaml(item, indent + 1)
                out += f"{pad}- {nested[len(pad) + 2:]}"
            else:
                out += f"{pad}- {scalar(item)}\n"
    return out


def scalar(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*", value):
        return value
    return json.dumps(value)


class Daemon(Watched):
    """One posternd with one configuration file and one spool directory, started any number of
    times. For one thread, apart from the streams."""

    def __init__(self, directory, configuration):
        super().__init__()
        self.directory = directory
        self.config_file = os.path.join(directory, "postern.yaml")
        self.config = merge({"server": {"spool_directory": os.path.join(directory, "spool")}},
                            configuration)
        self.process = None
        self.stdout = []        # lines
        self.stderr = []
        self.grpc_address = self.http_address = None
        self._streams = []
        self.channel = None

    # Life.
    def write_config(self, text=None):
        """Writes the configuration, or any other text in its place."""
        with open(self.config_file, "w", encoding="utf-8") as file:
            file.write(to_yaml(self.config) if text is None else text)

    def get_config(self):
        return self.control.GetConfig(control_pb2.GetConfigRequest(), timeout=scaled(10))

    def apply_config(self, **fields):
        return self.control.ApplyConfig(control_pb2.ApplyConfigRequest(**fields),
                                        timeout=scaled(10))

    def reload(self, text=None, **overrides):
        """Changes the configuration file and sends SIGHUP; does not wait."""
        self.config = merge(self.config, overrides)
        self.write_config(text)
        self.process.send_signal(signal.SIGHUP)

    def wait_generation(self, generation, timeout=10):
        """Blocks until this generation is in force; returns GetConfig's answer."""
        def probe():
            answer = self.get_config()
            return answer.generation == generation and answer
        return eventually(probe, timeout, f"generation {generation} of the configuration")

    def launch(self, text=None):
        """Starts the program and does not wait for it to be ready."""
        self.write_config(text)
        self.stdout, self.grpc_address = [], None
        self.process = spawn(
            [os.environ["POSTERND"], "--config", self.config_file], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.directory)
        self._readers = [threading.Thread(target=self._collect, args=pair, daemon=True)
                         for pair in ((self.process.stdout, self.stdout),
                                      (self.process.stderr, self.stderr))]
        for reader in self._readers:
            reader.start()
        return self

    def start(self):
        """Starts the program and returns when it has said that it is ready."""
        self.launch()

        def ready():
            line = next((l for l in self.stdout if l.startswith("ready ")), None)
            if line is None and self.process.poll() is not None:
                raise AssertionError(f"posternd exited {self.process.returncode} before it was "
                                     f"ready\n{self.describe()}")
            return line

        line = eventually(ready, 20, "the line `ready grpc=... http=...` of posternd")
        fields = dict(part.split("=", 1) for part in line.split()[1:])
        self.grpc_addresses, self.http_address = fields["grpc"].split(","), fields["http"]
        self.grpc_address = self.grpc_addresses[0]
        self.channel = grpc.insecure_channel(self.grpc_address, options=(
            ("grpc.enable_http_proxy", 0), ("grpc.max_send_message_length", -1),
            ("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)))
        self.delivery = delivery_pb2_grpc.DeliveryStub(self.channel)
        self.hooks = hooks_pb2_grpc.HooksStub(self.channel)
        self.control = control_pb2_grpc.ControlStub(self.channel)
        return self

    def _collect(self, pipe, lines):
        for line in pipe:
            with self.changed:
                lines.append(line.decode("utf-8", "backslashreplace").rstrip("\n"))
                self.changed.notify_all()
        pipe.close()

    def wait_exit(self, timeout=10):
        """Blocks until the process has ended by itself; returns its exit code."""
        try:
            code = self.process.wait(scaled(timeout))
        except subprocess.TimeoutExpired:
            raise AssertionError(f"posternd does not end\n{self.describe()}") from None
        for reader in self._readers:
            reader.join(scaled(5))
        self._disconnect()
        self.check_sanitizers()
        return code

    def stop(self, number=signal.SIGTERM, timeout=15):
        """Ends the process in good order; returns its exit code. Nothing if none runs."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.wait_exit(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process = None
        return code

    def kill9(self):
        """Ends the process without a chance to write anything."""
        self.process.kill()
        self.process.wait()
        for reader in self._readers:
            reader.join(scaled(5))
        self._disconnect()
        self.process = None

    def restart(self, kill=False):
        """The same spool and configuration in a new process."""
        self.kill9() if kill else self.stop()
        return self.start()

    def _disconnect(self):
        for stream in self._streams:
            stream.cancel()
        self._streams.clear()
        if self.channel:
            self.channel.close()
            self.channel = None

    def check_sanitizers(self):
        bad = [line for line in self.stderr if any(mark in line for mark in SANITIZER_REPORTS)]
        if bad:
            raise AssertionError("sanitizer report: " + bad[0] + "\n" + self.describe())

    def describe(self):
        return "--- stdout of posternd ---\n" + "\n".join(self.stdout) + \
            "\n--- stderr of posternd ---\n" + "\n".join(self.stderr)

    def wait_log(self, pattern, timeout=10):
        """Blocks until a line of the log matches; returns the line."""
        return self.wait(lambda: next((l for l in self.stdout + self.stderr
                                       if re.search(pattern, l)), None), timeout,
                         f"log line {pattern!r}")

    # Mail.
    def submit(self, recipients, sender="s@source.test", content=CONTENT, **fields):
        """Submits one message; returns its id."""
        return self.submit_request(recipients, sender, content, **fields).message_id

    def submit_request(self, recipients, sender="s@source.test", content=CONTENT, **fields):
        """The same; returns the whole receipt."""
        request = delivery_pb2.SubmitRequest(sender=sender, recipients=recipients,
                                             content=content, **fields)
        return self.delivery.Submit(request, timeout=scaled(20))

    def message(self, ident):
        return self.delivery.GetMessage(delivery_pb2.GetMessageRequest(message_id=ident),
                                        timeout=scaled(10))

    def wait_message(self, ident, predicate, timeout=10, what="message"):
        """Polls GetMessage until predicate(message) is true; returns the message."""
        last = None

        def probe():
            nonlocal last
            last = self.message(ident)
            return predicate(last)

        try:
            eventually(probe, timeout, what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{last}") from None
        return last

    def wait_dispositions(self, ident, wanted, timeout=10):
        """Waits until the recipients are in these states; returns the message.

        wanted: one word for all ("DELIVERED"), or {address: word}.
        """
        def fits(message):
            states = dispositions(message)
            return states and (set(states.values()) == {wanted} if isinstance(wanted, str)
                               else states == wanted)

        return self.wait_message(ident, fits, timeout, f"{ident} {wanted}")

    def run_cli(self, *arguments):
        """Runs the command line against this daemon; returns (exit code, stdout, stderr)."""
        done = subprocess.run([os.environ["POSTERN"], "--address", self.grpc_address, *arguments],
                              capture_output=True, text=True, timeout=scaled(20), check=False)
        return done.returncode, done.stdout, done.stderr

    # Streams.
    def watch(self, **options):
        """A running Watch of every event kind; see streams.Watch."""
        stream = Watch(self.hooks, **options)
        self._streams.append(stream)
        return stream.start()

    def policy(self, provider="policy", **options):
        """An attached Decide client; see streams.Policy."""
        stream = Policy(self.hooks, provider, **options)
        self._streams.append(stream)
        return stream.start()

    def outcomes(self, consumer="", **options):
        """A running Delivery.Outcomes; see streams.Outcomes."""
        stream = Outcomes(self.delivery, consumer, **options)
        self._streams.append(stream)
        return stream.start()

    def remote_provider(self, name):
        """Counters of the provider as ListProviders shows them; None if it is unknown."""
        from postern.v1 import hooks_pb2
        answer = self.hooks.ListProviders(hooks_pb2.ListProvidersRequest(), timeout=scaled(10))
        return next((p for p in answer.remote if p.name == name), None)

    # HTTP.
    def get(self, path):
        """(status, body) of a page."""
        connection = http.client.HTTPConnection(self.http_address, timeout=scaled(10))
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def metrics(self):
        """{name: [(labels, value)]} of /metrics."""
        status, body = self.get("/metrics")
        if status != 200:
            raise AssertionError(f"/metrics answers {status}")
        return parse_metrics(body)

    def metric(self, name, **labels):
        """Sum of the series with these labels; 0 if there are none."""
        return sum(value for found, value in self.metrics().get(name, [])
                   if all(found.get(k) == v for k, v in labels.items()))


def parse_metrics(text):
    """Prometheus text format -> {name: [(labels, value)]}."""
    out = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        series = re.fullmatch(r'([A-Za-z_:][\w:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?', line)
        if not series:
            raise AssertionError(f"not a metric: {line!r}")
        labels = {key: re.sub(r'\\(.)', lambda m: {"n": "\n"}.get(m[1], m[1]), value)
                  for key, value in re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', series[2] or "")}
        out.setdefault(series[1], []).append((labels, float(series[3])))
    return out


# Reading what the service answers.
def recipient_states(message):
    """{address: RecipientState} over all rows."""
    return {r.address: r for row in message.rows for r in row.recipients}


def dispositions(message):
    """{address: "DELIVERED"}."""
    return {address: short(types_pb2.Disposition, state.disposition)
            for address, state in recipient_states(message).items()}
