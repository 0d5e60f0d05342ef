# SPDX-License-Identifier: MIT
"""Links in every state, for what operators do to them."""
import socket

import harness

QUICK = "ReconnectDelay=50ms\nReconnectDelayMax=100ms\n"
PATIENT = f"[Service]\nStopTimeout={120 * harness.SLOW:.0f}s\n"  # nobody waits for so long


class SteerTest(harness.SystemTest):
    def steer(self, daemon, *args):
        """The same, which must work; returns the one line that it prints."""
        code, out, err = daemon.ctl(*args)
        self.assertEqual((code, err), (0, ""), out)
        self.assertEqual(out.count("\n"), 1, out)
        return out.strip()

    def link_events(self, daemon):
        return [e for e in daemon.call("RecentEvents")["events"] if e["kind"] == "link"]

    def deaf(self, config=""):
        """A link whose upstream does not read yet, in the middle of the first of two messages."""
        upstream = self.upstream()
        upstream.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        daemon = self.daemon(f"[Upstream]\nAddress={upstream.address}\n{QUICK}{config}")
        session = upstream.accept()
        daemon.wait_state("up")
        client = daemon.client()
        messages = [harness.stamp(1, i, bytes(3000000)) for i in range(2)]
        client.send(*messages)
        daemon.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 2, "both messages")
        return upstream, daemon, session, client, messages

    def refused(self, config=""):
        """A daemon whose upstream refuses, and that waits for long before its next attempt."""
        upstream = self.upstream()
        upstream.refuse()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\nReconnectDelay=1h\nReconnectDelayMax=1h\n"
            + config
        )
        daemon.wait_state("waiting")
        return upstream, daemon

    def silent(self):
        """A daemon whose connection attempt gets no answer."""
        mute = self.upstream(backlog=0)
        for _ in range(2):
            sock = socket.socket()
            self.addCleanup(sock.close)
            sock.setblocking(False)
            sock.connect_ex((mute.host, mute.port))
        daemon = self.daemon(
            f"[Upstream]\nAddress={mute.address}\nConnectTimeout=1h\n"
        )
        daemon.wait_state("connecting")
        return mute, daemon

    @staticmethod
    def take_one(upstream):
        """Accepts whatever waits in the backlog, and keeps it."""
        upstream.listener.settimeout(0)
        try:
            upstream.sessions.append(harness.Framed(upstream.listener.accept()[0]))
            upstream.sessions[-1].send(b"")
        except BlockingIOError:
            pass

    @staticmethod
    def is_up(daemon):
        return daemon.status()["upstream"]["state"] == "up"

    def unanswered(self):
        """A daemon that waits for the answer to its greeting."""
        upstream = self.upstream()
        daemon = self.daemon(
            f"[Upstream]\nAddress={upstream.address}\n{QUICK}Greeting=hello\nGreetingExpect=OK\n"
        )
        session = upstream.accept()
        session.expect(b"hello")
        daemon.wait_state("greeting")
        return upstream, daemon, session
