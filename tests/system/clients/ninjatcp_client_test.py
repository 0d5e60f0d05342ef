# SPDX-License-Identifier: MIT
"""A client that was written for ninjaTCP, moved from TCP to the data socket unchanged: it takes a
connection without a message for 3 seconds for dead. With the example's configuration it stays
connected through silence, cuts and restarts."""
import os
import random
import socket
import struct
import threading
import time

import harness
from harness import until
from local import check_books
from manager import ManagedTest

EXAMPLE = os.path.join(harness.TOP, "etc", "examples", "ninjatcp.conf")
DEAD = 3.0  # no message for as long: the client disposes of the connection
DIAL = 0.5  # and connects anew after this time
BEAT = 1.0  # it sends the empty message as often
SILENCE = DEAD + 0.5


class Client(threading.Thread):
    """It knows four bytes of length, the message behind them, and the rule of 3 seconds."""

    def __init__(self, path):
        super().__init__(daemon=True)
        self.path, self.over = path, threading.Event()
        self.connections, self.messages, self.heartbeats, self.fault = 0, [], 0, None
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as self.sock:
                    self.sock.connect(self.path)
                    self.connections += 1
                    self.live()
                self.over.wait(DIAL)
        except OSError as error:
            self.fault = error

    def live(self):
        """Until the connection ends or is dead."""
        stream, last, beaten = b"", time.monotonic(), 0
        while not self.over.is_set():
            now = time.monotonic()
            if now - beaten >= BEAT:
                self.send(b"")
                beaten = now
            self.sock.settimeout(0.2)
            try:
                data = self.sock.recv(65536)
            except TimeoutError:
                if time.monotonic() - last >= DEAD:
                    return
                continue
            if not data:
                return
            stream += data
            while len(stream) >= 4:
                size = struct.unpack(">I", stream[:4])[0]
                if len(stream) < 4 + size:
                    break
                self.take(stream[4:4 + size])
                stream, last = stream[4 + size:], time.monotonic()

    def take(self, message):
        if message:
            self.messages.append(message)
        else:
            self.heartbeats += 1

    def send(self, message):
        self.sock.sendall(struct.pack(">I", len(message)) + message)

    def close(self):
        self.over.set()
        self.join(harness.DEADLINE)


class Moved(ManagedTest):
    def example(self, address):
        """The example with this upstream in place of its own."""
        with open(EXAMPLE, encoding="utf-8") as file:
            lines = file.read().splitlines()
        lines = [line for line in lines if not line.startswith("Address=")]
        lines.insert(lines.index("[Upstream]") + 1, f"Address={address}")
        return "\n".join(lines + ["[Upstream]", "ReconnectDelayMax=200ms"]) + "\n"

    def begin(self, config=""):
        self.up = self.upstream()
        self.process = self.daemon(self.example(self.up.address) + config)
        self.session = self.up.accept()
        self.process.wait_state()
        self.client = Client(self.process.data_path)
        self.addCleanup(self.client.close)
        self.process.wait_clients(1)
        self.number = 0

    # ---- what happens to it ----

    def silence(self):
        time.sleep(SILENCE)

    def cut(self):
        self.up.refuse()
        self.session.close()
        self.process.wait_state(("waiting", "connecting"))
        time.sleep(SILENCE)
        self.up.listen()
        self.session = self.up.accept()
        self.process.wait_state()

    def restart(self):
        self.assertEqual(self.process.stop(), 0)
        self.process.start()

    def crash(self):
        self.process.crash()

    def crashes(self):
        """One after the other, each before a heartbeat would be due."""
        for _ in range(harness.often(4, 10)):
            self.crash()
            time.sleep(0.8)

    def talk(self):
        """A message each way."""
        self.number += 1
        down, up = b"down %d" % self.number, b"up %d" % self.number
        self.session.send(down)
        until(lambda: down in self.client.messages, "the message to come down")
        self.client.send(up)
        self.session.expect(up)

    def look(self):
        """It has had one connection, and no other is left of it."""
        self.assertIsNone(self.client.fault)
        self.assertEqual(self.client.connections, 1, "it connected anew")
        self.assertEqual(len(self.process.call("ListClients")["clients"]), 1, "a ghost")

    @harness.in_time
    def test_it_stays_connected_through_silence_cuts_and_restarts(self):
        self.begin()
        what = [self.silence, self.cut, self.restart, self.crashes]
        until_then = time.monotonic() + harness.often(0, 60)
        rng = random.Random(harness.seed())
        while what or time.monotonic() < until_then:
            (what.pop(0) if what else
             rng.choice((self.silence, self.cut, self.restart, self.crashes)))()
            self.talk()
            self.look()
        self.assertEqual(self.client.messages,
                         [b"down %d" % n for n in range(1, self.number + 1)])
        status = check_books(self.process.status())
        self.assertEqual(status["clientsAccepted"], 1)
        self.assertEqual(status["toClients"]["accepted"]["messages"], self.number)

    def test_without_the_key_it_connects_again_and_again(self):
        self.begin("[Local]\nHeartbeatInterval=0\n")
        until(lambda: self.client.connections > 1, "it to connect anew")
        self.assertEqual(self.client.heartbeats, 0)


if __name__ == "__main__":
    harness.main()
