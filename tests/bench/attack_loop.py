# SPDX-License-Identifier: MIT
"""What floods and crowds cost everybody's next pass of the event loop.

"pass" is the processor time of the loop's longest pass, as ftcpd tells it, without the attack and
with it; "asked" is somebody else's wait for Health meanwhile, in ms.
"""

import contextlib
import os
import resource
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time

import harness

QUIET = '[Heartbeat]\nInterval=0\nTimeout=0\n'
HEAD = '[Upstream]\nAddress=127.0.0.1:{port}\nReconnectDelay=50ms\nReconnectDelayMax=50ms\n'
EMPTY, TINY, PAGE = b'\0\0\0\0', b'\0\0\0\1x', b'\0\0\x10\0' + bytes(4096)

# Sends the same for ever; the nicest, as it is not to take the processor itself.
SENDER = '''
import os, selectors, socket, sys
os.nice(10)
data = bytes.fromhex(sys.argv[2])
data *= max(1, 65536 // len(data))
if sys.argv[1].isdigit():
    socks = [socket.socket(fileno=int(sys.argv[1]))]
else:
    socks = [socket.socket(socket.AF_UNIX) for _ in range(int(sys.argv[3]))]
    for sock in socks:
        sock.connect(sys.argv[1])
selector, left = selectors.DefaultSelector(), {}
for sock in socks:
    sock.setblocking(False)
    selector.register(sock, selectors.EVENT_WRITE)
    left[sock] = 0
print('on', flush=True)
while True:
    for key, _ in selector.select():
        try:
            sent = key.fileobj.send(data[left[key.fileobj]:])
            left[key.fileobj] = (left[key.fileobj] + sent) % len(data)
        except BlockingIOError:
            pass
        except OSError:
            sys.exit()
'''


def longest(daemon):
    """In ms."""
    return daemon.call('GetLatency')['longestPassUsec'] / 1000


def swallow(sock):
    def run():
        with contextlib.suppress(OSError):
            while sock.recv(1 << 20):
                pass

    threading.Thread(target=run, daemon=True).start()


def asked(daemon, seconds):
    """How long somebody waited for Health, in ms."""
    waits, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        daemon.call('Health')
        waits.append((time.monotonic() - begin) * 1000)
        time.sleep(0.02)
    return waits


@contextlib.contextmanager
def running(more, **options):
    with harness.Upstream(heartbeat=None) as upstream:
        daemon = harness.Daemon(HEAD.format(port=upstream.port) + more, **options)
        session = upstream.accept()
        if 'delimiter' in more:
            session.sock.sendall(b'\n')
        else:
            session.send(b'')
        daemon.wait_state('up')
        try:
            yield daemon, session
        finally:
            daemon.exit_code = 0
            daemon.process.kill()
            daemon.close()


def row(name, daemon, begin, seconds=3):
    before, alone = longest(daemon), asked(daemon, seconds / 3)
    with begin as during:
        waits = asked(daemon, seconds)
        if during:
            during()
        print(f'{name:38}{before:9.1f}{longest(daemon):8.1f}{statistics.median(alone):10.1f}'
              f'{max(alone):8.1f}{statistics.median(waits):9.1f}{max(waits):8.1f}', flush=True)


@contextlib.contextmanager
def sender(*args, **options):
    process = harness.spawn([sys.executable, '-c', SENDER, *map(str, args)],
                            stdout=subprocess.PIPE, **options)
    try:
        process.stdout.readline()
        time.sleep(0.3)
        yield None
    finally:
        process.kill()
        process.wait()


def from_upstream(name, message, more=''):
    with running(more) as (daemon, session):
        swallow(daemon.client().sock)
        swallow(session.sock)
        daemon.wait_clients(1)
        fd = session.sock.fileno()
        row(name, daemon, sender(fd, message.hex(), pass_fds=[fd]))


def from_clients(name, message, count, more='', held=False):
    with running(QUIET + more) as (daemon, session):
        swallow(session.sock)
        if held:
            daemon.call('Hold')
        row(name, daemon, sender(daemon.data_path, message.hex(), count))


@contextlib.contextmanager
def asking(daemon, *methods):
    def run():
        for method in methods * 3:
            daemon.call(method)

    yield run


def crowd(name, count, message, *methods):
    """Readers that hang in the middle of messages, and what is asked about them."""
    keys = (f'[Delivery]\nSlowClient=wait\nClientStallTimeout=0\n[Local]\nMaxClients={count}\n')
    with running(QUIET + keys) as (daemon, session):
        hung = [daemon.client() for _ in range(count)]
        daemon.wait_clients(count)
        session.sock.settimeout(10)
        with contextlib.suppress(OSError):
            session.sock.sendall(message * ((8 << 20) // len(message)))
        time.sleep(1)
        row(name, daemon, asking(daemon, *methods))
        del hung


def broadcast(name, count):
    """Readers that get each message at once."""
    with running(QUIET + f'[Local]\nMaxClients={count}\n') as (daemon, session):
        crowd_of = [daemon.client() for _ in range(count)]
        daemon.wait_clients(count)
        stop = threading.Event()

        @contextlib.contextmanager
        def sending():
            def run():
                while not stop.wait(0.2):
                    session.send(b'x' * 60)

            thread = threading.Thread(target=run, daemon=True)
            thread.start()
            yield None
            stop.set()
            thread.join()

        row(name, daemon, sending())
        del crowd_of


def table(args):
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (room, room))
    many = 500 if args.quick else 3000
    discard = '[Delivery]\nWhenDown=discard\n'
    lines = '[Frame]\nType=delimiter\n[Heartbeat]\nReceived=\n'
    print(f'{"attack":38}{"pass ms":>9}{"with":>8}{"asked ms":>10}{"worst":>8}{"with":>9}'
          f'{"worst":>8}')
    from_upstream('heartbeats of the upstream, 4 B', EMPTY)
    from_upstream('heartbeats in lines, 1 B', b'\n', lines)
    from_upstream('messages of the upstream, 1 B', TINY)
    from_upstream('messages of the upstream, 4 KiB', PAGE)
    from_clients('1 client, discarded, 0 B', EMPTY, 1, discard, held=True)
    from_clients('50 clients, discarded, 0 B', EMPTY, 50, discard, held=True)
    from_clients('50 clients, 0 B', EMPTY, 50)
    from_clients('50 clients, 4 KiB', PAGE, 50)
    for method in ('Status', 'GetMetrics', 'ListClients', 'Reload'):
        crowd(f'{many} hung readers, {method}', many, TINY, method)
    broadcast(f'a message to {many} readers', many)
