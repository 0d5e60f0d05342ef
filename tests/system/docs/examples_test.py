# SPDX-License-Identifier: MIT
"""Each file of etc/examples is run as it stands, with a peer that stands for the real one.

So are two paragraphs of ftcp-protocol(7) on what a peer takes for its session: what a login belongs
to, and peers that speak first.
"""
import glob
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile

import harness
from harness import Frame, Framed, until
from local import connect_as, dropped
from manual import read

EXAMPLES = os.path.join(harness.TOP, 'etc', 'examples')
NOBODY = 65534
MBAP = Frame(size=2, offset=4)
SOUP = Frame(size=2)
LINES = Frame(delimiter=b'\n')
LOGIN = b'Luser  password  ' + b' ' * 10 + b'%20d' % 0


def example(name):
    with open(os.path.join(EXAMPLES, f'{name}.conf'), encoding='utf-8') as file:
        return file.read()


class Passed(harness.Daemon):
    """ftcpd with the descriptor 3 as a data socket, as a socket unit passes it."""
    passed = None

    def command(self):
        return ['sh', '-c', 'LISTEN_PID=$$ exec "$@"', 'sh', *super().command()]

    def options(self):
        def prepare():
            harness.die_with_parent()
            os.dup2(self.passed.fileno(), 3)

        return {'close_fds': False, 'preexec_fn': prepare}


class Example(harness.SystemTest):
    def peer(self, frame=None):
        """An upstream that says nothing by itself, and from which nothing is hidden."""
        return self.upstream(frame=frame, heartbeat=None, skip=())

    def started(self, name, *upstreams, more='', **options):
        """The daemon with this example, whose addresses are those of the upstreams."""
        text, addresses = example(name), [upstream.address for upstream in upstreams]
        wanted = len(re.findall('(?m)^Address=.*\n', text))
        self.assertEqual(len(addresses), wanted, 'addresses of the example')
        text = re.sub('(?m)^Address=.*$', lambda _: f'Address={addresses.pop(0)}', text)
        return self.daemon(text + more, **options)


class Checked(harness.SystemTest):
    def check(self, path, environment=()):
        done = subprocess.run([harness.program('ftcpd'), '--check-config', '--config', path],
                              env={**os.environ, **dict(environment)}, text=True,
                              capture_output=True, timeout=harness.DEADLINE, check=False)
        with open(path, encoding='utf-8') as file:
            self.assertEqual((done.returncode, done.stderr), (0, ''), file.read())

    def test_every_example_of_the_manual_passes_check_config(self):
        blocks = re.findall(r'(?ms)^\.Bd -literal -offset indent\n(\[.*?)^\.Ed',
                            read('man', 'ftcpd.conf.5'))
        blocks = [block for block in blocks if 'LoadCredential=' not in block]
        self.assertGreater(len(blocks), 7)
        for block in blocks:
            # Neither the credentials nor the people need be here.
            text = re.sub(r'@credential:[\w-]+', 'LOGIN', block.replace('\\e', '\\'))
            text = text.replace('control @operators', 'root')
            text += '' if 'Address=' in text else '[Upstream]\nAddress=192.0.2.1:7000\n'
            with tempfile.NamedTemporaryFile('w', prefix='ftcpd-', suffix='.conf') as file:
                file.write(text)
                file.flush()
                self.check(file.name)

    def test_every_example_passes_check_config_and_is_run_here(self):
        folder = tempfile.mkdtemp(prefix='ftcpd-test-')
        self.addCleanup(shutil.rmtree, folder)
        with open(os.path.join(folder, 'login'), 'wb') as file:
            file.write(LOGIN)
        paths = sorted(glob.glob(os.path.join(EXAMPLES, '*.conf')))
        self.assertGreater(len(paths), 4)
        with open(__file__, encoding='utf-8') as file:
            tests = file.read()
        for path in paths:
            self.check(path, {'CREDENTIALS_DIRECTORY': folder})
            name = os.path.basename(path).removesuffix('.conf')
            self.assertIn(f"self.started('{name}'", tests)

    def test_no_example_of_lines_waits_for_both_characters_of_their_end(self):
        texts = {path: read(path) for path in glob.glob('etc/**/*.conf', root_dir=harness.TOP,
                                                        recursive=True)}
        for path, text in {**texts, 'ftcpd.conf.5': read('man', 'ftcpd.conf.5')}.items():
            self.assertIsNone(re.search(r'(?m)^Delimiter=\\e?r', text), path)
        table = read('man', 'ftcp-protocol.7')
        self.assertIn('\n.It NMEA 0183, AIS Ta Cm Type=delimiter\n', table)


class Feeds(Example):
    def test_ninjatcp_goes_to_all_clients_and_of_heartbeats_only_those_of_ftcpd(self):
        def news(client):
            """The next message that is no heartbeat."""
            while not (message := client.recv()):
                self.assertEqual(message, b'')
            return message

        first, second = self.upstream(heartbeat=1), self.upstream(heartbeat=1)
        first.refuse()
        daemon = self.started('ninjatcp', first, second)
        session = second.accept()
        clients = [daemon.client() for _ in range(2)]
        daemon.wait_clients(2)
        daemon.wait_status(lambda s: s['upstream']['heartbeatsReceived'] >= 2, 'two heartbeats')
        session.send(b'price', *[b''] * 1000)
        session.send(b'next')
        for client in clients:
            self.assertEqual([news(client), news(client)], [b'price', b'next'])
        accepted = daemon.status()['toClients']['accepted']['messages']
        self.assertEqual(accepted, 4, 'two messages for each of two')
        clients[0].send(b'subscribe')
        session.expect(b'subscribe')

    def test_lines_of_both_ends_reach_every_client_as_they_are(self):
        receiver = self.peer(LINES)
        daemon = self.started('silent-feed', receiver)
        session = receiver.accept()
        daemon.wait_state('up')
        client = daemon.client(LINES)
        daemon.wait_clients(1)
        lines = (b'$GPGGA,092750.000,5321.6802,N,00630.3372,W,1,8,1.03,61.7,M,55.2,M,,*76\r',
                 b'$GPRMC,092750.000,A,5321.6802,N,00630.3372,W,0.02,31.66,280511,,,A*43\r',
                 b'!AIVDM,1,1,,B,177KQJ5000G?tO`K>RA1wUbN0TKH,0*5C')
        session.send(*lines)
        client.expect(*lines)
        # The first thing that the receiver gets is what a client says: no heartbeat.
        client.send_raw(b'$PMTK220,1000*1F\r\n')
        session.expect(b'$PMTK220,1000*1F\r')

    def test_a_metered_link_carries_nothing_but_messages(self):
        station = self.peer()
        daemon = self.started('metered-link', station)
        session = station.accept()
        client = daemon.client()
        daemon.wait_clients(1)
        session.send(b'reading')
        client.expect(b'reading')
        client.send(b'command')
        session.expect(b'command')
        status = daemon.wait_state('up')
        self.assertEqual(status['upstream']['heartbeatsSent'], 0)


class Device:
    """A Modbus device: holding registers, which are read (3) and written (6)."""

    def __init__(self, session):
        self.session, self.registers = session, {}

    def answer(self):
        """The answer to the next request, which is sent."""
        request = self.session.recv()
        head, (function, address, value) = request[:4], struct.unpack('>BHH', request[7:])
        if function == 6:
            self.registers[address] = value
            body = request[6:]
        else:
            read_out = (self.registers.get(address + n, 0) for n in range(value))
            body = request[6:8] + struct.pack('>B', 2 * value)
            body += b''.join(struct.pack('>H', register) for register in read_out)
        self.session.send(head + struct.pack('>H', len(body)) + body)


def asked(transaction, function, address, value):
    return struct.pack('>HHHBBHH', transaction, 0, 6, 1, function, address, value)


class Commands(Example):
    def start(self):
        """A Modbus device behind ftcpd, a client by TCP and one by the path."""
        device = self.peer(MBAP)
        with socket.socket() as listener:
            listener.bind(('127.0.0.1', 0))
            listener.listen()
            daemons = type('DaemonOfThisListener', (Passed,), {'passed': listener})
            self.daemon_class = daemons
            environment = {'LISTEN_FDS': '1', 'LISTEN_FDNAMES': 'data'}
            daemon = self.started('command-channel', device, env=environment)
            session = device.accept()
            daemon.wait_state('up')
            by_tcp = Framed(socket.create_connection(listener.getsockname()), MBAP)
            self.addCleanup(by_tcp.close)
        daemon.wait_clients(1)
        return daemon, session, by_tcp

    def test_a_modbus_program_reads_and_writes_by_tcp(self):
        daemon, session, client = self.start()
        device = Device(session)
        for number in range(1, 6):
            client.send(asked(number, 6, 40, 1000 + number))
            device.answer()
            client.expect(asked(number, 6, 40, 1000 + number))
            client.send(asked(number, 3, 40, 1))
            device.answer()
            client.expect(struct.pack('>HHHBBBH', number, 0, 5, 1, 3, 2, 1000 + number))
        status = daemon.status()
        self.assertEqual((status['refused']['messages'], status['upstream']['heartbeatsSent']),
                         (0, 0))

    def test_by_the_path_too_and_a_command_that_is_too_old_is_not_sent(self):
        device = self.peer(MBAP)
        daemon = self.started('command-channel', device)
        session = device.accept()
        daemon.wait_state('up')
        client = daemon.client(MBAP)
        client.send(asked(1, 6, 7, 77))
        Device(session).answer()
        client.expect(asked(1, 6, 7, 77))
        device.refuse()
        session.reset()
        daemon.wait_state(('waiting', 'connecting'))
        client.send(asked(2, 6, 7, 78))
        daemon.wait_status(lambda s: dropped(s, 'toUpstream', 'expired') == 1, 'it to be too old')
        device.listen()
        session = device.accept()
        client.send(asked(3, 6, 7, 79))
        session.expect(asked(3, 6, 7, 79))

    def test_where_all_come_by_the_path_few_may_send(self):
        commented = [line for line in example('command-channel').splitlines()
                     if line.startswith('#Senders=')]
        self.assertEqual(len(commented), 1)
        if os.getuid() != 0:
            self.skipTest('only root can connect as another user')
        device = self.peer(MBAP)
        daemon = self.started('command-channel', device,
                              more=f'[Local]\nSocketMode=0666\n{commented[0][1:]}\n')
        session = device.accept()
        daemon.wait_state('up')
        os.chmod(daemon.directory, 0o755)
        with connect_as(daemon.data_path, NOBODY, NOBODY) as nobody:
            nobody.send_raw(asked(1, 6, 1, 1))
            daemon.wait_status(lambda s: s['refused']['messages'] == 1, 'it to be refused')
        daemon.client(MBAP).send(asked(2, 6, 1, 2))
        session.expect(asked(2, 6, 1, 2))


class Host:
    """A SoupBinTCP host: numbers its messages, and tells where it goes on."""

    def __init__(self):
        self.sent = []

    def login(self, session, accept=True):
        login = session.recv()
        while login == b'R':
            login = session.recv()
        assert login == LOGIN, login
        first = int(login[-20:]) or len(self.sent) + 1
        session.send(b'A' + b' ' * 9 + b'1' + b'%20d' % first if accept else b'JA')

    def say(self, session, text):
        self.sent.append(text)
        if session:
            session.send(b'S' + text, b'H')


class Sessions(Example):
    def start(self, *hosts):
        folder = tempfile.mkdtemp(prefix='ftcpd-test-')
        self.addCleanup(shutil.rmtree, folder)
        with open(os.path.join(folder, 'login'), 'wb') as file:
            file.write(LOGIN)
        return self.started('host-session', *hosts, env={'CREDENTIALS_DIRECTORY': folder},
                            more='[Upstream]\nReconnectDelayMax=50ms\n')

    def test_soupbintcp_logs_in_again_and_loses_what_was_sent_meanwhile(self):
        first, second, host = self.peer(SOUP), self.peer(SOUP), Host()
        first.refuse()
        daemon = self.start(first, second)
        session = second.accept()
        client = daemon.client(SOUP)
        daemon.wait_clients(1)
        client.send(b'Uorder 1')
        host.login(session)  # nothing before it
        session.skip = {b'R'}
        session.expect(b'Uorder 1')
        host.say(session, b'one')
        client.expect(b'Sone')  # neither the login's answer nor a heartbeat
        session.reset()
        host.say(None, b'lost: what a constant login cannot ask for')
        session = second.accept()
        host.login(session)
        host.say(session, b'three')
        client.expect(b'Sthree')
        self.assertEqual(daemon.wait_state('up')['upstream']['disconnects'], 1)

    def test_a_login_that_is_refused_is_no_link(self):
        first, second, host = self.peer(SOUP), self.peer(SOUP), Host()
        second.refuse()
        daemon = self.start(first, second)
        host.login(first.accept(), accept=False)
        daemon.wait_log(r'greeting')
        status = daemon.status()
        self.assertEqual(status['upstream']['connects'] - status['upstream']['disconnects'], 0)


class Store:
    """A server of lines that gives away its secret to whoever is logged in, as Redis does."""

    def __init__(self, session):
        self.session, self.known = session, False

    def answer(self):
        command = self.session.recv().rstrip(b'\r')
        if command == b'AUTH letmein':
            self.known = True
            reply = b'+OK'
        else:
            reply = b'+the secret' if self.known else b'-NOAUTH Authentication required.'
        self.session.send(reply + b'\r')
        return reply


class WhatALoginBelongsTo(Example):
    def test_what_one_client_unlocked_another_user_reads_until_the_link_ends(self):
        if os.getuid() != 0:
            self.skipTest('only root can connect as another user')
        server = self.peer(LINES)
        daemon = self.daemon(f'[Upstream]\nAddress={server.address}\n{LINES.config()}'
                             '[Heartbeat]\nInterval=0\nTimeout=0\n[Local]\nSocketMode=0666\n')
        os.chmod(daemon.directory, 0o755)
        store = Store(server.accept())
        daemon.wait_state('up')
        with daemon.client(LINES) as client:
            client.send(b'AUTH letmein\r')
            store.answer()
            client.expect(b'+OK\r')
        daemon.wait_clients(0)

        def as_nobody():
            with connect_as(daemon.data_path, NOBODY, NOBODY) as nobody:
                nobody.frame = LINES
                nobody.send(b'GET secret\r')
                return store.answer(), nobody.recv()

        self.assertEqual(as_nobody(), (b'+the secret', b'+the secret\r'))
        daemon.wait_clients(0)
        daemon.call('Reconnect')
        store = Store(server.accept())
        self.assertRegex(as_nobody()[1], b'^-NOAUTH')

    def test_it_stands_in_bold_where_people_look(self):
        sentence = 'A login belongs to the link, not to a client'
        self.assertIn(f'**{sentence}.**', read('README.md'))
        for page in ('ftcpd.8', 'ftcp-protocol.7'):
            self.assertIn(f'\n.Sy {sentence} .\n', read('man', page))
        self.assertIn('\n.Sy The login belongs to the link,', read('man', 'ftcpd-operations.7'))
        self.assertIn('\n.Sy a login belongs to the link,', read('man', 'ftcpd.conf.5'))


class PeersThatSpeakFirst(Example):
    def lines(self, config, **options):
        server = self.peer(LINES)
        daemon = self.daemon(f'[Upstream]\nAddress={server.address}\n{config}{LINES.config()}'
                             '[Heartbeat]\nInterval=0\nTimeout=0\n', **options)
        return server, daemon

    def test_the_answer_that_is_expected_is_the_banner(self):
        server, daemon = self.lines('Greeting=LOGIN\nGreetingExpect=220\n')
        client = daemon.client(LINES)
        daemon.wait_clients(1)
        client.send(b'command')
        session = server.accept()
        session.send(b'220 welcome')
        session.expect(b'LOGIN', b'command')  # without the answer to the login
        session.send(b'230 logged in')
        client.expect(b'230 logged in')

    def test_who_is_connected_gets_the_banner_and_who_comes_later_does_not(self):
        server, daemon = self.lines('SendAfter=answer\n')
        early = daemon.client(LINES)
        daemon.wait_clients(1)
        early.send(b'question')
        session = server.accept()
        session.send(b'220 welcome')
        early.expect(b'220 welcome')
        session.expect(b'question')
        late = daemon.client(LINES)
        daemon.wait_clients(2)
        session.send(b'answer')
        late.expect(b'answer')

    def test_what_is_held_goes_to_the_first_client(self):
        server, daemon = self.lines('[Delivery]\nHoldSize=64K\n')
        session = server.accept()
        session.send(b'220 welcome')
        until(lambda: daemon.status()['toClients']['queued']['messages'] == 1, 'the banner')
        daemon.client(LINES).expect(b'220 welcome')
        late = daemon.client(LINES)
        daemon.wait_clients(2)
        session.send(b'answer')
        late.expect(b'answer')


if __name__ == '__main__':
    harness.main()
