# SPDX-License-Identifier: MIT
"""What one user's programs at the control socket cost others there: how long root and another user, who
ask all the time, each time on a new connection, wait for Health.

"spin" takes the processor alone, "flood" comes and never asks, "fat" the same with 200 kB that
nobody asked for, "queue" waits in many threads to be let in, "churn" asks and is gone, and
"pipelined" and "strings" ask for much. All of them get the processor where nobody else wants it
(SCHED_IDLE), so that not the scheduler is measured. "none": how often there was no answer. "CPU": ftcpd's part of a processor.
"""

import contextlib
import json
import os
import subprocess
import sys
import time

import harness
import hostile
from local import cpu_seconds

CONFIG = """[Upstream]
Address=127.0.0.1:{port}
[Heartbeat]
Interval=0
Timeout=0
"""
ATTACKS = ("spin", "flood", "fat", "queue", "churn", "pipelined", "strings")
USERS = {"root": 0, "another": 33}
ATTACKER, EVERY = 65534, 0.02


# Asks as another user until its standard input ends, then tells how long each answer took, and how
# often there was none.
ASK = """
import json, os, select, socket, sys, time
path, uid, every = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
os.setgroups([])
os.setresgid(uid, uid, uid)
os.setresuid(uid, uid, uid)
waits, refused = [], 0
while not select.select([sys.stdin], [], [], every)[0]:
    begin = time.monotonic()
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.connect(path)
        sock.sendall(b'{"method":"io.ftcpd.Health"}\\0')
        answered = sock.recv(65536).endswith(b"\\0")
    except OSError:
        answered = False
    sock.close()
    waits.append(time.monotonic() - begin)
    refused += not answered
print(json.dumps([waits, refused]))
"""


class Asker:
    """A program of one user that asks all the time."""

    def __init__(self, daemon, uid):
        command = [sys.executable, "-c", ASK, daemon.control_path, str(uid), str(EVERY)]
        self.process = harness.spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd="/")

    def end(self):
        self.waits, self.refused = json.loads(self.process.communicate()[0])


@contextlib.contextmanager
def attacked(daemon, name, count):
    command = [sys.executable, hostile.__file__, name, daemon.control_path, "32", str(ATTACKER)]
    processes = [harness.spawn(command, stdout=subprocess.PIPE, cwd="/")
                 for _ in range(count if name != "none" else 0)]
    try:
        for process in processes:
            process.stdout.readline()
            os.sched_setscheduler(process.pid, os.SCHED_IDLE, os.sched_param(0))
        time.sleep(0.5)
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


def one(daemon, name, count, seconds):
    """Returns the askers by name, and the part of a processor that ftcpd took."""
    with attacked(daemon, name, count):
        askers = {who: Asker(daemon, uid) for who, uid in USERS.items()}
        cpu, begin = cpu_seconds(daemon.pid), time.monotonic()
        time.sleep(seconds)
        for asker in askers.values():
            asker.end()
        cpu = (cpu_seconds(daemon.pid) - cpu) / (time.monotonic() - begin)
    return askers, cpu


def percentile(waits, part):
    return sorted(waits)[min(len(waits) - 1, int(len(waits) * part))] * 1000


def row(name, runs):
    cells = ""
    for who in USERS:
        waits = [wait for askers, _ in runs for wait in askers[who].waits]
        bad = sum(askers[who].refused for askers, _ in runs)
        cells += (f"{len(waits):7}{percentile(waits, 0.5):7.0f}{percentile(waits, 0.99):6.0f}"
                  f"{max(waits) * 1000:7.0f}{bad:7}")
    return f"{name:12}{cells}{sum(cpu for _, cpu in runs) / len(runs):7.2f}"


def table(args):
    if os.geteuid() != 0:
        print("it needs root, to be several users")
        return
    seconds, count = (3, 16) if args.quick else (5, 64)
    names = ("none", *ATTACKS)
    runs = {name: [] for name in names}
    with harness.Upstream() as upstream:
        daemon = harness.Daemon(CONFIG.format(port=upstream.port))
        try:
            os.chmod(daemon.directory, 0o755)
            os.chmod(daemon.control_path, 0o666)
            daemon.wait_state("up")
            for _ in range(args.rounds):
                for name in names:
                    runs[name].append(one(daemon, name, count, seconds))
        finally:
            daemon.close()
    print(f"{count} processes of one user; {args.rounds} rounds of {seconds} s; milliseconds\n")
    print(" " * 12 + "".join(f"{who + ': asked':>7}{'median':>7}{'p99':>6}{'worst':>7}{'none':>7}"
                             for who in USERS) + f"{'CPU':>7}")
    for name in names:
        print(row(name, runs[name]))
