# SPDX-License-Identifier: MIT
"""The real ftcpd under test: started in a directory of its own, watched, and always ended.

A test file is a class of SystemTest with sentences for names, and harness.main() at its end:

    class Relay(harness.SystemTest):
        def test_a_message_reaches_every_client(self):
            upstream = self.upstream()
            daemon = self.daemon(f"[Upstream]\\nAddress={upstream.address}\\n")
            client = daemon.client()
            daemon.wait_clients(1)
            upstream.accept().send(b"hello")
            client.expect(b"hello")

The programs are $FTCPD and $FTCPCTL, else build/ftcpd and build/ftcpctl at the top of the tree.
When a test fails, the end of the log of each of its daemons is printed, between what failed and
where. What a test does not set has the patience of PATIENCE: only the tests of a time limit are to
depend on time, see standstill.py.
"""
import contextlib
import ctypes
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

from framed import (  # noqa: F401  (what tests use is offered from here)
    DEADLINE,
    SLOW,
    Frame,
    Framed,
    Upstream,
    brief,
    digest,
    random_messages,
    random_size,
    seed,
    stamp,
    unix_connect,
    unstamp,
    until,
)
from standstill import Standstill, NOTICEABLE, in_time  # noqa: F401

try:
    import runner
except ImportError:
    tap = None

__unittest = True  # a failure's traceback shows the test, not what is in here

# Who runs the tests by sudo is not to be named in every hold.
os.environ.pop("SUDO_USER", None)

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.environ.get("top_srcdir") or os.path.join(HERE, "..", "..", ".."))

# Limits that a busy machine could exceed, for tests that do not set them: (section, key, value).
PATIENCE = (
    ("Upstream", "PathTimeout", f"{30 * SLOW:.0f}s"),
    ("Upstream", "GreetingTimeout", f"{60 * SLOW:.0f}s"),
    ("Heartbeat", "Timeout", f"{30 * SLOW:.0f}s"),
    ("Delivery", "SlowClientGrace", f"{60 * SLOW:.0f}s"),
)

# The end of a daemon's log that is worth reading when a test failed.
LOG_LINES = 40

# No test may hang: it is interrupted after this many seconds.
TEST_LIMIT = int(300 * SLOW)
PR_SET_PDEATHSIG = 1

LONG = bool(os.environ.get("FTCPD_TEST_LONG"))

_libc = ctypes.CDLL(None, use_errno=True)


def often(in_short, in_long, name=None):
    """How often a test does what it counts: the first number in each run, the second one in
    ./dev test --long. The environment variable of this name says otherwise."""
    asked = name and os.environ.get(name)
    return int(asked or (in_long if LONG else in_short))


def program(name):
    """The absolute path of ftcpd or ftcpctl."""
    path = os.environ.get(name.upper()) or os.path.join(TOP, "build", name)
    return os.path.abspath(path)


def need(*names):
    """Skips the test, loudly, where one of these programs cannot be found."""
    for name in names:
        if not shutil.which(name):
            raise unittest.SkipTest(f"{name} is not installed")


def die_with_parent():
    """A child ends with us; and it can be interrupted, even if whoever runs the tests cannot."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command, **options):
    """A child process that does not outlive the test program, however that ends."""
    return subprocess.Popen(command, **{"preexec_fn": die_with_parent, **options})


def end(process, grace=1.0):
    """Asks a process to end, then kills it; returns what poll() says, reaped."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace * SLOW)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait(DEADLINE)


class VarlinkError(Exception):
    """An error reply: its name and parameters."""

    def __init__(self, name, parameters):
        super().__init__(f"{name} {json.dumps(parameters)}")
        self.name, self.parameters = name, parameters


class Varlink:
    """A connection to a Varlink service. Raw bytes and whole objects are for tests of the protocol."""

    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        # With a timeout of Python's it would not block, and fail while the backlog is full.
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", int(DEADLINE), 0))
        self.buffer = bytearray()
        try:
            self.sock.connect(path)
        except OSError:
            self.sock.close()
            raise
        self.sock.settimeout(DEADLINE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, request):
        self.sock.sendall(json.dumps(request).encode() + b"\0")

    def recv(self):
        """The next object; None at the end of the stream."""
        while b"\0" not in self.buffer:
            data = self.sock.recv(65536)
            if not data:
                return None
            self.buffer += data
        text, _, rest = bytes(self.buffer).partition(b"\0")
        self.buffer = bytearray(rest)
        return json.loads(text)

    def call(self, method, **parameters):
        """One call and its reply's parameters; an error reply is a VarlinkError."""
        self.send({"method": method, "parameters": parameters})
        reply = self.recv()
        if reply is None:
            raise ConnectionResetError("the service closed the connection")
        if "error" in reply:
            raise VarlinkError(reply["error"], reply.get("parameters") or {})
        return reply.get("parameters") or {}


class Daemon:
    """One ftcpd with a configuration text. Sockets that it does not name are put beside it.

    within is a context manager to start it in, such as a network namespace.
    """

    def __init__(self, config, args=(), env=None, within=None, directory=None, wait=True):
        self.directory = directory or tempfile.mkdtemp(prefix="ftcpd-test-")
        self.config_path = os.path.join(self.directory, "ftcpd.conf")
        self.log_path = os.path.join(self.directory, "log")
        self.args, self.env, self.within = list(args), env or {}, within
        self.process, self.exit_code, self._clients = None, None, []
        self.configure(config)
        self.start(wait)

    def configure(self, config):
        """Writes the configuration; a running daemon reads it at reload()."""
        self.data_path = _setting(config, "Local", "Socket")
        self.control_path = _setting(config, "Control", "Socket")
        if not self.data_path:
            self.data_path = os.path.join(self.directory, "data")
            config += f"\n[Local]\nSocket={self.data_path}\n"
        if not self.control_path:
            self.control_path = os.path.join(self.directory, "varlink")
            config += f"\n[Control]\nSocket={self.control_path}\n"
        for section, key, value in PATIENCE:
            if _setting(config, section, key) is None:
                config += f"\n[{section}]\n{key}={value}\n"
        with open(self.config_path, "w", encoding="utf-8") as file:
            file.write(config)

    def reconfigure(self, more):
        """Adds to the configuration, and returns when it is in force."""
        with open(self.config_path, encoding="utf-8") as file:
            config = file.read()
        self.configure(config + more)
        self.call("Reload")

    def start(self, wait=True):
        """Starts it; with wait, returns when it answers on its control socket."""
        with open(self.log_path, "ab") as log:
            options = {
                "stdout": log,
                "stderr": log,
                "env": {**os.environ, **self.env},
                **self.options(),
            }
            with self.within or contextlib.nullcontext():
                self.process = spawn(self.command(), **options)
        self.exit_code = None
        if wait:
            until(self._answers, "ftcpd to answer on its control socket")

    def command(self):
        """What is run; a kind of daemon may say otherwise."""
        return [program("ftcpd"), "--config", self.config_path, *self.args]

    def options(self):
        """More for subprocess.Popen()."""
        return {}

    def _answers(self):
        self.check_alive()
        try:
            self.status()
            return True
        except (OSError, ValueError):
            return False

    @property
    def pid(self):
        return self.process.pid

    def check_alive(self):
        code = self.process.poll()
        if code is not None:
            raise AssertionError(f"ftcpd ended by itself with {code}")

    def wait_exit(self, timeout=None):
        """Waits for its end; returns the exit code, negative for a signal."""
        try:
            self.exit_code = self.process.wait(DEADLINE if timeout is None else timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError("waited in vain for ftcpd to end") from None
        return self.exit_code

    def stop(self, timeout=None):
        """SIGTERM, and its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        """SIGKILL: a crash."""
        self.process.kill()
        return self.wait_exit()

    def freeze(self):
        """SIGSTOP; when this returns, it does nothing any more."""
        self.process.send_signal(signal.SIGSTOP)
        until(lambda: self._state() == "T", "ftcpd to stand still")

    def thaw(self):
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)

    def _state(self):
        with open(f"/proc/{self.pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]

    def hangup(self):
        """SIGHUP: a reload, which is not waited for."""
        self.process.send_signal(signal.SIGHUP)

    def call(self, method, **parameters):
        """A method of io.ftcpd."""
        with Varlink(self.control_path) as varlink:
            return varlink.call(f"io.ftcpd.{method}", **parameters)

    def ctl(self, *args, **options):
        """ftcpctl to its end: exit code, stdout, stderr."""
        done = subprocess.run([program("ftcpctl"), "--socket", self.control_path, *args], text=True,
                              capture_output=True, timeout=DEADLINE, check=False, **options)
        return done.returncode, done.stdout, done.stderr

    def status(self):
        return self.call("Status")

    def wait_status(self, condition, what, timeout=None):
        """The first status that fulfils the condition."""

        def look():
            self.check_alive()
            status = self.status()
            return status if condition(status) else None

        try:
            return until(look, what, timeout)
        except AssertionError:
            print("last status:", json.dumps(self.status()), file=sys.stderr)
            raise

    def wait_state(self, state="up", timeout=None):
        """Until the link is in one of these states (a word, or several)."""
        states = {state} if isinstance(state, str) else set(state)
        return self.wait_status(
            lambda status: status["upstream"]["state"] in states,
            f"the link to be {' or '.join(sorted(states))}",
            timeout,
        )

    def wait_clients(self, count, timeout=None):
        """Until so many clients are connected: connect() alone does not mean accepted."""
        return self.wait_status(lambda s: s["clients"] == count, f"{count} clients", timeout)

    def client(self, frame=None, skip=()):
        """A new client on the data socket."""
        client = unix_connect(self.data_path, frame, skip)
        self._clients.append(client)
        return client

    @property
    def log(self):
        with open(self.log_path, encoding="utf-8", errors="replace") as file:
            return file.read()

    def wait_log(self, pattern, timeout=None):
        """Until a line of the log matches; returns the match."""
        return until(lambda: re.search(pattern, self.log, re.M), f"'{pattern}' in the log", timeout)

    def close(self):
        """Ends it and removes its directory; a death by a signal that was not ours is a failure."""
        for client in self._clients:
            client.close()
        died = self.process.poll()
        end(self.process)
        log = self.log
        shutil.rmtree(self.directory, ignore_errors=True)
        if died is not None and died < 0 and self.exit_code is None:
            raise AssertionError(f"ftcpd died of signal {-died}:\n{log[-4000:]}")
        if re.search(r"ERROR: \w+Sanitizer|runtime error:", log):
            raise AssertionError(f"a sanitizer complained:\n{log[-8000:]}")


def _setting(config, section, key):
    """The last value of a key in a configuration text."""
    value, here = None, None
    for line in config.splitlines():
        line = line.strip()
        if line.startswith("["):
            here = line.strip("[]")
        elif here == section and line.startswith(key + "="):
            value = line.partition("=")[2].strip()
    return value


def plain(text):
    """A message as it stands in a configuration, as bytes."""
    return text.encode().decode("unicode_escape").encode("latin-1")


class SystemTest(unittest.TestCase):
    """A test with daemons and upstreams that end with it."""

    daemon_class = Daemon

    def setUp(self):
        self.daemons, self.upstreams = [], []
        left = signal.alarm(0)
        if left:  # the runner has set a limit already
            signal.alarm(left)
        else:
            signal.signal(signal.SIGALRM, self._hangs)
            signal.alarm(TEST_LIMIT)
            self.addCleanup(signal.alarm, 0)

    @staticmethod
    def _hangs(*_):
        raise TimeoutError(f"not done within {TEST_LIMIT} s")

    def daemon(self, config, **options):
        if not os.access(program("ftcpd"), os.X_OK):
            raise AssertionError(f"{program('ftcpd')} is not there: build it, or set FTCPD")
        daemon = self.daemon_class.__new__(self.daemon_class)
        self.daemons.append(daemon)
        daemon.__init__(config, **options)
        self.addCleanup(daemon.close)
        self.addCleanup(self._hang_up)
        return daemon

    def _hang_up(self):
        """A daemon whose peer has gone ends at once; else it would wait for the peer's goodbye."""
        for upstream in self.upstreams:
            upstream.close()

    def upstream(self, *args, **options):
        upstream = Upstream(*args, **options)
        self.addCleanup(upstream.close)
        self.upstreams.append(upstream)
        return upstream

    def linked(self, config="", **options):
        """An upstream, a daemon whose link to it is up, and the upstream's session: an upstream
        without heartbeats sends one where the link comes up with it."""
        upstream = self.upstream(**options)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{config}")
        session = upstream.accept()
        status = daemon.wait_state(("connected", "up"))
        if not upstream.heartbeat and status["upstream"]["state"] == "connected":
            word = _setting(config, "Heartbeat", "Received") or _setting(config, "Heartbeat", "Message")
            session.send(plain(word or ""))
        daemon.wait_state("up")
        return upstream, daemon, session

    def preload(self, source):
        """A library made of this file, for LD_PRELOAD."""
        need("cc")
        path = os.path.join(tempfile.mkdtemp(prefix="ftcpd-test-"), "preload.so")
        self.addCleanup(shutil.rmtree, os.path.dirname(path))
        subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", path,
                        os.path.join(HERE, source)], check=True)
        return path

    def spawn(self, command, **options):
        """Another program, ended with the test."""
        process = spawn(command, **options)
        self.addCleanup(end, process)
        return process

    def _callTestMethod(self, method):
        for left in range(getattr(method, "attempts", 1) - 1, -1, -1):
            try:
                with Standstill() as still:
                    super()._callTestMethod(method)
                return
            except unittest.SkipTest:
                raise
            except BaseException as error:
                processes = [getattr(daemon, "process", None) for daemon in self.daemons]
                stood = still.seconds(filter(None, processes))
                text = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"--- {self.id()}: {text} (stood still for {stood:.2f} s)", file=sys.stderr)
                self._show_logs()
                if not left or stood < NOTICEABLE or not self._may_repeat(error):
                    raise
            self.doCleanups()
            self.setUp()

    @staticmethod
    def _may_repeat(error):
        """Not an interrupt, nor a test that took too long altogether."""
        return isinstance(error, Exception) and not str(error).startswith("not done within")

    def _show_logs(self):
        for daemon in self.daemons:
            if not getattr(daemon, "log_path", None) or not os.path.exists(daemon.log_path):
                continue
            code = daemon.process.poll() if daemon.process else None
            print(f"# {self.id()}: the daemon's log (exit {code}):", file=sys.stderr)
            for line in daemon.log.splitlines()[-LOG_LINES:]:
                print(f"#   {line}", file=sys.stderr)


def main():
    """Runs the test file: as TAP where the runner is there, else as unittest does."""
    if tap is None:
        unittest.main()
    runner.main()
