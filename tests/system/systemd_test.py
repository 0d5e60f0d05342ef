# SPDX-License-Identifier: MIT
"""The service under the real systemd, of the oldest and the newest Debian that it is for."""
import harness
import nspawn

CONFIG = "[Delivery]\nSlowClient=wait\n"


class Service:
    """What holds on each of them."""

    def test_a_restart_and_a_crash_are_not_noticed(self):
        _, service, session = self.linked(CONFIG)
        client = service.client()
        service.wait_clients(1)
        for number, interrupt in enumerate((service.restart, service.kill)):
            before = service.pid
            interrupt()
            self.assertNotEqual(service.pid, before)
            session.send(b"down %d" % number)
            client.expect(b"down %d" % number)
            client.send(b"up %d" % number)
            session.expect(b"up %d" % number)
        status = service.status()
        self.assertEqual(status["upstream"]["disconnects"], 0)
        self.assertEqual(status["clientsAccepted"], 1)


class Bookworm(Service, nspawn.MachineTest):
    suite = "bookworm"


class Trixie(Service, nspawn.MachineTest):
    suite = "trixie"


if __name__ == "__main__":
    harness.main()
