# SPDX-License-Identifier: MIT
"""What ftcpctl asks for and waits for, of a daemon that is played: reload, config, call, wait."""
import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import runner
from played import DEADLINE, FTCPCTL, CtlTest, Refusal, descriptors, run, status, until, upstream


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
        self.daemon.settings += [('Control', 'Admin', who)
                                 for who in ('alice', '@adm', '@"domain users"')]
        _, _, err = self.assert_exit(4, self.ctl('reload'))
        self.assertIn('join the group adm or "domain users"', err)


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


if __name__ == '__main__':
    runner.main()
