# SPDX-License-Identifier: MIT
"""A Debian with the built ftcpd in it, booted by systemd-nspawn: the real systemd.

    class Service(nspawn.MachineTest):
        suite = "bookworm"

        def test_a_restart_is_not_noticed(self):
            upstream, service, session = self.linked()
            service.restart()

A root is made once for each suite, by mmdebstrap from the mirror that this machine uses, and kept
below $FTCPD_TEST_ROOTS (/var/cache/ftcpd-tests). A machine runs on a copy in memory laid over it,
in namespaces of its own, and has gone with its last process. The upstream stands in the machine's
network; clients connect from outside through /proc/PID/root.
"""
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
import unittest

import harness
from cable import Annex, Namespace
from harness import DEADLINE, TOP, until

ROOTS = os.environ.get("FTCPD_TEST_ROOTS") or "/var/cache/ftcpd-tests"
BUILD = os.environ.get("top_builddir") or os.path.join(TOP, "build")
PACKAGES = {
    "bookworm": ["systemd", "systemd-sysv", "dbus", "libevent-2.1-7", "libjansson4"],
    "trixie": ["systemd", "systemd-sysv", "dbus", "libevent-2.1-7t64", "libjansson4"],
}

# All that it writes goes with its mounts. The units are enabled as an administrator would do it.
START = r"""
set -e
for group in $GROUPS_OF_OURS; do
        echo $$ >"$group/cgroup.procs"
done
mount -t tmpfs tmpfs "$AT"
mkdir "$AT/upper" "$AT/work" "$AT/root"
cp -a "$STAGE/." "$AT/upper"
mount -t overlay -o "lowerdir=$BASE,upperdir=$AT/upper,workdir=$AT/work" overlay "$AT/root"
chroot "$AT/root" true
echo INSTALLING
chroot "$AT/root" systemd-sysusers
chroot "$AT/root" systemctl --quiet enable ftcpd.service
echo INSTALLED
exec systemd-nspawn --quiet --directory="$AT/root" --register=no --keep-unit --private-network \
        --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
        --boot --console=passive
"""


def run(*command, check=True, **options):
    """Its output and errors in one text."""
    # The make that runs the suite has nothing to say to one that a test starts.
    env = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=env,
        check=False,
        **options,
    )
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}")
    return done.stdout


def base(suite):
    """The directory of a finished root; it is made where there is none yet."""
    path = os.path.join(ROOTS, suite)
    os.makedirs(ROOTS, exist_ok=True)
    with open(path + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several that run at once, one makes it
        if os.path.isdir(path):
            return path
        shutil.rmtree(path + ".new", ignore_errors=True)
        try:
            run(os.path.join(TOP, "tests", "fresh", "root"), suite, path + ".new", *PACKAGES[suite])
        except AssertionError as error:
            shutil.rmtree(path + ".new", ignore_errors=True)
            raise unittest.SkipTest(f"no Debian {suite} can be made here: {error}") from None
        os.rename(path + ".new", path)
    return path


def stage(path):
    """What is built, as an administrator would install it."""
    run(
        *("make", "-s", "-C", BUILD, "install", f"DESTDIR={path}"),
        "systemdsystemunitdir=/usr/lib/systemd/system",
    )
    return path


def make_groups(name):
    """Control groups below our own for a machine, which would else share them with another one."""
    made = []
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        lines = [line.strip().split(":", 2) for line in file]
    for number, controllers, path in lines:
        if number == "0":
            unified = "/sys/fs/cgroup/unified"
            top = unified if os.path.isdir(unified) else "/sys/fs/cgroup"
        elif controllers == "name=systemd":
            top = "/sys/fs/cgroup/systemd"
        else:
            continue
        group = f"{top}{path.rstrip('/')}/{name}"
        try:
            os.mkdir(group)
            made.append(group)
        except OSError:
            pass  # none, or not ours to make: then it shares them
    return made


def remove_groups(groups):
    for top in groups:
        for group, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(group)
            except OSError:
                pass


class Network(Namespace):
    """The machine's network: `with machine.network:` sockets are made there."""

    def __init__(self, leader):
        super().__init__(None, "127.0.0.1")
        self.path = f"/proc/{leader}/ns/net"


class Machine:
    """One that has booted."""

    def __init__(self, suite, files=None):
        """files: what stands in it when it boots, a text for each path."""
        if os.geteuid():
            raise unittest.SkipTest("a container needs root")
        harness.need("systemd-nspawn", "nsenter", "unshare", "mmdebstrap")
        self.directory = tempfile.mkdtemp(prefix="ftcpd-machine-")
        self.process, self.groups = None, make_groups(f"ftcpd-test-{os.getpid()}")
        try:
            self._boot(suite, files or {})
        except BaseException:
            self.close()
            raise

    def _boot(self, suite, files):
        at, staged = os.path.join(self.directory, "at"), os.path.join(self.directory, "stage")
        os.mkdir(at)
        os.mkdir(staged)
        env = {**os.environ, "AT": at, "STAGE": stage(staged), "BASE": base(suite)}
        for path, text in files.items():
            os.makedirs(os.path.dirname(staged + path), exist_ok=True)
            with open(staged + path, "w", encoding="utf-8") as file:
                file.write(text)
        env["GROUPS_OF_OURS"] = " ".join(self.groups)
        env["UNIFIED_CGROUP_HIERARCHY"] = "1"  # newer ones insist on it
        self.log_path = os.path.join(self.directory, "console")
        with open(self.log_path, "wb") as log:
            self.process = harness.spawn(
                ["unshare", "--mount", "--propagation=private", "sh", "-c", START],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                start_new_session=True,
            )
        try:
            self.leader = until(self._find_leader, "the container to start", 4 * DEADLINE)
            self.network = Network(self.leader)
            until(self._is_booted, "the container to boot", 4 * DEADLINE)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            if "can't be installed" in str(error):
                raise
            raise unittest.SkipTest(f"no container boots here: {error}") from None

    def _check(self):
        if self.process.poll() is None:
            return
        with open(self.log_path, encoding="utf-8", errors="replace") as log:
            said = log.read()
        if "INSTALLING" in said and "INSTALLED" not in said:
            raise AssertionError(f"what is built can't be installed: {said[-500:]}")
        raise unittest.SkipTest(f"no container can be started here: {said[-500:]}")

    def _find_leader(self):
        """The first process of the machine is the child of systemd-nspawn."""
        self._check()
        with open(f"/proc/{self.process.pid}/comm", encoding="utf-8") as file:
            if file.read().strip() != "systemd-nspawn":
                return None
        with open(f"/proc/{self.process.pid}/task/{self.process.pid}/children") as file:
            children = file.read().split()
        for child in map(int, children):
            try:
                with open(f"/proc/{child}/comm", encoding="utf-8") as file:
                    if file.read().strip() == "systemd":
                        return child
            except OSError:
                pass
        return None

    def _is_booted(self):
        self._check()
        state = self.run("systemctl", "is-system-running", check=False).strip()
        return state in ("running", "degraded")

    def _enter(self):
        """How a command gets into the machine; ours may have a shorter PATH than it needs there."""
        return (
            *("nsenter", f"--target={self.leader}", "-m", "-u", "-i", "-n", "-p", "--"),
            *("env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        )

    def run(self, *command, check=True):
        """A command in the machine, as root; its output and errors in one text."""
        return run(*self._enter(), *command, check=check, timeout=DEADLINE * 4)

    def popen(self, *command, uid=0, groups="root", **options):
        """A command in the machine that goes on, and ends with the process that is returned."""
        return harness.spawn(
            [
                *self._enter(),
                *("setpriv", f"--reuid={uid}", f"--regid={uid}", f"--groups={groups}"),
                *("--pdeathsig=KILL", "--", *command),
            ],
            **options,
        )

    def path(self, inside):
        """As this file is named from outside."""
        return f"/proc/{self.leader}/root{inside}"

    def write(self, inside, text):
        os.makedirs(os.path.dirname(self.path(inside)), exist_ok=True)
        with open(self.path(inside), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, inside):
        with open(self.path(inside), encoding="utf-8", errors="replace") as file:
            return file.read()

    def remove(self, inside):
        path = self.path(inside)
        if os.path.isdir(path):
            shutil.rmtree(path)
        elif os.path.exists(path):
            os.unlink(path)

    def close(self):
        """Its first process takes all others with it, and its mounts."""
        if self.process and self.process.poll() is None:
            leader = getattr(self, "leader", None)
            if leader:
                os.kill(leader, signal.SIGKILL)
            else:
                self.process.kill()
            self.process.wait(DEADLINE)
        remove_groups(self.groups)
        shutil.rmtree(self.directory, ignore_errors=True)


class Service(harness.Daemon):
    """ftcpd.service, or an instance of ftcpd@.service, in a machine."""

    def __init__(self, config, machine=None, instance=None, unit=None, wait=True):
        """unit is a drop-in of the service."""
        self.machine, self.instance = machine, instance
        self.name = f"ftcpd@{instance}" if instance else "ftcpd"
        self.config_inside = f"/etc/ftcpd/{instance}.conf" if instance else "/etc/ftcpd.conf"
        stem = f"/run/ftcpd/{instance}" if instance else "/run/ftcpd"
        self.data_path = machine.path(stem + ".sock")
        self.control_path = machine.path(stem + ".varlink")
        self.process, self.exit_code, self._clients = None, None, []
        self.since = machine.run("journalctl", "-n0", "--show-cursor", "-q").split()[-1]
        if config is not None:
            self.configure(config)
        if unit:
            self.drop_in(unit)
        self.start(wait)

    def configure(self, config):
        for section, key, value in harness.PATIENCE:
            if harness._setting(config, section, key) is None:
                config += f"\n[{section}]\n{key}={value}\n"
        self.machine.write(self.config_inside, config)

    def systemctl(self, verb, *args, check=True):
        return self.machine.run("systemctl", verb, self.name, *args, check=check)

    def start(self, wait=True):
        self.systemctl("start", *([] if wait else ["--no-block"]))

    def drop_in(self, text):
        """More for the unit, until the test ends."""
        self.machine.write(f"/run/systemd/system/{self.name}.service.d/test.conf", text)
        self.machine.run("systemctl", "daemon-reload")

    def restart(self):
        self.systemctl("restart")

    def stop(self):
        self.systemctl("stop")

    def kill(self):
        """A crash; systemd starts it again."""
        before = self.pid
        self.systemctl("kill", "--signal=KILL")
        until(lambda: self.show("ActiveState") == "active" and self.pid not in (0, before),
              "systemd to start it again")

    def show(self, prop):
        """A property of the unit."""
        return self.systemctl("show", "--value", f"--property={prop}").strip()

    @property
    def pid(self):
        return int(self.show("MainPID"))

    def check_alive(self):
        if self.show("ActiveState") == "failed":
            raise AssertionError(f"{self.name} failed:\n{self.log[-2000:]}")

    @property
    def journal(self):
        """What it has said since the test began, an object for each line."""
        out = self.machine.run(
            *("journalctl", "-q", "-o", "json", f"--after-cursor={self.since}", "-u", self.name)
        )
        return [json.loads(line) for line in out.splitlines() if line.startswith("{")]

    @property
    def log(self):
        return self.machine.run(
            *("journalctl", "-q", "-o", "cat", f"--after-cursor={self.since}", "-u", self.name)
        )

    def close(self):
        for client in self._clients:
            client.close()
        at = f"@{self.instance}" if self.instance else ""
        names = [f"ftcpd{at}.socket", f"ftcpd-varlink{at}.socket", f"ftcpd{at}.service"]
        self.machine.run("systemctl", "stop", *names, check=False)
        self.machine.run("systemctl", "reset-failed", *names, check=False)
        self.machine.remove(self.config_inside)
        if os.path.isdir(self.machine.path(f"/run/systemd/system/{self.name}.service.d")):
            self.machine.remove(f"/run/systemd/system/{self.name}.service.d")
            self.machine.run("systemctl", "daemon-reload")


class MachineTest(harness.SystemTest):
    """Tests of one machine: it boots for the first and goes with the last. over "veth", the
    upstream stands in a network of its own."""

    daemon_class = Service
    suite = None
    over = "loopback"
    files = {}

    @classmethod
    def setUpClass(cls):
        cls.machine = Machine(cls.suite, cls.files)
        cls.addClassCleanup(cls.machine.close)
        cls.network = cls.machine.network
        if cls.over == "veth":
            cls.network = Annex(cls.machine.leader)
            cls.addClassCleanup(cls.network.close)

    def daemon(self, config, **options):
        return super().daemon(config, machine=self.machine, **options)

    def linked(self, config="", unit=None):
        upstream = self.upstream()
        service = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{config}", unit=unit)
        session = upstream.accept()
        service.wait_state("up")
        return upstream, service, session

    def upstream(self, *args, **options):
        with self.network:
            return super().upstream(*args, host=self.network.address, **options)

    def _show_logs(self):
        for daemon in self.daemons:
            if hasattr(daemon, "since"):
                print(f"# {self.id()}: its journal:", daemon.log[-4000:], sep="\n")
