# SPDX-License-Identifier: MIT
"""Connections to the data socket that end at once, one after the other: what they leave to others."""

import json
import os
import subprocess
import sys

import harness

CONFIG = '''[Upstream]
Address=127.0.0.1:{port}
ReconnectDelay=50ms
ReconnectDelayMax=50ms
[Heartbeat]
Interval=0
Timeout=0
[Delivery]
SlowClient=wait
'''

# Connects so many times, then closes all of these, and so on.
CHURN = '''
import socket, sys
print("begun", flush=True)
while True:
    held = []
    for _ in range(int(sys.argv[2])):
        one = socket.socket(socket.AF_UNIX)
        try:
            one.connect(sys.argv[1])
            held.append(one)
        except OSError:
            one.close()
    for one in held:
        one.close()
'''

WORKS = {'down': 120_000, 'up': 120_000, 'echo': 4_000}


def load(daemon, port, work, count):
    done = subprocess.run(
        [os.path.join(os.path.dirname(harness.program('ftcpd')), 'bench-load'),
         '--socket', daemon.data_path, '--port', str(port), '--pid', str(daemon.pid),
         '--work', work, '--size', '4096', '--count', str(count), '--warm', '1000'],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f'{work}: {done.stderr}{daemon.log[-500:]}')
    result = json.loads(done.stdout)
    return result['messages'] / result['seconds']


def one(port, churn, quick):
    daemon = harness.Daemon(CONFIG.format(port=port))
    process = None
    try:
        if churn:
            process = harness.spawn([sys.executable, '-c', CHURN, daemon.data_path, str(churn)],
                                    stdout=subprocess.PIPE)
            process.stdout.readline()
        before = daemon.status()['clientsAccepted']
        rates = {work: load(daemon, port, work, count // (4 if quick else 1))
                 for work, count in WORKS.items()}
        return rates, daemon.status()['clientsAccepted'] - before
    finally:
        if process:
            process.kill()
            process.wait()
        daemon.close()


def table(args):
    print(f'messages of 4096 bytes, the best of {args.rounds} rounds\n')
    with harness.Upstream() as upstream:
        port = upstream.port
    best, came = {}, {}
    for _ in range(args.rounds):
        for churn in (0, 1, 100):
            rates, accepted = one(port, churn, args.quick)
            came[churn] = accepted
            for work, rate in rates.items():
                best[churn, work] = max(rate, best.get((churn, work), 0))
    print(f'{"at a time":>10}' + ''.join(f'{work + "/s":>12}{"ratio":>6}' for work in WORKS) +
          f'{"accepted":>10}')
    for churn in (0, 1, 100):
        cells = ''.join(f'{best[churn, work]:12,.0f}{best[churn, work] / best[0, work]:6.2f}'
                        for work in WORKS)
        print(f'{churn or "none":>10}{cells}{came[churn]:10,}')
