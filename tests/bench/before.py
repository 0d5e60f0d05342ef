# SPDX-License-Identifier: MIT
"""Another build of ftcpd beside this one, in the same rounds: what has changed between the two."""

import argparse
import os
import subprocess

from measure import BUILDS, case_name, least_ratio, ratio
from peers import FtcpdBefore

OURS, BEFORE = BUILDS


def program(text):
    """The absolute path of a build of ftcpd, for argparse."""
    path = os.path.abspath(text)
    if not os.path.isfile(path):
        raise argparse.ArgumentTypeError(f'{text}: no such program')
    if not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f'{text}: may not be executed')
    if not version(path).startswith('ftcpd '):
        raise argparse.ArgumentTypeError(f'{text}: is no ftcpd, as its --version tells')
    return path


def version(path):
    """What the program says of itself, or nothing."""
    try:
        done = subprocess.run([path, '--version'], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, errors='replace', timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout.strip()


def check(parser, args):
    """The options that name the other build make sense together, else the parser's error."""
    if args.before and args.curves:
        parser.error('--before is not for curves, which are of ftcpd alone')
    if not args.before and BEFORE in [args.base, *(args.relays or [])]:
        parser.error(f'{BEFORE} needs --before=PROGRAM')
    FtcpdBefore.program = args.before


def among(names):
    """These peers with both builds, one right after the other."""
    return [*(name for name in names if name not in BUILDS), *BUILDS]


def compare(by_peer):
    """{what: ratio of this build to the other one} for the runs of a case; None if not measured."""
    ours, theirs = by_peer.get(OURS), by_peer.get(BEFORE)
    if not ours or not theirs:
        return None
    compared = {key: ratio(ours, theirs, key) for key in ('cpu', 'rate', 'p50_us', 'rss_kib')}
    return compared | {'least_cpu': least_ratio(ours, theirs)}


def cell(value, width):
    return f'{"-":>{width}}' if value is None else f'{value:{width}.2f}'


def table(runs):
    lines = []
    for case, by_peer in runs.items():
        compared = compare(by_peer)
        if compared:
            lines.append(f'{case_name(case):14}{case.clients:8}'
                         + cell(compared['cpu'], 8) + cell(compared['least_cpu'], 8)
                         + cell(compared['rate'], 12)
                         + cell(compared['p50_us'], 8) + cell(compared['rss_kib'], 8))
    head = f'{"to ftcpd-before":22}{"CPU":>8}{"least":>8}{"messages/s":>12}{"p50":>8}{"memory":>8}'
    return '\n'.join([head, *lines, '']) if lines else ''
