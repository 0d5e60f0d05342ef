# SPDX-License-Identifier: MIT
"""The programs in README.md are run as they stand there, against the real ftcpd."""
import os
import re
import select
import shlex
import shutil
import subprocess
import tempfile

import framed
import harness

README = os.path.join(harness.TOP, 'README.md')
SOCKET = '/tmp/try.sock'
NOBODY = 65534


def program(language):
    """The code that README.md shows for this language."""
    with open(README, encoding='utf-8') as file:
        blocks = re.findall(rf'^```{language}\n(.*?)^```$', file.read(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f'{len(blocks)} programs in {language}'
    return blocks[0]


def by_hand():
    """The three terminals of README.md: the lines of each."""
    with open(README, encoding='utf-8') as file:
        text = file.read()
    text = text[text.index('By hand, '):text.index('## A first program')]
    return [re.sub('^ {4}', '', block, flags=re.MULTILINE)
            for block in re.findall(r'(?:^ {4}.*\n)+', text, re.MULTILINE)]


def readable(file):
    return select.select([file], [], [], 0.1)[0]


class Readme(harness.SystemTest):
    def start(self):
        """The daemon, up, and the session of its upstream, which may be silent."""
        _, daemon, session = self.linked('[Heartbeat]\nTimeout=0\n')
        return daemon, session

    def write(self, daemon, name, text):
        path = os.path.join(daemon.directory, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace(SOCKET, daemon.data_path))
        return path

    def converse(self, command, daemon, session, hello, **options):
        """It says hello to the upstream, prints what the upstream says, ends with the daemon."""
        child = self.spawn(command, stdout=subprocess.PIPE, text=True, **options)
        session.expect(hello)
        # A program that sends before it receives may be between the two: say it until it is heard.
        harness.until(lambda: session.send(b'good day') or readable(child.stdout), 'an answer')
        self.assertEqual(child.stdout.readline(), 'good day\n')
        session.close()
        self.assertEqual(daemon.stop(), 0)
        child.communicate(timeout=harness.DEADLINE)

    def test_the_program_in_c_says_hello_and_prints_what_arrives(self):
        daemon, session = self.start()
        source = self.write(daemon, 'hello.c', program('c'))
        binary = os.path.join(daemon.directory, 'hello')
        compiler = shlex.split(os.environ.get('CC', 'cc'))
        subprocess.run([*compiler, '-Wall', '-Wextra', '-Werror', '-o', binary, source], check=True)
        self.converse([binary], daemon, session, b'hello from C')

    def test_the_program_in_python_says_hello_and_prints_what_arrives(self):
        daemon, session = self.start()
        script = self.write(daemon, 'hello.py', program('python'))
        self.converse(['/usr/bin/env', 'python3', script], daemon, session, b'hello from Python')

    def test_the_program_in_shell_says_hello_and_prints_what_arrives(self):
        daemon, session = self.start()
        script = self.write(daemon, 'hello.sh', program('sh'))
        # Its ftcpctl asks the daemon of this test.
        wrapper = self.write(
            daemon, 'ftcpctl', '#!/bin/sh\nexec %s --socket %s "$@"\n' % (
                shlex.quote(harness.program('ftcpctl')), shlex.quote(daemon.control_path)))
        os.chmod(wrapper, 0o755)
        path = daemon.directory + os.pathsep + os.environ['PATH']
        self.converse(['sh', script], daemon, session, b'hello from the shell',
                      env={**os.environ, 'PATH': path})

    def test_the_table_by_kind_of_traffic_names_keys_that_there_are(self):
        with open(README, encoding='utf-8') as file:
            rows = re.findall(r'(?m)^\| \*\*(.*)$', file.read())
        self.assertEqual([row.partition('**')[0] for row in rows],
                         ['A feed to many', 'Many senders', 'One asker', 'Many askers',
                          'A login that changes'])
        known = subprocess.run([harness.program('ftcpd'), '--print-defaults'], check=True, text=True,
                               stdout=subprocess.PIPE, timeout=harness.DEADLINE).stdout
        named = set(re.findall(r'`([A-Z]\w+)=', ''.join(rows)))
        self.assertGreater(len(named), 8)
        self.assertLessEqual(named, set(re.findall(r'(?m)^#?(\w+)=', known)))

    def test_what_is_shown_by_hand_works_as_printed_for_who_is_not_root(self):
        folder = tempfile.mkdtemp(prefix='ftcpd-readme-')
        self.addCleanup(shutil.rmtree, folder)
        os.mkdir(os.path.join(folder, 'build'))
        for name in ('ftcpd', 'ftcpctl'):
            shutil.copy(harness.program(name), os.path.join(folder, 'build', name))
        user = {}
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
            user = {'user': NOBODY, 'group': NOBODY, 'extra_groups': []}
        with framed.Upstream() as free:
            address = free.address

        def run(lines, **options):
            for given, ours in (('/tmp/try', f'{folder}/try'), ('127.0.0.1:7000', address),
                                ('peer --echo', f'peer --echo --listen {address}')):
                lines = lines.replace(given, ours)
            return self.spawn(['sh', '-c', lines], cwd=folder, text=True, stdout=subprocess.PIPE,
                              process_group=0, **user, **options)

        upstream, daemon, person = by_hand()
        first = run('exec ' + upstream)
        self.assertIn('listening', first.stdout.readline())
        second = run(daemon.replace('build/ftcpd', 'exec build/ftcpd'))
        harness.until(lambda: os.path.exists(f'{folder}/try.varlink'), 'the control socket')
        # What lasts until somebody ends it is begun, and no more.
        alias, *asked = person.splitlines()
        asked = [line.split('#')[0].strip() for line in asked]
        self.assertEqual(asked, ['ftcpctl', 'ftcpctl health', 'ftcpctl top', 'ftcpctl events'])
        done = run('\n'.join([alias, 'set -e', 'ftcpctl wait --timeout=60', 'ftcpctl',
                              'ftcpctl health', 'ftcpctl top -n 1', 'ftcpctl send hello']))
        out, _ = done.communicate(timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 0, out)
        self.assertIn('up for', out)
        self.assertRegex(first.stdout.readline() + first.stdout.readline(), 'hello')
        events = run('\n'.join([alias, 'ftcpctl events']))
        self.assertIn('started', events.stdout.readline())
        for child in (events, second, first):
            harness.end(child)
            child.stdout.close()


if __name__ == '__main__':
    harness.main()
