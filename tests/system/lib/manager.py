# SPDX-License-Identifier: MIT
"""As much of a service manager as ftcpd needs: sockets that outlive it, and its descriptor store.

    daemon = self.managed("[Upstream]\\nAddress=...\\n")
    daemon.kill()    # a crash
    daemon.start()   # the next process gets what was kept

What systemd itself does differently is tested with a real one.
"""
import array
import os
import resource
import select
import socket
import threading

import harness

FIRST = 3  # the number of the first descriptor that is passed


def _listen(path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(path)
    sock.listen(4096)
    return sock


class Managed(harness.Daemon):
    """An ftcpd whose sockets are passed to it and whose descriptors are kept."""

    def configure(self, config):
        super().configure(config)
        if getattr(self, "notify", None):
            return
        self.notify_path = os.path.join(self.directory, "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        self.notify.bind(self.notify_path)
        self.sockets = [("data", _listen(self.data_path)), ("varlink", _listen(self.control_path)),
                        *getattr(self, "more_sockets", ())]
        self.store = []  # of name, descriptor
        self.said = []
        self.nofile = None  # LimitNOFILE= of the next process
        self.address_space = None  # LimitAS=
        self.more_env = {}
        self.lock, self.closed = threading.Lock(), False
        self.listener = threading.Thread(target=self._listen, daemon=True)
        self.listener.start()

    def start(self, wait=True):
        self.drain()
        passed = [(name, sock.fileno()) for name, sock in self.sockets] + self.store[::-1]
        self.env = {
            "NOTIFY_SOCKET": self.notify_path,
            "LISTEN_FDS": str(len(passed)),
            "LISTEN_FDNAMES": ":".join(name for name, _ in passed),
            **self.more_env,
        }
        self.passed = [fd for _, fd in passed]
        super().start(wait)
        self.drain()

    def command(self):
        """Behind a shell, which knows the number that the daemon will have."""
        return ["/bin/sh", "-c", 'LISTEN_PID=$$ exec "$@"', "sh", *super().command()]

    def options(self):
        numbers = self.passed

        def place():
            harness.die_with_parent()
            high = [os.dup2(fd, 1000 + i, inheritable=False) for i, fd in enumerate(numbers)]
            for i, fd in enumerate(high):
                os.dup2(fd, FIRST + i)
            if self.nofile:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self.nofile, self.nofile))
            if self.address_space:
                resource.setrlimit(resource.RLIMIT_AS, (self.address_space, self.address_space))

        return {"preexec_fn": place, "close_fds": False}

    def _listen(self):
        """Few messages fit into the socket: the daemon would wait for us."""
        while not self.closed:
            if select.select([self.notify], [], [], 0.1)[0]:
                self.drain()

    def drain(self):
        """What the daemon has said so far."""
        with self.lock:
            self._drain()

    def _drain(self):
        while select.select([self.notify], [], [], 0)[0]:
            data, control, _, _ = self.notify.recvmsg(65536, socket.CMSG_SPACE(4 * 256))
            fds = array.array("i")
            for level, kind, payload in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    fds.frombytes(payload[: len(payload) - len(payload) % fds.itemsize])
            self._hear(data.decode().splitlines(), list(fds))

    def _hear(self, lines, fds):
        fields = dict(line.partition("=")[::2] for line in lines)
        self.said.append(fields)
        name = fields.get("FDNAME", "stored")
        if fields.get("FDSTORE") == "1":
            self.store += [(name, fd) for fd in fds]
        elif fields.get("FDSTOREREMOVE") == "1":
            for entry in [entry for entry in self.store if entry[0] == name]:
                self.store.remove(entry)
                os.close(entry[1])
        else:
            for fd in fds:
                os.close(fd)

    def kept(self):
        """The names in the store."""
        self.drain()
        return sorted(name for name, _ in self.store)

    def forget(self, name):
        """As if the manager had dropped it by itself."""
        self.drain()
        for entry in [entry for entry in self.store if entry[0] == name]:
            self.store.remove(entry)
            os.close(entry[1])

    def crash(self):
        """SIGKILL, and the next process."""
        self.kill()
        self.start()

    def close(self):
        super().close()
        self.closed = True
        self.listener.join()
        self.drain()
        for _, fd in self.store:
            os.close(fd)
        self.store = []
        for _, sock in self.sockets:
            sock.close()
        self.notify.close()


class ManagedTest(harness.SystemTest):
    """A test with daemons that are managed."""

    daemon_class = Managed
