# SPDX-License-Identifier: MIT
"""The fault machine: the real ftcpd between a scripted upstream and clients, and what goes wrong.

Every message is numbered and has a checksum. Faults come at random bytes and times, all chosen by
one seed, which is printed; the books are looked at all the time; when all has settled, the judge
compares what was sent with what arrived. Faults of the wire need root (network namespaces, nft,
`ss -K`); without, they are skipped and the table says so. faults_test.py has the short run,
soak.py the long one.
"""
import errno
import os
import random
import socket
import sys
import tempfile
import time
import unittest

import harness
from cable import PULLED, Cable
from faults_machine import K, M, Machine, span
from framed import SLOW
from losses import deafen

DROP = "table inet fault {{\nchain c {{\ntype filter hook {hook} priority -300\n{what}\n}}\n}}\n"




def can_destroy(namespace):
    """Why `ss -K` cannot be used, or None: tried on a connection of our own."""
    with namespace, socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()) as client:
            destroy(namespace, "127.0.0.1", server.getsockname()[1])
            client.settimeout(1)
            try:
                client.recv(1)
            except TimeoutError:
                return "the kernel does not destroy sockets for ss -K (CONFIG_INET_DIAG_DESTROY)"
            except OSError as error:
                if error.errno == errno.ECONNABORTED:
                    return None
            return "ss -K did something else than destroy the socket"


def destroy(namespace, address, port):
    namespace.run("ss", "-K", "-n", "-t", "dst", address, "dport", "=", str(port))


class Faults(Machine):
    """Every fault is a method; run() chooses among them."""

    def stir(self):
        """Other rates, and the next fault at another byte."""
        for client in self.clients:
            if client.ended is None:
                client.writer.rate = self.rng.choice((0, 20 * K, 200 * K, 2 * M, 20 * M)) * self.share
                client.writer.drip = self.rng.random() < 0.3
        self.writer.rate = self.rng.choice((0, 50 * K, 500 * K, 5 * M)) * self.share
        if self.rng.random() < 0.3:
            self.guest()
        conn = self.conn
        count = conn.bytes_in + self.rng.choice((0, 1, 100, 10 * K, 500 * K))
        end = time.monotonic() + self.rng.uniform(0, 0.15)
        while conn.bytes_in < count and time.monotonic() < end:
            self.turn()

    def busy(self):
        """There is something to send, and the upstream takes what comes."""
        for client in self.clients:
            if client.ended is None and client.steady:
                client.writer.rate = 5 * M

    def within_a_message(self, end):
        """Until it has written a part of one, or for a moment."""
        end.writer.rate, end.writer.drip = 20 * M, True
        late = time.monotonic() + 0.2
        while end.ended is None and not end.writer.frame and time.monotonic() < late:
            self.turn()

    def reset(self, reset=True):
        """Ends the connection here, and looks at what ftcpd made of it."""
        old, before = self.conn, self.looked()
        old.finish(reset, tell=self.rng.random() < 0.5)
        self.fresh(old)
        after = self.looked()
        losses = after["upstream"]["disconnects"] - before["upstream"]["disconnects"]
        if losses != 1 or after["upstream"]["lastCause"] not in ("reset", "closed"):
            old.record.told = False  # ftcpd's own verdict may have come first
            return
        gone = self.given_up(after, "bytes") - self.given_up(before, "bytes")
        # Of a connection that was only closed, all that the kernel was given does not go again.
        closed = after["upstream"]["lastCause"] == "closed"
        if self.policy == "unsent" and not closed and gone > old.most_unread:
            self.find(
                f"{gone} bytes do not go again, {old.most_unread} can have been transmitted"
            )

    def wire(self, end, hook="prerouting", what="iif != lo drop"):
        end.run("nft", DROP.format(hook=hook, what=what))
        self.wired.append(end)

    def unwire(self, end):
        self.wired.remove(end)
        end.run("nft", "delete", "table", "inet", "fault")

    def close(self):
        for end in list(self.wired):  # of a fault that failed: the cable is for others, too
            self.unwire(end)
        super().close()

    # ---- the faults: each ends with a link that is up, or about to be ----

    def fault_destroyed(self):
        old = self.conn
        destroy(self.cable.near, self.address, self.port)
        self.fresh(old)

    def fault_reset(self):
        if self.rng.random() < 0.5:  # some of what is transmitted never arrives
            deafen(self.conn.sock)
            self.pump(self.rng.uniform(0, 0.03))
        self.reset()

    def fault_fin(self):
        old = self.conn
        old.finish(reset=False)
        self.fresh(old)

    def fault_half_close(self):
        old = self.conn
        old.half_close()
        self.until(lambda: old.ended is not None or self.conn is not old, "the other half's end")
        old.finish()
        self.fresh(old)
        ended = self.looked()["upstream"]["lastCause"]
        old.record.clean = ended == "closed" and old.ended in ("closed", "Connection reset by peer")

    def fault_stall(self):
        old = self.conn
        old.reading = False
        self.busy()
        self.fresh(old)

    def fault_short_stall(self):
        conn = self.conn
        conn.reading = False
        self.busy()
        self.pump(self.rng.uniform(0, 0.2))
        conn.reading = True

    def fault_zero_window(self):
        """The window closes, then the peer dies."""
        self.conn.reading = False
        self.busy()
        self.pump(self.rng.uniform(0.05, 0.2))
        self.reset()

    def fault_cable_pulled(self):
        losses = self.losses_while_up()
        old = self.conn
        for end in (self.cable.near, self.cable.far):
            end.run("nft", PULLED)
        self.lost(losses)
        self.pump(self.rng.choice((0, 0.1, 0.4)))
        self.cable.plug()
        self.fresh(old)

    def fault_cable_loose(self):
        """Back before anybody is sure."""
        self.cable.pull()
        self.pump(self.rng.uniform(0, 0.2))
        self.cable.plug()
        self.pump(0.1)

    def fault_acks_lost(self):
        """All that is sent arrives, and ftcpd hears nothing of it."""
        losses = self.losses_while_up()
        old = self.conn
        self.busy()
        self.wire(self.cable.near)
        self.lost(losses)
        self.unwire(self.cable.near)
        self.fresh(old)

    def fault_data_lost(self):
        """What is sent does not arrive, and the upstream's heartbeats do."""
        losses = self.losses_while_up()
        old = self.conn
        self.busy()
        self.wire(self.cable.far)
        self.lost(losses)
        self.unwire(self.cable.far)
        self.fresh(old)

    def fault_refused(self):
        old = self.conn
        what = "tcp flags & (syn|ack) == syn reject with tcp reset"
        self.wire(self.cable.far, "input", what)
        old.finish()
        self.pump(self.rng.uniform(0, 0.15))
        self.unwire(self.cable.far)
        self.fresh(old)

    def fault_black_hole(self):
        old = self.conn
        self.wire(self.cable.far, what="tcp flags & (syn|ack) == syn drop")
        old.finish()
        self.pump(self.rng.uniform(0, 0.3))
        self.unwire(self.cable.far)
        self.fresh(old)

    def fault_accept_then_close(self):
        for _ in range(self.rng.randrange(1, 5)):
            self.reset(reset=self.rng.random() < 0.5)

    def fault_silence(self):
        """The peer reads on and says nothing: the verdict is ftcpd's, on a link that works.

        Small messages wait in its kernel, and about the time of the verdict they are read through
        a small window: then some leave while ftcpd closes the books.
        """
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * K)
        self.reset()
        old = self.conn
        old.sending, old.slow = False, 0
        for client in self.clients:
            client.writer.biggest = 300
        self.busy()
        due = old.beaten + self.silence / 1000
        while self.conn is old and time.monotonic() < due - 0.03:
            old.reading = time.monotonic() < due - 0.1
            self.turn()
        old.reading, old.slow = True, 2000
        while self.conn is old and time.monotonic() < due + 0.1 and old.ended is None:
            old.on_readable()
        old.slow = 0
        for client in self.clients:
            client.writer.biggest = self.form.usual
        self.fresh(old)

    def fault_half_a_message(self):
        """The upstream dies within a frame."""
        old = self.conn
        self.within_a_message(old)
        self.writer.drip = False
        old.finish()
        self.fresh(old)

    def fault_flood(self):
        self.writer.rate = 200 * M
        self.pump(self.rng.uniform(0.02, 0.15))

    def fault_client_killed(self):
        """In the middle of a message, where there is one."""
        client = self.guest()
        self.pump(self.rng.uniform(0, 0.05))
        self.within_a_message(client)
        client.kill()

    def fault_client_frozen(self):
        client = self.guest()
        client.until = time.monotonic() + 3
        client.reading = False
        self.writer.rate = 20 * M
        self.pump(self.rng.choice((0.1, 0.3, 0.8 * SLOW)))
        client.reading = not client.shut
        self.pump(0.05)

    def fault_daemon_stopped(self):
        """For longer than its timeouts, or not; the silence was its own."""
        old = self.conn
        self.daemon.freeze()
        try:
            self.pump(self.rng.choice((0.1, 0.35, 0.6, 1.0)) * SLOW)
        finally:
            self.daemon.thaw()
        cause = self.looked()["upstream"]["lastCause"]
        if self.conn is not old and cause in ("silent", "path") and self.loop.kept_up():
            self.find(f"its own stall was taken for the peer's: {cause}")

    def fault_reload(self):
        delivery, rng = self.settings["Delivery"], self.rng
        delivery["UpstreamQueueSize"] = rng.choice(("2M", "3M", "16M"))
        delivery["ClientQueueSize"] = rng.choice(("4K", "64K", "1M", "8M"))
        self.settings["Local"] = {"PartialSize": rng.choice(("12M", "64M"))}
        self.settings["Heartbeat"]["Interval"] = rng.choice(("20ms", "50ms", "100ms"))
        self.silence = rng.choice((250, 300, 400)) * SLOW
        self.settings["Heartbeat"]["Timeout"] = f"{int(self.silence)}ms"
        self.settings["Upstream"]["StallTimeout"] = span(rng.choice((300, 400, 600)))
        self.daemon.configure(self.config())
        self.daemon.hangup()
        self.pump(self.rng.uniform(0, 0.05))

    NEED_CABLE = ("cable_pulled", "cable_loose", "acks_lost", "data_lost", "refused", "black_hole")
    # Those that take next to no time come more often.
    QUICK = ("destroyed", "reset", "fin", "half_close", "accept_then_close", "silence") * 2

    @classmethod
    def kinds(cls):
        return [name[6:] for name in vars(cls) if name.startswith("fault_")]

    def tally(self):
        """What a run counts: connections that were lost."""
        return self.disconnects()

    def first(self):
        """Kinds that come once at least."""
        return self.kinds()

    def often(self):
        """Kinds as often as they are to come."""
        kinds = [*self.kinds(), *self.QUICK]
        if self.policy == "unsent":  # what could go twice here, goes twice once in many verdicts
            kinds += ["silence"] * 10
        return kinds

    def run(self, cuts, progress=None):
        """Faults until so many are counted. The first of each kind come in turn."""
        turn, often = self.first(), self.often()
        self.rng.shuffle(turn)
        while self.tally() < cuts or turn:
            kind = turn.pop() if turn else self.rng.choice(often)
            if kind in self.skip:
                continue
            self.until(lambda: self.conn.ended is None, "a connection")
            self.stir()
            if self.conn.ended is not None:
                continue
            self.faults[kind] += 1
            self.note(f"fault {kind}")
            getattr(self, f"fault_{kind}")()
            if progress:
                progress(self)


def show_log(machine, seed, lines=40):
    """The log's end, and those whom ftcpd disconnected; the whole stays in a file."""
    log = machine.daemon.log.splitlines()
    handle, path = tempfile.mkstemp(prefix=f"ftcpd-faults-{seed}-", suffix=".log")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(log) + "\n")
    shown = [line for line in log[:-lines] if "is disconnected" in line] + log[-lines:]
    print("\n".join(f"#   {line}" for line in shown), file=sys.stderr)
    what = f"seed {seed}, {machine.cell}"
    print(f"# {what}; the whole log is {path}", file=sys.stderr)


def lay_cable():
    """(cable or None, {kind: why it is skipped})."""
    try:
        cable = Cable()
    except unittest.SkipTest as error:
        return None, {kind: str(error) for kind in (*Faults.NEED_CABLE, "destroyed")}
    why = can_destroy(cable.near)
    return cable, {"destroyed": why} if why else {}


def run(seed, cell, cuts, cable, skip, progress=None, kind=Faults):
    """One machine from its start to its verdict. A failure prints the daemon's log, shortened."""
    machine = kind(random.Random(f"{seed} {cell}"), cell, cable, skip)
    try:
        machine.run(cuts, progress)
        verdict = machine.judge()
        if not verdict.good:
            print("\n".join(verdict.words), file=sys.stderr)
            show_log(machine, seed)
        return machine, verdict
    except BaseException:
        show_log(machine, seed)
        raise
    finally:
        machine.close()
