# SPDX-License-Identifier: MIT
"""What one user takes of the places that all share, and what is left to another user: connections,
the queue to the upstream while the link is held, and the memory of unfinished messages."""

import os
import socket
import struct
import subprocess
import sys
import time

import harness
from local import queue_of

CONFIG = '''[Upstream]
Address=127.0.0.1:{port}
[Heartbeat]
Interval=0
Timeout=0
[Frame]
MaxMessageSize=1M
[Local]
SocketMode=0666
MaxClients=1024
PartialSize=8M
[Delivery]
UpstreamQueueSize=8M
'''
NOBODY = 65534

# As another user: so many connections, on each the same bytes, as many as it takes within two seconds.
CROWD = '''
import resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
path, count, head, size = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4])
held = []
for _ in range(count):
    one = socket.socket(socket.AF_UNIX)
    one.connect(path)
    one.setblocking(False)
    held.append([one, memoryview((head + bytes(size)) * int(sys.argv[5]))])
end = time.monotonic() + 2
while time.monotonic() < end:
    for entry in held:
        try:
            entry[1] = entry[1][entry[0].send(entry[1]):] if entry[1] else entry[1]
        except OSError:
            pass
    time.sleep(0.01)
print("taken", flush=True)
sys.stdin.read()
'''


def crowd(daemon, count, head, size, times):
    process = harness.spawn([sys.executable, '-c', CROWD, daemon.data_path, str(count),
                             head.hex(), str(size), str(times)],
                            user=NOBODY, cwd='/', stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    return process


def connections(daemon, attack):
    """Of 100 connections, those that are there a second later."""
    process = attack()
    held = [socket.socket(socket.AF_UNIX) for _ in range(100)]
    for one in held:
        one.connect(daemon.data_path)
        one.setblocking(False)
    time.sleep(1)

    def lives(one):
        try:
            return one.recv(1) != b''
        except BlockingIOError:
            return True

    return f'{sum(lives(one) for one in held)} of 100 connections', process


def queue(daemon, attack):
    """How much of 2 MiB comes into the queue within a second, of a client that was there before."""
    with daemon.client() as client:
        daemon.wait_clients(1)
        process = attack()
        before = queue_of(daemon, 'toUpstream')['bytes']
        client.sock.setblocking(False)
        data = (struct.pack('>I', 4096) + bytes(4096)) * 512
        end = time.monotonic() + 1
        while time.monotonic() < end and data:
            try:
                data = data[client.sock.send(data):]
            except OSError:
                time.sleep(0.01)
        more = queue_of(daemon, 'toUpstream')['bytes'] - before
    return f'{more / (1 << 20):.1f} of 2 MiB', process


def partial(daemon, attack):
    """One began a message of 512 KiB before the attack, and ends it behind."""
    with daemon.client() as client:
        client.sock.sendall(struct.pack('>I', 512 << 10) + bytes(256 << 10))
        time.sleep(0.2)
        process = attack()
        try:
            client.sock.sendall(bytes(256 << 10))
            harness.until(lambda: daemon.status()['toUpstream']['accepted']['messages'], 'it', 10)
            return 'its message came whole', process
        except (OSError, AssertionError):
            return 'disconnected amid its message', process


# What another user does, and the crowd's connections, head of each message, its bytes and number.
WORKS = {
    'connections': (connections, (1024, b'', 0, 0)),
    'queue': (queue, (4, struct.pack('>I', 4096), 4096, 4096)),
    'partial': (partial, (40, struct.pack('>I', 1 << 20), 400 << 10, 1)),
}


def one(what, attacked):
    with harness.Upstream(heartbeat=None) as upstream:
        daemon = harness.Daemon(CONFIG.format(port=upstream.port))
        os.chmod(daemon.directory, 0o755)
        process = None
        try:
            upstream.accept()
            daemon.wait_state('up')
            if what == 'queue':
                daemon.ctl('hold')
            result, process = WORKS[what][0](
                daemon, lambda: crowd(daemon, *WORKS[what][1]) if attacked else None)
            return result
        finally:
            if process:
                process.kill()
                process.wait()
            daemon.exit_code = None
            daemon.close()


def table(_):
    if os.geteuid() != 0:
        print('SKIP: needs root, to be two users')
        return
    print('MaxClients=1024, UpstreamQueueSize=8M, PartialSize=8M\n')
    print(f'{"of all":14}{"another user gets alone":34}{"beside one user who takes all"}')
    for what in WORKS:
        print(f'{what:14}{one(what, False):34}{one(what, True)}', flush=True)
