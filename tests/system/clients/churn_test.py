# SPDX-License-Identifier: MIT
"""Everything at once, at random: clients of every kind, an upstream that comes and goes, reloads.

FTCPD_TEST_SECONDS is how long it lasts, FTCPD_TEST_SEED repeats its choices.
"""
import random
import threading
import time

import harness
from harness import random_size, seed, stamp, unstamp, until
from local import BooksWatch, check_books, check_rests, descriptors

SECONDS = harness.often(5, 300, "FTCPD_TEST_SECONDS")
CONFIG = """
[Frame]
MaxMessageSize=1M
[Delivery]
ClientQueueSize={queue}
UpstreamQueueSize={up}
SlowClientGrace=200ms
ClientStallTimeout=1s
SlowClient={slow}
[Local]
MaxClients=40
PartialSize=32M
[Heartbeat]
Interval=200ms
"""


class Peer:
    """The upstream: sends numbered messages, checks what it gets, closes now and then.

    It closes its sending side and reads on to the end, so that what its kernel has acknowledged is
    seen.
    """

    def __init__(self, upstream, rng, done):
        self.upstream, self.rng, self.done = upstream, rng, done
        self.over = threading.Event()
        self.last, self.number, self.connections = {}, 0, 0

    def run(self):
        while True:
            over = self.over.is_set()  # then who dialled before is in the backlog
            try:
                session = self.upstream.accept(0.2)
            except AssertionError:
                if over:
                    return
                continue
            self.connections += 1
            stop = threading.Event()
            with harness.Framed(session.sock.dup()) as other:  # with a patience of its own
                sender = threading.Thread(target=self.send, args=(other, stop), daemon=True)
                sender.start()
                self.read(session)
                stop.set()
                sender.join()
            session.close()
            if over:
                return

    def send(self, session, stop):
        end = time.monotonic() + self.rng.uniform(0.1, 1.5)
        try:
            while not stop.is_set() and not self.done.is_set() and time.monotonic() < end:
                messages = []
                for _ in range(self.rng.randrange(1, 40)):
                    body = self.rng.randbytes(random_size(self.rng, 30_000))
                    messages.append(stamp(0, self.number, body))
                    self.number += 1
                session.send(*messages)
                time.sleep(self.rng.uniform(0, 0.01))
            if not self.done.is_set():
                session.shut_write()
        except OSError:
            pass

    def read(self, session):
        """One connection: what it repeats are the last messages of each sender, in order."""
        here = {}
        while True:
            over = self.over.is_set()  # then all that comes is there
            try:
                message = session.recv(0.2)
            except TimeoutError:
                if over:
                    return
                continue
            except ConnectionResetError:
                return
            if message is None:
                return
            sender, number = unstamp(message)
            if sender in here:
                if number != here[sender] + 1:
                    raise AssertionError(f"{sender}: {number} after {here[sender]}")
            elif number > self.last.get(sender, -1) + 1:
                raise AssertionError(f"{sender}: {number} after {self.last.get(sender)}")
            here[sender] = number
            self.last[sender] = max(number, self.last.get(sender, -1))


class Clients:
    """Programs of every kind, each from a thread, until done is set."""

    def __init__(self, daemon, rng, done):
        self.daemon, self.rng, self.done = daemon, rng, done
        self.sent, self.names, self.faults = {}, 0, []
        self.lock = threading.Lock()
        self.threads = []

    def start(self, function):
        """In a thread; a fault of one ends the trial."""
        rng = random.Random(self.rng.random())

        def run():
            try:
                function(rng)
            except BaseException as error:  # pylint: disable=broad-except
                self.faults.append(error)
                self.done.set()

        self.threads.append(threading.Thread(target=run, daemon=True))
        self.threads[-1].start()

    def join(self):
        for thread in self.threads:
            thread.join()
        if self.faults:
            raise self.faults[0]

    def name(self):
        with self.lock:
            self.names += 1
            return self.names

    def send_torn(self, client, rng, name, first, count, biggest):
        data = b"".join(client.frame.wrap(stamp(name, n, rng.randbytes(random_size(rng, biggest))))
                        for n in range(first, first + count))
        while data:
            size = rng.choice((rng.randrange(1, 300), 70_000, len(data)))
            client.send_raw(data[:size])
            data = data[size:]

    def steady(self, rng):
        """Only sends, whole messages, and every one of them must arrive."""
        name, n = self.name(), 0
        with self.daemon.client() as client:
            client.sock.settimeout(60 * harness.SLOW)
            client.shut_read()
            while not self.done.is_set():
                count = rng.randrange(1, 30)
                self.send_torn(client, rng, name, n, count, 40_000)
                n += count
                time.sleep(rng.uniform(0, 0.03))
        self.sent[name] = n - 1

    def wild(self, rng):
        """Comes again and again, and does one thing or another."""
        while not self.done.is_set():
            kind = rng.choice((self.receive, self.receive, self.vanish, self.rubbish, self.hang,
                               self.half_close, self.stop_reading))
            try:
                with self.daemon.client() as client:
                    kind(client, rng)
            except (BrokenPipeError, ConnectionResetError, TimeoutError):
                pass  # cut off, or one too many
            time.sleep(rng.uniform(0, 0.02))

    def receive(self, client, rng):
        last = None
        for _ in range(rng.randrange(1, 400)):
            message = client.recv(0.5)
            if message is None:
                return
            number = unstamp(message)[1]
            if last is not None and number != last + 1:
                raise AssertionError(f"received {number} after {last}")
            last = number
            if rng.random() < 0.01:
                time.sleep(0.05)

    def vanish(self, client, rng):
        self.send_torn(client, rng, self.name(), 0, rng.randrange(0, 20), 30_000)
        size = rng.randrange(1, 500_000)
        client.send_raw(client.frame.length_field(size) + rng.randbytes(rng.randrange(size)))

    def rubbish(self, client, rng):
        client.send_raw(bytes([rng.randrange(1, 256)]) + rng.randbytes(rng.randrange(3, 9000)))
        client.sock.settimeout(0.2)
        client.sock.recv(1)

    def hang(self, client, rng):
        if rng.random() < 0.5:
            client.send_raw(b"\0\0\1")
        self.done.wait(rng.choice((0.05, 0.4, 1.5)) * rng.random())

    def half_close(self, client, rng):
        self.send_torn(client, rng, self.name(), 0, rng.randrange(5), 30_000)
        client.shut_write()
        self.receive(client, rng)

    def stop_reading(self, client, rng):
        self.receive(client, rng) if rng.random() < 0.5 else None
        client.shut_read()
        self.send_torn(client, rng, self.name(), 0, rng.randrange(50), 30_000)


class Churn(harness.SystemTest):
    """One long trial."""

    timeout = int(110 * harness.SLOW + SECONDS)

    def reload(self, daemon, rng, config):
        daemon.configure(config.format(queue=rng.choice(("4K", "64K", "1M")),
                                       up=rng.choice(("1M", "4M")),
                                       slow=rng.choice(("disconnect", "wait"))))
        daemon.hangup()
        daemon.call("ListClients")

    def test_nothing_is_lost_torn_or_miscounted_whatever_happens(self):
        rng, done = random.Random(number := seed()), threading.Event()
        print("seed", number)
        upstream = self.upstream(heartbeat=None)
        config = f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=20ms\n" \
                 f"ReconnectDelayMax=50ms\n{CONFIG}"
        daemon = self.daemon(config.format(queue="64K", up="1M", slow="disconnect"))
        before = descriptors(daemon.pid)
        peer, clients = Peer(upstream, rng, done), Clients(daemon, rng, done)
        clients.start(lambda _: peer.run())
        for _ in range(3):
            clients.start(clients.steady)
        for _ in range(5):
            clients.start(clients.wild)
        with BooksWatch(daemon, 0.01) as watch:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end and not done.is_set():
                self.reload(daemon, rng, config)
                done.wait(rng.uniform(0.05, 0.5))
            done.set()
            for thread in clients.threads[1:]:
                thread.join()
            daemon.wait_clients(0)
            daemon.wait_status(lambda s: not s["toUpstream"]["queued"]["messages"], "no queue",
                               30 * harness.SLOW)
        peer.over.set()
        clients.join()
        self.assertEqual({name: peer.last.get(name) for name in clients.sent}, clients.sent)
        status = check_books(daemon.status())
        print(f"{watch.looks} balanced replies, {peer.connections} connections,",
              f"{status['clientsAccepted']} clients, {status['clientsRefused']} refused,",
              f"{status['toUpstream']['delivered']['messages']} messages to the upstream,",
              f"{status['toClients']['delivered']['messages']} to clients,",
              "dropped", {d["reason"]: d["messages"] for d in status["toClients"]["dropped"]})
        check_rests(daemon)
        until(lambda: descriptors(daemon.pid) <= before + 1, "all descriptors to be closed")


if __name__ == "__main__":
    harness.main()
