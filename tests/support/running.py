"""What the scripted peers and the harness share: event loop thread, gates, waiting, process life.

Every time limit of the tests goes through scaled(): sanitizers make everything slower, and
POSTERN_TEST_TIME_SCALE says by how much.
"""

import argparse
import asyncio
import os
import select
import signal
import subprocess
import threading
import time


def time_scale():
    return float(os.environ.get("POSTERN_TEST_TIME_SCALE", "1"))


def scaled(seconds):
    """A time limit in seconds, adapted to the build under test."""
    return seconds * time_scale()


def eventually(probe, timeout=10, what="condition", every=0.02):
    """Calls probe() until it returns something true, and returns that.

    The one place where tests poll. timeout is in seconds before scaling; an exception of probe()
    is not caught. Raises AssertionError with the last value when the time is over.
    """
    deadline = time.monotonic() + scaled(timeout)
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {scaled(timeout):g} s: {what}; last value {value!r}")
        time.sleep(every)


class Watched:
    """State that one thread changes and others wait for."""

    def __init__(self):
        self.changed = threading.Condition(threading.RLock())

    def wait(self, predicate, timeout=10, what="condition"):
        """Blocks until predicate() is true and returns its value. AssertionError at the limit."""
        with self.changed:
            value = self.changed.wait_for(predicate, scaled(timeout))
            if not value:
                raise AssertionError(f"not within {scaled(timeout):g} s: {what}\n{self.describe()}")
            return value

    async def wait_async(self, predicate, timeout=10, what="condition"):
        """wait() for coroutines."""
        return await asyncio.get_running_loop().run_in_executor(
            None, lambda: self.wait(predicate, timeout, what))

    def describe(self):
        """What to print when a wait fails."""
        return ""


class Gates:
    """Named points where a scripted peer stops until the test lets it go on.

    A gate is closed from the beginning. release() opens it for all who wait and for all who come
    later; hold() closes it again.
    """

    def __init__(self, watched):
        self._watched = watched
        self._open = set()
        self._waiting = {}
        self._wakeups = {}
        self.loop = None

    async def passed(self, name, closed=None):
        """Returns when the gate is open, or when the future `closed` is done."""
        with self._watched.changed:
            if name in self._open:
                return
            self._waiting[name] = self._waiting.get(name, 0) + 1
            wakeup = asyncio.get_running_loop().create_future()
            self._wakeups.setdefault(name, []).append(wakeup)
            self._watched.changed.notify_all()
        try:
            await asyncio.wait([f for f in (wakeup, closed) if f is not None],
                               return_when=asyncio.FIRST_COMPLETED)
        finally:
            with self._watched.changed:
                self._waiting[name] -= 1
                if wakeup in self._wakeups.get(name, []):
                    self._wakeups[name].remove(wakeup)

    def release(self, name):
        with self._watched.changed:
            self._open.add(name)
            wakeups = self._wakeups.pop(name, [])
        for wakeup in wakeups:
            self.loop.call_soon_threadsafe(lambda w=wakeup: w.done() or w.set_result(None))

    def hold(self, name):
        with self._watched.changed:
            self._open.discard(name)

    def wait_reached(self, name, count=1, timeout=10):
        """Blocks until `count` peers stand at the gate."""
        self._watched.wait(lambda: self._waiting.get(name, 0) >= count, timeout,
                           f"{count} waiting at gate {name!r}")


class LoopThread:
    """An asyncio event loop in a thread of its own."""

    def __init__(self, name):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def call(self, coroutine, timeout=10):
        """Runs the coroutine there and returns its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(scaled(timeout))

    def stop(self):
        if self.loop.is_closed():
            return

        async def cancel_all():
            tasks = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        self.call(cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(scaled(10))
        self.loop.close()


def spawn(command, user=None, group=None, **options):
    """subprocess.Popen of a program that is killed when this process ends, however it ends.

    Call it on the main thread: the kernel takes the end of the calling thread for the parent's. A
    program that changes its user by itself loses the bond; user and group make it start as them.
    """
    identity = ["--reuid", user, "--regid", group, "--clear-groups"] if user else []
    return subprocess.Popen(["setpriv", *identity, "--pdeathsig", "KILL", *command], **options)


def parse_listen(text):
    """"127.0.0.1:0" -> ("127.0.0.1", 0)."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not ADDRESS:PORT")
    return host, int(port)


def told_to_stop(parent_pid=None):
    """A threading.Event that is set on SIGTERM and SIGINT, and when process parent_pid is gone.

    To be called before the program says that it listens: whoever reads that may send a signal.
    """
    done = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: done.set())
    if parent_pid:
        try:
            parent = os.pidfd_open(parent_pid)
        except ProcessLookupError:
            done.set()
            return done

        def watch_parent():
            poll = select.poll()
            poll.register(parent, select.POLLIN)
            poll.poll()
            done.set()

        threading.Thread(target=watch_parent, daemon=True).start()
    return done
