# SPDX-License-Identifier: MIT
"""Runs a file of unittest cases and prints TAP: one line a test method.

    python3 tests/system/lib/runner.py FILE [NAME ...]     a NAME is a part of a test method's name

Or at the end of a test file:

    if __name__ == '__main__':
        runner.main()

A method `test_a_client_that_hangs_is_cut_off` is told as `a client that hangs is cut off`. A skip
keeps its reason. What a test prints, and why it failed, goes to stderr and so into its log, which
ends with a line `FAILED: ...` for each that failed: of a long log the end is shown. How long each
took, and all together with what they share, is told as `# took 1.23 s: ...`. A file without any
test fails. Two attributes of a method, or of its class:

    timeout  the seconds after which it fails with a TimeoutError, so that its own clean-up still
             runs; 300 unless given, and ten times as long with FTCPD_TEST_LONG
    timed    it measures time, and needs the machine for itself: FTCPD_TEST_TIMED=no leaves it out
             (`# left out: 3`), FTCPD_TEST_TIMED=only runs nothing else
"""
import importlib.util
import os
import signal
import sys
import time
import traceback
import unittest

DEFAULT_TIMEOUT = 300
LONGER = 10 if os.environ.get('FTCPD_TEST_LONG') else 1
TIMED = os.environ.get('FTCPD_TEST_TIMED')


def attribute(test, name, otherwise):
    """Of the test method, else of its class."""
    method = getattr(test, getattr(test, '_testMethodName', ''), None)
    return getattr(method, name, getattr(test, name, otherwise))


def sentence(test):
    """What must hold, in words; a fixture of a class that failed has only its own description."""
    name = getattr(test, '_testMethodName', None)
    return name.removeprefix('test_').replace('_', ' ') if name else str(test)


def one_line(text):
    return ' '.join(str(text).split()).replace('#', '')


class Result(unittest.TestResult):
    """Collects what went wrong in a test, and says it in one line when the test is over."""

    def __init__(self, stream):
        super().__init__()
        self.stream = stream
        self.number = 0
        self.bad = 0
        self.summary = []
        self.verdict = ('ok', '')

    def say(self, word, test, remark=''):
        self.number += 1
        self.bad += word == 'not ok'
        self.stream.write(f'{word} {self.number} - {one_line(sentence(test))}{remark}\n')
        self.stream.flush()

    def startTest(self, test):
        super().startTest(test)
        self.verdict, self.begun = ('ok', ''), time.monotonic()
        limit = attribute(test, 'timeout', DEFAULT_TIMEOUT) * LONGER

        def too_long(_signal, _frame):
            signal.alarm(limit)  # the clean-up is not to hang either
            raise TimeoutError(f'not done within {limit} s')

        signal.signal(signal.SIGALRM, too_long)
        signal.alarm(limit)

    def stopTest(self, test):
        signal.alarm(0)
        super().stopTest(test)
        self.say(self.verdict[0], test, self.verdict[1])
        self.took(self.begun, one_line(sentence(test)))

    def took(self, begun, what):
        self.stream.write(f'# took {time.monotonic() - begun:.2f} s: {what}\n')
        self.stream.flush()

    def failed(self, test, err):
        print(f'--- {test}', file=sys.stderr)
        traceback.print_exception(*err)
        sys.stderr.flush()
        # In one line, with the place in the test: what it called stands further down the stack.
        places = [frame for frame in traceback.extract_tb(err[2])
                  if frame.filename.endswith('_test.py')]
        place = f'{os.path.basename(places[-1].filename)}:{places[-1].lineno}: ' if places else ''
        why = one_line(f'{err[0].__name__}: {err[1]}')
        self.summary.append(f'FAILED: {one_line(sentence(test))}: {place}{why[:300]}')
        if hasattr(test, '_testMethodName'):
            self.verdict = ('not ok', '')
        else:  # setUpClass and its like stand for no test of their own
            self.say('not ok', test)

    def addError(self, test, err):
        self.failed(test, err)

    def addFailure(self, test, err):
        self.failed(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            print(f'in {subtest}:', file=sys.stderr)
            self.failed(test, err)

    def addSkip(self, test, reason):
        remark = f' # SKIP {one_line(reason)}'
        if not hasattr(test, '_testMethodName'):
            self.say('ok', test, remark)
        elif self.verdict[0] == 'ok':
            self.verdict = ('ok', remark)

    def addExpectedFailure(self, test, err):
        self.verdict = ('not ok', ' # TODO known to fail')
        self.bad -= 1

    def addUnexpectedSuccess(self, test):
        self.verdict = ('ok', ' # TODO known to fail')


def cases(suite, names):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from cases(item, names)
        elif not names or any(name in item.id() for name in names):
            yield item


def is_due(test):
    return TIMED not in ('no', 'only') or attribute(test, 'timed', False) == (TIMED == 'only')


def tap_stream():
    """A stream for TAP alone: file descriptor 1 becomes stderr for the tests and their children."""
    sys.stdout.flush()
    stream = os.fdopen(os.dup(1), 'w')
    os.dup2(2, 1)
    return stream


def run(module, names):
    stream = tap_stream()
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    named = list(cases(suite, names))
    chosen = unittest.TestSuite(filter(is_due, named))
    left = len(named) - chosen.countTestCases()
    if left:
        stream.write(f'# left out: {left}\n')
    if not chosen.countTestCases():
        stream.write('1..0 # SKIP all are left out\n' if left else 'Bail out! no tests\n')
        return 0 if left else 1
    result, begun = Result(stream), time.monotonic()
    chosen.run(result)
    result.took(begun, 'all')
    stream.write(f'1..{result.number}\n')
    stream.flush()
    for line in result.summary:
        print(line, file=sys.stderr)
    return 1 if result.bad else 0


def load(path):
    """Imports a test file, with its own folder and this one in the path, as when it is run."""
    lib = os.path.dirname(os.path.abspath(__file__))
    sys.path[:0] = [os.path.dirname(os.path.abspath(path)), lib, os.path.dirname(lib)]
    spec = importlib.util.spec_from_file_location(
        os.path.splitext(os.path.basename(path))[0], path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def main():
    sys.exit(run(sys.modules['__main__'], sys.argv[1:]))


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(run(load(sys.argv[1]), sys.argv[2:]))
