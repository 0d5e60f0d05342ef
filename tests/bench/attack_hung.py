# SPDX-License-Identifier: MIT
"""Clients that connect, never read, and come again as soon as they are disconnected: what they
leave of a feed to one client that reads."""

import multiprocessing
import select
import socket
import struct
import threading
import time

import harness

CONFIG = '''[Upstream]
Address=127.0.0.1:{port}
ReconnectDelay=50ms
ReconnectDelayMax=50ms
[Heartbeat]
Interval=0
Timeout=0
[Delivery]
SlowClientGrace=1s
'''
RATE = 8 << 20  # of the feed, bytes a second
MESSAGE = struct.pack('>I', 4096) + bytes(4096)


def pump(sock, going):
    """A live feed: what could not be sent in time is not made up for."""
    begin, sent = time.monotonic(), 0
    while not going.is_set():
        try:
            sock.sendall(MESSAGE * 16)
        except OSError:
            return
        sent += 16 * len(MESSAGE)
        ahead = sent / RATE - (time.monotonic() - begin)
        if ahead > 0:
            time.sleep(ahead)
        elif ahead < -0.5:
            begin, sent = time.monotonic(), 0


def attack(path, count):
    """One after the other, so that not all are hung at the same time."""
    poll, held = select.poll(), {}
    due = [time.monotonic() + 2 * i / count for i in range(count)]
    while True:
        for at in [at for at in due if at <= time.monotonic()]:
            due.remove(at)
            one = socket.socket(socket.AF_UNIX)
            try:
                one.connect(path)
            except OSError:
                due.append(time.monotonic() + 0.1)
                continue
            poll.register(one, select.POLLRDHUP)
            held[one.fileno()] = one
        for fd, _ in poll.poll(20):
            poll.unregister(fd)
            held.pop(fd).close()
            due.append(time.monotonic())


class Reader:
    def __init__(self, path):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(path)
        self.got, self.still, self.longest, self.ended = 0, 0.0, 0.0, False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        last = time.monotonic()
        while True:
            try:
                got = len(self.sock.recv(1 << 20))
            except OSError:
                got = 0
            if not got:
                self.ended = True
                return
            now = time.monotonic()
            self.still += now - last if now - last > 0.3 else 0
            self.longest = max(self.longest, now - last)
            last = now
            self.got += got


def one(count, seconds):
    with harness.Upstream(heartbeat=None) as upstream:
        daemon = harness.Daemon(CONFIG.format(port=upstream.port))
        attacker, going = None, threading.Event()
        try:
            session = upstream.accept()
            reader = Reader(daemon.data_path)
            daemon.wait_clients(1)
            session.sock.settimeout(60)
            feed = threading.Thread(target=pump, args=(session.sock, going), daemon=True)
            feed.start()
            if count:
                attacker = multiprocessing.Process(target=attack, args=(daemon.data_path, count),
                                                   daemon=True)
                attacker.start()
            time.sleep(4)  # the first queues are full
            begin, got, still = time.monotonic(), reader.got, reader.still
            accepted, reader.longest = daemon.status()['clientsAccepted'], 0
            time.sleep(seconds)
            took = time.monotonic() - begin
            return ((reader.got - got) / took / (1 << 20), (reader.still - still) / took,
                    reader.longest, daemon.status()['clientsAccepted'] - accepted, reader.ended)
        finally:
            going.set()
            if attacker:
                attacker.kill()
                attacker.join()
            session.close()
            daemon.close()


def table(args):
    seconds = 8 if args.quick else 30
    print(f'a feed of {RATE >> 20} MiB/s for {seconds} s, queues of 16 MiB\n')
    print(f'{"hung":>5}{"MiB/s":>8}{"ratio":>7}{"still":>7}{"longest s":>11}{"came again":>12}')
    alone = None
    for count in (0, 3, 20):
        rate, still, longest, came, ended = one(count, seconds)
        alone = alone or rate
        print(f'{count or "none":>5}{rate:8.2f}{rate / alone:7.2f}{still:7.0%}{longest:11.1f}'
              f'{came:12}{"  the reader was disconnected" if ended else ""}', flush=True)
