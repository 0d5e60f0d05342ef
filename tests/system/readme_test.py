# SPDX-License-Identifier: MIT
"""The programs in README.md are run as they stand there, against the real ftcpd."""
import os
import re
import select
import shlex
import subprocess

import harness

README = os.path.join(harness.TOP, 'README.md')
SOCKET = '/run/ftcpd.sock'


def program(language):
    """The code that README.md shows for this language."""
    with open(README, encoding='utf-8') as file:
        blocks = re.findall(rf'^```{language}\n(.*?)^```$', file.read(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 1, f'{len(blocks)} programs in {language}'
    return blocks[0]


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


if __name__ == '__main__':
    harness.main()
