# SPDX-License-Identifier: MIT
"""The fault machine with crashes: SIGKILL at random and at chosen instants, amid everything else.

A run is of one Cell: a kind of frame, a way to the clients, and so on; cells.py has the matrix of
them. What must hold is what the judge asks for, and besides: a crash ends no connection but that
of the one client that was being sent to, or accepted; of this client all is taken that it had
written; the state is never refused; and for each client that is gone, the log says why.
"""
import contextlib
import fcntl
import os
import re
import select
import struct
import subprocess
import tempfile
import termios
import time

import harness
from faults import Faults, destroy, lay_cable
from faults_judge import Verdict
from faults_machine import SETTINGS, K, M, span
from framed import DEADLINE, SLOW
from local import dropped
from losses import deafen
from manager import Managed

# Long enough for what a machine does that is killed again and again: no verdict is of time.
PATIENT = {
    "Upstream": {**SETTINGS["Upstream"], "PathTimeout": "30s", "StallTimeout": "30s"},
    "Frame": {"MaxMessageSize": "16M", "Timeout": "30s"},
    "Heartbeat": {"Interval": "50ms", "Timeout": span(5000)},
    "Delivery": {**SETTINGS["Delivery"], "UpstreamQueueSize": "16M", "ClientStallTimeout": "1min"},
    "Local": {"PartialSize": "1G"},
    "Service": {"StopTimeout": span(500)},
}

ENDED = r"^(?:.*: )?(client \d+.*?) is disconnected: (.*)$"
SENT_TO = "ftcpd ended while it sent to it"
# Why a client may be gone, besides.
ALLOWED = ("ftcpd ended while it was being accepted", "Connection reset by peer",
           "Software caused connection abort", "Broken pipe")
ACCEPTED = "(?:a client is|a client may have been) disconnected: ftcpd ended while"
REFUSED = "the state of the last run is (?:not used|given up).*"

INSTANTS = ("send", "send", "send", "send", "take", "read", "write", "keep")


class Ruined(Exception):
    """What was kept is lost: nothing that comes behind it tells anything."""


class Kept(Managed):
    """Its clients may be gone, and nobody waits for it."""

    def ended_by_kill(self):
        """It died by SIGKILL, which was expected."""
        return self.process.poll() is not None and self.wait_exit() == -9


class Kills(Faults):
    """One that is killed. library is dies.c, made for LD_PRELOAD."""

    daemon_class = Kept
    SETTINGS = PATIENT
    library = None

    def __init__(self, *args):
        self.kills, self.standing, self.armed = 0, False, False
        self.told_of, self.ruined = 0, None
        super().__init__(*args)

    def set_up(self):
        super().set_up()
        large = self.form.usual > M
        self.settings["Frame"]["MaxMessageSize"] = "16M" if large else "2M"
        self.settings["Delivery"]["UpstreamQueueSize"] = "16M" if large else "2M"
        self.settings["Delivery"]["ClientQueueSize"] = "64K" if self.way == "drop" else "1M"

    # ---- a crash, and what is done meanwhile ----

    def check(self):
        """A daemon that is to die at some instant is brought back when it has."""
        if self.standing:
            return
        if self.armed and self.watch.lost:
            self.daemon.process.wait(DEADLINE)
        ended = self.daemon.process.poll() is not None  # one look: it may die between two
        if self.armed and ended and self.daemon.ended_by_kill():
            self.note("it has died")
            self.revive()
        elif ended or not self.armed:
            super().check()

    def kill(self, harm=None, instant=""):
        """SIGKILL; harm() is done while nobody is there. The next process is to die, too, at an
        instant that dies.c knows."""
        self.daemon.kill()
        self.note("killed")
        self.revive(harm, instant)

    def revive(self, harm=None, instant=""):
        self.kills += 1
        self.standing = True
        silent = self.rng.random() < 0.6
        alive = [c for c in self.clients if c.ended is None and not c.record.cut_off]
        accepting = len(re.findall(ACCEPTED, self.daemon.log))
        if silent:
            for client in alive:
                client.writing = False
        try:
            if harm:
                harm()
            self.pump(self.rng.choice((0, 0, 0.01, 0.05)))
            self.armed = bool(instant)
            self.daemon.more_env = self.environment(instant) if instant else {}
            self.daemon.start(wait=False)
            self.watch.connect()
        finally:
            self.standing = False
        kills, looks = self.kills, self.watch.looks + 2
        self.until(lambda: self.watch.looks >= looks or self.kills > kills, "a status")
        for line in re.findall(REFUSED, self.daemon.log):
            raise Ruined(line)
        silent = silent and self.kills == kills
        if len(re.findall(ACCEPTED, self.daemon.log)) > accepting:
            silent = False
            self.accepted_nobody()
        for client in alive:
            self.look_at(client, silent)
            client.writing = True
        self.replace()

    def accepted_nobody(self):
        """Who was being accepted is ended unread: it may be any that left before it was heard."""
        heard = {sender for conn in self.conns for sender, _ in conn.record.got}
        for client in self.clients:
            if client.ended == "by us" and client.record.ident not in heard:
                client.record.cut_off = client.record.ours = True

    def environment(self, instant):
        return {"LD_PRELOAD": self.library, "FTCPD_DIES": instant,
                "ASAN_OPTIONS": "verify_asan_link_order=0"}

    @staticmethod
    def look_at(client, silent):
        """Who is ended by now, whether that was noticed or not, was ended by the crash. Where it
        had been silent since, all that it had written is taken."""
        if client.record.ours or client.ended == "by us":
            return
        if client.ended is None:
            poll = select.poll()
            poll.register(client.sock, 0)
            if not any(event & select.POLLHUP for _, event in poll.poll(0)):
                return
        client.record.cut_off = True
        if silent and not client.by_tcp:
            client.record.taken = client.record.whole

    def replace(self):
        """As many clients as there were."""
        there = [c for c in self.clients if c.ended is None and not c.until]
        for _ in range(self.cell.clients - len(there)):
            client = self.client(by_tcp=self.cell.tcp > 0 and self.rng.random() < 0.3)
            client.record.lasting = True

    def excused(self, client):
        """It was being sent to when ftcpd was killed, or destroyed by us."""
        if client.record.ours or client.ended == "by us":
            return True
        late = time.monotonic() + 2 * SLOW  # it is closed first, then told
        while len(re.findall(SENT_TO, self.daemon.log)) <= self.told_of:
            if time.monotonic() > late:
                return False
            time.sleep(0.01)
        self.told_of += 1
        return True

    # ---- the faults of its own ----

    def harms(self):
        """What may happen while ftcpd is not there."""
        yield from (None,) * 5
        yield from (self.harm_reset, self.harm_fin, self.harm_half_close, self.harm_client_killed)
        if "destroyed" not in self.skip:
            yield from (self.harm_destroyed,) * 2
            if self.cell.tcp:
                yield self.harm_client_destroyed

    def harm_reset(self):
        if self.rng.random() < 0.5:
            deafen(self.conn.sock)
        self.conn.finish(tell=self.rng.random() < 0.5)

    def harm_fin(self):
        self.conn.finish(reset=False)

    def harm_half_close(self):
        self.conn.half_close()

    def harm_client_killed(self):
        guests = [client for client in self.clients if client.until and client.ended is None]
        for client in guests:
            client.record.ours = True
            client.kill()

    def harm_destroyed(self):
        destroy(self.cable.near, self.address, self.port)

    def harm_client_destroyed(self):
        """`ss -K` of a TCP client."""
        there = [c for c in self.clients if c.by_tcp and c.ended is None]
        if not there:
            return
        client = self.rng.choice(there)
        self.note(f"client {client.record.ident} is destroyed")
        client.record.ours = True
        client.record.lasting = False
        destroy(self.cable.near, *client.sock.getsockname())

    def fault_killed(self):
        old = self.conn
        time.sleep(self.rng.choice((0, self.rng.uniform(0, 0.003))))
        self.kill(self.rng.choice(list(self.harms())))
        self.come_back(old)

    def come_back(self, old):
        """Where the connection was ended meanwhile, until there is another one."""
        if self.conn is old and (old.ended is not None or not old.sending):
            self.until(lambda: self.conn is not old or old.ended is not None, "its end")
            if self.conn is old:
                old.finish()
            self.fresh(old)

    def fault_doomed(self):
        """Killed at an instant."""
        instant = self.rng.choice(INSTANTS)
        times, much = self.rng.randrange(1, 12), self.rng.choice((1, 1, 1000, 20_000))
        self.writer.rate = self.rng.choice((500 * K, 5 * M, 20 * M)) * self.share
        self.kill(instant=f"{instant}:{times}:{much}")
        if instant == "keep":
            for _ in range(3):
                self.guest()
        end = time.monotonic() + 0.25 * SLOW
        while self.armed and time.monotonic() < end:
            self.turn()
        if self.armed:  # the instant did not come
            self.kill()

    def fault_beats(self):
        """Killed while it answers heartbeats of the peer, which asks as fast as it can."""
        conn, self.writer.beats = self.conn, self.rng.choice((50, 500, 2000))
        interval, conn.beat = conn.beat, 0
        self.writer.rate = 0
        self.pump(0.02)
        end = time.monotonic() + self.rng.uniform(0.01, 0.05)
        while time.monotonic() < end and conn.ended is None:
            self.writer.beat()
            conn.on_writable()
            conn.on_readable()
        self.kill()
        conn.beat, self.writer.beats = interval, 1

    def fault_held(self):
        """An operator holds the link, and ftcpd is killed before, meanwhile or not."""
        old = self.conn
        self.steer("hold", "--reason=a test")
        self.pump(self.rng.choice((0, 0.02, 0.1)))
        if self.rng.random() < 0.7:
            self.kill(self.rng.choice((None, self.harm_client_killed)))
            if self.looked()["upstream"]["state"] != "held":
                self.find("a crash ended an operator's hold")
        self.steer("release")
        if self.rng.random() < 0.3:
            self.kill()
        self.fresh(old)

    def steer(self, *verb):
        code, _, words = self.daemon.ctl(*verb)
        if code:
            raise AssertionError(f"ftcpctl {verb[0]}: {words}")

    def fault_client_destroyed(self):
        self.harm_client_destroyed()
        self.pump(0.02)
        self.replace()

    def fault_deserted(self):
        """All clients leave, and what comes is held for those who come later."""
        self.writer.rate, self.writer.tokens = 0, 0
        for client in self.clients:
            client.writer.rate, client.writer.tokens, client.writer.drip = 0, 0, False
            client.until = client.until and time.monotonic() + 3600
        for _ in range(2):  # a status may be older than what has just come
            self.until(self.settled, "everything to arrive")
            self.looked()
        for client in self.clients:
            if client.ended is None:
                client.steady = client.record.steady = client.record.lasting = False
                client.record.ours = True
                client.vanish()
        self.writer.rate = self.rng.choice((500 * K, 5 * M))
        self.pump(self.rng.uniform(0.02, 0.1))
        self.kill()  # replaces them
        self.pump(0.15)
        if self.rng.random() < 0.5:
            self.kill()

    def kinds(self):
        kinds = ["killed", "doomed", "held", "reset", "fin", "half_a_message", "client_killed",
                 "client_frozen", "zero_window", "destroyed"]
        kinds += ["beats"] * self.cell.answer + ["deserted"] * self.cell.hold
        return kinds + ["client_destroyed"] * (self.cell.tcp > 0)

    def often(self):
        more = ["beats"] * 4 * self.cell.answer + ["deserted"] * 2 * self.cell.hold
        return self.kinds() + ["killed"] * 8 + ["doomed"] * 10 + more

    def first(self):
        """What is done once at least."""
        return ["killed", "doomed", self.rng.choice(self.kinds()[2:])]

    def tally(self):
        return self.kills

    def run(self, cuts, progress=None):
        try:
            super().run(cuts, progress)
        except Ruined as why:
            self.ruined = str(why)

    # ---- the end ----

    def judge(self):
        if not self.ruined:
            return super().judge()
        verdict = Verdict()
        verdict.find("lost", f"all that was kept: {self.ruined}")
        return verdict

    def settled(self):
        """Who was killed amid a send takes a part with it: what is read is what is there."""
        there = [client for client in self.clients if client.ended is None and client.reading]
        return self.at_rest() and not any(self.unread(client) for client in there)

    @staticmethod
    def unread(client):
        return struct.unpack("i", fcntl.ioctl(client.sock, termios.FIONREAD, bytes(4)))[0]

    def settle(self):
        if self.armed:
            self.kill()
        for client in self.clients:
            if client.ended is None:
                client.reading = client.reading or client.shut is False
        self.conn.beat = 1  # and few answers
        for _ in range(2):  # what went by TCP may have been under way at first
            super().settle()
            self.pump(0.1)
        self.until(lambda: self.conn.ended is not None or not self.conn.buffer, "whole answers")

    def given_up_down(self, status):
        """What a client by TCP that left or was ended had in its socket counts as delivered, and
        is with nobody where the messages are dealt."""
        if self.lost_by_tcp() and self.way == "balance":
            return 1 << 30
        return super().given_up_down(status)

    def lost_by_tcp(self):
        return any(client.by_tcp and client.ended for client in self.clients)

    def judge_books(self, verdict, status):
        allowed = {"client_gone", "queue_full" if self.way == "drop" else ""}
        if not self.cell.hold:
            allowed.add("no_client")  # all were sent to, one after the other
        for drop in status["toClients"]["dropped"]:
            if drop["reason"] not in allowed:
                self.find(f"given up to clients: {drop}")
        self.judge_log()
        self.judge_delivered(status)
        super().judge_books(verdict, status)

    def judge_log(self):
        log = self.daemon.log
        ended = re.findall(ENDED, log, re.M)
        sent_to = [why for _, why in ended if why.startswith(SENT_TO)]
        if len(sent_to) > self.kills:
            self.find(f"{len(sent_to)} clients are said to have been sent to in {self.kills} kills")
        for name, why in ended:
            if not why.startswith((SENT_TO, *ALLOWED)):
                self.find(f"{name} is disconnected: {why}")
        gone = [c.record.ident for c in self.clients if c.record.cut_off and not c.record.ours]
        told = len(ended) + len(re.findall(ACCEPTED, log))
        if len(gone) > told:
            self.find(f"clients {gone} were ended, the log tells of {told}")

    def judge_delivered(self, status):
        """What clients got is what the books say they were given."""
        down = status["toClients"]
        got = sum(len(client.record.got) for client in self.clients)
        most = down["delivered"]["messages"] + dropped(status, "toClients", "client_gone")
        if got > most:
            self.find(f"clients got {got} messages, the books know of {most}: {down}")
        left = [c for c in self.clients if c.record.ours or c.ended == "by us" or c.shut]
        if not left and not self.lost_by_tcp() and got < down["delivered"]["messages"]:
            self.find(f"clients got {got} messages, {down['delivered']} are said to be delivered")


@contextlib.contextmanager
def prepared():
    """(cable or None, {kind: why it is skipped}), while machines are killed."""
    harness.need("cc")
    cable, skip = lay_cable()
    try:
        with tempfile.TemporaryDirectory(prefix="ftcpd-kills-") as directory:
            Kills.library = os.path.join(directory, "dies.so")
            source = os.path.join(harness.HERE, "dies.c")
            subprocess.run(["cc", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", Kills.library, source],
                           check=True)
            yield cable, skip
    finally:
        if cable:
            cable.close()
