# SPDX-License-Identifier: MIT
"""A daemon that is played, and the real ftcpctl run against it."""
import json
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import unittest

FTCPCTL = os.environ.get('FTCPCTL') or os.path.join(
    os.path.dirname(__file__), '..', '..', '..', 'build', 'ftcpctl')
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
    return {'version': '1.2.3', 'pid': 4711, 'uptimeUsec': 11520000000, 'health': 'ok',
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
