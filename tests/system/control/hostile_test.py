# SPDX-License-Identifier: MIT
"""Control clients that mean no good: each gets its error or its end, and the relay goes on."""
import json
import os
import random
import subprocess
import sys
import threading
import time

import harness
import hostile
from harness import until
from idl import GOOD, Interface
from local import check_books, descriptors, private_memory

SERVICE = "org.varlink.service"
MIB = 1 << 20
STRANGER = 65534
COUNT, SIZE = 10_000, 4096

# Of all clients together 64 MiB are held; parsing one request, and what malloc keeps, comes on top.
MEMORY = 96 * MIB


def good(kind, types):
    """A value of this type."""
    if isinstance(kind, str) and kind in types:
        return good(types[kind], types)
    if isinstance(kind, str):
        return GOOD[kind]
    if isinstance(kind, dict):
        return {name: good(inner, types) for name, inner in kind.items()}
    if kind[0] == "?":
        return good(kind[1], types)
    return [] if kind[0] == "[]" else {} if kind[0] == "[string]" else kind[0]


class Protocol(harness.SystemTest):
    """What a single one can ask wrongly."""

    def setUp(self):
        super().setUp()
        self.upstream_, self.one, self.session = self.linked()

    def varlink(self):
        varlink = harness.Varlink(self.one.control_path)
        self.addCleanup(varlink.close)
        return varlink

    def interfaces(self):
        varlink = self.varlink()
        return [
            Interface(varlink.call(f"{SERVICE}.GetInterfaceDescription", interface=name)["description"])
            for name in varlink.call(f"{SERVICE}.GetInfo")["interfaces"]
        ]

    def refused(self, varlink, method, parameters, wrong, **flags):
        varlink.send({"method": method, "parameters": parameters, **flags})
        reply = varlink.recv()
        self.assertEqual(reply, {"error": f"{SERVICE}.InvalidParameter",
                                 "parameters": {"parameter": wrong}}, (method, parameters))

    def closed(self, raw, why=None):
        """What is sent there ends the connection, without a word."""
        varlink = self.varlink()
        try:
            varlink.sock.sendall(raw)
            self.assertIsNone(varlink.recv(), why or raw[:100])
        except (ConnectionResetError, BrokenPipeError):
            pass
        varlink.close()

    def test_each_parameter_of_each_method_is_refused_by_name_with_any_wrong_type(self):
        tried = 0
        varlink = self.varlink()
        for interface in self.interfaces():
            for name, method in interface.methods.items():
                full = f"{interface.name}.{name}"
                right = {p: good(kind, interface.types) for p, kind in method.parameters.items()}
                for parameter, kind in method.parameters.items():
                    for value in interface.wrong(kind):
                        self.refused(varlink, full, {**right, parameter: value}, parameter, more=True)
                        tried += 1
                self.refused(varlink, full, {**right, "noSuchThing": 1}, "noSuchThing", more=True)
                for parameter, kind in method.parameters.items():
                    if not (isinstance(kind, tuple) and kind[0] == "?"):
                        rest = {p: value for p, value in right.items() if p != parameter}
                        self.refused(varlink, full, rest, parameter, more=True)
        self.assertGreater(tried, 10)
        self.assertEqual(self.one.status()["upstream"]["state"], "up")

    def test_oneway_is_answered_by_no_method_not_even_with_an_error(self):
        varlink = self.varlink()
        for interface in self.interfaces():
            for name in interface.methods:
                for flags in ({}, {"more": True}, {"upgrade": True}):
                    varlink.send({"method": f"{interface.name}.{name}", "oneway": True,
                                  "parameters": {"noSuchThing": 1}, **flags})
        for method in ("io.ftcpd.Status", "io.ftcpd.Nothing", "io.nobody.Status", "", "Status"):
            varlink.send({"method": method, "oneway": True})
        for flags in ({"more": True}, {}):
            varlink.send({"method": "io.ftcpd.Monitor", "oneway": True, **flags})
        self.assertEqual(set(varlink.call("io.ftcpd.Health")), {"health", "reasons"})

    def test_upgrade_is_no_method_s_and_the_connection_goes_on(self):
        varlink = self.varlink()
        for flags in ({}, {"more": True}):
            for method in ("io.ftcpd.Status", "io.ftcpd.Monitor"):
                varlink.send({"method": method, "upgrade": True, **flags})
                self.assertEqual(varlink.recv(), {"error": f"{SERVICE}.MethodNotImplemented",
                                                  "parameters": {"method": method}})
        varlink.call("io.ftcpd.Health")

    def test_what_is_no_json_of_ours_is_the_end(self):
        head = b'{"method":"io.ftcpd.Health","parameters":{"x":'
        for value in (b'"\xff"', b'"\xc0\xaf"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\\ud800"',
                      b'"a\nb"', b'"\\x41"', b"1e999", b"9" * 400, b"01", b"1.", b".5", b"+1", b"0x1", b"NaN",
                      b"Infinity", b"'x'", b"tru", b"[1,]", b'{"a":1,}', b'{"a":1,"a":2}', b"[1",
                      b"/**/1", b"[" * 3000 + b"]" * 3000, b'{"\\u0000":1}', b""):
            self.closed(head + value + b"}}\0")
        for raw in (b"\0", b"\xef\xbb\xbf{}\0", b"{}\0", b"[]\0", b"0\0", b'"x"\0', b"{} {}\0",
                    b'{"method":"io.ftcpd.Health","method":"io.ftcpd.Health"}\0',
                    b'{"method":"io.ftcpd.Health\\u0000"}\0', b'{"method":1e400}\0',
                    b'{"method":"io.ftcpd.Health","what":1e400}\0', b"GET / HTTP/1.1\r\n\r\n\0",
                    b"\x16\x03\x01\x02\x00\x01\x00\x01"):
            self.closed(raw)
        # And what looks strange, but is right.
        for value in (b"9223372036854775807", b"9223372036854775808", b"-9223372036854775809",
                      b'"\\u0000"', b'["\\u0000", 99999999999999999999]', b"-0", b"1E+2", b'"\\ud83d\\ude00"', b'"\xf0\x9f\x98\x80"',
                      b"[" * 1000 + b"]" * 1000, b'{"":{"":{}}}', b" [ ] "):
            varlink = self.varlink()
            varlink.sock.sendall(head + value + b"}}\0")
            self.assertEqual(varlink.recv()["error"], f"{SERVICE}.InvalidParameter")
            varlink.close()

    def test_what_our_types_do_not_hold_is_an_error_only_where_it_is_asked_for(self):
        varlink = self.varlink()
        for method, parameter, value in (("DropClient", "id", b"18446744073709551616"),
                                         ("Flush", "timeoutUsec", b"9223372036854775808"),
                                         ("Hold", "reason", b'"a\\u0000b"'),
                                         ("SetLogLevel", "level", b'"debug\\u0000"')):
            varlink.sock.sendall(b'{"method":"io.ftcpd.%s","parameters":{"%s":%s}}\0' %
                                 (method.encode(), parameter.encode(), value))
            self.assertEqual(varlink.recv(), {"error": f"{SERVICE}.InvalidParameter",
                                              "parameters": {"parameter": parameter}})
        # A member that nobody knows changes nothing, nor what stands beside it.
        for member in (b"99999999999999999999", b'"\\u0000"', b'[18446744073709551616]'):
            varlink.sock.sendall(b'{"method":"io.ftcpd.Flush","parameters":{"timeoutUsec":0},"x":%s}\0'
                                 % member)
            self.assertEqual(varlink.recv(), {"parameters": {}})

    def test_a_request_of_a_mib_is_answered_and_one_byte_more_is_the_end(self):
        head, tail = b'{"method":"io.ftcpd.Health","parameters":{"x":"', b'"}}'
        exact = head + b"x" * (MIB - len(head) - len(tail)) + tail
        self.assertEqual(len(exact), MIB)
        varlink = self.varlink()
        for _ in range(3):
            varlink.sock.sendall(exact + b"\0")
            self.assertEqual(varlink.recv()["error"], f"{SERVICE}.InvalidParameter")
        self.closed(head + b"xx" + exact[len(head) + 1 :] + b"\0", "a byte too many")

    def test_a_hundred_megabytes_without_an_end_are_not_taken(self):
        before = private_memory(self.one.pid)
        varlink, sent, block = self.varlink(), 0, b"e" * MIB
        try:
            while sent < 100 * MIB:
                sent += varlink.sock.send(block)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.assertLess(sent, 8 * MIB)
        self.assertLess(private_memory(self.one.pid) - before, 8 * MIB)

    def test_half_a_request_waits_for_the_other_half_and_disturbs_nobody(self):
        halves = [self.varlink() for _ in range(20)]
        text = b'{"method":"io.ftcpd.Health","parameters":{}}\0'
        for at, byte in enumerate(text):
            for varlink in halves:
                varlink.sock.sendall(bytes([byte]))
            if at == len(text) // 2:
                self.one.call("Status")
        for varlink in halves:
            self.assertEqual(varlink.recv()["parameters"]["health"], "ok")

    def test_who_sends_no_more_still_gets_everything_and_then_the_end(self):
        varlink = self.varlink()
        for _ in range(100):
            varlink.send({"method": "io.ftcpd.Status"})
        varlink.send({"method": "io.ftcpd.Monitor"})
        varlink.sock.shutdown(1)
        for _ in range(100):
            self.assertIn("upstream", varlink.recv()["parameters"])
        self.assertEqual(varlink.recv()["error"], f"{SERVICE}.ExpectedMore")
        self.assertIsNone(varlink.recv())

    def test_who_does_not_read_is_not_read_and_has_everything_when_it_reads(self):
        varlink, request = self.varlink(), json.dumps({"method": "io.ftcpd.Status"}).encode() + b"\0"
        varlink.sock.settimeout(1.0)  # nothing is taken for so long: that is the end of it
        before, asked = private_memory(self.one.pid), 0
        try:
            while asked < 200000:
                varlink.sock.sendall(request)
                asked += 1
        except TimeoutError:
            pass
        self.assertLess(asked, 200000)
        self.assertLess(private_memory(self.one.pid) - before, 4 * MIB)
        varlink.sock.settimeout(harness.DEADLINE)
        for _ in range(asked):
            self.assertIn("upstream", varlink.recv()["parameters"])

    def test_random_requests_get_a_reply_each_or_the_end(self):
        seed = harness.seed()
        print(f"seed {seed}")
        rng = random.Random(seed)
        words = ["io.ftcpd.Status", "io.ftcpd.Health", "io.ftcpd.Monitor", "io.ftcpd.", "method",
                 "parameters", "more", "oneway", "upgrade", "history", f"{SERVICE}.GetInfo", "", "\u20ac"]

        def value(depth=0):
            kind = rng.randrange(9 if depth < 4 else 6)
            if kind < 6:
                return [None, True, False, rng.choice(words), rng.randrange(-(1 << 63), 1 << 63),
                        rng.random()][kind]
            if kind == 6:
                return [value(depth + 1) for _ in range(rng.randrange(4))]
            return {rng.choice(words): value(depth + 1) for _ in range(rng.randrange(4))}

        def request():
            asked = {"method": rng.choice(words), "parameters": value(), "more": value(4)}
            raw = bytearray(json.dumps(rng.choice([asked, value()])).encode())
            for _ in range(rng.choice((0, 0, 1, 3))):
                raw[rng.randrange(len(raw))] = rng.choice(b'\0"{}[],:\\0x\xff')
            return bytes(raw) + b"\0"

        for _ in range(harness.often(1000, 30_000)):
            varlink = self.varlink()
            try:
                varlink.sock.sendall(b"".join(request() for _ in range(rng.randrange(1, 4))))
                varlink.sock.shutdown(1)
                while (reply := varlink.recv()) is not None:
                    self.assertTrue({"parameters"} <= set(reply) <= {"parameters", "error", "continues"})
                    if "continues" in reply:
                        break
            except (ConnectionResetError, BrokenPipeError):
                pass
            varlink.close()
        self.one.call("Health")


class Memory:
    """While it is entered: by how much the memory of the daemon has grown at most."""

    def __init__(self, daemon):
        self.pid, self.before, self.more = daemon.pid, private_memory(daemon.pid), 0
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.done.wait(0.005):
            self.more = max(self.more, private_memory(self.pid) - self.before)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


class Attacks(harness.SystemTest):
    """Each kind in a crowd, while the relay passes numbered messages both ways."""

    def attack(self, daemon, name):
        uid = [] if os.geteuid() else ["60", str(STRANGER)]
        os.chmod(daemon.directory, 0o711)
        process = self.spawn([sys.executable, hostile.__file__, name, daemon.control_path, *uid],
                             stdout=subprocess.PIPE)
        process.stdout.readline()
        return process

    def pass_messages(self, session, client, first):
        """Both ways, numbered from the first on; returns the messages a second."""
        begin, body = time.monotonic(), bytes(SIZE)

        def send(framed):
            for number in range(first, first + COUNT, 50):
                framed.send(*[(number + i).to_bytes(4, "big") + body for i in range(50)])

        threads = [threading.Thread(target=send, args=(framed,)) for framed in (session, client)]
        for thread in threads:
            thread.start()
        for collector, where in ((self.taken, "to the upstream"), (self.given, "to the client")):
            collector.wait(lambda m: len(m) >= first + COUNT, where, 4 * harness.DEADLINE)
            numbers = [int.from_bytes(message[:4], "big") for message in collector.messages]
            self.assertEqual(numbers, list(range(first + COUNT)), where)
        for thread in threads:
            thread.join()
        return 2 * COUNT / (time.monotonic() - begin)

    def withstands(self, name):
        upstream = self.upstream()
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n")
        session, client = upstream.accept(), daemon.client()
        daemon.wait_state("up")
        daemon.wait_clients(1)
        self.taken, self.given = session.collect(), client.collect()
        alone = self.pass_messages(session, client, 0)
        open_before = descriptors(daemon.pid)
        with Memory(daemon) as memory:
            attacker = self.attack(daemon, name)
            until(lambda: descriptors(daemon.pid) > open_before, "the attack to begin")
            waits = self.ask(daemon) if os.geteuid() == 0 else []
            beside = self.pass_messages(session, client, COUNT)
        self.assertIsNone(attacker.poll(), "the attack is over")
        harness.end(attacker)
        until(lambda: descriptors(daemon.pid) <= open_before, "its connections to be closed")
        check_books(until(lambda: self.status(daemon), "the crowd at the door to be gone"))
        print(f"{name}: {beside:,.0f} messages/s beside it, {alone:,.0f} alone; others answered "
              f"within {max(waits, default=0) * 1000:.0f} ms; {memory.more / MIB:.1f} MiB more memory")
        self.assertLess(memory.more, MEMORY)

    def ask(self, daemon):
        """Somebody else, who is another user: how long each answer took."""
        waits = []
        for _ in range(10):
            begin = time.monotonic()
            until(lambda: self.asks(daemon), "somebody else to be answered")
            waits.append(time.monotonic() - begin)
        return waits

    @staticmethod
    def status(daemon):
        """Or none, while others fill the backlog."""
        try:
            return daemon.status()
        except OSError:
            return None

    @staticmethod
    def asks(daemon):
        """Whether it is answered; a place may be taken by another before we have it."""
        try:
            return daemon.call("Health")
        except (ConnectionError, OSError):
            return None


def attack_test(name):
    return lambda self: self.withstands(name)


for attack_name in hostile.ATTACKS:
    setattr(Attacks, f"test_the_relay_goes_on_beside_{attack_name}", attack_test(attack_name))


if __name__ == "__main__":
    harness.main()
