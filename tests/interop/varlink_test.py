#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The control socket with Varlink clients that others wrote: Debian's Go library and its
certification, and systemd's varlinkctl of a newer Debian."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "system", "lib"))
sys.path.insert(0, HERE)

import harness
import nspawn
from harness import until
from idl import Interface

SERVICE = "org.varlink.service"
GO_LIBRARY = "/usr/share/gocode/src/github.com/varlink/go"
PATIENCE = 4 * harness.DEADLINE


def described(daemon, name="io.ftcpd"):
    with harness.Varlink(daemon.control_path) as varlink:
        reply = varlink.call(f"{SERVICE}.GetInterfaceDescription", interface=name)
    return Interface(reply["description"])


class Certification(harness.SystemTest):
    """The control server with another service behind it."""

    def test_the_certification_of_another_library_is_passed_again_and_again(self):
        harness.need("varlink-go-certification")
        directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        self.addCleanup(shutil.rmtree, directory)
        path = os.path.join(directory, "varlink")
        program = os.path.join(nspawn.BUILD, "tests", "interop", "certified")
        self.spawn([program, path], stderr=subprocess.DEVNULL)
        until(lambda: os.path.exists(path), "the socket")
        for _ in range(3):
            done = subprocess.run(
                ["varlink-go-certification", "-client", "-varlink", f"unix:{path}"],
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE)
            self.assertEqual(done.returncode, 0, done.stdout)
            self.assertIn("\nEnd: 'true'\n", done.stdout)
        # It does notice what is wrong.
        with harness.Varlink(path) as varlink:
            name = varlink.call("org.varlink.certification.Start")["client_id"]
            with self.assertRaises(harness.VarlinkError) as raised:
                varlink.call("org.varlink.certification.Test02", client_id=name, bool=True)
            self.assertTrue(raised.exception.name.endswith("CertificationError"))
            self.assertFalse(varlink.call("org.varlink.certification.End", client_id=name)["all_ok"])


class GoLibrary(harness.SystemTest):
    """A program on what varlink-go-interface-generator makes of our interface."""

    @classmethod
    def setUpClass(cls):
        harness.need("go", "varlink-go-interface-generator")
        if not os.path.isdir(GO_LIBRARY):
            raise unittest.SkipTest("golang-github-varlink-go-dev is not installed")
        cls.directory = tempfile.mkdtemp(prefix="ftcpd-test-")
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        cls.program = None

    def build(self, daemon):
        """From the packages alone, without modules and the network."""
        package = os.path.join(self.directory, "src", "ftcpd", "ioftcpd")
        os.makedirs(package)
        text = os.path.join(package, "io.ftcpd.varlink")
        with open(text, "w", encoding="utf-8") as file:
            file.write(described(daemon).text)
        nspawn.run("varlink-go-interface-generator", text)
        shutil.copy(os.path.join(HERE, "varlink_client.go"), os.path.dirname(package))
        program = os.path.join(self.directory, "client")
        env = {**os.environ, "GO111MODULE": "off", "GOFLAGS": "", "GOPROXY": "off",
               "GOPATH": f"{self.directory}:/usr/share/gocode", "CGO_ENABLED": "0",
               "GOCACHE": os.path.join(self.directory, "cache")}
        done = subprocess.run(["go", "build", "-o", program, "ftcpd"], env=env, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, 0, done.stdout)
        type(self).program = program

    def command(self, daemon, *args):
        if not self.program:
            self.build(daemon)
        return [self.program, f"unix:{daemon.control_path}", *args]

    def ask(self, daemon, *args):
        """What it printed: a value for each name."""
        out = subprocess.run(self.command(daemon, *args), stdout=subprocess.PIPE, text=True,
                             timeout=PATIENCE, check=True).stdout
        return {name: json.loads(value) for name, value in
                (line.split(" ", 1) for line in out.splitlines())}

    def test_it_gets_what_there_is_to_ask(self):
        _, daemon, _ = self.linked()
        daemon.client()
        daemon.wait_clients(1)
        got = self.ask(daemon)
        self.assertEqual(got["info"]["interfaces"], [SERVICE, "io.ftcpd"])
        self.assertIn("interface io.ftcpd\n", got["description"]["description"])
        interface = described(daemon)
        for name, method in (("status", "Status"), ("health", "Health"), ("events", "RecentEvents"),
                             ("clients", "ListClients"), ("config", "GetConfig")):
            interface.check(got[name], interface.methods[method].replies, name)
        self.assertEqual(got["status"]["pid"], daemon.pid)
        self.assertEqual(got["status"]["upstream"]["state"], "up")
        self.assertEqual(got["status"]["clients"], 1)
        self.assertEqual([c["pid"] for c in got["clients"]["clients"]], [os.getpid()])
        self.assertEqual(got["config"]["settings"], daemon.call("GetConfig")["settings"])
        self.assertEqual(got["events"]["events"], daemon.call("RecentEvents")["events"])

    def test_it_knows_each_error_by_its_name_and_goes_on(self):
        _, daemon, _ = self.linked()
        got = self.ask(daemon)
        self.assertEqual(got["monitor-without-more"]["Text"], f"{SERVICE}.ExpectedMore")
        for name, kind, value in (
                ("method", "MethodNotFound", {"method": "io.ftcpd.Nothing"}),
                ("interface", "InterfaceNotFound", {"interface": "io.nobody"}),
                ("parameter", "InvalidParameter", {"parameter": "wrong"}),
                ("upgrade", "MethodNotImplemented", {"method": "io.ftcpd.Health"})):
            self.assertEqual(got[name]["Type"], f"*varlink.{kind}")
            self.assertEqual(got[name]["Value"], value)
        self.assertEqual(set(got["behind-oneway"]), {"health", "reasons"})
        self.assertEqual(got["behind-oneway"]["health"], "ok")

    def test_it_reloads_and_is_told_what_is_wrong(self):
        upstream, daemon, _ = self.linked()
        self.assertEqual(self.ask(daemon, "reload"), {"reload": {}})
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\nPathTimeout=x\n")
        wrong = self.ask(daemon, "reload")["reload"]
        self.assertEqual(wrong["Type"], "*ioftcpd.ConfigInvalid")
        self.assertRegex(wrong["Value"]["errors"][0], r":3: \[Upstream\] PathTimeout: ")

    def test_it_follows_what_happens_to_the_end(self):
        _, daemon, _ = self.linked()
        kept = daemon.call("RecentEvents")["events"]
        process = self.spawn(self.command(daemon, "monitor", "1"), stdout=subprocess.PIPE,
                             text=True)
        first = json.loads(process.stdout.readline().split(" ", 1)[1])
        self.assertEqual(first, {"continues": True, "event": kept[-1]})
        daemon.client()
        second = json.loads(process.stdout.readline().split(" ", 1)[1])
        self.assertEqual(second["event"]["seq"], kept[-1]["seq"] + 1)
        self.assertEqual(second["event"]["clientId"], 1)
        self.assertEqual(daemon.stop(), 0)
        out, _ = process.communicate(timeout=PATIENCE)
        self.assertIn("stopped; everything was acknowledged", out)
        self.assertIn("unexpected EOF", out.splitlines()[-1])


# What each method of the interface is called with, in this order, and the error that it gives.
NEVER = 1 << 62
CALLS = {
    "DropClient": ({"id": NEVER}, "io.ftcpd.NoSuchClient"),
    "Flush": ({"timeoutUsec": 60_000_000}, None),
    "GetConfig": ({}, None),
    "GetLatency": ({}, None),
    "GetMetrics": ({}, None),
    "Health": ({}, None),
    "Hold": ({"reason": "an interop test"}, None),
    "Release": ({}, None),
    "Reconnect": ({}, None),
    "ListClients": ({}, None),
    "Monitor": ({"history": 1}, None),
    "RecentEvents": ({}, None),
    "Reload": ({}, None),
    "SetLogLevel": ({"level": "debug"}, None),
    "Status": ({}, None),
    "Tap": ({"direction": "out"}, None),
}
FOLLOWED = ("Monitor", "Tap")

# The newer Debian is only mounted, not booted; what it is to reach stands in its /mnt.
ENTER = 'mount --bind "$1" "$2/mnt" && mount -t proc proc "$2/proc" && cd / && root=$2 && ' \
        'shift 2 && exec chroot "$root" varlinkctl "$@"'


def parsed(out):
    """Where several may come, varlinkctl puts a separator before each."""
    return json.loads(out.lstrip("\x1e"))


class Varlinkctl(harness.SystemTest):
    @classmethod
    def setUpClass(cls):
        if os.geteuid():
            raise unittest.SkipTest("another root needs root")
        harness.need("unshare", "mmdebstrap")
        cls.root = nspawn.base("trixie")
        if not os.path.exists(os.path.join(cls.root, "usr/bin/varlinkctl")):
            raise unittest.SkipTest("there is no varlinkctl in that Debian")

    def command(self, daemon, *args):
        enter = ("unshare", "--mount", "--propagation=private", "sh", "-ec", ENTER, "sh")
        return [*enter, daemon.directory, self.root, "--no-pager", *args]

    def run_it(self, daemon, *args, **options):
        done = subprocess.run(self.command(daemon, *args), capture_output=True, text=True,
                              timeout=PATIENCE, **options)
        return done.returncode, done.stdout, done.stderr

    def call(self, daemon, method, parameters, *flags):
        """The parameters of the reply, and the name of the error or None."""
        code, out, err = self.run_it(daemon, *flags, "call", "/mnt/varlink", method,
                                     json.dumps(parameters))
        if code == 0:
            return parsed(out), None
        return parsed(out) if out else None, err.strip().rpartition(" ")[2]

    def test_it_reads_the_service_and_what_it_can_do(self):
        _, daemon, _ = self.linked()
        code, out, err = self.run_it(daemon, "--json=short", "info", "/mnt/varlink")
        self.assertEqual(code, 0, err)
        info = json.loads(out)
        self.assertEqual(sorted(info["interfaces"]), ["io.ftcpd", SERVICE])
        self.assertEqual(info["version"], daemon.status()["version"])
        for name in info["interfaces"]:
            code, out, err = self.run_it(daemon, "introspect", "/mnt/varlink", name)
            self.assertEqual((code, err), (0, ""))
            self.assertEqual(set(Interface(out).methods), set(described(daemon, name).methods))
            code, out, err = self.run_it(daemon, "validate-idl",
                                         input=described(daemon, name).text)
            self.assertEqual((code, err), (0, ""))

    def test_every_method_can_be_called_and_every_reply_is_as_described(self):
        upstream, daemon, _ = self.linked()
        interface = described(daemon)
        self.assertLessEqual(set(interface.methods), set(CALLS), "there is one that is not tried")
        for name, (parameters, wanted) in CALLS.items():
            if name in FOLLOWED or name not in interface.methods:
                continue
            got, error = self.call(daemon, f"io.ftcpd.{name}", parameters)
            self.assertEqual(error, wanted, (name, got))
            kind = interface.errors[wanted] if wanted else interface.methods[name].replies
            interface.check(got, kind, name)
        with contextlib.suppress(AssertionError):
            while True:  # connections that those methods made
                upstream.accept(timeout=1)
        daemon.wait_state("up")

    def test_it_follows_until_it_goes(self):
        _, daemon, _ = self.linked()
        kept = daemon.call("RecentEvents")["events"]
        process = self.spawn(
            self.command(daemon, "--more", "call", "/mnt/varlink", "io.ftcpd.Monitor",
                         '{"history":1}'), stdout=subprocess.PIPE, text=True)
        self.assertEqual(parsed(process.stdout.readline()), {"event": kept[-1]})
        daemon.client()
        event = parsed(process.stdout.readline())["event"]
        self.assertEqual((event["kind"], event["clientId"]), ("client", 1))
        process.kill()
        process.wait()
        self.assertEqual(self.call(daemon, "io.ftcpd.Health", {})[1], None)

    def test_it_names_each_error(self):
        upstream, daemon, _ = self.linked()
        for method, parameters, flags, error in (
                ("io.ftcpd.Nothing", {}, (), "MethodNotFound"),
                ("io.nobody.Status", {}, (), "InterfaceNotFound"),
                ("io.ftcpd.Status", {"x": 1}, (), "InvalidParameter"),
                ("io.ftcpd.Monitor", {}, (), "ExpectedMore"),
                ("io.ftcpd.Monitor", {"history": "1"}, ("--more",), "InvalidParameter"),
                (f"{SERVICE}.GetInterfaceDescription", {}, (), "InvalidParameter"),
                (f"{SERVICE}.GetInterfaceDescription", {"interface": "io.nobody"}, (),
                 "InterfaceNotFound")):
            self.assertEqual(self.call(daemon, method, parameters, *flags)[1],
                             f"{SERVICE}.{error}")
        daemon.configure(f"[Upstream]\nAddress={upstream.address}\nPathTimeout=x\n")
        got, error = self.call(daemon, "io.ftcpd.Reload", {})
        self.assertEqual((error, len(got["errors"])), ("io.ftcpd.ConfigInvalid", 1))

    def test_it_wants_no_reply_and_gets_none(self):
        _, daemon, _ = self.linked()
        before = len([e for e in daemon.call("RecentEvents")["events"] if e["kind"] == "reload"])
        code, out, err = self.run_it(daemon, "--oneway", "call", "/mnt/varlink", "io.ftcpd.Reload",
                                     "{}")
        self.assertEqual((code, out, err), (0, "", ""))
        until(lambda: len([e for e in daemon.call("RecentEvents")["events"]
                           if e["kind"] == "reload"]) == before + 1, "the reload")


if __name__ == "__main__":
    harness.main()
