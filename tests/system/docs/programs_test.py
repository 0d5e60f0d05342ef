# SPDX-License-Identifier: MIT
"""The programs of README.md and ftcp-protocol(7), as they stand there: what they do at an end."""
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile

import harness
from harness import until
from manual import read
from readme_test import SOCKET, program

PAGE = 'ftcp-protocol.7'
PACKAGED = '/run/ftcpd.sock'
HERE = os.path.dirname(os.path.abspath(__file__))
# A message that the program in C takes, larger than the pieces in which a socket takes it.
LARGE = 60000


def shown(start):
    """The block of ftcp-protocol(7) that begins so, as a reader sees it."""
    blocks = re.findall(r'(?ms)^\.Bd -literal -offset indent\n(.*?)^\.Ed', read('man', PAGE))
    found = [block for block in blocks if block.startswith(start)]
    assert len(found) == 1, f'{len(found)} blocks begin with {start}'
    return found[0].replace('\\e', '\\')


class Programs(harness.SystemTest):
    """Both of README.md, which end with the stream, and that of the manual, which goes on."""

    def setUp(self):
        super().setUp()
        self.folder = tempfile.mkdtemp(prefix='ftcpd-test-')
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, 'data')

    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text.replace(SOCKET, self.path).replace(PACKAGED, self.path))
        return path

    def in_c(self):
        source, binary = self.write('hello.c', program('c')), os.path.join(self.folder, 'hello')
        subprocess.run([*shlex.split(os.environ.get('CC', 'cc')), '-Wall', '-Wextra', '-Werror',
                        '-o', binary, source], check=True)
        return [binary]

    def in_python(self):
        return ['/usr/bin/env', 'python3', self.write('hello.py', program('python'))]

    def in_the_manual(self):
        return ['/usr/bin/env', 'python3', self.write('manual.py', shown('import socket, time'))]

    def ending(self):
        """The programs that end with the stream."""
        return {'C': self.in_c(), 'Python': self.in_python()}

    def every(self):
        return {**self.ending(), 'manual': self.in_the_manual()}

    def run_it(self, command, **options):
        return self.spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          **options)

    def linked_at_path(self):
        _, daemon, session = self.linked(f'[Heartbeat]\nTimeout=0\n[Upstream]\nReconnectDelay=10ms\n'
                                         f'[Local]\nSocket={self.path}\n')
        return daemon, session

    def said(self, name, message):
        """What a program prints for a message."""
        return f'{message.encode()}\n' if name == 'manual' else f'{message}\n'

    def expect_line(self, child, name, message):
        self.assertEqual(child.stdout.readline(), self.said(name, message), name)

    def ended(self, child, name, code=0):
        out, errors = child.communicate(timeout=harness.DEADLINE)
        self.assertEqual((child.returncode, errors), (code, ''), f'{name}: {out} {errors}')
        return out


class RealDaemon(Programs):
    def test_a_cut_of_the_upstream_amid_a_message_is_not_noticed(self):
        daemon, session = self.linked_at_path()
        children = {name: self.run_it(command) for name, command in self.every().items()}
        daemon.wait_clients(3)
        session.send(b'before')
        session.send_raw(session.frame.wrap(b'x' * LARGE)[:LARGE // 2])
        daemon.wait_status(lambda s: s['upstream'].get('partial'), 'a part of a message')
        session.reset()
        session = self.upstreams[0].accept()
        session.send(b'behind')
        for name, child in children.items():
            self.expect_line(child, name, 'before')
            self.expect_line(child, name, 'behind')
        daemon.stop()
        for name in ('C', 'Python'):
            self.assertEqual(self.ended(children[name], name), '')

    def test_a_crash_amid_a_message_costs_that_message_alone(self):
        daemon, session = self.linked_at_path()
        children = {name: self.run_it(command) for name, command in self.every().items()}
        plain = daemon.client()  # what it finds is what they find: it does not read either
        daemon.wait_clients(4)
        for child in children.values():
            child.send_signal(signal.SIGSTOP)
        messages = [chr(ord('a') + n) * LARGE for n in range(16)]
        for message in messages:
            session.send(message.encode())
        until(lambda: all(c['queued']['messages'] and c['received']['messages'] < 2
                          for c in daemon.call('ListClients')['clients'])
              and daemon.status()['upstream']['received']['messages'] == len(messages),
              'all sockets to be full')
        daemon.kill()
        whole = 0
        while plain.recv() is not None:
            whole += 1
        self.assertGreater(len(plain.buffer), 4, 'no message was cut off')
        for child in children.values():
            child.send_signal(signal.SIGCONT)
        for name in ('C', 'Python'):
            self.assertEqual(self.ended(children[name], name),
                             ''.join(f'{message}\n' for message in messages[:whole]), name)
        for message in messages[:whole]:
            self.expect_line(children['manual'], 'manual', message)
        # The one of the manual is there again with the next daemon.
        daemon.start()
        session = self.upstreams[0].accept()
        daemon.wait_clients(1)
        session.send(b'after the crash')
        self.expect_line(children['manual'], 'manual', 'after the crash')

    def test_a_program_that_goes_on_is_there_after_a_stop_and_a_start(self):
        daemon, session = self.linked_at_path()
        child = self.run_it(self.in_the_manual())
        daemon.wait_clients(1)
        session.close()
        self.assertEqual(daemon.stop(), 0)
        daemon.start()
        session = self.upstreams[0].accept()
        daemon.wait_clients(1)
        session.send(b'anew')
        self.expect_line(child, 'manual', 'anew')

    def test_to_send_to_a_daemon_that_has_closed_is_an_error_in_words(self):
        preload = self.preload(os.path.join(HERE, 'parted.c'))
        daemon, _ = self.linked_at_path()
        daemon.reconfigure('[Local]\nMaxClients=1\n')
        daemon.client()
        daemon.wait_clients(1)
        for name, command in self.ending().items():
            child = self.run_it(command, env={**os.environ, 'LD_PRELOAD': preload})
            _, errors = child.communicate(timeout=harness.DEADLINE)
            self.assertEqual(child.returncode, 1, f'{name}: {errors}')
            self.assertIn('Broken pipe', errors, name)

    def test_the_lines_of_the_manual_do_what_they_say(self):
        harness.need('socat', 'erl')
        daemon, session = self.linked_at_path()
        script = shown("$ printf '\\e0").lstrip('$ ').replace(PACKAGED, self.path)
        subprocess.run(['sh', '-c', script], check=True, timeout=harness.DEADLINE)
        session.expect(b'hello')
        script = shown('$ printf \'{"method').lstrip('$ ')
        script = script.replace('/run/ftcpd.varlink', daemon.control_path)
        done = subprocess.run(['sh', '-c', script], check=True, timeout=harness.DEADLINE,
                              capture_output=True, text=True)
        self.assertIn('"health":"ok"', done.stdout.replace(' ', ''))
        erlang = shown('{ok, S}').replace(PACKAGED, self.path).replace('<<"hello">>', '<<"erl">>')
        subprocess.run(['erl', '-noshell', '-eval', erlang.strip().rstrip('.') + ', halt().'],
                       check=True, timeout=harness.DEADLINE)
        session.expect(b'erl')


class PlayedDaemon(Programs):
    """A socket that ends where the test says: each place at which a stream can end."""

    def play(self, command, data, unread):
        """The program gets these bytes and then the end; unread: its hello was not read."""
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen()
            listener.settimeout(harness.DEADLINE)
            child = self.run_it(command)
            link, _ = listener.accept()
            os.unlink(self.path)
            with link:
                link.settimeout(harness.DEADLINE)
                hello = link.recv(8, 0 if not unread else socket.MSG_PEEK)
                self.assertEqual(hello[:3], b'\0\0\0')
                link.sendall(data)
        return child

    def test_what_is_cut_off_is_no_message_wherever_the_stream_ends(self):
        whole = b'\0\0\0\4good'
        for name, command in self.ending().items():
            for rest, unread in ((b'', True), (b'\0\0\0', False), (b'\0\0\0\3', False),
                                 (b'\0\0\0\3ba', False), (b'\0\0\0\3ba', True)):
                child = self.play(command, whole + rest, unread)
                self.assertEqual(self.ended(child, name), 'good\n', (name, rest, unread))

    def test_the_program_that_goes_on_discards_it_and_connects_again(self):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.path)
            listener.listen()
            listener.settimeout(harness.DEADLINE)
            child = self.run_it(self.in_the_manual())
            for rest in (b'\0\0\0\3ba', b'\0\0\0', b''):
                with listener.accept()[0] as link:
                    link.sendall(b'\0\0\0\4good' + rest)
                self.expect_line(child, 'manual', 'good')


if __name__ == '__main__':
    harness.main()
