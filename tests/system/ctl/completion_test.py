# SPDX-License-Identifier: MIT
"""ftcpctl's table of verbs, and what is made from it: --help, the manual, the shells' completions."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import harness

FTCPCTL = harness.program('ftcpctl')
# Which verbs and states there are is said by the contract, and not by the table alone.
STATES = 'resolving connecting handshaking greeting up waiting held stopping connected'.split()
AT_LEAST = 'status health clients events wait send recv reload call peer config top'.split()


def output(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120,
                          stdin=subprocess.DEVNULL, **options)
    return done.stdout


class Row:
    def __init__(self, arguments, words):
        self.arguments, self.words, self.options = arguments, words, {}


def read_table():
    """{verb: Row}; '' is of all verbs. A row's options are {name: (argument, words)}."""
    table = {'': Row('', '')}
    for line in output(FTCPCTL, '--list-verbs').splitlines():
        fields = line.split('\t')
        if fields[0] == 'verb':
            _, name, arguments, words, _ = fields
            table[name] = Row(arguments, words)
        elif fields[0] == 'option':
            _, verb, option, argument, words, _ = fields
            table[verb].options[option] = (argument, words)
    return table


def completions(shell):
    """The file for a shell: of this build, or from the tarball."""
    name = {'bash': 'ftcpctl', 'zsh': '_ftcpctl', 'fish': 'ftcpctl.fish'}[shell]
    for top in (os.environ.get('top_builddir', os.path.join(harness.TOP, 'build')), harness.TOP):
        path = os.path.join(top, 'completions', name)
        if os.path.exists(path):
            return path
    raise AssertionError(f'there is no {name}')


class Table(unittest.TestCase):
    def setUp(self):
        self.table = read_table()
        self.verbs = [verb for verb in self.table if verb]

    def test_it_has_the_verbs_of_the_contract_and_the_states_of_a_link(self):
        self.assertEqual([verb for verb in AT_LEAST if verb not in self.verbs], [])
        self.assertEqual(self.table['wait'].options['--state'][1].split(), STATES)

    def test_the_synopsis_of_a_verb_names_its_options_and_no_others(self):
        for verb in self.verbs:
            row = self.table[verb]
            named = set(re.findall(r'(?<![\w-])(--?[a-z][a-z-]*)', row.arguments))
            if 'OPTION...' not in row.arguments:
                self.assertEqual(named, set(row.options), verb)
            for name in named:
                argument = row.options[name][0]
                wanted = name + (('=' if name.startswith('--') else ' ') + argument
                                 if argument else '')
                self.assertRegex(row.arguments, re.escape(wanted) + r'(?![=\w])', verb)

    def test_every_option_is_one_that_the_verb_takes_as_the_table_says(self):
        for verb in self.verbs:
            every = self.table[''].options | self.table[verb].options
            for option, (argument, _) in every.items():
                arguments = [verb, option, *(['1'] if argument else []), '--bogus-at-the-end']
                if option in ('--help', '-h', '--version', '--list-verbs'):
                    continue
                done = subprocess.run([FTCPCTL, *arguments], capture_output=True, text=True,
                                      check=False, timeout=120, stdin=subprocess.DEVNULL)
                self.assertIn(done.returncode, (2, 3), (arguments, done.stderr))
                self.assertNotIn(f'no option {option} ', done.stderr)
                self.assertNotIn('argument;', done.stderr)

    def test_help_has_every_verb_and_option(self):
        everything = output(FTCPCTL, '--help')
        for option in self.table[''].options:
            self.assertRegex(everything, rf'(?m)^  {option}(?=[ =])')
        for verb in self.verbs:
            row = self.table[verb]
            self.assertIn(f'\n  {verb} {row.arguments}'.rstrip(), everything)
            text = output(FTCPCTL, verb, '--help')
            self.assertIn(f'ftcpctl {verb} {row.arguments}'.rstrip() + '\n', text)
            for option, (argument, _) in row.options.items():
                separator = '=' if option.startswith('--') else ' '
                head = option + (separator + argument if argument else '')
                self.assertRegex(text, rf'(?m)^  {re.escape(head)}( |$)')

    def test_the_manual_has_every_verb_and_option(self):
        harness.need('mandoc', 'col')
        page = os.path.join(harness.TOP, 'man', 'ftcpctl.1')
        text = output('sh', '-c', 'mandoc -Tascii -Owidth=300 "$1" | col -bx', 'sh', page).lower()
        for verb in self.verbs:
            row = self.table[verb]
            synopsis = f'{verb} {row.arguments}'.rstrip().lower()
            self.assertRegex(text, rf'(?m)^     {re.escape(synopsis)}(  |$)')
        for verb, row in self.table.items():
            for option in row.options:
                self.assertRegex(text, rf'(?<![\w-]){option}(?![\w-])', verb)


class Shells(unittest.TestCase):
    def setUp(self):
        self.table = read_table()
        self.verbs = [verb for verb in self.table if verb]

    def test_bash_can_read_its_file(self):
        harness.need('bash')
        output('bash', '-n', completions('bash'))

    def bash(self, *words):
        """What bash offers for the last word; it splits words at an = itself."""
        script = '''source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
                    compopt() { :; }; _ftcpctl; printf '%s\\n' "${COMPREPLY[@]}"'''
        text = output('bash', '-c', script, 'bash', completions('bash'), 'ftcpctl', *words)
        return [line for line in text.splitlines() if line]

    def test_bash_offers_what_the_table_has(self):
        harness.need('bash')
        self.assertEqual(self.bash(''), self.verbs)
        self.assertEqual(self.bash('--socket', '/x', '-j', 'wai'), ['wait'])
        self.assertEqual(self.bash('--json', '=', 'short', 'wai'), ['wait'])
        common = set(self.table[''].options)
        for verb in self.verbs:
            offered = {word.rstrip('=') for word in self.bash(verb, '-')}
            self.assertEqual(offered, common | set(self.table[verb].options), verb)
            words = self.table[verb].words
            if not words.startswith('@'):
                self.assertEqual(self.bash(verb, ''), words.split(), verb)

    def test_bash_offers_the_values_of_an_option(self):
        harness.need('bash')
        for verb, row in self.table.items():
            for option, (argument, words) in row.options.items():
                if not argument or words.startswith('@'):
                    continue
                before = [verb] if verb else []
                self.assertEqual(self.bash(*before, option, ''), words.split())
                self.assertEqual(self.bash(*before, option, '='), words.split())
        self.assertEqual(self.bash('wait', '--state', '=', 'wai'), ['waiting'])
        self.assertEqual(self.bash('wait', '--stat'), ['--state='])

    def test_the_methods_that_can_be_called_are_those_of_the_interface(self):
        with open(os.path.join(harness.TOP, 'src', 'daemon', 'control', 'io.ftcpd.varlink'),
                  encoding='utf-8') as file:
            methods = re.findall(r'^method (\w+)', file.read(), re.MULTILINE)
        self.assertEqual(sorted(self.table['call'].words.split()), sorted(methods))

    @unittest.skipIf(os.geteuid(), 'needs root, for a /run of its own')
    def test_instances_and_clients_are_those_there_are(self):
        harness.need('bash', 'fish', 'unshare')
        folder = tempfile.mkdtemp(prefix='ftcpd-test-')
        self.addCleanup(shutil.rmtree, folder)
        tool = os.path.join(folder, 'ftcpctl')
        with open(tool, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\nprintf "ID PID\\n7 x\\n12 y\\n"\n')
        os.chmod(tool, 0o755)
        env = os.environ | {'PATH': folder + os.pathsep + os.environ['PATH'],
                            'HOME': '/nonexistent'}
        bash = '''source "$1"; COMP_WORDS=(ftcpctl $2); COMP_WORDS+=("$3"); COMP_CWORD=2
                  _ftcpctl 2>/dev/null; echo "${COMPREPLY[@]}"'''
        run = 'mount -t tmpfs none /run && mkdir /run/ftcpd && touch /run/ftcpd/feed.varlink && '

        def ask(*command):
            return output('unshare', '-m', 'sh', '-c', run + 'exec "$@"', 'sh', *command,
                          env=env).split()

        self.assertIn('feed', ask('bash', '-c', bash, 'bash', completions('bash'), '--instance', ''))
        self.assertEqual(ask('bash', '-c', bash, 'bash', completions('bash'), 'drop', ''),
                         ['7', '12'])
        fish = 'source $argv[1]; complete -C $argv[2]'
        self.assertIn('--instance=feed', ask('fish', '--no-config', '-c', fish, completions('fish'),
                                             'ftcpctl --instance='))
        self.assertEqual(ask('fish', '--no-config', '-c', fish, completions('fish'),
                             'ftcpctl drop '), ['7', '12'])

    def test_bash_offers_files(self):
        harness.need('bash')
        folder = tempfile.mkdtemp(prefix='ftcpd-test-')
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, 'with a blank')
        with open(path, 'w', encoding='utf-8'):
            pass
        self.assertEqual(self.bash('peer', '--script', '=', os.path.join(folder, 'w')), [path])

    def test_zsh_can_read_its_file_and_finds_everything_in_it(self):
        with open(completions('zsh'), encoding='utf-8') as file:
            text = file.read()
        self.assertTrue(text.startswith('#compdef ftcpctl\n'))
        common, _, verbs = text.partition('case $words[1] in')
        for option in self.table[''].options:
            self.assertIn(f"'{option}", common)
        for verb in self.verbs:
            self.assertIn(f"'{verb}:", common)
            part = re.search(rf'^        {verb}\)\n(.*?);;', verbs, re.S | re.M)[1]
            offered = re.findall(r"^ +'(--?[a-z-]+)(=?)\[", part, re.M)
            self.assertEqual([name for name, _ in offered], list(self.table[verb].options))
        harness.need('zsh')
        output('zsh', '-n', completions('zsh'))

    def fish(self, line):
        text = output('fish', '--no-config', '-c', 'source $argv[1]; complete -C $argv[2]',
                      completions('fish'), line, env=os.environ | {'HOME': '/nonexistent'})
        return [entry.split('\t')[0] for entry in text.splitlines()]

    def test_fish_can_read_its_file_and_offers_what_the_table_has(self):
        harness.need('fish')
        output('fish', '--no-execute', completions('fish'))
        self.assertEqual(set(self.fish('ftcpctl ')), set(self.verbs))
        common = set(self.table[''].options)
        for verb in self.verbs:
            offered = {word.rstrip('=') for word in self.fish(f'ftcpctl {verb} -')}
            self.assertEqual(offered, common | set(self.table[verb].options), verb)
        self.assertEqual(set(self.fish('ftcpctl wait --state=')),
                         {f'--state={state}' for state in STATES})


if __name__ == '__main__':
    harness.main()
