# SPDX-License-Identifier: MIT
"""CONTRIBUTING.md, NEWS.md, SECURITY.md and doc/architecture.md tell of nothing that is not there."""
import glob
import os
import re
import subprocess
import unittest

import harness
import layers_test

PAPERS = ('CONTRIBUTING.md', 'NEWS.md', 'SECURITY.md')
# Where ./dev and its builds put things: there only once they were made.
BUILT = ('build/', 'build-san/')


def read(*path):
    with open(os.path.join(harness.TOP, *path), encoding='utf-8') as file:
        return file.read()


def output(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=harness.TOP,
                          stdin=subprocess.DEVNULL, timeout=harness.DEADLINE).stdout


def code(paper):
    """What stands in it as code: blocks, and words in backticks."""
    text = read(paper)
    return re.findall(r'(?m)^ {4}(.+)$', text) + re.findall(r'`([^`\n]+)`', text)


def found(pattern):
    """All that the pattern finds in code: {(paper, what)}."""
    return {(paper, what) for paper in PAPERS for line in code(paper)
            for what in re.findall(pattern, line)}


class Papers(unittest.TestCase):
    def test_every_file_that_they_name_is_there(self):
        named = found(r'(?<![\w/.])(\.?\w[\w.@-]*/[\w./@-]*|[A-Z]{4,}\.md)(?![\w(])')
        self.assertGreater(len(named), 20)
        for paper, path in sorted(named):
            # A program of tests is built from a source of its name.
            there = [name for name in (path, path + '.c')
                     if os.path.exists(os.path.join(harness.TOP, name))]
            self.assertTrue(there or path.startswith(BUILT), f'{paper}: {path}')

    def test_every_verb_of_dev_that_they_name_is_one(self):
        known = set(re.findall(r'(?m)^  (\w+) {2}', output('./dev', 'help')))
        named = found(r'(?:^|/)dev (\w+)') | found(r'^\./dev \w+ (\w+)')
        self.assertGreater(len(named), 4)
        for paper, verb in sorted(named):
            self.assertIn(verb, known, paper)

    def test_every_option_of_the_bench_that_they_name_is_one(self):
        known = output(os.path.join('tests', 'bench', 'run'), '--help') + output('./dev', 'help')
        named = {(paper, option) for paper, line in found(r'\./dev bench (-.*)')
                 for option in re.findall(r'--\w+', line)}
        self.assertGreater(len(named), 3)
        for paper, option in sorted(named):
            self.assertRegex(known, rf'{option}\b', paper)

    def test_every_verb_of_ftcpctl_that_they_name_is_one(self):
        known = re.findall(r'(?m)^verb\t(\w+)', output(harness.program('ftcpctl'), '--list-verbs'))
        named = found(r'^ftcpctl (\w+)')
        self.assertGreater(len(named), 3)
        for paper, verb in sorted(named):
            self.assertIn(verb, known, paper)

    def test_every_setting_that_they_name_is_one_of_ours_or_of_a_unit(self):
        known = output(harness.program('ftcpd'), '--print-defaults') + ''.join(
            read(path) for path in glob.glob('systemd/*', root_dir=harness.TOP))
        named = found(r'^([A-Z]\w*[a-z]\w*)=')
        self.assertGreater(len(named), 5)
        for paper, key in sorted(named):
            self.assertRegex(known, rf'(?m)^#? ?{key}=', paper)

    def test_every_test_that_is_to_be_run_by_a_part_of_its_name_exists(self):
        named = found(r'runner\.py (\S+ \w+)')
        self.assertGreater(len(named), 0)
        for paper, line in named:
            path, part = line.split()
            self.assertRegex(read(path), rf'def test_\w*{part}', paper)

    def test_the_newest_news_are_of_the_version_that_was_built(self):
        version = output(harness.program('ftcpd'), '--version').split()[1]
        number, _, unfinished = version.partition('~')
        newest = re.search(r'(?m)^## (.+)$', read('NEWS.md'))[1]
        self.assertEqual(newest, number + (' (not released)' if unfinished else ''))


ARCHITECTURE = os.path.join('doc', 'architecture.md')
# Where the page's short paths may begin.
ROOTS = ('', 'src', 'src/daemon', 'src/daemon/control', 'src/daemon/report', 'src/daemon/relay',
         'man', 'tests/unit', 'tests/system')


class Architecture(unittest.TestCase):
    def test_every_function_and_word_of_the_image_that_it_names_is_there(self):
        named = set(re.findall(r'`(\w+)\(\)`|`image_\w+\.(\w+)`', read(ARCHITECTURE)))
        source = ''.join(read('src', path) for path in glob.glob(
            '**/*.[ch]', root_dir=os.path.join(harness.TOP, 'src'), recursive=True))
        self.assertGreater(len(named), 20)
        named = {part for pair in named for part in pair if part}
        self.assertEqual(sorted(named - set(re.findall(r'\w+', source))), [])

    def test_every_file_that_it_names_is_there(self):
        named = set(re.findall(r'`((?:[\w.-]+/)*[\w*.-]+\.(?:\[ch\]|[ch\d]|md|conf|py|catalog|yml|varlink))`',
                               read(ARCHITECTURE)))
        named |= set(re.findall(r'`(src/[\w/]+)`', read(ARCHITECTURE)))
        self.assertGreater(len(named), 30)
        for name in sorted(named - {'local.mk', 'x_internal.h'}):
            self.assertTrue(any(glob.glob(os.path.join(harness.TOP, root, name))
                                for root in ROOTS), name)

    def test_every_test_that_it_names_is_there(self):
        named = set(re.findall(r'`(test_\w+|\w+_test)`', read(ARCHITECTURE)))
        self.assertGreater(len(named), 6)
        for name in sorted(named):
            self.assertTrue(glob.glob(os.path.join(harness.TOP, 'tests', '**', f'{name}.*'),
                                      recursive=True), name)

    def test_the_layers_are_those_of_the_test(self):
        table = re.findall(r'(?m)^\| `src/([\w/]+)` \|', read(ARCHITECTURE))
        self.assertEqual([f for f in table if '/' not in f and f != 'ctl'], layers_test.LAYERS)
        self.assertEqual({f for f in table if f.startswith('daemon/')},
                         {f for f in layers_test.ROOMS if f.startswith('daemon/')})


if __name__ == '__main__':
    harness.main()
