# SPDX-License-Identifier: MIT
"""The bench works: it measures, sums up and writes its results. How fast anything is, is not judged."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, '..', 'system', 'lib')]

import bars  # noqa: E402
import curves  # noqa: E402
import runner  # noqa: E402
from measure import Case  # noqa: E402

TINY = ['--scale', '0.002', '--rounds', '2']


class Bench(unittest.TestCase):
    def bench(self, *args):
        """Runs it; returns what it printed and what it wrote."""
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(
                [sys.executable, os.path.join(HERE, 'run'), '--output', directory, *TINY, *args],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=250, check=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            with open(os.path.join(directory, 'results.json'), encoding='utf-8') as file:
                return done.stdout, json.load(file)

    def cases(self, results):
        return {(case['work'], case['size'], case['clients']): case['peers']
                for case in results['cases']}

    def test_relays_are_measured_on_the_same_work(self):
        printed, results = self.bench('--relays', 'bare,direct,ftcpd',
                                      '--works', 'down-64,up-4k,echo-64,echo-1m,beside-4k', '--clients', '1,3')
        cases = self.cases(results)
        self.assertEqual(len(cases), 10)
        for case, peers in cases.items():
            self.assertEqual(set(peers), {'bare', 'direct', 'ftcpd'}, case)
            for name, summary in peers.items():
                self.assertGreater(summary['messages_per_second'], 0)
                self.assertEqual('cpu_ns_per_message' in summary, name != 'direct', case)
                self.assertEqual('p50_us' in summary, case[0] in ('echo', 'beside'), case)
        self.assertIn('echo-1m', printed)

    def test_every_delivery_of_a_fan_out_is_counted(self):
        _, results = self.bench('--relays', 'ftcpd', '--works', 'fanout-64,fanout-64k,each-64,idle',
                                '--clients', '5')
        for case in results['cases']:
            for run in case['runs']['ftcpd']:
                self.assertEqual(run['lost'], 0)
                self.assertEqual(run['messages'] % 5, 0)
                self.assertEqual(run['messages'] > 0, case['work'] != 'idle')
                self.assertGreater(run['rss_joined_kib'], 0)

    def test_another_build_runs_beside_ftcpd_and_each_work_tells_what_has_changed(self):
        printed, results = self.bench('--before', os.environ['FTCPD'], '--relays', 'bare,ftcpd', '--works',
                                      'down-64,echo-64,beside-4k,fanout-64,each-64,idle', '--clients', '3')
        compared = {case['work']: case['before'] for case in results['cases']}
        self.assertEqual(len(compared), 6)
        for case in results['cases']:
            self.assertEqual([len(case['runs'][name]) for name in ('ftcpd', 'ftcpd-before')], [2, 2])
        for work, ratios in compared.items():
            self.assertEqual(ratios['cpu'] is None, work == 'idle', work)
            self.assertEqual(ratios['rate'] is None, work == 'idle', work)
            self.assertGreater(ratios['rss_kib'], 0, work)
        self.assertRegex(printed, r'to ftcpd-before +CPU +least +messages/s')
        self.assertRegex(printed, r'ftcpd-before is ftcpd \d')

    def test_curves_have_a_point_for_each_size_of_a_queue(self):
        printed, results = self.bench('--only', 'queue-down,queue-up')
        for name in ('queue-down', 'queue-up'):
            self.assertEqual([x for x, _ in results['curves'][name]['points']],
                             list(curves.QUEUED))
        self.assertIn('exponent', printed)

    def test_what_makes_no_sense_is_refused_in_words(self):
        for args, words in ((['--rounds', '0'], 'a number from 1 to 1000'),
                            (['--scale', 'nan'], 'a number above 0 to 1000'),
                            (['--scale=-1'], 'a number above 0 to 1000'),
                            (['--quick', '--bars'], 'not allowed with'),
                            (['--works', 'sideways'], 'one of down-64'),
                            (['--pin', '0'], 'two processors'),
                            (['--before', '/nowhere/ftcpd'], '/nowhere/ftcpd: no such program'),
                            (['--before', __file__], 'may not be executed'),
                            (['--before', sys.executable], 'is no ftcpd'),
                            (['--before', os.environ['FTCPD'], '--curves'], 'not for curves'),
                            (['--relays', 'ftcpd-before'], 'needs --before=PROGRAM')):
            done = subprocess.run([sys.executable, os.path.join(HERE, 'run'), *args],
                                  capture_output=True, text=True, timeout=100, check=False)
            self.assertEqual((done.returncode, done.stdout), (2, ''), args)
            self.assertIn(words, done.stderr)

    def test_a_peer_that_fails_is_named_and_the_bench_fails(self):
        with tempfile.TemporaryDirectory() as directory:
            done = subprocess.run(
                [sys.executable, os.path.join(HERE, 'run'), '--output', directory, *TINY,
                 '--relays', 'bare,ftcpd', '--works', 'down-64'],
                env=dict(os.environ, FTCPD=self.broken(directory)), stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=100, check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn('ftcpd does not listen', done.stderr)
        self.assertRegex(done.stdout, r'down-64 +1 bare')

    def broken(self, directory):
        """A folder of programs in which only ftcpd is none."""
        programs = os.path.dirname(os.environ['FTCPD'])
        for name in ('bench-load', 'bench-bare'):
            os.symlink(os.path.join(programs, name), os.path.join(directory, name))
        path = os.path.join(directory, 'ftcpd')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nexit 1\n')
        os.chmod(path, 0o755)
        return path


class Sums(unittest.TestCase):
    def test_exponents_tell_how_a_curve_grows(self):
        for grows in (0, 1, 2):
            points = [(x, 3 * x ** grows) for x in (1, 10, 100, 1000)]
            self.assertAlmostEqual(curves.exponent(points), grows)
        self.assertEqual(curves.verdict({'exponent': 1.5, 'allowed': 1}), 'WORSE THAN LINEAR')
        self.assertEqual(curves.verdict({'exponent': 0.5, 'allowed': 0}), 'GROWS')
        self.assertEqual(curves.verdict({'exponent': -0.5, 'allowed': 0}), 'does not grow')

    def judged(self, ours, theirs):
        runs = {Case('down', 64, 1): {'ftcpd': [{'cpu': ours, 'rate': 1 / ours}],
                                      'haproxy': [{'cpu': theirs, 'rate': 1 / theirs}]}}
        return {bar['bar']: bar['verdict'] for bar in bars.judge(runs)}

    def test_bars_are_judged_by_their_own_limits(self):
        cpu, rate = "down-64: CPU of HAProxy's", "down-64: messages/s of HAProxy's"
        self.assertEqual(self.judged(6, 10), {cpu: 'aim met', rate: 'aim met'})
        self.assertEqual(self.judged(7, 10), {cpu: 'held', rate: 'aim met'})
        self.assertEqual(self.judged(9, 10), {cpu: 'NOT HELD', rate: 'NOT HELD'})

    def test_a_bar_is_judged_for_ftcpd_and_says_what_changed_since_another_build(self):
        work = {name: [{'cpu': cpu, 'rate': 1 / cpu}] for name, cpu in
                (('ftcpd', 6), ('ftcpd-before', 12), ('haproxy', 10))}
        judged = bars.judge({Case('down', 64, 1): work})
        self.assertEqual({bar['verdict'] for bar in judged}, {'aim met'})
        for bar in judged:
            self.assertEqual((bar['before']['cpu'], bar['before']['rate']), (0.5, 2))
        head, *lines = bars.table(judged).splitlines()
        self.assertTrue(head.endswith('to ftcpd-before: CPU  messages/s'), head)
        for line in lines:
            self.assertRegex(line, r'aim met +0\.50 +2\.00$')


if __name__ == '__main__':
    runner.main()
