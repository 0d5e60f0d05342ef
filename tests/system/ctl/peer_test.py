# SPDX-License-Identifier: MIT
"""`ftcpctl peer`, the upstream to try and test with, seen from the other side of its connections."""
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

import runner

FTCPCTL = os.environ.get('FTCPCTL') or os.path.join(
    os.path.dirname(__file__), '..', '..', '..', 'build', 'ftcpctl')
DEADLINE = 60


def u32(*messages):
    return b''.join(struct.pack('>I', len(m)) + m for m in messages)


class Peer:
    """A running peer; `lines` is what it has printed so far."""

    def __init__(self, *args, script=None):
        self.lines = []
        command = [FTCPCTL, 'peer', '--listen', '127.0.0.1:0', *map(str, args)]
        with tempfile.NamedTemporaryFile('w', suffix='.script') as file:
            if script is not None:
                file.write(script)
                file.flush()
                command += ['--script', file.name]
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True,
                                            stderr=subprocess.PIPE)
            first = self.process.stdout.readline()
        match = re.fullmatch(r'listening on (127\.0\.0\.1):(\d+)\n', first)
        assert match, (first, self.process.stderr.read())
        self.address = match[1], int(match[2])
        self.threads = [threading.Thread(target=self.read_lines, daemon=True)]
        self.threads[0].start()

    def read_lines(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip('\n'))

    def connect(self):
        sock = socket.create_connection(self.address, DEADLINE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock

    def wait_line(self, pattern):
        end = time.monotonic() + DEADLINE
        while not any(re.search(pattern, line) for line in self.lines):
            assert time.monotonic() < end, self.lines
            time.sleep(0.005)

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(DEADLINE)
        self.threads[0].join(DEADLINE)
        self.errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return code


def recv_exactly(sock, size):
    data = b''
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise EOFError(data)
        data += chunk
    return data


class PeerTest(unittest.TestCase):
    def peer(self, *args, **options):
        peer = Peer('--heartbeat', 0, *args, **options) if '--heartbeat' not in args else \
            Peer(*args, **options)
        self.addCleanup(lambda: peer.process.poll() is None and peer.close())
        return peer

    def connect(self, peer):
        sock = peer.connect()
        self.addCleanup(sock.close)
        return sock

    def expect(self, sock, data):
        self.assertEqual(recv_exactly(sock, len(data)), data)

    def expect_end(self, sock):
        self.assertEqual(sock.recv(100), b'')

    def expect_reset(self, sock):
        with self.assertRaises(ConnectionResetError):
            sock.recv(100)


class Plain(PeerTest):
    def test_what_it_receives_is_printed(self):
        peer = self.peer()
        sock = self.connect(peer)
        sock.sendall(u32(b'hello', b'', b'\x1b[1m\xff\n', b'x' * 1000))
        sock.close()
        peer.wait_line('closed: by the other side, after 3 messages')
        self.assertEqual(peer.close(), 0)
        self.assertRegex(peer.lines[0], r'^connection 1 opened: from 127\.0\.0\.1:\d+$')
        self.assertEqual(peer.lines[1:4], [
            'connection 1 received: hello', r'connection 1 received: \x1b[1m\xff\n',
            'connection 1 received: ' + 'x' * 200 + '... (1000 bytes)'])

    def test_quiet_prints_no_messages(self):
        peer = self.peer('--quiet')
        sock = self.connect(peer)
        sock.sendall(u32(b'hello'))
        sock.close()
        peer.wait_line('after 1 message')
        self.assertNotIn('received', ' '.join(peer.lines))

    def test_its_heartbeat_is_the_empty_message(self):
        peer = self.peer('--heartbeat', '50ms')
        began = time.monotonic()
        sock = self.connect(peer)
        self.expect(sock, bytes(4) * 5)
        self.assertGreater(time.monotonic() - began, 0.2)

    def test_its_heartbeat_may_be_another_message(self):
        peer = self.peer('--heartbeat', '50ms', '--heartbeat-message', r'ping\0')
        self.expect(self.connect(peer), u32(b'ping\0') * 2)

    def test_a_message_too_large_or_broken_resets_the_connection(self):
        for args, data in ((('--max-message-size', '1K'), u32(bytes(1025))),
                           (('--length-format', 'decimal'), b'00x1')):
            peer = self.peer(*args)
            sock = self.connect(peer)
            sock.sendall(data)
            self.expect_reset(sock)
            peer.wait_line('closed: reset')

    def test_many_connections_are_served_at_once(self):
        peer = self.peer('--echo')
        socks = [self.connect(peer) for _ in range(50)]
        for i, sock in enumerate(socks):
            sock.sendall(u32(b'%d' % i))
        for i, sock in enumerate(socks):
            self.expect(sock, u32(b'%d' % i))

    def test_an_address_in_use_is_told(self):
        peer = self.peer()
        done = subprocess.run([FTCPCTL, 'peer', '--listen', '%s:%d' % peer.address], check=False,
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn('Address already in use', done.stderr)

    def test_a_zero_before_a_number_is_an_error(self):
        done = subprocess.run([FTCPCTL, 'peer', '--listen', '127.000.000.010:0'], check=False,
                              capture_output=True, text=True, timeout=DEADLINE)
        self.assertEqual(done.returncode, 1)
        self.assertIn('127.000.000.010:0: a zero before a number means octal', done.stderr)

    def test_ipv6_is_printed_in_brackets(self):
        process = subprocess.Popen([FTCPCTL, 'peer', '--listen', '[::1]:0'], text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.terminate)
        line = process.stdout.readline()
        if not line:
            self.skipTest('there is no IPv6 here')
        self.assertRegex(line, r'^listening on \[::1\]:\d+\n$')


class Echo(PeerTest):
    def test_everything_comes_back(self):
        peer = self.peer('--echo', '--quiet')
        sock = self.connect(peer)
        data = b''.join(u32(os.urandom(n * 977 % 50000)) for n in range(500)) + u32(b'', bytes(1 << 20))
        writer = threading.Thread(target=sock.sendall, args=(data,))
        writer.start()
        self.expect(sock, data)
        writer.join(DEADLINE)

    def test_a_reader_that_stops_stops_the_echo_and_nothing_is_lost(self):
        peer = self.peer('--echo', '--quiet')
        sock = self.connect(peer)
        message, sent = u32(bytes(60000)), 0
        sock.settimeout(1)
        with self.assertRaises(TimeoutError):
            while True:
                sent += sock.send(message[sent % len(message):])
        sock.settimeout(DEADLINE)
        with open(f'/proc/{peer.process.pid}/statm', encoding='ascii') as file:
            resident = int(file.read().split()[1]) * os.sysconf('SC_PAGESIZE')
        if b'libasan' not in open(f'/proc/{peer.process.pid}/maps', 'rb').read():
            self.assertLess(resident, 64 << 20)
        whole = sent // len(message)
        self.expect(sock, message * whole)


class Generate(PeerTest):
    def test_messages_come_numbered_in_the_given_size(self):
        peer = self.peer('--generate', 'max', '--size', 100)
        sock = self.connect(peer)
        for i in range(20000):
            got = recv_exactly(sock, 104)
            self.assertEqual(got, u32(b'%d' % i + b'.' * (100 - len(str(i)))))

    def test_the_rate_is_kept(self):
        peer = self.peer('--generate', 200, '--size', 10)
        began = time.monotonic()
        sock = self.connect(peer)
        recv_exactly(sock, 14 * 101)
        took = time.monotonic() - began
        self.assertGreater(took, 0.45)
        self.assertLess(took, 5)

    test_the_rate_is_kept.timed = True

    def test_every_kind_of_frame_can_be_generated(self):
        for args, head, tail in (
                (('--frame-type', 'delimiter', '--delimiter', r'\r\n'), b'', b'\r\n'),
                (('--length-size', 2, '--length-format', 'little'), b'\5\0', b''),
                (('--length-format', 'hex', '--length-adjust', '-4'), b'0009', b''),
                (('--length-size', 2, '--length-offset', 4), bytes(4) + b'\0\5', b'')):
            peer = self.peer('--generate', 'max', '--size', 5, *args)
            self.expect(self.connect(peer), head + b'0....' + tail + head + b'1....' + tail)

    def test_a_size_that_the_frame_cannot_hold_is_refused(self):
        for args in (('--size', '20M'), ('--size', 70000, '--length-size', 2),
                     ('--frame-type', 'delimiter', '--delimiter', '.')):
            done = subprocess.run([FTCPCTL, 'peer', '--generate', 'max', *map(str, args)],
                                  check=False, capture_output=True, timeout=DEADLINE)
            self.assertEqual(done.returncode, 2, args)


class Script(PeerTest):
    def test_a_greeting_is_expected_and_answered(self):
        peer = self.peer(script='accept\nexpect LOGIN me\nsend OK\n')
        sock = self.connect(peer)
        sock.sendall(u32(b'', b'LOGIN me'))
        self.expect(sock, u32(b'OK'))
        sock.sendall(u32(b'more'))
        peer.wait_line('received: more')
        self.assertEqual(peer.close(), 0)

    def test_what_was_not_expected_resets_and_fails(self):
        peer = self.peer(script='expect LOGIN\nsend OK\n')
        sock = self.connect(peer)
        sock.sendall(u32(b'HELLO'))
        self.expect_reset(sock)
        peer.wait_line('closed: reset, it was not as expected')
        self.assertEqual(peer.close(), 1)
        self.assertRegex(peer.errors, r':1: connection 1: expected LOGIN, got HELLO')

    def test_an_end_that_was_not_expected_fails(self):
        peer = self.peer(script='expect LOGIN\n')
        self.connect(peer).close()
        peer.wait_line('closed')
        self.assertEqual(peer.close(), 1)
        self.assertIn('got the end of the connection', peer.errors)

    def test_each_connection_plays_its_part_and_later_ones_the_last(self):
        peer = self.peer(script='accept\nsend one\nclose\naccept\nsend two\nwait 100ms\nreset\n'
                                'accept\nsend three\nclose\n')
        for text, end in ((b'one', self.expect_end), (b'two', self.expect_reset),
                          (b'three', self.expect_end), (b'three', self.expect_end)):
            sock = self.connect(peer)
            self.expect(sock, u32(text))
            end(sock)

    def test_a_script_without_accept_is_played_by_each(self):
        peer = self.peer(script='# a comment\n\n  send  "one \\x21"  \nsend ""\nclose\n')
        for _ in range(3):
            sock = self.connect(peer)
            self.expect(sock, u32(b'one !', b''))
            self.expect_end(sock)

    def test_a_close_is_no_reset_though_bytes_are_unread(self):
        peer = self.peer(script='stall 200ms\nsend bye\nclose\n')
        sock = self.connect(peer)
        sock.sendall(u32(bytes(100000)))
        self.expect(sock, u32(b'bye'))
        self.expect_end(sock)

    def test_a_split_send_comes_in_pieces(self):
        peer = self.peer(script='split 1 2 4\nsend 0123456789\nsend-hex 00 00 0001 41\n')
        whole = u32(b'0123456789', b'A')
        expected = [whole[:1], whole[1:3], whole[3:7]]
        for _ in range(20):  # who reads late finds several of them
            sock = self.connect(peer)
            pieces = []
            while sum(map(len, pieces)) < len(whole):
                pieces.append(sock.recv(100))
            self.assertEqual(b''.join(pieces), whole)
            if pieces[:3] == expected:
                break
        self.assertEqual(pieces[:3], expected)
        self.assertTrue(whole[7:].startswith(pieces[3]))

    def test_no_heartbeat_stands_within_a_split_or_behind_broken_bytes(self):
        peer = self.peer('--heartbeat', '5ms',
                         script='split 1 1 1 1 1 1\nsend 0123456789\nlength 99 abc\nwait 100ms\nclose\n')
        sock = self.connect(peer)
        data = b''
        while chunk := sock.recv(1000):
            data += chunk
        self.assertEqual(data.replace(bytes(4), b'', data.index(u32(b'0123456789')) // 4),
                         u32(b'0123456789') + struct.pack('>I', 99) + b'abc')

    def test_a_broken_length_says_what_it_was_told(self):
        peer = self.peer(script='length 4294967295\nlength 3 abcdef\n')
        self.expect(self.connect(peer), b'\xff\xff\xff\xff\0\0\0\3abcdef')

    def test_wait_lets_time_pass(self):
        peer = self.peer(script='send a\nwait 200ms\nsend b\n')
        began = time.monotonic()
        sock = self.connect(peer)
        self.expect(sock, u32(b'a'))
        self.expect(sock, u32(b'b'))
        self.assertGreater(time.monotonic() - began, 0.15)

    def test_what_came_during_a_wait_is_expected_after_it(self):
        peer = self.peer(script='send go\nwait 200ms\nexpect first\nexpect\nexpect third\nsend ok\n')
        sock = self.connect(peer)
        self.expect(sock, u32(b'go'))
        sock.sendall(u32(b'first', b'', b'any', b'third'))
        self.expect(sock, u32(b'ok'))

    def test_a_stalled_peer_reads_nothing_and_then_everything(self):
        peer = self.peer('--heartbeat', '20ms', script='stall 4s\n')
        sock = self.connect(peer)
        sock.settimeout(0.3)
        sent = 0
        data = u32(bytes(16 << 20))
        with self.assertRaises(TimeoutError):
            while sent < len(data):
                sent += sock.send(data[sent:sent + 65536])
        sock.settimeout(DEADLINE)
        sock.sendall(data[sent:])
        peer.wait_line('received')
        self.assertEqual(recv_exactly(sock, 12), bytes(12))

    def test_heartbeats_can_be_stopped_and_begun(self):
        peer = self.peer('--heartbeat', '20ms',
                         script='heartbeat 0\nsend a\nwait 200ms\nsend b\nheartbeat 20ms\n')
        self.expect(self.connect(peer), u32(b'a', b'b', b'', b''))

    def test_echo_begins_where_it_stands(self):
        peer = self.peer(script='expect one\necho\n')
        sock = self.connect(peer)
        sock.sendall(u32(b'one', b'two', b''))
        self.expect(sock, u32(b'two', b''))

    def test_repeat_and_loop_repeat(self):
        peer = self.peer(script='repeat 3 send x\nexpect next\nloop\n')
        sock = self.connect(peer)
        for _ in range(5):
            self.expect(sock, u32(b'x') * 3)
            sock.sendall(u32(b'next'))

    def test_an_endless_loop_of_sends_floods_and_others_are_served(self):
        peer = self.peer(script='accept\nsend flood\nloop\naccept\nsend two\n')
        flood = self.connect(peer)
        self.expect(flood, u32(b'flood') * 100000)
        self.expect(self.connect(peer), u32(b'two'))

    def test_exit_ends_the_program_also_behind_a_close(self):
        for script, code in (('send bye\nwait 100ms\nexit 7\n', 7),
                             ('send bye\nclose\nexit 3\n', 3),
                             ('send bye\nwait 100ms\nreset\nexit', 0)):
            peer = self.peer(script=script)
            sock = self.connect(peer)
            self.expect(sock, u32(b'bye'))
            sock.close()
            self.assertEqual(peer.process.wait(DEADLINE), code)
            peer.close()

    def test_every_error_of_a_script_names_its_line(self):
        for script, words in (('bogus', 'line 1: there is no such command'),
                              ('\n#\nsend-hex 0', 'line 3: expected pairs'),
                              ('send \\q', 'line 1: an escape'), ('wait soon', 'line 1: expected a'),
                              ('split 1 2', 'no send, send-hex or length follows'),
                              ('split 0\nsend', 'line 1: expected the sizes'),
                              ('length x', 'line 1: expected a number'),
                              ('length 4294967296', 'line 1: this frame has no length field'),
                              ('repeat 0 send', 'line 1: repeat'), ('repeat 2 loop', 'line 1: repeat'),
                              ('accept x', 'line 1: accept'), ('', 'the script is empty'),
                              ('send a\0b', 'line 1: a NUL byte'), ('exit 256', 'line 1: expected')):
            done = subprocess.run([FTCPCTL, 'peer', '--script', '-'], input=script.encode(),
                                  check=False, capture_output=True, timeout=DEADLINE)
            self.assertEqual((done.returncode, done.stdout), (2, b''), script)
            self.assertIn(words, done.stderr.decode())


if __name__ == '__main__':
    runner.main()
