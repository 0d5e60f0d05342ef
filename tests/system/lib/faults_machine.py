# SPDX-License-Identifier: MIT
"""The fault machine without its faults: one ftcpd between a scripted upstream and clients.

Faults (faults.py) is made of it. All runs in one thread: a script turns the loop for as long as it
likes, and decides at which byte something happens.
"""
import collections
import contextlib
import dataclasses
import socket
import time

import harness
from faults_ends import BLOB, BODY, UPSTREAM, Client, Connection, Form, Loop, Watch, Writer
from faults_judge import (
    ConnectionRecord,
    Verdict,
    judge_balance,
    judge_down,
    judge_drop,
    judge_up,
)
from framed import DEADLINE, SLOW
from spreading import deaf_client
from wires import DEFAULT, Wire

GUESTS = 3
SETTLE = 60 * SLOW

K, M = 1 << 10, 1 << 20


def span(milliseconds):
    return f"{int(milliseconds * SLOW)}ms"


# Short enough for many cuts a minute; none is a promise that the judge goes by.
SETTINGS = {
    "Upstream": {
        "ReconnectDelay": "5ms",
        "ReconnectDelayMax": "20ms",
        "StableTime": "0",
        "ConnectTimeout": span(200),
        "PathTimeout": "2s",
        "StallTimeout": span(400),
    },
    "Frame": {"MaxMessageSize": "2M", "Timeout": span(450)},
    "Heartbeat": {"Interval": "50ms", "Timeout": span(300)},
    "Delivery": {
        "UpstreamQueueSize": "4M",
        "ClientQueueSize": "1M",
        "SlowClientGrace": "1h",
        "ClientStallTimeout": span(500),
    },
    "Service": {"StopTimeout": span(500)},
}

@dataclasses.dataclass(frozen=True)
class Cell:
    """What one machine is like.

    policy is Resend=. way is how the upstream's messages get to clients: "broadcast", "drop" (the
    same with SlowClient=drop) or "balance"; slow is SlowClient= otherwise, None: at random.
    clients are there from the begin on, and tcp of them come by TCP. body is the biggest usual
    message. hold: HoldSize=, and now and then nobody is there. answer: with Answer=. over is how
    the upstream and TCP clients are reached, congestion the kernel's way to pace what is sent.
    """

    policy: str
    way: str = "broadcast"
    slow: str = None
    wire: Wire = DEFAULT
    clients: int = 4
    tcp: int = 0
    body: int = BODY
    hold: bool = False
    answer: bool = False
    over: str = "veth"
    congestion: str = None


class Machine:
    """One ftcpd, as its cell says, under faults, until it is judged.

    Balanced messages that a guest did not read went with it, so there guests only send.
    """

    daemon_class = harness.Daemon
    SETTINGS = SETTINGS

    def __init__(self, rng, cell, cable=None, skip=None):
        self.skip = {} if skip is None else skip  # {kind: why}
        self.rng, self.cell, self.cable = rng, cell, cable
        self.far = cable and (cable.far if cell.over == "veth" else cable.near)
        self.policy, self.way = cell.policy, cell.way
        self.form = Form(cell.wire, cell.body)
        self.settings = {section: dict(keys) for section, keys in self.SETTINGS.items()}
        self.set_up()
        self.blob = rng.randbytes(BLOB)
        self.writer = Writer(rng, self.blob, UPSTREAM, self.form)
        self.loop, self.faults = Loop(), collections.Counter()
        self.conns, self.clients, self.idents = [], [], 0
        self.wired = []  # ends of the cable that drop something
        self.floor, self.conn, self.listener, self.watch = 0, None, None, None
        self.findings = []
        self.silence = 300 * SLOW  # milliseconds, as Heartbeat Timeout=
        # Of the rates: what many send, or in many messages, costs us most.
        self.share = min(1, 4 / cell.clients) * (0.1 if self.form.usual < K else 1)
        self.begun = time.monotonic()
        self.daemon, self.by_tcp = None, None
        self.listen()
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def path(self):
        """How the upstream is reached, in a word."""
        return self.cell.over if self.cable else "loopback"

    # ---- the parts ----

    def set_up(self):
        """The settings that the cell asks for."""
        delivery, cell = self.settings["Delivery"], self.cell
        delivery["Resend"] = cell.policy
        slow = cell.slow or self.rng.choice(("disconnect", "wait"))
        delivery["SlowClient"] = "drop" if cell.way == "drop" else slow
        if cell.way == "balance":
            delivery["ToClients"] = "balance"
        if cell.hold:
            delivery["HoldSize"] = "64M"
        frame, heartbeat = cell.wire.settings()
        self.settings["Frame"].update(frame)
        self.settings["Heartbeat"].update(heartbeat)
        if cell.answer:
            self.settings["Heartbeat"]["Answer"] = cell.wire.answer()

    def listen(self):
        def listener():
            # No backlog: SYNs wait until the clients are there.
            made = socket.socket()
            made.bind((self.address_of(self.far), 0))
            return made

        if self.cable:
            with self.far:
                self.listener = listener()
            # What is closed with the cable pulled need not be remembered for minutes.
            self.cable.far.run("sysctl", "-qw", "net.ipv4.tcp_orphan_retries=2")
            if self.cell.congestion:
                for end in (self.cable.near, self.cable.far):
                    what = f"net.ipv4.tcp_congestion_control={self.cell.congestion}"
                    end.run("sysctl", "-qw", what)
        else:
            self.listener = listener()
        self.listener.setblocking(False)
        self.address, self.port = self.listener.getsockname()

    def config(self):
        lines = []
        for section, keys in self.settings.items():
            lines.append(f"[{section}]")
            if section == "Upstream":
                lines.append(f"Address={self.address}:{self.port}")
            lines += [f"{key}={value}" for key, value in keys.items()]
        return "\n".join(lines) + "\n"

    def start(self):
        self.daemon = self.daemon_class.__new__(self.daemon_class)
        if self.cell.tcp:
            self.by_tcp = self.tcp_door()
            self.daemon.more_sockets = [("data", self.by_tcp)]
        self.daemon.__init__(self.config(), within=self.cable.near if self.cable else None)
        for number in range(self.cell.clients):
            self.client(steady=True, by_tcp=number < self.cell.tcp)
        self.daemon.wait_clients(self.cell.clients)
        self.watch = self.loop.add(Watch(self.daemon.control_path, self.seen))
        self.listener.listen(64)
        self.until(lambda: self.conn, "the first connection")

    def address_of(self, end):
        """Of an end of the cable, as the other end or, not over it, the same end knows it."""
        return end.address if self.cable and self.cell.over == "veth" else "127.0.0.1"

    def tcp_door(self):
        """A socket for clients by TCP, which come from where the upstream is."""
        near = self.cable and self.cable.near
        with near or contextlib.nullcontext():
            return socket.create_server((self.address_of(near), 0), backlog=128)

    def client(self, steady=False, by_tcp=False, deaf=False):
        """deaf: nothing can be sent to it from the begin on."""
        self.idents += 1
        if deaf:
            sock = deaf_client(self.daemon.data_path).sock
        elif by_tcp:
            with self.far or contextlib.nullcontext():
                sock = socket.create_connection(self.by_tcp.getsockname(), DEADLINE)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        else:
            sock = harness.unix_connect(self.daemon.data_path).sock
        writer = Writer(self.rng, self.blob, self.idents, self.form)
        client = self.loop.add(Client(sock, writer, self.idents, steady))
        client.by_tcp, client.shut, client.reading = by_tcp, deaf, not deaf
        self.clients.append(client)
        return client

    def close(self):
        """Ends all; what the daemon's end says is raised."""
        self.listener.close()
        for end in self.loop.ends:
            end.sock.close()
        if self.daemon:
            self.daemon.close()
        elif self.by_tcp:
            self.by_tcp.close()

    # ---- the run of things ----

    def seen(self, status):
        """A reply. What is delivered there had arrived on a connection that we know, unless one
        waits to be accepted."""
        if not self.accept():
            self.floor = max(self.floor, status["toUpstream"]["delivered"]["messages"])

    def accept(self):
        """Takes the connections that wait; the one before is over then. True if there was one."""
        any_new = False
        while True:
            try:
                sock, _ = self.listener.accept()
            except BlockingIOError:
                return any_new
            any_new = True
            if self.conn:
                self.conn.finish()
            self.conn = self.loop.add(Connection(sock, self.writer, 0.05))
            self.conn.record.floor = self.floor
            self.conn.slow = self.rng.choice((0, 0, 0, 1000, 20_000))
            self.conns.append(self.conn)
            self.note(f"connection {len(self.conns) - 1}")
            window = self.rng.choice((8 * K, 64 * K, 64 * K, 512 * K))
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)

    def check(self):
        """Is ftcpd there?"""
        self.daemon.check_alive()
        if self.watch and self.watch.lost:
            raise AssertionError("ftcpd closed the control connection")

    def turn(self):
        self.check()
        self.accept()
        self.loop.turn()
        self.tend()

    def note(self, text):
        """Into the daemon's log, beside what it says itself."""
        with open(self.daemon.log_path, "a", encoding="utf-8") as log:
            log.write(f"-- {time.monotonic() - self.begun:.3f} {text}\n")

    def find(self, text):
        self.note(f"FOUND {text}")
        self.findings.append(text)

    def pump(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def until(self, condition, what, timeout=None):
        end = time.monotonic() + (DEADLINE if timeout is None else timeout)
        while not condition():
            if time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}")
            self.turn()

    def tend(self):
        """Guests come and go; who was steady and is gone is told."""
        now = time.monotonic()
        for client in self.clients:
            if client.steady and client.ended is not None:
                client.steady = client.record.steady = False
                if not self.excused(client) and self.loop.kept_up():
                    self.find(
                        f"client {client.record.ident} kept up and was cut off: {client.ended}"
                    )
            elif client.until and now > client.until and client.ended is None:
                client.kill()

    def excused(self, client):
        """Was there a reason to end it, though it kept up?"""
        return False

    def guest(self):
        """A client for a while; one that is killed is in the middle of a message, mostly."""
        guests = [client for client in self.clients if client.until and client.ended is None]
        if len(guests) >= GUESTS:
            return self.rng.choice(guests)
        client = self.client(deaf=self.way == "balance")
        client.until = time.monotonic() + self.rng.choice((0.01, 0.1, 1, 3))
        client.writer.rate = self.rng.choice((0, 100 * K, 10 * M))
        client.writer.drip = self.rng.random() < 0.5
        if not client.shut and self.rng.random() < 0.2:
            client.sock.shutdown(socket.SHUT_RD)
            client.reading, client.shut = False, True
        return client

    def lost(self, losses):
        """Until ftcpd has given up the connection after so many losses."""
        self.until(lambda: self.disconnects() > losses, "ftcpd to notice")

    def losses_while_up(self):
        """How many there were, of a link that is up: the fault before may have ended it just now."""
        seen = []
        self.until(lambda: seen.append(self.looked()["upstream"]) or seen[-1]["state"] == "up",
                   "the link")
        return seen[-1]["disconnects"]

    def disconnects(self):
        return self.watch.status["upstream"]["disconnects"] if self.watch.status else 0

    def looked(self):
        """Until a status was asked for and told after this."""
        looks = self.watch.looks + 2
        self.until(lambda: self.watch.looks >= looks, "a status")
        return self.watch.status

    def fresh(self, old):
        self.until(lambda: self.conn is not old, "ftcpd to come back")

    # ---- the end ----

    def at_rest(self):
        """Does nothing wait in ftcpd, and is nothing half written?"""
        status = self.watch.status
        up, down = status["toUpstream"], status["toClients"]
        if up["queued"]["messages"] or down["queued"]["messages"] or self.writer.frame:
            return False
        if any(c.writer.frame for c in self.clients if c.ended is None):
            return False
        if self.conn.ended is None and (self.conn.unacknowledged() or status["upstream"].get("partial")):
            return False
        return up["accepted"]["messages"] >= sum(
            c.record.whole for c in self.clients if not c.record.cut_off
        )

    def settled(self):
        """Is everything where it belongs?"""
        if not self.at_rest():
            return False
        received = self.watch.status["upstream"]["received"]["messages"]
        if self.way == "drop":
            return True
        counts = [len(c.record.got) for c in self.clients if c.steady]
        return (sum(counts) if self.way == "balance" else min(counts, default=received)) >= received

    def settle(self):
        """No faults and no new messages; who is still there gets what waits."""
        self.writer.rate, self.writer.tokens = 0, 0
        for client in self.clients:
            client.writer.rate, client.writer.drip = 0, False
            client.writer.tokens = 0
            if client.until and client.ended is None:
                client.until = time.monotonic() + 3600

        def done():
            if self.conn.ended is None:
                self.conn.slow = 0
            return self.settled()

        self.until(done, "everything to arrive", SETTLE)
        self.looked()
        self.looked()

    def judge(self):
        """The verdict, when all has settled; what never settles is judged as it is."""
        try:
            self.settle()
        except AssertionError as error:
            self.find(str(error))
        for end in (*self.clients, self.conn):
            if end.ended is None and end.buffer:
                end.record.torn = end.record.torn or f"{len(end.buffer)} bytes of a message"
        status = self.watch.status
        end = ConnectionRecord()
        end.floor = status["toUpstream"]["delivered"]["messages"]
        verdict = Verdict()
        self.judge_books(verdict, status)
        records = [conn.record for conn in self.conns] + [end]
        clients = [client.record for client in self.clients]
        judge_up(verdict, records, clients, self.policy, self.given_up(status))
        judge = {"broadcast": judge_down, "balance": judge_balance, "drop": judge_drop}[self.way]
        received = status["upstream"]["received"]["messages"]
        judge(verdict, records, clients, received, self.given_up_down(status))
        return verdict

    def given_up_down(self, status):
        """How many of the upstream's messages may be with no client, as the books say."""
        stayed = [client.record.steady for client in self.clients if not client.until]
        if all(stayed) or (any(stayed) and self.way != "balance"):
            return 0
        return sum(drop["messages"] for drop in status["toClients"]["dropped"])

    @staticmethod
    def given_up(status, unit="messages"):
        return sum(drop[unit] for drop in status["toUpstream"]["dropped"])

    def judge_books(self, verdict, status):
        for text in self.watch.faults + self.findings:
            verdict.find("books", text)
        up = status["toUpstream"]
        reasons = [drop["reason"] for drop in up["dropped"]]
        if set(reasons) - ({"not_resent"} if self.policy != "unacked" else set()):
            verdict.find("books", f"given up to the upstream: {up['dropped']}")
        if any(client.record.cut_off for client in self.clients):
            return
        sent = {
            "messages": sum(client.record.whole for client in self.clients),
            "bytes": sum(client.whole_bytes for client in self.clients),
        }
        if up["accepted"] != sent:
            verdict.find("books", f"clients sent {sent}, accepted are {up['accepted']}")
