# SPDX-License-Identifier: MIT
"""One case is a work, a message size and a number of clients; this runs cases and sums them up."""

import collections
import json
import os
import resource
import statistics
import subprocess
import sys
import time

from peers import BROKERS, PEERS, PINNED, PROGRAMS, RELAYS, Failed

MIB = 1 << 20
SIZES = {'64': 64, '256': 256, '1k': 1024, '4k': 4096, '16k': 16384, '64k': 65536,
         '256k': 262144, '1m': MIB}
FAN = ('fanout', 'each', 'idle')
BUILDS = ('ftcpd', 'ftcpd-before')  # this one, and that of --before
RELAYED = ('down', 'up', 'echo', 'beside')
BULK_BYTES = {64: 768 * MIB}  # of a run, all clients together
BULK = 1024 * MIB
PENDING = 64 * MIB  # what a broker may have to hold, of published bytes times subscribers

Case = collections.namedtuple('Case', 'work size clients')


def case_name(case):
    size = next((name for name, size in SIZES.items() if size == case.size), str(case.size))
    return case.work if case.work == 'idle' else f'{case.work}-{size}'


def base_of(case):
    """Who the ratios are to."""
    return 'redis' if case.work in FAN else 'haproxy'


def most_clients():
    """As many as the limit of open files lets a relay serve, which has two for each."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return min(10000, (hard - 400) // 2 // 100 * 100)


def able(name, case):
    peer = PEERS[name][0]
    if case.work in FAN:
        return peer.protocol is not None
    most = min(peer.most_clients, most_clients()) if peer.linked else peer.most_clients
    return name in RELAYS and case.clients <= most


def execute(command, peer, what):
    if PINNED:
        command = ['taskset', '-c', str(PINNED[1]), *command]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          check=False)
    if done.returncode != 0:
        raise Failed(f'{peer.name}: {what}: {done.stderr.strip() or done.returncode}\n'
                     f'{peer.last_words()}'.strip())
    result = json.loads(done.stdout)
    if result['messages']:
        result['rate'] = result['messages'] / result['seconds']
        result['cpu'] = result['cpu_ns'] / result['messages']
    return result


def load(peer, case, count, warm, more=()):
    command = [os.path.join(PROGRAMS, 'bench-load'), *peer.address(), *peer.pid(), '--work',
               case.work, '--size', str(case.size), '--clients', str(case.clients), '--count',
               str(max(1, count)), '--warm', str(warm), *more]
    if peer.linked:
        command.append('--linked')
    return execute(command, peer, case_name(case))


def fan(peer, case, count, warm, window=0):
    command = [os.path.join(PROGRAMS, 'bench-fanout'), '--protocol', peer.protocol,
               *peer.address(), *peer.pid(), '--work',
               {'fanout': 'bulk'}.get(case.work, case.work), '--size', str(case.size),
               '--clients', str(case.clients), '--count', str(max(1, count)), '--warm', str(warm),
               '--window', str(window)]
    return execute(command, peer, f'{case_name(case)} to {case.clients}')


def relay_amount(case, scale):
    if case.work == 'echo':
        return int({64: 20000}.get(case.size, max(200, 8000 * 64 // (64 + case.size // 64)))
                   * scale) or 1
    if case.work == 'beside':  # how often the small one goes there and back
        return max(1, int(3000 * scale))
    total = int(BULK_BYTES.get(case.size, BULK) * scale) // case.size
    return max(1, total // case.clients if case.work == 'down' else total)


def fan_amount(protocol, case, scale):
    """Messages to publish: so many that every peer is busy for about as long."""
    if case.work == 'each':
        return max(20, int(60000 * scale) // case.clients)
    deliveries = {'ftcp': 24e6, 'redis': 3e6, 'nats': 3e6, 'mqtt': 0.2e6}[protocol]
    deliveries /= 1 + case.size / {'ftcp': 200, 'mqtt': 40000}.get(protocol, 1500)
    return max(8, int(deliveries * scale) // case.clients)


def run_case(name, case, directory, scale):
    """One peer, once: started, measured, stopped."""
    kind = PEERS[name][0]
    ours = kind.protocol == 'ftcp'
    balance = ours and case.work == 'echo' and case.clients > 1
    settings = {'ToClients': 'balance'} if balance else None
    with kind(directory, case.clients, settings) as peer:
        if case.work in RELAYED:
            count = relay_amount(case, scale)
            return load(peer, case, count, count // 10 + (1 if case.work == 'down' else case.clients))
        if case.work == 'idle':
            return fan(peer, case, 1, 0)
        count = fan_amount(kind.protocol, case, scale)
        # At least some messages, or one that is larger than the window would never be whole.
        window = 0 if ours else max(PENDING // case.clients, 4 * case.size)
        return fan(peer, case, count, count // 10 + 1, window)


class Runs:
    """All runs of all cases: runs[case][peer] is a list, one entry a round."""

    def __init__(self, directory, scale):
        self.directory, self.scale = directory, scale
        self.runs = {}
        self.failures = {}
        self.began = time.monotonic()

    def add(self, case, name):
        if (case, name) in self.failures:
            return
        peers = self.runs.setdefault(case, {}).setdefault(name, [])
        try:
            peers.append(run_case(name, case, self.directory, self.scale))
        except Failed as failure:
            self.failures[case, name] = str(failure)
            print(f'\nbench: {failure}', file=sys.stderr)
            del self.runs[case][name]

    def round(self, number, rounds, plan):
        """plan: [(case, [peer, ...])]; the order of the peers rotates."""
        for at, (case, names) in enumerate(plan):
            progress(f'round {number + 1} of {rounds}, {case_name(case)} with {case.clients} '
                     f'client(s), {at + 1} of {len(plan)}, {time.monotonic() - self.began:.0f} s')
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                self.add(case, name)
        progress('')


def progress(text):
    if sys.stderr.isatty():
        print(f'\r\033[K{text}', end='', file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def ratio(runs, base, key):
    """The median of the rounds' own ratios."""
    if not runs or not base or not all(run.get(key) for run in runs + base):
        return None
    return statistics.median(a[key] / b[key] for a, b in zip(runs, base))


def least(runs, key='cpu'):
    return min(run[key] for run in runs)


def least_ratio(runs, base, key='cpu'):
    if not runs or not base or not all(run.get(key) for run in runs + base):
        return None
    return least(runs, key) / least(base, key)


def summary(runs, base):
    """Medians, the medians of the rounds' own ratios, and the least CPU of all rounds."""
    out = {'rounds': len(runs)}
    if runs[0]['messages']:
        out |= {
            'messages_per_second': statistics.median(run['rate'] for run in runs),
            'messages_per_second_ratio': ratio(runs, base, 'rate'),
        }
    if runs[0]['messages'] and runs[0]['cpu']:
        out |= {
            'cpu_ns_per_message': statistics.median(run['cpu'] for run in runs),
            'cpu_ratio': ratio(runs, base, 'cpu'),
            'least_cpu_ns_per_message': least(runs),
            'least_cpu_ratio': least_ratio(runs, base),
        }
    if 'p50_us' in runs[0]:
        out['p50_us'] = statistics.median(run['p50_us'] for run in runs)
        if 'p99_us' in runs[0]:
            out['p99_us'] = statistics.median(run['p99_us'] for run in runs)
        out['p50_ratio'] = ratio(runs, base, 'p50_us')
        out['least_p50_us'] = least(runs, 'p50_us')
    for key in ('rss_before_kib', 'rss_joined_kib', 'rss_kib'):
        if key in runs[0]:
            out[key] = statistics.median(run[key] for run in runs)
    if any(run.get('lost') for run in runs):
        out['lost'] = sum(run['lost'] for run in runs)
    return out


def full_plan(names, rounds_many):
    """(case, peers, rounds) for everything."""
    one, many = [], []
    for size in (64, 4096, 65536, MIB):
        one += [Case(work, size, 1) for work in RELAYED if (work, size) != ('beside', 64)]
    for clients in (16, 100, 1000, most_clients()):
        many += [Case(work, size, clients) for work, size in
                 (('down', 64), ('up', 64), ('echo', 64), ('down', 4096), ('up', 4096))]
    fans = [Case('fanout', size, clients) for size, clients in
            ((64, 16), (64, 100), (64, 1000), (4096, 16), (4096, 100), (4096, 1000),
             (65536, 16), (MIB, 16))]
    fans += [Case('each', 64, clients) for clients in (16, 100, 1000)]
    few = [name for name in names if name in ('haproxy', 'nginx', 'bare', 'direct', *BUILDS)]
    return ([(case, names, None) for case in one + fans]
            + [(case, few, rounds_many) for case in many]
            + [(Case('idle', 64, 10000), names, 1)])


def bars_plan(names):
    """What the bars are judged by, and nothing else."""
    cases = [Case(work, size, 1) for size in (64, 4096, 65536) for work in ('down', 'up')]
    cases += [Case('up', 4096, 16), Case('up', 4096, 100), Case('echo', 64, 1),
              Case('fanout', 64, 16), Case('fanout', 64, 100), Case('each', 64, 100)]
    alone = [Case('fanout', 64, 1000), Case('fanout', 4096, 1000), Case('idle', 64, 10000)]
    return ([(case, names, None) for case in cases]
            + [(case, [name for name in names if name in BUILDS], None) for case in alone])


def quick_plan(names):
    cases = [Case('down', 64, 1), Case('up', 64, 1), Case('down', 4096, 1), Case('up', 4096, 1),
             Case('down', 65536, 1), Case('up', 65536, 1), Case('echo', 64, 1),
             Case('down', 64, 100), Case('fanout', 64, 16), Case('fanout', 64, 100),
             Case('each', 64, 100), Case('beside', 65536, 1)]
    return ([(case, names, None) for case in cases]
            + [(Case('idle', 64, 10000), [name for name in names if name in BUILDS], 1)])


QUICK = ['haproxy', 'bare', 'redis', 'nats', 'ftcpd']
USUAL = ['haproxy', 'haproxy-256k', 'nginx', 'socat', 'proxyd', 'bare', 'direct', *BROKERS,
         'ftcpd']
