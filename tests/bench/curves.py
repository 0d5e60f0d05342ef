# SPDX-License-Identifier: MIT
"""How ftcpd's cost grows: CPU per message against size, clients, and how many messages wait.

Each point is the least of all rounds, as whatever else the machine does can only add to it. The
exponent is the slope of the curve on logarithmic scales: 0 does not depend, 1 is linear. It is
fitted over all points, by least squares.
"""

import math

from measure import Case, Failed, fan, load, progress
from peers import Ftcpd

MIB = 1 << 20
QUEUED = (1000, 10_000, 100_000, 1_000_000)
# Not fewer: who reads has the same limit, and must never be so far behind.
DROPPED = (100_000, 300_000, 1_000_000)
BEHIND = 50_000  # messages measured while others wait
SLACK = 0.2  # of an exponent: what caches and the noise of a machine make of it

SIZES = (64, 256, 1024, 4096, 16384, 65536, 262144, MIB)
CLIENTS = (1, 10, 100, 1000, 10000)


def size_point(work):
    def measured(directory, size, scale):
        count = max(8, int(min(4_000_000, 512 * MIB // size) * scale))
        with Ftcpd(directory, 1) as ftcpd:
            return load(ftcpd, Case(work, size, 1), count, count // 10 + 1)['cpu']
    return measured


def fan_point(work):
    """CPU of one message to so many clients."""
    def measured(directory, clients, scale):
        total = 200_000 if work == 'each' else 8_000_000
        count = max(10, int(total * scale) // clients)
        with Ftcpd(directory, clients) as ftcpd:
            run = fan(ftcpd, Case(work, 64, clients), count, count // 10 + 1)
            return run['cpu'] * clients
    return measured


def relay_point(work, settings=None):
    """CPU of one message, whichever of so many clients it is from or for."""
    def measured(directory, clients, scale):
        count = max(clients, int((200_000 if work == 'echo' else 4_000_000) * scale))
        with Ftcpd(directory, clients, settings) as ftcpd:
            return load(ftcpd, Case(work, 64, clients), count, count // 10 + clients)['cpu']
    return measured


def behind_frozen(policy):
    """One client reads, while so many messages wait for another one that never reads."""
    def measured(directory, waiting, scale):
        settings = {'ClientQueueSize': '2G', 'ClientStallTimeout': 0}
        before = waiting
        if policy == 'drop':
            settings |= {'SlowClient': 'drop', 'ClientQueueSize': waiting * 64}
            before += 20_000  # what its socket takes, and more: its queue is full
        with Ftcpd(directory, 2, settings) as ftcpd:
            return load(ftcpd, Case('down', 64, 1), BEHIND, before, ['--frozen', '1'])['cpu']
    return measured


def into_queue(directory, waiting, scale):
    """A client sends while so many messages wait for an upstream that never reads."""
    with Ftcpd(directory, 1, {'UpstreamQueueSize': '2G'}) as ftcpd:
        return load(ftcpd, Case('fill', 64, 1), BEHIND, waiting)['cpu']


# name: (what, points, measure, the exponent that is allowed)
CURVES = {
    'size-down': ('bytes of a message, down', SIZES, size_point('down'), 1),
    'size-up': ('bytes of a message, up', SIZES, size_point('up'), 1),
    'clients-fanout': ('clients, each message to all, bulk', CLIENTS, fan_point('fanout'), 1),
    'clients-each': ('clients, each message to all, one at a time', CLIENTS, fan_point('each'), 1),
    'clients-up': ('clients that send, bulk', CLIENTS, relay_point('up'), 0),
    'clients-echo': ('clients that send and get one each, balance', CLIENTS,
                     relay_point('echo', {'ToClients': 'balance'}), 0),
    'queue-down': ('messages that wait for another client', QUEUED, behind_frozen('wait'), 0),
    'queue-drop': ('messages that wait for another client, full, drop', DROPPED,
                   behind_frozen('drop'), 0),
    'queue-up': ('messages that wait for the upstream', QUEUED, into_queue, 0),
}


def exponent(points):
    pairs = [(math.log(x), math.log(y)) for x, y in points]
    mean_x = sum(x for x, _ in pairs) / len(pairs)
    mean_y = sum(y for _, y in pairs) / len(pairs)
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread


def verdict(curve):
    grows, allowed = curve['exponent'], curve['allowed']
    if allowed == 1:
        return 'linear or better' if grows <= 1 + SLACK else 'WORSE THAN LINEAR'
    return 'does not grow' if grows <= SLACK else 'GROWS'


def measure_curves(names, directory, rounds, scale, failures):
    least = {name: {} for name in names}
    for number in range(rounds):
        for name in names:
            _, points, measured, _ = CURVES[name]
            for point in points:
                progress(f'curves, round {number + 1} of {rounds}, {name} {point}')
                try:
                    value = measured(directory, point, scale)
                except Failed as failure:
                    failures[name, point] = str(failure)
                    continue
                least[name][point] = min(value, least[name].get(point, value))
    progress('')
    out = {}
    for name in names:
        points = sorted((x, y) for x, y in least[name].items() if y > 0)
        if len(points) > 1:
            out[name] = {'what': CURVES[name][0], 'points': points, 'allowed': CURVES[name][3],
                         'exponent': exponent(points)}
            out[name]['verdict'] = verdict(out[name])
    return out


def table(curves):
    lines = []
    for name, curve in curves.items():
        lines += [f'{name}: ns of CPU a message against {curve["what"]}',
                  '  ' + ''.join(f'{x:>13,}' for x, _ in curve['points']),
                  '  ' + ''.join(f'{y:13,.0f}' if y >= 1e4 else f'{y:13,.1f}' for _, y in curve['points']),
                  f'  exponent {curve["exponent"]:.2f}, at most {curve["allowed"]} expected: '
                  f'{curve["verdict"]}', '']
    return '\n'.join(lines)
