# SPDX-License-Identifier: MIT
"""The real ftcpctl against a daemon that is played here: what it prints, and what it exits with."""
import json
import os
import pty
import select
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import tap

FTCPCTL = os.environ.get('FTCPCTL') or os.path.join(
    os.path.dirname(__file__), '..', '..', 'build', 'ftcpctl')
DEADLINE = 60
NOBODY = 65534


def count(messages=0, size=0):
    return {'messages': messages, 'bytes': size}


def books(**given):
    return {'accepted': count(12, 1200), 'delivered': count(10, 1000), 'queued': count(1, 100),
            'dropped': [{'reason': 'expired', 'messages': 1, 'bytes': 100}],
            'fullestBytes': 100, 'limitBytes': 64 << 20, 'oldestUsec': 3200000} | given


def upstream(**given):
    return {'state': 'up', 'stateUsec': 184000000, 'address': 'feed.example.net:7000',
            'peer': '192.0.2.7:7000', 'frame': 'length 4 big', 'connects': 5, 'disconnects': 4,
            'lastCause': 'silent',
            'lastError': 'no byte for 3s: if this peer is silent by nature see [Heartbeat] '
                         'Timeout=, if it does not know the empty message see Interval=',
            'lastErrorUsec': 185000000, 'silentUsec': 400000, 'heartbeatTimeoutUsec': 3000000,
            'heartbeatsSent': 812, 'heartbeatsReceived': 790, 'rttUsec': 1234,
            'received': count(1000, 64000), 'sent': count(12, 1200), 'unacked': count(1, 100),
            'resent': count(), 'paused': False} | given


def status(**given):
    return {'version': '1.0.0', 'pid': 4711, 'uptimeUsec': 11520000000, 'health': 'ok',
            'reasons': [], 'upstream': upstream(), 'clients': 3, 'clientsLimit': 1024,
            'clientsAccepted': 17, 'clientsRefused': 0, 'toUpstream': books(),
            'toClients': books(), 'refused': count()} | given


def client(**given):
    return {'id': 1, 'pid': 4712, 'uid': 0, 'gid': 0, 'program': 'reader',
            'connectedUsec': 5000000, 'sendOnly': False, 'receiveOnly': False,
            'received': count(3, 30), 'sent': count(1000, 64000), 'queued': count(2, 2048),
            'queueLimitBytes': 16 << 20, 'dropped': count()} | given


class Refusal(Exception):
    """An error reply: the name of the error, and its parameters."""

    def __init__(self, name, **parameters):
        super().__init__(name)
        self.name, self.parameters = name, parameters


class Daemon:
    """What ftcpctl sees of an ftcpd: the two sockets. `answers` gives a reply a method, an
    exception, or a function of the parameters."""

    def __init__(self, **frame):
        self.folder = tempfile.mkdtemp(prefix='ftcpctl-')
        os.chmod(self.folder, 0o755)
        self.control, self.data = (os.path.join(self.folder, n) for n in ('varlink', 'data'))
        self.calls, self.messages, self.more = [], [], 1
        self.settings = [('Upstream', 'Address', '192.0.2.7:7000'), ('Local', 'Socket', self.data),
                         ('Local', 'Senders', ''), ('Frame', 'MaxMessageSize', '16M')]
        self.settings += [('Frame', key, value) for key, value in frame.items()]
        self.answers = {'Status': status(), 'Health': {'health': 'ok', 'reasons': []},
                        'ListClients': {'clients': []}, 'Reload': {}, 'GetConfig': self.config}
        self.listeners = []
        self.listen(self.control, self.serve_control)
        self.serve_data = self.take_all
        self.listen(self.data, lambda sock: self.serve_data(sock))

    def listen(self, path, serve):
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        os.chmod(path, 0o666)
        listener.listen()
        self.listeners.append(listener)

        def accept():
            while True:
                try:
                    sock, _ = listener.accept()
                except OSError:
                    return
                sock.settimeout(DEADLINE)
                threading.Thread(target=self.guard, args=(serve, sock), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()

    @staticmethod
    def guard(serve, sock):
        with sock:
            try:
                serve(sock)
            except OSError:
                pass

    def close(self):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        shutil.rmtree(self.folder)

    def config(self, _parameters):
        return {'settings': [{'section': s, 'key': k, 'value': v} for s, k, v in self.settings]}

    def reply(self, call):
        assert set(call) <= {'method', 'parameters', 'more', 'oneway', 'upgrade'}, call
        interface, _, method = call['method'].rpartition('.')
        answer = self.answers.get(method if interface == 'io.ftcpd' else call['method'])
        try:
            if answer is None:
                raise Refusal('org.varlink.service.MethodNotFound', method=call['method'])
            if callable(answer):
                answer = answer(call.get('parameters') or {})
            if isinstance(answer, Refusal):
                raise answer
            return {'parameters': answer}
        except Refusal as refusal:
            return {'error': refusal.name, 'parameters': refusal.parameters}

    def serve_control(self, sock):
        data = b''
        while chunk := sock.recv(65536):
            data += chunk
            while b'\0' in data:
                text, _, data = data.partition(b'\0')
                call = json.loads(text)
                self.calls.append(call)
                for i in range(self.more if call.get('more') else 1):
                    reply = self.reply(call)
                    if i + 1 < self.more:
                        reply['continues'] = True
                    sock.sendall(json.dumps(reply).encode() + b'\0')

    def take_all(self, sock):
        received = b''
        while chunk := sock.recv(1 << 20):
            received += chunk
        self.messages.append(received)


def u32(*messages):
    return b''.join(struct.pack('>I', len(m)) + m for m in messages)


def until(condition):
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError('it has not come true in time')
        time.sleep(0.005)


def descriptors(pid):
    """What a process has open."""
    folder = f'/proc/{pid}/fd'
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(os.path.join(folder, name)))
        except FileNotFoundError:
            pass
    return found


def run(*args, **options):
    """Runs ftcpctl to its end: exit code, stdout, stderr, as text where there is no input."""
    binary = 'input' in options or options.pop('binary', False)
    if 'input' not in options:
        options.setdefault('stdin', subprocess.DEVNULL)
    done = subprocess.run([FTCPCTL, *map(str, args)], capture_output=True, timeout=DEADLINE,
                          check=False, **options)
    if binary:
        return done.returncode, done.stdout, done.stderr
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class CtlTest(unittest.TestCase):
    frame = {}

    def setUp(self):
        self.daemon = Daemon(**self.frame)
        self.addCleanup(self.daemon.close)

    def ctl(self, *args, **options):
        return run('--socket', self.daemon.control, *args, **options)

    def assert_exit(self, expected, result):
        self.assertEqual(result[0], expected, result)
        return result


class Usage(unittest.TestCase):
    def test_help_names_every_verb_in_80_columns(self):
        code, out, err = run('--help')
        self.assertEqual((code, err), (0, ''))
        verbs = [line.split('\t')[1] for line in run('--list-verbs')[1].splitlines()
                 if line.startswith('verb\t')]
        for verb in verbs:
            self.assertIn(f'\n  {verb}', out)
            code, more, err = run(verb, '--help')
            self.assertEqual((code, err), (0, ''))
            self.assertIn(f'ftcpctl {verb}', more)
            out += more
        self.assertEqual([line for line in out.splitlines() if len(line) > 80], [])

    def test_the_version_is_told(self):
        self.assertRegex(run('--version')[1], r'^ftcpctl \d+\.\d+')

    def test_a_wrong_command_line_exits_with_2_and_says_where_help_is(self):
        for args in (['--bogus'], ['-x'], ['bogus'], ['status', 'x'], ['send', 'a', 'b'],
                     ['wait', '--timeout=soon'], ['wait', '--state=fine'], ['recv', '-n'],
                     ['recv', '-n', 'x'], ['call'], ['call', 'A', '[1]'], ['--json=maybe', 'call'],
                     ['--instance', 'a/b', 'status'], ['peer', '--listen', 'a:b:c'],
                     ['peer', '--length-size', '5'], ['tap', 'x'], ['tap', '--hex', '--pcap', 'x'],
                     ['call', ''], ['call', 'A', '{}', '{}'], ['--socket=', 'status'],
                     ['recv', '--lines', '--hex'], ['tap', '-j', '--lines'], ['tap', '--client', '0'], ['peer', '--size']):
            code, out, err = run(*args)
            self.assertEqual((code, out), (2, ''), args)
            self.assertTrue(err.startswith('ftcpctl: '), err)
            self.assertEqual(err.count('\n'), 1)

    def test_a_mistyped_verb_is_guessed(self):
        self.assertIn('did you mean clients?', run('client')[2])
        self.assertIn('did you mean help?', run('hlep')[2])

    def test_help_is_a_verb_and_a_letter_too(self):
        for args in (['help'], ['-h']):
            self.assertEqual(run(*args), run('--help'))
        for args in (['help', 'wait'], ['wait', '-h']):
            self.assertEqual(run(*args), run('wait', '--help'))
        self.assertEqual(run('help', 'wiat')[::2], (2, 'ftcpctl: there is no verb "wiat" (did you '
                                                       'mean wait?); see `ftcpctl --help`\n'))

    def test_a_mistyped_option_or_state_is_guessed(self):
        self.assertIn('did you mean --timeout?', run('wait', '--tmeout=3s')[2])
        self.assertIn('did you mean --socket?', run('--sokcet', '/x', 'status')[2])
        self.assertIn('did you mean waiting?', run('wait', '--state=waitng')[2])
        self.assertNotIn('mean', run('wait', '--qqqqqqq')[2])

    @unittest.skipIf(os.geteuid(), 'needs root, for a /run of its own')
    def test_who_forgets_the_instance_is_told_which_there_are(self):
        script = '''mount -t tmpfs none /run && mkdir /run/ftcpd && touch /run/ftcpd/feed.varlink \\
                    /run/ftcpd/other.varlink && exec "$1"'''
        done = subprocess.run(['unshare', '-m', 'sh', '-c', script, 'sh', FTCPCTL], text=True,
                              capture_output=True, timeout=DEADLINE, check=False)
        if 'unshare' in done.stderr or 'mount' in done.stderr:
            self.skipTest(f'no mount namespace here: {done.stderr}')
        self.assertEqual(done.returncode, 3)
        self.assertIn('tried /run/ftcpd.varlink', done.stderr)
        self.assertIn('here is --instance feed or --instance other', done.stderr)

    def test_health_exits_with_3_for_a_wrong_command_line(self):
        self.assertEqual(run('health', '--bogus')[0], 3)
        self.assertEqual(run('--bogus', 'health')[0], 3)
        self.assertEqual(run('health', 'x')[0], 3)


class Unreachable(CtlTest):
    def test_no_daemon_is_told_with_the_path_that_was_tried(self):
        for verb in ('status', 'clients', 'reload', 'send', 'recv'):
            code, out, err = run('--socket', '/nowhere/varlink', verb)
            self.assertEqual((code, out), (3, ''))
            self.assertIn('ftcpd is not running, or its control socket is elsewhere: tried '
                          '/nowhere/varlink', err)

    def test_an_instance_has_its_own_path(self):
        self.assertIn('/run/ftcpd/no-such-one.varlink', run('--instance', 'no-such-one')[2])

    def test_a_socket_that_nobody_listens_on_is_told(self):
        path = os.path.join(self.daemon.folder, 'stale')
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(path)
        code, _, err = run('--socket', path)
        self.assertEqual(code, 3)
        self.assertIn('where nobody listens', err)

    def test_health_without_a_daemon_is_critical(self):
        code, out, err = run('--socket', '/nowhere/varlink', 'health')
        self.assertEqual((code, err), (2, ''))
        self.assertRegex(out, r'^CRITICAL: ftcpd is not running.*\n$')
        code, out, _ = run('--socket', '/nowhere/varlink', 'health', '--nagios')
        self.assertEqual(code, 2)
        self.assertRegex(out, r'^FTCPD CRITICAL - ftcpd is not running.*\n$')
        code, out, _ = run('--socket', '/nowhere/varlink', 'health', '-j')
        self.assertEqual((code, json.loads(out)['health']), (2, 'critical'))

    def test_a_path_that_is_too_long_is_told(self):
        code, _, err = run('--socket', '/x' * 80)
        self.assertEqual(code, 3)
        self.assertIn('too long', err)

    @unittest.skipIf(os.geteuid(), 'needs root, to be somebody else')
    def test_a_closed_socket_names_the_group_to_join(self):
        os.chmod(self.daemon.control, 0o660)
        os.chown(self.daemon.control, 0, 1)
        # A copy, as the tree may stand where nobody else can go, such as /root.
        other = {'user': NOBODY, 'group': NOBODY, 'extra_groups': [],
                 'executable': shutil.copy(FTCPCTL, self.daemon.folder)}
        code, _, err = self.ctl(**other)
        self.assertEqual(code, 4)
        self.assertIn('it is for the group daemon; join it (usermod -aG daemon', err)
        self.assertEqual(self.ctl('health', **other)[0], 3)
        os.chmod(self.daemon.control, 0o666)
        os.chmod(self.daemon.data, 0o660)
        code, _, err = self.ctl('send', 'x', **other)
        self.assertEqual(code, 4)
        self.assertRegex(err, 'data socket .*: only root may; use sudo')

    def test_what_does_not_speak_varlink_is_told(self):
        def babble(sock):
            sock.recv(1000)
            sock.sendall(b'220 smtp.example.net ESMTP\r\n\0')

        path = os.path.join(self.daemon.folder, 'other')
        self.daemon.listen(path, babble)
        code, _, err = run('--socket', path)
        self.assertEqual(code, 3)
        self.assertIn('does not speak Varlink', err)

    def test_a_daemon_that_hangs_up_is_told(self):
        path = os.path.join(self.daemon.folder, 'other')
        self.daemon.listen(path, lambda sock: sock.recv(1000))
        code, _, err = run('--socket', path)
        self.assertEqual(code, 3)
        self.assertIn('closed the connection', err)


class Status(CtlTest):
    def test_one_screen_says_how_the_link_is(self):
        _, out, err = self.assert_exit(0, self.ctl())
        self.assertEqual(err, '')
        for words in ('OK ', 'up for 3min 4s', 'feed.example.net:7000, peer 192.0.2.7:7000',
                      'silent: no byte for 3s', 'last byte 400ms ago', 'dead after 3.0s',
                      'round trip 1.2ms', '3 of 1024', '12/1.17K', '3.2s', 'of 64.0M',
                      'dropped 1/100 expired', 'pid 4711', 'running for 3h 12min'):
            self.assertIn(words, out)
        self.assertEqual(out, self.ctl('status')[1])

    def test_no_line_is_wider_than_80_columns_or_the_screen_higher_than_24(self):
        huge = (1 << 62) - 1
        full = count(huge, huge)
        many = books(accepted=full, delivered=full, queued=full, limitBytes=huge,
                     fullestBytes=huge, oldestUsec=huge,
                     dropped=[{'reason': 'queue_full', 'messages': huge, 'bytes': huge}])
        partial = {'declaredBytes': huge, 'receivedBytes': huge, 'ageUsec': huge}
        worst = upstream(address='h' * 60 + ':65535', peer='[2001:db8::' + '1:' * 10 + ']:65535',
                         received=full, sent=full, unacked=full, resent=full, partial=partial,
                         paused=True, rttUsec=huge, stateUsec=huge, lastError='word ' * 30,
                         connects=huge, disconnects=huge, heartbeatsSent=huge)
        for reply in (status(), status(upstream=worst, toUpstream=many, toClients=many,
                                       instance='n' * 20, clients=huge, refused=full)):
            self.daemon.answers['Status'] = reply
            lines = self.assert_exit(0, self.ctl())[1].splitlines()
            self.assertEqual([line for line in lines if len(line) > 80], [])
            self.assertEqual([line for line in lines if line != line.rstrip()], [])
            self.assertLessEqual(len(lines), 32)
        self.daemon.answers['Status'] = status()
        self.assertLessEqual(len(self.ctl()[1].splitlines()), 24)

    def test_rates_are_those_of_a_moment(self):
        replies = [status(uptimeUsec=1000000), status(
            uptimeUsec=1500000, upstream=upstream(received=count(1600, 69120)))]
        self.daemon.answers['Status'] = lambda _: replies.pop(0)
        out = self.assert_exit(0, self.ctl())[1]
        self.assertIn('rates now  1200/s (10.0K/s) received, 0/s (0/s) sent\n', out)
        self.assertLessEqual(len(out.splitlines()), 24)

    def test_a_second_look_that_fails_is_no_harm(self):
        replies = [status(), Refusal('org.varlink.service.PermissionDenied')]
        self.daemon.answers['Status'] = lambda _: replies.pop(0)
        out = self.assert_exit(0, self.ctl())[1]
        self.assertIn('up for 3min 4s', out)
        self.assertNotIn('rates', out)

    def test_the_fullest_queue_has_a_bar(self):
        self.daemon.answers['Status'] = status(
            toUpstream=books(fullestBytes=32 << 20), toClients=books(fullestBytes=64 << 20))
        out = self.assert_exit(0, self.ctl())[1]
        self.assertIn('[' + 15 * '#' + 15 * '.' + '] 50% full\n', out)
        self.assertIn('[' + 30 * '#' + '] 100% full\n', out)

    def test_a_link_that_is_down_says_when_it_is_tried_again(self):
        down = upstream(state='waiting', stateUsec=2000000, nextAttemptUsec=1500000,
                        lastCause='refused', lastError='connection refused')
        for member in ('peer', 'silentUsec', 'rttUsec'):
            del down[member]
        reasons = [{'severity': 'critical', 'text': 'the link is down for 40s'}]
        self.daemon.answers['Status'] = status(upstream=down, health='critical', reasons=reasons)
        out = self.assert_exit(0, self.ctl())[1]
        for words in ('CRITICAL', 'the link is down for 40s', 'the next attempt is in 1.5s',
                      'refused: connection refused'):
            self.assertIn(words, out)

    def test_a_hold_is_told_once_with_its_end_and_is_no_loss(self):
        held = upstream(state='held', heldBy='root', heldReason='new cable', lastCause='held',
                        lastError='held by root for 1h: new cable', heldForUsec=3600000000)
        self.daemon.answers['Status'] = status(upstream=held)
        out = self.assert_exit(0, self.ctl())[1]
        self.assertIn('\nclosed     3min 5s ago, held by root for 1h: new cable\n', out)
        self.assertIn('\n           by root: new cable\n', out)
        self.assertRegex(out, r'until [^,]*\d\d:\d\d[^,]*, for another 1h 0min\n')
        self.assertNotIn('held: held', out)
        del held['heldForUsec']
        self.assertIn('until `ftcpctl release`\n', self.assert_exit(0, self.ctl())[1])

    def test_what_happened_is_wrapped_and_not_cut(self):
        why = 'because ' * 40 + 'so'
        self.daemon.answers['RecentEvents'] = {'events': [
            {'seq': 1, 'timeUsec': 0, 'kind': 'link', 'state': 'up', 'text': why}]}
        out = self.assert_exit(0, self.ctl())[1]
        self.assertEqual(out.count('because'), 40)
        self.assertTrue(out.endswith(' so\n'), out)
        self.assertEqual([line for line in out.splitlines() if len(line) > 80], [])

    def test_unknown_and_missing_members_are_no_harm(self):
        for reply in ({}, {'upstream': 7, 'toUpstream': [], 'reasons': {}},
                      status(new={'a': 1}, upstream=upstream(state='dreaming'))):
            self.daemon.answers['Status'] = reply
            self.assert_exit(0, self.ctl())
            self.assert_exit(0, self.ctl('-j'))

    def test_text_of_others_cannot_steer_the_terminal(self):
        evil = '\x1b]0;x\x07\x9b31m\u202e'
        self.daemon.answers['Status'] = status(upstream=upstream(lastError=evil, address=evil),
                                               reasons=[{'severity': 'ok', 'text': evil}])
        self.daemon.answers['ListClients'] = {'clients': [client(program=evil)]}
        out = self.ctl()[1] + self.ctl('clients')[1] + self.ctl('health', '--nagios')[1]
        self.daemon.answers['Status']['upstream']['state'] = 'waiting'
        out += self.ctl('wait', '--timeout=0')[2]
        self.assertIn('\\x1b]0', out)
        self.assertEqual(
            [c for c in out if c < ' ' and c != '\n' or '\x7f' <= c < '\xa0' or c == '\u202e'], [])

    def test_json_is_the_reply(self):
        for option in ('-j', '--json=pretty', '--json=short'):
            for args in ((option,), (option, 'status'), ('status', option)):
                out = self.assert_exit(0, self.ctl(*args))[1]
                self.assertEqual(json.loads(out), status())
        self.assertEqual(self.ctl('--json=short')[1].count('\n'), 1)
        self.assertGreater(self.ctl('--json=pretty')[1].count('\n'), 30)
        self.assertIn('OK ', self.ctl('-j', '--json=off')[1])

    def terminal(self, **environment):
        master, slave = pty.openpty()
        env = {k: v for k, v in os.environ.items() if k != 'NO_COLOR'} | {'TERM': 'xterm'}
        subprocess.run([FTCPCTL, '--socket', self.daemon.control], stdout=slave, check=True,
                       timeout=DEADLINE, env=env | environment)
        os.close(slave)
        text = b''
        try:
            while chunk := os.read(master, 65536):
                text += chunk
        except OSError:
            pass
        os.close(master)
        return text

    def test_colour_is_for_terminals_and_not_for_who_said_no(self):
        self.assertIn(b'\x1b[', self.terminal())
        self.assertNotIn(b'\x1b[', self.terminal(NO_COLOR='1'))
        self.assertNotIn(b'\x1b[', self.terminal(TERM='dumb'))
        self.assertNotIn('\x1b[', self.ctl()[1])


class Health(CtlTest):
    def test_each_severity_has_its_exit_code_and_word(self):
        reasons = [{'severity': 'warning', 'text': 'the link is down for 3s'},
                   {'severity': 'warning', 'text': 'flapping'}]
        for code, name in enumerate(('ok', 'warning', 'critical')):
            self.daemon.answers['Health'] = {'health': name, 'reasons': reasons if code else []}
            _, out, err = self.assert_exit(code, self.ctl('health'))
            tail = ': the link is down for 3s; flapping' if code else ''
            self.assertEqual((out, err), (name.upper() + tail + '\n', ''))
            out = self.assert_exit(code, self.ctl('health', '-j'))[1]
            self.assertEqual(json.loads(out)['health'], name)

    def test_nagios_gets_one_line_with_performance_data(self):
        out = self.assert_exit(0, self.ctl('health', '--nagios'))[1]
        self.assertRegex(out, r'^FTCPD OK - link up for 3min 4s\|up=1 clients=3;;;0;1024 queued=1;'
                              r'.* rtt=1234us;;;0 oldest=3200000us;;;0\n$')
        self.daemon.answers['Status'] = status(
            health='warning', reasons=[{'severity': 'warning', 'text': 'a|b'}])
        out = self.assert_exit(1, self.ctl('health', '--nagios'))[1]
        self.assertRegex(out, r'^FTCPD WARNING - a/b\|')
        self.assertEqual(out.count('|'), 1)


    def test_performance_data_is_as_monitoring_plugins_write_it(self):
        number = r'\d+(us|B|c)?'
        word = rf'[a-z_]+={number}(;(\d*)(;(\d*)(;(\d*)(;(\d*))?)?)?)?'
        partly = upstream(state='waiting')
        del partly['rttUsec']
        for reply in (status(), status(upstream=partly), {'health': 'ok', 'upstream': {}}):
            self.daemon.answers['Status'] = reply
            out = self.assert_exit(0, self.ctl('health', '--nagios'))[1]
            self.assertRegex(out, rf'^FTCPD OK[^|]*\|{word}( {word})*\n$')
        self.daemon.answers['Status'] = status()
        data = dict(item.split('=') for item in
                    self.ctl('health', '--nagios')[1].strip().partition('|')[2].split())
        self.assertEqual(data['up'], '1')
        self.assertEqual(data['dropped'], '2c')
        self.assertEqual(data['losses'], '4c')
        self.assertEqual(data['queued_bytes'], f'100B;;;0;{64 << 20}')

    def test_an_instance_is_named_to_monitoring(self):
        out = self.ctl('--instance', 'feed', 'health', '--nagios')[1]
        self.assertRegex(out, '^FTCPD feed OK - ')


class Clients(CtlTest):
    def test_the_table_has_a_line_a_client(self):
        self.daemon.answers['ListClients'] = {'clients': [
            client(), client(id=22, uid=NOBODY, sendOnly=True),
            client(id=3, receiveOnly=True,
                   partial={'declaredBytes': 1 << 20, 'receivedBytes': 12288, 'ageUsec': 3000000}),
            {k: v for k, v in client(id=4, peer='127.0.0.1:9').items()
             if k not in ('pid', 'uid', 'gid', 'program')}]}
        lines = self.assert_exit(0, self.ctl('clients'))[1].splitlines()
        self.assertEqual(lines[0].split(), ['ID', 'PID', 'USER', 'PROGRAM', 'SINCE', 'IN', 'OUT',
                                            'QUEUED', 'DROPPED', 'NOTE'])
        self.assertEqual(lines[1].split(), ['1', '4712', 'root', 'reader', '5.0s', '3', '1000',
                                            '2.00K', '0'])
        self.assertTrue(lines[2].endswith('  send-only'))
        self.assertTrue(lines[3].endswith('  receive-only, partial 12.0K of 1.00M, 3.0s'))
        self.assertEqual(lines[4].split()[1:4], ['-', '-', '127.0.0.1:9'])

    def test_ten_thousand_clients_are_one_reply(self):
        everybody = [client(id=i, program='p' * 15) for i in range(10000)]
        self.daemon.answers['ListClients'] = {'clients': everybody}
        self.assertEqual(self.assert_exit(0, self.ctl('clients'))[1].count('\n'), 10001)
        self.assertEqual(json.loads(self.ctl('clients', '-j')[1]), {'clients': everybody})


class Reload(CtlTest):
    def test_a_reload_that_works_says_nothing(self):
        self.assertEqual(self.ctl('reload'), (0, '', ''))
        self.assertEqual(self.daemon.calls[0]['method'], 'io.ftcpd.Reload')

    def test_a_reload_by_the_manager_is_one_like_any_other(self):
        for pid in (str(os.getpid()), '', '0', 'x', '-1', str(1 << 40)):
            self.assertEqual(self.ctl('reload', env=os.environ | {'MAINPID': pid}), (0, '', ''))
        self.assertEqual(len(self.daemon.calls), 6)

    def test_every_error_of_the_configuration_is_printed(self):
        errors = [f'/etc/ftcpd.conf:{i}: [Frame] Type: "x" is wrong, expected length or delimiter'
                  for i in range(100)]
        self.daemon.answers['Reload'] = Refusal('io.ftcpd.ConfigInvalid', errors=errors)
        _, out, err = self.assert_exit(1, self.ctl('reload'))
        self.assertEqual(out, '')
        self.assertEqual(err.splitlines()[:-1], errors)
        self.assertIn('what was in force stays so', err)

    def test_who_may_not_is_told_which_group_to_join(self):
        self.daemon.answers['Reload'] = Refusal('org.varlink.service.PermissionDenied')
        _, _, err = self.assert_exit(4, self.ctl('reload'))
        self.assertIn('not permitted: Reload needs root, or Admin= in ftcpd.conf', err)
        self.assertIn('names no group to join', err)
        self.daemon.settings += [('Control', 'Admin', 'alice @adm'), ('Control', 'Admin', '@ops')]
        _, _, err = self.assert_exit(4, self.ctl('reload'))
        self.assertIn('join the group adm or ops', err)


class Events(CtlTest):
    def test_a_connection_that_is_closed_by_a_daemon_that_lives_is_the_end(self):
        def close(_parameters):
            raise ConnectionResetError

        self.daemon.answers |= {'RecentEvents': {'events': []}, 'Monitor': close}
        _, _, err = self.assert_exit(1, self.ctl('events'))
        self.assertIn('needed the place for another', err)
        self.assertEqual([c['method'][9:] for c in self.daemon.calls][:5],
                         ['RecentEvents', 'Status', 'Monitor', 'RecentEvents', 'Status'])


class ReloadByManager(unittest.TestCase):
    """The manager holds the socket, and waits for ftcpctl before it starts a crashed ftcpd again."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='ftcpctl-')
        self.addCleanup(shutil.rmtree, self.folder)
        self.path = os.path.join(self.folder, 'varlink')
        self.socket = socket.socket(socket.AF_UNIX)
        self.addCleanup(self.socket.close)
        self.socket.bind(self.path)
        self.ftcpd = subprocess.Popen(['sleep', 'infinity'])
        self.addCleanup(self.kill)

    def kill(self):
        self.ftcpd.kill()
        self.ftcpd.wait()

    def reload(self):
        process = subprocess.Popen(
            [FTCPCTL, '--socket', self.path, 'reload'], stderr=subprocess.PIPE, text=True,
            env=os.environ | {'MAINPID': str(self.ftcpd.pid)})
        self.addCleanup(process.kill)
        return process

    def assert_told(self, process):
        _, err = process.communicate(timeout=2 * DEADLINE)
        self.assertEqual((process.returncode, err),
                         (1, 'ftcpctl: ftcpd has ended before it answered\n'))

    def test_a_reload_does_not_wait_for_the_ftcpd_that_is_to_come(self):
        self.socket.listen()
        process = self.reload()
        until(lambda: select.select([self.socket], [], [], 0)[0])  # it is connected
        self.kill()
        self.assert_told(process)

    def test_it_does_not_wait_for_a_place_in_the_queue_either(self):
        self.socket.listen(0)
        with socket.socket(socket.AF_UNIX) as other:
            other.connect(self.path)
            process = self.reload()
            until(lambda: 'socket:' in str(descriptors(process.pid)))
            self.kill()
            self.assert_told(process)

    def test_it_does_not_begin_where_ftcpd_has_ended(self):
        self.socket.listen()
        self.kill()
        self.assert_told(self.reload())


class Config(CtlTest):
    def setUp(self):
        super().setUp()
        secret = '(set, 2 messages)'
        self.settings = [
            {'section': 'Upstream', 'key': 'Address', 'value': 'a.example:7000',
             'file': '/etc/ftcpd.conf', 'line': 3},
            {'section': 'Upstream', 'key': 'Address', 'value': 'b.example:7000',
             'file': '/etc/ftcpd.conf.d/more.conf', 'line': 2},
            {'section': 'Upstream', 'key': 'ConnectTimeout', 'value': '5s'},
            {'section': 'Upstream', 'key': 'Greeting', 'value': secret,
             'file': '/etc/ftcpd.conf', 'line': 9},
            {'section': 'Local', 'key': 'Senders', 'value': ''}]
        self.daemon.answers['GetConfig'] = {'settings': self.settings}

    def test_each_value_is_told_with_where_it_is_from(self):
        self.assertEqual(self.assert_exit(0, self.ctl('config')), (0, """\
[Upstream]
  Address            a.example:7000                /etc/ftcpd.conf:3
  Address            b.example:7000                /etc/ftcpd.conf.d/more.conf:2
  ConnectTimeout     5s                            default
  Greeting           (set, 2 messages)             /etc/ftcpd.conf:9

[Local]
  Senders            (none)                        default
""", ''))

    def test_cat_is_a_file_in_which_secrets_are_comments(self):
        self.assertEqual(self.assert_exit(0, self.ctl('config', '--cat')), (0, """\
[Upstream]
# /etc/ftcpd.conf:3
Address=a.example:7000
# /etc/ftcpd.conf.d/more.conf:2
Address=b.example:7000
ConnectTimeout=5s
# /etc/ftcpd.conf:9
# Greeting=(set, 2 messages)

[Local]
Senders=
""", ''))

    def test_json_is_the_reply(self):
        out = self.assert_exit(0, self.ctl('config', '-j'))[1]
        self.assertEqual(json.loads(out), {'settings': self.settings})

    def test_a_long_value_has_its_origin_below(self):
        self.settings[0]['value'] = 'h' * 50 + ':7000'
        lines = self.assert_exit(0, self.ctl('config'))[1].splitlines()
        self.assertEqual(lines[2].split(), ['/etc/ftcpd.conf:3'])
        self.assertLessEqual(max(map(len, lines)), 80)

    def test_text_of_others_cannot_steer_the_terminal(self):
        for setting in self.settings:
            setting |= {'section': '\x1b[31m', 'key': '\x1b[31m', 'value': '\x1b]0;x\x07',
                        'file': '\x9b31m'}
        out = self.ctl('config')[1] + self.ctl('config', '--cat')[1]
        self.assertEqual([c for c in out if c < ' ' and c != '\n' or '\x7f' <= c < '\xa0'], [])


class Call(CtlTest):
    def test_a_method_is_called_with_its_parameters(self):
        self.daemon.answers['Echo'] = lambda parameters: {'got': parameters}
        out = self.assert_exit(0, self.ctl('call', 'io.ftcpd.Echo', '{"a": [1, "x"]}'))[1]
        self.assertEqual(json.loads(out), {'got': {'a': [1, 'x']}})
        self.assertEqual(json.loads(self.ctl('call', 'Echo')[1]), {'got': {}})

    def test_another_interface_has_its_full_name(self):
        self.daemon.answers['org.varlink.service.GetInfo'] = {'vendor': 'x'}
        self.assertIn('vendor', self.ctl('call', 'org.varlink.service.GetInfo')[1])

    def test_an_error_is_told_and_exits_with_1(self):
        self.daemon.answers['DropClient'] = Refusal('io.ftcpd.NoSuchClient', id=7)
        _, out, err = self.assert_exit(1, self.ctl('call', 'DropClient', '{"id": 7}'))
        self.assertEqual(out, '')
        self.assertIn('io.ftcpd.NoSuchClient {"id": 7}', err)
        self.assertIn('has no method io.ftcpd.Nothing', self.ctl('call', 'Nothing')[2])

    def test_a_mistyped_method_is_guessed(self):
        self.daemon.answers['org.varlink.service.GetInterfaceDescription'] = {
            'description': 'interface io.ftcpd\nmethod Health() -> ()\nmethod Status() -> ()\n'}
        err = self.assert_exit(1, self.ctl('call', 'Helth'))[2]
        self.assertEqual(err, 'ftcpctl: this ftcpd has no method io.ftcpd.Helth (did you mean '
                              'Health?)\n')

    def test_null_are_no_parameters(self):
        self.assert_exit(0, self.ctl('call', 'Health', 'null'))
        self.assertIn('such as', self.assert_exit(2, self.ctl('call', 'Health', '7'))[2])
        self.assertIn('such as', self.assert_exit(2, self.ctl('call', 'Health', ''))[2])

    def test_more_prints_each_reply_as_a_line(self):
        self.daemon.answers['Monitor'] = Refusal('org.varlink.service.ExpectedMore')
        self.assertIn('--more', self.assert_exit(1, self.ctl('call', 'Monitor'))[2])
        replies = iter([{'a': [1, 2]}, {'b': {}}])
        self.daemon.answers['Monitor'] = lambda _: next(replies)
        self.daemon.more = 2
        out = self.assert_exit(0, self.ctl('call', '--more', 'Monitor', '{"history": 2}'))[1]
        self.assertEqual(out, '{"a":[1,2]}\n{"b":{}}\n')
        self.assertEqual(self.daemon.calls[-1], {
            'method': 'io.ftcpd.Monitor', 'parameters': {'history': 2}, 'more': True})


class Wait(CtlTest):
    def test_a_state_that_is_over_at_once_is_seen(self):
        def event(seq, state, kind='link'):
            return {'event': {'seq': seq, 'timeUsec': 0, 'kind': kind, 'state': state,
                              'cause': 'none', 'text': 'x'}}

        self.daemon.answers['RecentEvents'] = {'events': [event(7, 'up')['event']]}
        # Behind a gap it asks anew how it is.
        replies = [event(8, 'held', kind='gap'), event(9, 'connecting')]
        self.daemon.answers['Monitor'] = lambda _: replies.pop(0)
        self.assertEqual(self.ctl('wait', '--state=connecting'), (0, '', ''))
        self.assertEqual(replies, [])
        methods = [call['method'].rpartition('.')[2] for call in self.daemon.calls]
        self.assertEqual(methods, ['RecentEvents', 'Status', 'Monitor'] * 2)

    def test_what_came_while_nobody_was_connected_counts(self):
        def event(seq, state):
            return {'seq': seq, 'timeUsec': seq, 'kind': 'link', 'state': state, 'cause': 'none',
                    'text': 'x'}

        gap = {'seq': 0, 'timeUsec': 0, 'kind': 'gap', 'text': 'x'}
        for again in ([event(7, 'waiting'), event(8, 'held'), event(9, 'up')],
                      [event(1, 'waiting'), event(2, 'held'), event(3, 'up')]):
            looks = [[event(6, 'held'), event(7, 'waiting')], again]
            told = [gap, again[1]]
            self.daemon.answers['RecentEvents'] = lambda _: {'events': looks.pop(0)}
            self.daemon.answers['Monitor'] = lambda _: {'event': told.pop(0)}
            self.assertEqual(self.ctl('wait', '--state=held', '--timeout=20s'), (0, '', ''))

    def test_no_time_at_all_is_one_look(self):
        self.assertEqual(self.ctl('wait', '--timeout=0'), (0, '', ''))
        self.daemon.answers['Status'] = status(upstream=upstream(state='held'))
        self.assertEqual(self.assert_exit(1, self.ctl('wait', '--timeout=0'))[2],
                         'ftcpctl: the link is held\n')

    def test_it_ends_when_the_link_is_so(self):
        states = ['resolving', 'connecting', 'up']
        self.daemon.answers['Status'] = lambda _: status(upstream=upstream(
            state=states.pop(0) if len(states) > 1 else 'up'))
        self.assertEqual(self.ctl('wait', '--timeout=10s'), (0, '', ''))
        self.assertEqual(states, ['up'])

    def test_the_timeout_exits_with_1_and_says_how_it_is(self):
        _, _, err = self.assert_exit(1, self.ctl('wait', '--state=held', '--timeout=2s'))
        self.assertIn('the link is up', err)

    def test_it_also_waits_for_the_daemon(self):
        path = os.path.join(self.daemon.folder, 'late')
        process = subprocess.Popen([FTCPCTL, '--socket', path, 'wait', '--timeout=10s'])
        self.assertIsNone(process.poll())
        time.sleep(0.2)
        self.daemon.listen(path, self.daemon.serve_control)
        self.assertEqual(process.wait(DEADLINE), 0)
        code, _, err = run('--socket', '/nowhere/varlink', 'wait', '--timeout=100ms')
        self.assertEqual(code, 1)
        self.assertIn('ftcpd is not running', err)


class Send(CtlTest):
    def sent(self, *args, **options):
        self.assert_exit(0, self.ctl('send', *args, **options))
        until(lambda: self.daemon.messages)
        return self.daemon.messages.pop()

    def test_the_argument_is_one_message(self):
        self.assertEqual(self.sent('hello there'), u32(b'hello there'))
        self.assertEqual(self.sent(''), u32(b''))
        self.assertEqual(self.sent('--', '--lines'), u32(b'--lines'))

    def test_stdin_is_one_message_of_any_bytes(self):
        for data in (b'', b'a\0b\n\xff\r\n', os.urandom(5 << 20)):
            self.assertEqual(self.sent(input=data), u32(data))
            self.assertEqual(self.sent('-', input=data), u32(data))

    def test_lines_are_a_message_each(self):
        self.assertEqual(self.sent('--lines', input=b'one\n\nth\0ree\nfour'),
                         u32(b'one', b'', b'th\0ree', b'four'))
        self.assertEqual(self.sent('--lines', 'one\ntwo\n'), u32(b'one', b'two'))
        self.assertEqual(self.sent('--lines', input=b'one\r\n'), u32(b'one\r'))
        self.assertEqual(self.sent('--lines', input=b''), b'')
        many = [os.urandom(n % 997).replace(b'\n', b'') for n in range(20000)]
        self.assertEqual(self.sent('--lines', input=b''.join(m + b'\n' for m in many)), u32(*many))

    def test_a_line_goes_before_the_next_one_comes(self):
        seen = []

        def serve(sock):
            while chunk := sock.recv(65536):
                seen.append(chunk)

        self.daemon.serve_data = serve
        with subprocess.Popen([FTCPCTL, '--socket', self.daemon.control, 'send', '--lines'],
                              stdin=subprocess.PIPE) as process:
            for text in (b'first', b'second'):
                process.stdin.write(text + b'\n')
                process.stdin.flush()
                until(lambda want=text: b''.join(seen).endswith(u32(want)))
        self.assertEqual(process.returncode, 0)

    def test_a_sender_gets_nothing(self):
        seen = []

        def serve(sock):
            while sock.recv(65536):
                pass
            try:
                sock.sendall(b'x')
            except BrokenPipeError:
                seen.append('refused')

        self.daemon.serve_data = serve
        self.assert_exit(0, self.ctl('send', 'x'))
        until(lambda: seen)

    def test_it_returns_when_the_daemon_has_taken_it(self):
        gate = threading.Event()

        def serve(sock):
            gate.wait(DEADLINE)
            self.daemon.take_all(sock)

        self.daemon.serve_data = serve
        process = subprocess.Popen([FTCPCTL, '--socket', self.daemon.control, 'send', 'slowly'])
        with self.assertRaises(subprocess.TimeoutExpired):
            process.wait(0.3)
        gate.set()
        self.assertEqual(process.wait(DEADLINE), 0)

    def test_a_daemon_that_closes_instead_is_told(self):
        def serve(sock):
            sock.recv(2)

        self.daemon.serve_data = serve
        for data in (b'0123456789', bytes(8 << 20)):
            _, _, err = self.assert_exit(1, self.ctl('send', input=data))
            self.assertIn(b'closed the connection before it had taken everything', err)

    def test_what_is_too_large_is_refused_before_it_is_sent(self):
        self.daemon.settings.append(('Frame', 'MaxMessageSize', '1K'))
        _, _, err = self.assert_exit(1, self.ctl('send', input=bytes(1025)))
        self.assertIn(b'larger than MaxMessageSize', err)
        _, _, err = self.assert_exit(1, self.ctl('send', input=bytes(1 << 20)))
        self.assertIn(b'MaxMessageSize', err)
        _, _, err = self.assert_exit(
            1, self.ctl('send', '--lines', input=b'good\n' + b'x' * 2000 + b'\n'))
        self.assertIn(b'line 2', err)
        until(lambda: u32(b'good') in self.daemon.messages)

    def test_who_is_no_sender_is_told_so(self):
        self.daemon.settings[2:3] = [('Local', 'Senders', 'alice'), ('Local', 'Senders', '@feed')]
        pids = []

        def serve(sock):
            pids.append(struct.unpack('iii', sock.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
            self.daemon.take_all(sock)

        def listed(may):
            def answer(_):
                until(lambda: pids)
                return {'clients': [client(pid=p, receiveOnly=not may) for p in pids]}

            return answer

        self.daemon.serve_data = serve
        self.daemon.answers['ListClients'] = listed(False)
        _, _, err = self.assert_exit(4, self.ctl('send', 'x'))
        self.assertIn('Senders=alice @feed', err)
        pids.clear()
        self.daemon.answers['ListClients'] = listed(True)
        self.assert_exit(0, self.ctl('send', 'x'))
        until(lambda: u32(b'x') in self.daemon.messages)


class Recv(CtlTest):
    def feed(self, data, pieces=None):
        def serve(sock):
            for i in range(0, len(data), pieces or len(data)):
                sock.sendall(data[i:i + (pieces or len(data))])
            sock.recv(1)

        self.daemon.serve_data = serve

    def test_each_message_is_a_line(self):
        self.feed(u32(b'one', b'', b'th\0\xffree', b'more'))
        for args in ((), ('--lines',)):
            _, out, err = self.assert_exit(0, self.ctl('recv', '-n', 3, *args, binary=True))
            self.assertEqual((out, err), (b'one\n\nth\0\xffree\n', b''))

    def test_hex_and_raw_are_exact(self):
        data = bytes(range(256))
        self.feed(u32(data, b'', b'x'))
        out = self.assert_exit(0, self.ctl('recv', '-n', 3, '--hex'))[1]
        self.assertEqual(out, data.hex() + '\n\n78\n')
        out = self.assert_exit(0, self.ctl('recv', '-n', 3, '--raw', binary=True))[1]
        self.assertEqual(out, data + b'x')

    def test_a_message_that_comes_in_bytes_is_whole(self):
        self.feed(u32(b'one', b'two'), pieces=1)
        self.assertEqual(self.ctl('recv', '-n', 2), (0, 'one\ntwo\n', ''))

    def test_a_large_message_is_whole(self):
        data = os.urandom(16 << 20)
        self.feed(u32(data))
        out = self.assert_exit(0, self.ctl('recv', '-n', 1, '--raw', binary=True))[1]
        self.assertEqual(out, data)

    def test_fewer_messages_than_asked_for_at_the_timeout_are_a_failure(self):
        self.feed(u32(b'one'))
        _, out, err = self.assert_exit(1, self.ctl('recv', '-n', 2, '--timeout=2s'))
        self.assertEqual(out, 'one\n')
        self.assertIn('after 1 message', err)
        self.assert_exit(0, self.ctl('recv', '--timeout=2s'))
        self.feed(u32(b'half')[:-1])
        _, _, err = self.assert_exit(1, self.ctl('recv', '--timeout=2s'))
        self.assertIn('the beginning of another', err)

    def test_a_daemon_that_closes_is_a_failure(self):
        self.daemon.serve_data = lambda sock: sock.sendall(u32(b'last'))
        _, out, err = self.assert_exit(1, self.ctl('recv'))
        self.assertEqual(out, 'last\n')
        self.assertIn('ftcpd closed the connection after 1 message', err)


class DelimiterFrame(CtlTest):
    frame = {'Type': 'delimiter', 'Delimiter': r'\r\n'}

    def test_lines_go_both_ways(self):
        self.assert_exit(0, self.ctl('send', 'hello'))
        until(lambda: self.daemon.messages == [b'hello\r\n'])
        self.daemon.serve_data = lambda sock: sock.sendall(b'one\r\ntwo\rx\r\n')
        self.assertEqual(self.ctl('recv', '-n', 2, binary=True)[1], b'one\ntwo\rx\n')

    def test_a_message_with_the_delimiter_is_refused(self):
        _, _, err = self.assert_exit(1, self.ctl('send', 'a\r\nb'))
        self.assertIn('contains the delimiter', err)


class DecimalFrame(CtlTest):
    frame = {'LengthSize': '4', 'LengthFormat': 'decimal', 'LengthAdjust': '-4'}

    def test_the_length_is_written_in_digits_and_counts_itself(self):
        self.assert_exit(0, self.ctl('send', 'hello'))
        until(lambda: self.daemon.messages == [b'0009hello'])
        self.daemon.serve_data = lambda sock: sock.sendall(b'0007one0004')
        self.assertEqual(self.ctl('recv', '-n', 2, binary=True)[1], b'one\n\n')


class OffsetFrame(CtlTest):
    frame = {'LengthSize': '2', 'LengthOffset': '4'}

    def test_the_message_is_the_whole_frame(self):
        frame = bytes.fromhex('000100000003') + b'abc'
        self.assert_exit(0, self.ctl('send', input=frame))
        until(lambda: self.daemon.messages == [frame])
        self.daemon.serve_data = lambda sock: sock.sendall(frame)
        self.assertEqual(self.ctl('recv', '-n', 1, '--raw', binary=True)[1], frame)
        _, _, err = self.assert_exit(1, self.ctl('send', 'abc'))
        self.assertIn('not one whole frame', err)


if __name__ == '__main__':
    tap.main()
