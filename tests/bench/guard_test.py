# SPDX-License-Identifier: MIT
"""What a message costs in the layers below the edge, in instructions, against what was recorded.

    python3 tests/bench/guard_test.py --record     prints the lines for tests/bench/guard.expected

Instructions are counted by callgrind in a fixed workload with fixed flags, in our own code only, as
the C library's depend on the processor. So it is the same number each time, however busy the
machine is. Compilers differ: for one without a record the test is skipped. Whoever makes something
cheaper records it, else it could slip back unseen.
"""
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'system', 'lib'))

import runner  # noqa: E402

TOP = os.path.abspath(os.environ.get('top_srcdir', os.path.join(HERE, '..', '..')))
EXPECTED = os.path.join(TOP, 'tests', 'bench', 'guard.expected')
CC = shlex.split(os.environ.get('CC') or 'gcc')[:1]
FLAGS = ['-std=gnu17', '-O2', '-D_GNU_SOURCE', '-Wl,--wrap=mmap']
# Where linking fails, one that these use now is missing here.
SOURCES = ['tests/bench/guard.c'] + [
    f'src/{name}.c' for name in (
        'core/books', 'flow/ledger', 'flow/ledger_fate', 'flow/spread', 'flow/spread_backlog',
        'flow/spread_deal', 'flow/spread_rank', 'flow/spread_reader', 'flow/turn', 'store/cursor',
        'store/cursor_deal', 'store/histogram', 'store/log', 'store/log_take', 'store/log_walk',
        'store/marks', 'store/store', 'store/store_image', 'store/waits', 'util/memfd',
        'wire/frame')]
TOLERANCE = 0.03  # the count is exact: what remains is for a compiler's own small updates


def compiler():
    """Such as gcc-12-x86_64."""
    said = subprocess.run([*CC, '--version'], capture_output=True, text=True, check=True).stdout
    version = subprocess.run([*CC, '-dumpversion'], capture_output=True, text=True,
                             check=True).stdout
    name = 'clang' if 'clang' in said else 'gcc'
    return f'{name}-{version.split(".")[0].strip()}-{platform.machine()}'


def recorded():
    """{compiler: {work: instructions a message}}"""
    out = {}
    with open(EXPECTED, encoding='utf-8') as file:
        for line in file:
            if line.strip() and not line.startswith('#'):
                name, work, count = line.split()
                out.setdefault(name, {})[work] = float(count)
    return out


def build(directory):
    program = os.path.join(directory, 'guard')
    subprocess.run([*CC, *FLAGS, f'-I{TOP}/src',
                    *[os.path.join(TOP, source) for source in SOURCES], '-o', program], check=True)
    return program


def works(program):
    usage = subprocess.run([program], capture_output=True, text=True, check=False).stderr
    return usage.split('works:')[1].split()


def own_instructions(path, program):
    """The sum of a callgrind file, of this program's own code without the libraries'."""
    total, ours, skip = 0, False, False
    with open(path, encoding='utf-8', errors='replace') as file:
        for line in file:
            if line.startswith('ob='):
                ours = line[3:].strip() == program
            elif line.startswith('calls='):
                skip = True  # the next line is what the callee cost, which counts there
            elif line[:1].isdigit():
                if ours and not skip:
                    total += int(line.split()[1])
                skip = False
    return total


def measure(program, work, directory):
    """Instructions a message."""
    path = os.path.join(directory, f'{work}.callgrind')
    done = subprocess.run(['valgrind', '-q', '--tool=callgrind', f'--callgrind-out-file={path}',
                           '--toggle-collect=guard_measure', '--compress-strings=no',
                           '--compress-pos=no', program, work],
                          stdout=subprocess.PIPE, text=True, check=True)
    return own_instructions(path, program) / int(done.stdout)


def measure_all(directory):
    program = build(directory)
    return {work: measure(program, work, directory) for work in works(program)}


class Guard(unittest.TestCase):
    def test_no_message_costs_more_instructions_than_were_recorded(self):
        if not shutil.which('valgrind'):
            self.skipTest('NO VALGRIND: nothing guards against slower code; please install it')
        name = compiler()
        expected = recorded().get(name)
        if expected is None:
            self.skipTest(f'NO RECORD of {name}: nothing guards against slower code; '
                          'tests/bench/guard_test.py --record tells what to add')
        with tempfile.TemporaryDirectory() as directory:
            counted = measure_all(directory)
        self.assertEqual(set(counted), set(expected), 'the works are not those that were recorded')
        wrong = []
        for work, count in counted.items():
            change = count / expected[work] - 1
            line = (f'{work}: {count:.2f} instructions a message, {expected[work]:.2f} were '
                    f'recorded: {change:+.1%}')
            print(line, file=sys.stderr)
            if abs(change) > TOLERANCE:
                wrong.append(line)
        self.assertFalse(wrong, '\n'.join(wrong) + '\nIf that is meant, record it: '
                         'python3 tests/bench/guard_test.py --record')


if __name__ == '__main__':
    if sys.argv[1:] == ['--record']:
        with tempfile.TemporaryDirectory() as made:
            for key, value in measure_all(made).items():
                print(f'{compiler()} {key} {value:.2f}')
    else:
        runner.main()
