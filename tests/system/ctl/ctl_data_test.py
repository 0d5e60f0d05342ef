# SPDX-License-Identifier: MIT
"""ftcpctl send and recv against a daemon that is played: the bytes, and the exit codes."""
import os
import socket
import struct
import subprocess
import threading

import runner
from played import DEADLINE, FTCPCTL, CtlTest, client, u32, until


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
    runner.main()
