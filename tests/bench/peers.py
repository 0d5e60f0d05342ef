# SPDX-License-Identifier: MIT
"""The programs that are measured: how each is configured, started, and stopped.

All are told to do as well as they can at this work: no logs, no limits in the way, one process
where there is a choice. None of them is started as a service.
"""

import os
import re
import shutil
import socket
import subprocess
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
FTCPD = os.path.abspath(os.environ.get('FTCPD', os.path.join(HERE, '../../build/ftcpd')))
PROGRAMS = os.path.dirname(FTCPD)
PROXYD = '/lib/systemd/systemd-socket-proxyd'
STARTING = 10  # seconds
PINNED = []  # processors: of what is measured, and of the load


class Failed(Exception):
    pass


def free_port():
    """A port outside the ephemeral range, where a redial could not meet itself."""
    first = free_port.next or 15000 + os.getpid() % 5000
    for port in range(first, 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(('127.0.0.1', port))
            except OSError:
                continue
        free_port.next = port + 1 if port < 31000 else 15000
        return port
    raise Failed('no free port')


free_port.next = None


class Peer:
    """One process for one run, in a directory of its own run's files."""

    program = None  # needed to run it
    most_clients = 10000
    linked = True  # a connection to the upstream for each client
    protocol = None  # of bench-fanout

    def __init__(self, directory, clients, settings=None):
        self.clients = clients
        self.settings = settings or {}
        self.name = re.sub('(?<!^)(?=[A-Z])', '-', type(self).__name__).lower()
        self.directory = directory
        self.port = free_port()
        base = os.path.join(directory, f'{self.name}-{self.port}')
        self.socket, self.config, self.log = base + '.sock', base + '.conf', base + '.log'
        self.process = None

    @classmethod
    def available(cls):
        return cls.program is None or shutil.which(cls.program, path=search_path()) is not None

    def command(self):
        raise NotImplementedError

    def write_config(self, text):
        with open(self.config, 'w', encoding='utf-8') as file:
            file.write(text)

    def __enter__(self):
        command = self.command()
        if not command:
            return self
        env = dict(os.environ, PATH=search_path())
        with open(self.log, 'a', encoding='utf-8') as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, cwd=self.directory, env=env)
        if PINNED:
            os.sched_setaffinity(self.process.pid, {PINNED[0]})
        deadline = time.monotonic() + STARTING
        while not self.listens():
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.__exit__()
                raise Failed(f'{self.name} does not listen:\n{self.last_words()}')
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def listens(self):
        # A socket is there before it listens; asked of the kernel, as a connection would be work.
        with open('/proc/net/unix', encoding='utf-8') as table:
            return any(line.split()[3] == '00010000' and line.split()[-1].startswith(self.socket)
                       for line in table if self.socket in line)

    def last_words(self):
        if not os.path.exists(self.log):
            return ''
        with open(self.log, encoding='utf-8', errors='replace') as log:
            return ''.join(log.readlines()[-10:])

    def address(self):
        """What the load program is told: how its clients reach it, and the upstream's port."""
        return ['--socket', self.socket, '--port', str(self.port)]

    def pid(self):
        return ['--pid', str(self.process.pid)]


def search_path():
    return os.environ.get('PATH', '') + ':/usr/sbin:/sbin'


# ---- relays ----

class Direct(Peer):
    """No relay: the clients' TCP connections end at the upstream."""

    def command(self):
        return None

    def address(self):
        return ['--port', str(self.port)]

    def pid(self):
        return []


class Haproxy(Peer):
    program = 'haproxy'
    tuning = ''
    options = ''

    def command(self):
        self.write_config(f'''global
  nbthread 1
  maxconn {self.clients + 20}
{self.tuning}
defaults
  mode tcp
  timeout connect 5s
  timeout client 120s
  timeout server 120s
{self.options}
frontend local
  bind unix@{self.socket}
  default_backend upstream
backend upstream
  server upstream 127.0.0.1:{self.port}
''')
        return ['haproxy', '-db', '-q', '-f', self.config]


class HaproxyLarge(Haproxy):
    tuning = '  tune.bufsize 262144'
    most_clients = 1000  # two buffers a client


class HaproxySplice(Haproxy):
    options = '  option splice-request\n  option splice-response'


class Nginx(Peer):
    program = 'nginx'

    @classmethod
    def available(cls):
        return super().available() and os.path.exists('/usr/lib/nginx/modules/ngx_stream_module.so')

    def command(self):
        self.write_config(f'''load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile {2 * self.clients + 1000};
pid {self.socket}.pid;
error_log stderr crit;
events {{ worker_connections {2 * self.clients + 100}; }}
stream {{
  access_log off;
  server {{ listen unix:{self.socket}; proxy_pass 127.0.0.1:{self.port}; proxy_timeout 120s; }}
}}
''')
        return ['nginx', '-e', 'stderr', '-c', self.config, '-p', self.directory]


class Socat(Peer):
    """A process for each client."""

    program = 'socat'
    most_clients = 100

    def command(self):
        return ['socat', f'UNIX-LISTEN:{self.socket},fork,backlog=4096',
                f'TCP:127.0.0.1:{self.port},nodelay']


class Proxyd(Peer):
    """systemd-socket-proxyd, given its socket as systemd would."""

    program = 'systemd-socket-activate'
    most_clients = 1000

    @classmethod
    def available(cls):
        return super().available() and os.path.exists(PROXYD)

    def command(self):
        return ['systemd-socket-activate', '-l', self.socket, PROXYD,
                f'--connections-max={self.clients + 10}', f'127.0.0.1:{self.port}']


class Bare(Peer):
    program = os.path.join(PROGRAMS, 'bench-bare')
    most_clients = 1000  # two threads each

    def command(self):
        return [self.program, self.socket, str(self.port)]


class Ftcpd(Peer):
    """settings: keys of [Delivery]."""

    program = FTCPD
    linked = False
    protocol = 'ftcp'

    def command(self):
        delivery = {'SlowClient': 'wait', **self.settings}
        self.write_config(f'''[Upstream]
Address=127.0.0.1:{self.port}
ReconnectDelay=50ms
ReconnectDelayMax=50ms
StallTimeout=0
[Heartbeat]
Interval=0
Timeout=0
[Delivery]
{os.linesep.join(f'{key}={value}' for key, value in delivery.items())}
[Local]
Socket={self.socket}
MaxClients={self.clients + 10}
[Control]
Socket={self.socket[:-5]}.varlink
''')
        return [self.program, '--config', self.config, '--log-level', 'warning']


class FtcpdBefore(Ftcpd):
    """Another build of it, which --before names."""

    program = None

    @classmethod
    def available(cls):
        return cls.program is not None


class FtcpdStoppedTap(Ftcpd):
    """Somebody who may watches what passes, and does not read."""

    tap = None

    def __enter__(self):
        super().__enter__()
        self.tap = socket.socket(socket.AF_UNIX)
        self.tap.connect(f'{self.socket[:-5]}.varlink')
        self.tap.sendall(b'{"method":"io.ftcpd.Tap","more":true}\0')
        return self

    def __exit__(self, *_):
        super().__exit__()
        if self.tap:
            self.tap.close()


class FtcpdTap(FtcpdStoppedTap):
    """The same, who reads as fast as it comes, and does nothing with it."""

    def __enter__(self):
        super().__enter__()
        threading.Thread(target=self.read, daemon=True).start()
        return self

    def read(self):
        try:
            while self.tap.recv(1 << 20):
                pass
        except OSError:
            pass


# ---- brokers ----

class Redis(Peer):
    program = 'redis-server'
    protocol = 'redis'

    def command(self):
        return ['redis-server', '--port', '0', '--unixsocket', self.socket, '--save', '',
                '--appendonly', 'no', '--client-output-buffer-limit', 'pubsub', '0', '0', '0',
                '--maxclients', str(self.clients + 100)]

    def address(self):
        return ['--socket', self.socket]


class Nats(Peer):
    """TCP only."""

    program = 'nats-server'
    protocol = 'nats'

    def command(self):
        self.write_config(f'''listen: 127.0.0.1:{self.port}
ping_interval: "1h"
max_payload: 8388608
max_pending: 1073741824
max_connections: {self.clients + 100}
write_deadline: "60s"
''')
        return ['nats-server', '-c', self.config]

    def listens(self):
        wanted = f'0100007F:{self.port:04X}'
        with open('/proc/net/tcp', encoding='utf-8') as table:
            return any(line.split()[1] == wanted and line.split()[3] == '0A' for line in table)

    def address(self):
        return ['--port', str(self.port)]


class Mosquitto(Peer):
    program = 'mosquitto'
    protocol = 'mqtt'

    def command(self):
        self.write_config(f'''listener 0 {self.socket}
allow_anonymous true
user root
log_type error
max_queued_messages 0
max_queued_bytes 0
persistence false
''')
        return ['mosquitto', '-c', self.config]

    def address(self):
        return ['--socket', self.socket]


RELAYS = {
    'haproxy': (Haproxy, 'HAProxy, its defaults'),
    'haproxy-256k': (HaproxyLarge, 'HAProxy, tune.bufsize 262144'),
    'haproxy-splice': (HaproxySplice, 'HAProxy, splice both ways'),
    'nginx': (Nginx, 'nginx, stream module'),
    'socat': (Socat, 'socat, a process for each client'),
    'proxyd': (Proxyd, 'systemd-socket-proxyd'),
    'bare': (Bare, 'blocking read and write, 256 KiB: the copying limit'),
    'direct': (Direct, 'no relay'),
    'ftcpd': (Ftcpd, 'ftcpd'),
    'ftcpd-before': (FtcpdBefore, 'the build of ftcpd that --before names'),
    'ftcpd-tap': (FtcpdTap, 'ftcpd, tapped by one who reads'),
    'ftcpd-tap-stop': (FtcpdStoppedTap, 'ftcpd, tapped by one who does not read'),
}
BROKERS = {
    'redis': (Redis, 'Redis pub/sub, Unix socket'),
    'nats': (Nats, 'nats-server, TCP'),
    'mosquitto': (Mosquitto, 'mosquitto, QoS 0, Unix socket'),
}
PEERS = {**RELAYS, **BROKERS}
