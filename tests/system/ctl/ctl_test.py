# SPDX-License-Identifier: MIT
"""What ftcpctl shows of a daemon that is played: what it prints, and what it exits with."""
import json
import os
import pty
import shutil
import socket
import subprocess
import unittest

import runner
from played import (DEADLINE, FTCPCTL, NOBODY, CtlTest, Refusal, books, client, count, run, status,
                    upstream)


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


class Events(CtlTest):
    def test_a_connection_that_is_closed_by_a_daemon_that_lives_is_the_end(self):
        def close(_parameters):
            raise ConnectionResetError

        self.daemon.answers |= {'RecentEvents': {'events': []}, 'Monitor': close}
        _, _, err = self.assert_exit(1, self.ctl('events'))
        self.assertIn('needed the place for another', err)
        self.assertEqual([c['method'][9:] for c in self.daemon.calls][:5],
                         ['RecentEvents', 'Status', 'Monitor', 'RecentEvents', 'Status'])


if __name__ == '__main__':
    runner.main()
