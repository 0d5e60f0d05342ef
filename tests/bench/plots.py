# SPDX-License-Identifier: MIT
"""Pictures of the results, drawn by gnuplot into a folder, each as PNG and as SVG."""

import os
import shutil
import subprocess

WHAT = {'messages_per_second': 'messages/s', 'least_cpu_ns_per_message': 'CPU ns a message'}
NAMES = {'messages_per_second': 'rate', 'least_cpu_ns_per_message': 'cpu'}


def draw(folder, name, title, x, y, series):
    """series: {label: [(x, y), ...]}; both scales are logarithmic."""
    series = {label: points for label, points in series.items() if len(points) > 1}
    if not series:
        return []
    blocks = ''.join(f'${index} << EOD\n' + ''.join(f'{a} {b}\n' for a, b in sorted(points))
                     + 'EOD\n' for index, points in enumerate_names(series))
    lines = ', '.join(f'${index} with linespoints lw 2 title "{label}"'
                      for (index, _), label in zip(enumerate_names(series), series))
    written = []
    for terminal, suffix in (('pngcairo size 900,600', 'png'), ('svg size 900,600', 'svg')):
        path = os.path.join(folder, f'{name}.{suffix}')
        script = f'''{blocks}
set terminal {terminal} noenhanced
set output "{path}"
set title "{title}"
set xlabel "{x}"
set ylabel "{y}"
set logscale xy
set format x "%.0f"
set grid
set key outside right
plot {lines}
'''
        subprocess.run(['gnuplot'], input=script, text=True, check=True, capture_output=True)
        written.append(path)
    return written


def enumerate_names(series):
    return [(f'data{number}', points) for number, points in enumerate(series.values())]


def by(cases, work, key, along, fixed):
    """{peer: [(size or clients, value)]} of one work."""
    out = {}
    for case in cases:
        if case['work'] != work or any(case[k] != v for k, v in fixed.items()):
            continue
        for peer, s in case['peers'].items():
            if s.get(key):
                out.setdefault(peer, []).append((case[along], s[key]))
    return out


def draw_all(folder, cases, curves):
    if not shutil.which('gnuplot'):
        print('bench: no gnuplot: no plots')
        return []
    os.makedirs(folder, exist_ok=True)
    written = []
    for key, what in WHAT.items():
        for work in ('down', 'up', 'echo', 'fanout', 'each'):
            fixed = {'clients': 16 if work == 'fanout' else 1}
            written += draw(folder, f'{work}-{NAMES[key]}-by-size', f'{work}: {what} by size',
                            'bytes of a message', what, by(cases, work, key, 'size', fixed))
            for size in (64, 4096):
                written += draw(folder, f'{work}-{size}-{NAMES[key]}-by-clients',
                                f'{work}, {size} bytes: {what} by clients', 'clients', what,
                                by(cases, work, key, 'clients', {'size': size}))
    for name, curve in curves.items():
        written += draw(folder, f'curve-{name}',
                        f'{curve["what"]}: exponent {curve["exponent"]:.2f}', curve['what'],
                        'CPU ns a message', {'ftcpd': curve['points']})
    return written
