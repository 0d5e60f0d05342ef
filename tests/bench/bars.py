# SPDX-License-Identifier: MIT
"""The bars: what ftcpd has to hold against its peers, and what it aims at."""

import before
from measure import Case, least_ratio, ratio, summary

MIB = 1 << 20


def against(peer, key, least=True):
    """A ratio to a peer: the median of the rounds' ratios, and that of the least of all rounds."""
    def measured(by_peer):
        ours, theirs = by_peer.get('ftcpd'), by_peer.get(peer)
        return ratio(ours, theirs, key), least_ratio(ours, theirs, key) if least else None
    return measured


def memory(value):
    def measured(by_peer):
        ours = by_peer.get('ftcpd')
        return (value(summary(ours, None)), None) if ours else (None, None)
    return measured


def all_bars():
    """(what, case, hold, aim, is more better, measured)"""
    bars = []
    for work, limits in (('down', ((0.75, 0.65), (0.60, 0.50), (0.70, 0.55))),
                         ('up', ((0.85, 0.70), (0.75, 0.60), (0.80, 0.65)))):
        for (hold, aim), size, name in zip(limits, (64, 4096, 65536), ('64', '4k', '64k')):
            bars.append((f'{work}-{name}: CPU of HAProxy\'s', Case(work, size, 1), hold, aim, False,
                         against('haproxy', 'cpu')))
    for work, rate in (('down', 1.3), ('up', 1.1)):
        for size, name in ((64, '64'), (4096, '4k'), (65536, '64k')):
            bars.append((f'{work}-{name}: messages/s of HAProxy\'s', Case(work, size, 1), rate, rate,
                         True, against('haproxy', 'rate', False)))
    for work in ('down', 'up'):
        for size, name in ((4096, '4k'), (65536, '64k')):
            bars.append((f'{work}-{name}: CPU of the bare copying relay\'s', Case(work, size, 1), 1.3,
                         1.0, False, against('bare', 'cpu')))
    for clients in (16, 100):
        bars.append((f'up-4k from {clients}: CPU of HAProxy\'s', Case('up', 4096, clients), 1.1, 1.0,
                     False, against('haproxy', 'cpu')))
        fanout = Case('fanout', 64, clients)
        for peer, name in (('redis', 'Redis'), ('nats', 'NATS')):
            bars.append((f'fanout-64 to {clients}: deliveries/s of {name}\'s', fanout, 10, 15, True,
                         against(peer, 'rate', False)))
            bars.append((f'fanout-64 to {clients}: CPU of {name}\'s', fanout, 1 / 12, 1 / 20, False,
                         against(peer, 'cpu')))
    bars.append(('echo-64: p50 of HAProxy\'s', Case('echo', 64, 1), 1, 1, False,
                 against('haproxy', 'p50_us')))
    bars.append(('each-64 to 100: p50 of Redis\'s', Case('each', 64, 100), 1, 1, False,
                 against('redis', 'p50_us')))
    bars.append(('10000 idle clients: bytes of memory each', Case('idle', 64, 10000), 800, 500, False,
                 memory(lambda s: idle_bytes(s, 10000))))
    for size, name in ((64, '64'), (4096, '4k')):
        bars.append((f'after fanout-{name} to 1000: MiB of memory', Case('fanout', size, 1000), 16, 16,
                     False, memory(lambda s: s['rss_kib'] / 1024)))
    return bars


def idle_bytes(s, clients):
    return (s['rss_kib'] - s['rss_before_kib']) * 1024 / clients


def judge(runs):
    """One entry a bar that was measured; `before` is what compare() tells of its work."""
    out = []
    for what, case, hold, aim, more, measured in all_bars():
        by_peer = runs.get(case, {})
        median, best = measured(by_peer)
        if median is None:
            continue

        def meets(limit, value=median, more=more):
            return value >= limit if more else value <= limit

        verdict = 'aim met' if meets(aim) else 'held' if meets(hold) else 'NOT HELD'
        if verdict == 'NOT HELD' and best is not None and meets(hold, best):
            verdict += ', least: held'
        out.append({'bar': what, 'hold': hold, 'aim': aim, 'more_is_better': more,
                    'median': median, 'least': best, 'verdict': verdict,
                    'before': before.compare(by_peer)})
    return out


def table(judged):
    head = f'{"bar":46}{"hold":>9}{"aim":>7}{"median":>9}{"least":>8}  verdict'
    compared = any(bar['before'] for bar in judged)
    lines = [f'{head:98}{"to ftcpd-before: CPU":>22}{"messages/s":>12}' if compared else head]
    for bar in judged:
        sign = '>=' if bar['more_is_better'] else '<='
        least = f'{bar["least"]:8.3g}' if bar['least'] is not None else f'{"-":>8}'
        line = (f'{bar["bar"]:46}{sign + format(bar["hold"], ".3g"):>9}{bar["aim"]:7.3g}'
                f'{bar["median"]:9.3g}{least}  {bar["verdict"]}')
        if bar['before']:
            line = (f'{line:98}{before.cell(bar["before"]["cpu"], 22)}'
                    f'{before.cell(bar["before"]["rate"], 12)}')
        lines.append(line)
    return '\n'.join(lines)
