# SPDX-License-Identifier: MIT
"""`ftcpctl top` in a terminal: keys are sent to it and its screen is read, through tmux."""
import json
import os
import re
import shutil
import subprocess
import tempfile

import harness


class Terminal:
    """A shell in a tmux of its own; what is typed, and what the screen shows."""

    def __init__(self, columns=80, rows=24, **environment):
        self.directory = tempfile.mkdtemp(prefix='ftcpd-tmux-')
        self.socket = os.path.join(self.directory, 'socket')
        env = {k: v for k, v in os.environ.items() if k not in ('TMUX', 'NO_COLOR')}
        env |= {'LC_ALL': 'C.UTF-8', 'PS1': 'prompt> ', 'HOME': self.directory} | environment
        subprocess.run(
            ['tmux', '-u', '-S', self.socket, '-f', '/dev/null', 'new-session', '-d',
             '-x', str(columns), '-y', str(rows), 'sh', '-i'],
            env=env, check=True, timeout=harness.DEADLINE, preexec_fn=harness.die_with_parent)
        self.wait('prompt>')

    def tmux(self, *args):
        return subprocess.run(['tmux', '-S', self.socket, *args], check=True, text=True,
                              stdout=subprocess.PIPE, timeout=harness.DEADLINE).stdout

    def type(self, text, enter=True):
        self.tmux('send-keys', '-l', text)
        if enter:
            self.tmux('send-keys', 'Enter')

    def key(self, name):
        self.tmux('send-keys', name)

    def screen(self):
        return self.tmux('capture-pane', '-p')

    def tell(self, what):
        """A format of tmux: what it knows of the terminal."""
        return self.tmux('display-message', '-p', f'#{{{what}}}').strip()

    def wait(self, pattern):
        """Until the screen matches; returns the match."""
        try:
            return harness.until(lambda: re.search(pattern, self.screen(), re.M),
                                 f"'{pattern}' on the screen")
        except AssertionError:
            print(self.screen())
            raise

    def resize(self, columns, rows):
        self.tmux('resize-window', '-x', str(columns), '-y', str(rows))

    def close(self):
        subprocess.run(['tmux', '-S', self.socket, 'kill-server'], check=False,
                       stderr=subprocess.DEVNULL, timeout=harness.DEADLINE)
        shutil.rmtree(self.directory, ignore_errors=True)


class Top(harness.SystemTest):
    def setUp(self):
        super().setUp()
        harness.need('tmux')
        self.peer, self.live, self.session = self.linked()

    def terminal(self, **options):
        terminal = Terminal(**options)
        self.addCleanup(terminal.close)
        return terminal

    def command(self, *args):
        return ' '.join([harness.program('ftcpctl'), '--socket', self.live.control_path, 'top',
                         '--interval=100ms', *args])

    def start(self, **options):
        """top in a terminal, drawn; its settings before are kept to be compared with."""
        terminal = self.terminal(**options)
        terminal.type('stty -g | cksum')
        self.before = terminal.wait(r'^\d{5,} \d+$')[0]
        terminal.type('clear; echo what was there')
        terminal.wait('^what was there')
        terminal.type(self.command())
        terminal.wait('^q quit')
        return terminal

    def assert_given_back(self, terminal, code):
        """The screen that was there is back, with cursor, echo and all; top exited with code."""
        terminal.wait('^what was there')
        self.assertEqual(terminal.tell('alternate_on'), '0')
        self.assertEqual(terminal.tell('cursor_flag'), '1')
        self.assertEqual(terminal.tell('wrap_flag'), '1')
        terminal.type('echo exit=$? "$(stty -g | cksum)"')
        self.assertEqual(terminal.wait(r'^exit=(\d+) (\d+ \d+)$').groups(), (str(code), self.before))

    def columns(self, terminal):
        """The lines of the table of clients: their words."""
        text = terminal.screen()
        lines = text[text.index('PROGRAM'):].splitlines()[1:]
        return [line.split() for line in lines if re.match(r' *\d+ ', line)]

    def test_the_screen_shows_the_link_and_its_clients_and_q_gives_the_terminal_back(self):
        clients = [self.live.client() for _ in range(3)]
        self.live.wait_clients(3)
        terminal = self.start()
        self.assertEqual(terminal.tell('alternate_on'), '1')
        self.assertEqual(terminal.tell('cursor_flag'), '0')
        terminal.wait(rf'^OK +{re.escape(self.peer.address)}, up for .*; every 100ms')
        self.session.send(b'hello')
        clients[0].expect(b'hello')
        terminal.wait('^received +[0-9.]+/s +[0-9.]+/s +.*[▁█]')
        terminal.wait(r'^to upstream\[\.{20}\]   0% of 64.0M; 0 queued')
        harness.until(lambda: [row[0] for row in self.columns(terminal)] == ['1', '2', '3'],
                      'three clients by id')
        self.assertIn(str(os.getpid()), self.columns(terminal)[0])
        terminal.type('q', enter=False)
        self.assert_given_back(terminal, 0)

    def test_what_passes_is_drawn_as_it_changes(self):
        client = self.live.client()
        self.live.wait_clients(1)
        terminal = self.start()

        def moving():
            for _ in range(50):
                self.session.send(b'x' * 1000)
                client.expect(b'x' * 1000)
            return re.search(r'^received +([1-9]\d*)/s +[1-9][0-9.]*[KM]?/s .*█', terminal.screen(),
                             re.M)

        harness.until(moving, 'a rate and its highest block')
        terminal.wait('^received +0/s +0/s')

    def test_the_clients_are_sorted_by_the_key_that_is_pressed(self):
        clients = [self.live.client() for _ in range(3)]
        self.live.wait_clients(3)
        terminal = self.start()
        terminal.wait(r'\*ID')

        def order(*ids):
            harness.until(lambda: [row[0] for row in self.columns(terminal)] == list(ids),
                          f'the clients in the order {ids}')

        terminal.type('r', enter=False)
        terminal.wait(r'\^ID')
        order('3', '2', '1')
        terminal.type('r', enter=False)
        order('1', '2', '3')
        for key, title in (('p', r'\*PROGRAM'), ('n', r'\*IN/s'), ('o', r'\*OUT/s'),
                           ('u', r'\*QUEUED'), ('d', r'\*DROPPED'), ('<', r'\*QUEUED'),
                           ('>', r'\*DROPPED'), ('>', r'\*ID')):
            terminal.type(key, enter=False)
            terminal.wait(title)

        def busiest():
            for _ in range(20):
                clients[1].send(b'mine')
            return [row[0] for row in self.columns(terminal)][:1] == ['2']

        terminal.type('n', enter=False)
        harness.until(busiest, 'the client that sends to be the first')

    def test_a_queue_that_fills_is_seen(self):
        self.live.reconfigure('[Delivery]\nClientQueueSize=64K\nSlowClient=wait\n')
        lazy = self.live.client()
        self.live.wait_clients(1)
        self.session.send(b'x' * (4 << 20))
        terminal = self.start()
        terminal.wait(r'^to clients \[#{20}\] \d+% of 64.0K; 1 queued, oldest ')
        terminal.wait(r'^ +1 .* 4.0\dM|^ +1 .* 3.\d\dM')
        lazy.expect(b'x' * (4 << 20))
        terminal.wait(r'^to clients \[\.{20}\]   0% of 64.0K; 0 queued, 0 dropped')

    def test_the_clients_that_have_no_room_are_scrolled_to(self):
        for _ in range(20):
            self.live.client()
        self.live.wait_clients(20)
        terminal = self.start()
        terminal.wait(r'^\.\.\. and \d+ more')
        terminal.key('End')
        terminal.wait(r'^ +20 .*\n\.\.\. \d+ above and 0 below')
        terminal.key('PPage')
        terminal.key('Up')
        terminal.key('Home')
        terminal.wait(r'^ +1 .*')
        terminal.key('Down')
        terminal.wait(r'^\.\.\. 1 above')
        terminal.type('q', enter=False)
        self.assert_given_back(terminal, 0)

    def test_what_is_down_is_so_since_it_was_lost_and_not_since_its_last_step(self):
        self.live.reconfigure('[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=50ms\n')
        self.peer.refuse()
        self.session.reset()
        terminal = self.start()

        def since():
            return terminal.wait(r'[,;] down for [^;]*, since (\d\d:\d\d:\d\d);')[1]

        first, steps = since(), self.live.status()['upstream']['connects']
        self.live.wait_status(
            lambda s: s['upstream']['lastErrorUsec'] < s['upstream'].get('stateUsec', 0) + 10**6,
            f'attempts after {steps} connections')
        self.assertEqual(since(), first)
        status = subprocess.run([harness.program('ftcpctl'), '--socket', self.live.control_path],
                                check=True, text=True, stdout=subprocess.PIPE)
        self.assertIn(f', since {first}', status.stdout)
        terminal.type('q', enter=False)
        self.assert_given_back(terminal, 0)

    def test_it_follows_the_size_of_the_terminal(self):
        for _ in range(20):
            self.live.client()
        self.live.wait_clients(20)
        terminal = self.start()
        terminal.wait(r'^\.\.\. and \d+ more')
        terminal.resize(100, 40)
        terminal.wait(r'^ +20 ')
        self.assertNotIn('more\n', terminal.screen())
        harness.until(lambda: terminal.screen().splitlines()[39].startswith('q quit'),
                      'the keys in the last line')
        terminal.resize(40, 12)
        harness.until(lambda: terminal.screen().splitlines()[11].startswith('q quit'),
                      'the keys in the last line')
        terminal.wait(r'\AOK ')
        terminal.resize(10, 3)
        terminal.wait(r'\AOK\nreceived\nq quit')
        terminal.resize(80, 24)
        terminal.wait('^received ')
        terminal.type('q', enter=False)
        self.assert_given_back(terminal, 0)

    def test_signals_leave_the_terminal_as_it_was(self):
        for name in ('INT', 'TERM', 'HUP', 'QUIT'):
            terminal = self.start()
            pid = harness.until(lambda: self.children(terminal), 'top to run')
            os.kill(pid, getattr(harness.signal, f'SIG{name}'))
            self.assert_given_back(terminal, 0)
        terminal = self.start()
        terminal.key('C-c')
        self.assert_given_back(terminal, 0)

    def children(self, terminal):
        shell = terminal.tell('pane_pid')
        with open(f'/proc/{shell}/task/{shell}/children', encoding='utf-8') as file:
            children = file.read().split()
        return int(children[0]) if children else None

    def test_a_stop_from_the_keyboard_gives_the_terminal_back_for_a_while(self):
        terminal = self.start()
        terminal.key('C-z')
        terminal.wait('^what was there')
        self.assertEqual(terminal.tell('cursor_flag'), '1')
        terminal.type('fg')
        terminal.wait('^q quit')
        self.assertEqual(terminal.tell('cursor_flag'), '0')
        terminal.type('q', enter=False)
        terminal.wait('^what was there')
        terminal.type('stty -g | cksum')
        terminal.wait(f'^{self.before}$')

    def test_it_waits_for_a_daemon_that_is_away_and_goes_on(self):
        terminal = self.start()
        terminal.wait('^OK ')
        self.live.stop()
        terminal.wait('^NO FTCPD +waiting for it: ')
        terminal.wait('^ +below is what it said last, .* ago')
        self.live.start()
        self.peer.accept()
        terminal.wait('^OK +.*, up for ')
        terminal.type('q', enter=False)
        self.assert_given_back(terminal, 0)

    def test_a_daemon_that_hangs_is_told_and_the_keys_still_work(self):
        terminal = self.start()
        self.live.freeze()
        terminal.wait('^NO FTCPD +waiting for it: .*does')
        terminal.type('q', enter=False)
        self.assert_given_back(terminal, 0)
        self.live.thaw()

    def test_a_terminal_without_colours_or_blocks_is_respected(self):
        terminal = self.start(LC_ALL='C', NO_COLOR='1')
        terminal.wait('^received .*_')
        drawn = terminal.tmux('capture-pane', '-p', '-e')
        self.assertNotIn('\033[', drawn)
        self.assertTrue(drawn.isascii())
        self.assertIn('\033[', self.start().tmux('capture-pane', '-p', '-e'))

    def test_on_a_pipe_it_is_a_line_each_look(self):
        done = subprocess.run(self.command('-n', '3'), shell=True, check=True, text=True,
                              stdout=subprocess.PIPE, timeout=harness.DEADLINE)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 3)
        for line in lines:
            self.assertRegex(line, r'^ok up in \d+/s \S+/s out \d+/s \S+/s queued 0 up 0 down '
                                   r'clients 0 rtt \S+$')
        done = subprocess.run(self.command('-n', '2', '-j'), shell=True, check=True, text=True,
                              stdout=subprocess.PIPE, timeout=harness.DEADLINE)
        self.assertEqual([json.loads(line)['health'] for line in done.stdout.splitlines()],
                         ['ok', 'ok'])

    def test_lines_go_on_when_the_daemon_is_back(self):
        process = self.spawn(self.command().split(), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, text=True)
        self.assertRegex(process.stdout.readline(), '^ok up ')
        self.live.stop()
        self.assertRegex(process.stderr.readline(), '^ftcpctl: waiting: ')
        self.live.start()
        self.peer.accept()
        while 'up in' not in process.stdout.readline():
            pass

    def test_who_starts_it_without_a_daemon_is_told(self):
        self.live.stop()
        done = subprocess.run(self.command(), shell=True, check=False, text=True,
                              stderr=subprocess.PIPE, timeout=harness.DEADLINE)
        self.assertEqual(done.returncode, 3)
        self.assertIn('ftcpd is not running', done.stderr)


if __name__ == '__main__':
    harness.main()
