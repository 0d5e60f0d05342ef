# SPDX-License-Identifier: MIT
"""The service under the real systemd, of the oldest and the newest Debian that it is for."""
import os
import random
import re
import subprocess

import harness
import nspawn
from storm import CONFIG, Storm

QUICK = "[Upstream]\nReconnectDelay=50ms\nReconnectDelayMax=100ms\n"
NOBODY = "127.0.0.1:9"  # where nobody listens
METRICS = "/var/lib/prometheus/node-exporter/ftcpd.prom"
SOCKETS = ("ftcpd.socket", "ftcpd-varlink.socket")


class Service(Storm):
    """What holds on each of them."""

    files = {
        "/etc/ftcpd.conf": f"[Upstream]\nAddress={NOBODY}\n",
        "/etc/hosts": "127.0.0.1 localhost\n",
    }

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.booted = cls.machine.run("systemctl", "show", "ftcpd", "--property=ActiveState,NRestarts,StatusText")
        cls.machine.run("systemctl", "stop", "ftcpd", *SOCKETS)

    def pair(self, config=CONFIG, **options):
        """A link that is up, and a client."""
        upstream, service, session = self.linked(config, **options)
        client = service.client()
        service.wait_clients(1)
        return upstream, service, session, client

    def check_both_ways(self, session, client):
        session.send(b"down")
        client.expect(b"down")
        client.send(b"up")
        session.expect(b"up")

    def active(self, *units):
        return self.machine.run("systemctl", "is-active", *units, check=False).split()

    def seed(self):
        number = harness.seed()
        print("seed", number)
        return random.Random(number)

    # start and reload

    def test_a_boot_with_the_upstream_unreachable_starts_it_all_the_same(self):
        self.assertIn("ActiveState=active", self.booted)
        self.assertIn("NRestarts=0", self.booted)
        self.assertRegex(self.booted, "StatusText=(waiting|connecting|resolving): ")

    def test_systemctl_status_tells_the_state_of_the_link(self):
        upstream, service, session, _ = self.pair(QUICK)
        self.assertRegex(service.systemctl("status"), r'Status: "up: .*127\.0\.0\.1')
        upstream.refuse()
        session.reset()
        harness.until(lambda: re.match("(waiting|connecting|resolving): ", service.show("StatusText")),
                      "the loss in the status line")

    def test_a_reload_applies_a_good_file_and_tells_what_is_wrong_with_a_bad_one(self):
        upstream, service, session, client = self.pair()
        pid = service.pid
        service.configure(f"[Upstream]\nAddress={upstream.address}\n{CONFIG}[Health]\nMaxAge=7min\n")
        service.systemctl("reload")
        self.assertIn("the configuration was reloaded", service.log)
        service.configure(f"[Upstream]\nAddress={upstream.address}\n[Heartbeat]\nInterval=soon\n")
        service.systemctl("reload", check=False)
        service.wait_log(r"/etc/ftcpd\.conf:4: \[Heartbeat\] Interval: .*soon")
        service.wait_log("was not reloaded: what was in force stays so")
        self.assertEqual((service.pid, self.active("ftcpd")), (pid, ["active"]))
        self.check_both_ways(session, client)

    def test_a_crash_in_a_reload_is_a_crash_like_any_other(self):
        upstream, service, session, client = self.pair()
        before = service.pid
        service.systemctl("kill", "--signal=STOP")
        service.systemctl("reload", "--no-block")
        harness.until(lambda: service.show("ControlPID") != "0", "the reload to begin")
        service.systemctl("kill", "--signal=KILL", "--kill-who=main")
        client.send(b"meanwhile")
        session.expect(b"meanwhile")
        self.assertNotEqual(service.pid, before)
        self.check_both_ways(session, client)
        service.wait_log("ftcpctl: ftcpd (has ended|closed the connection) before it answered")
        self.assertEqual(service.status()["upstream"]["disconnects"], 0)

    def test_without_an_address_it_does_not_start_and_status_says_what_to_set(self):
        service = self.daemon("", wait=False)
        harness.until(lambda: service.show("ActiveState") == "failed", "the service to fail")
        self.assertEqual(service.show("ExecMainStatus"), "78")
        self.assertEqual(service.show("NRestarts"), "0")
        says = r"\[Upstream\] Address: .*Address=HOST:PORT below \[Upstream\] in /etc/ftcpd.conf"
        harness.until(lambda: re.search(says, service.systemctl("status", check=False)), "the words")

    def test_who_the_clients_are_is_told(self):
        _, service, _ = self.linked()
        recv = self.machine.popen("ftcpctl", "recv", uid=1234, groups="ftcpd",
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.addCleanup(harness.end, recv)
        service.wait_clients(1)
        client = service.call("ListClients")["clients"][0]
        self.assertEqual((client["uid"], client["program"]), (1234, "ftcpctl"))
        self.assertEqual(self.machine.read(f"/proc/{client['pid']}/comm").strip(), "ftcpctl")

    def processes(self, service):
        """Of the service: the name of each, by number."""
        group = service.show("ControlGroup")
        listed = self.machine.run("cat", f"/sys/fs/cgroup{group}/cgroup.procs", check=False)
        if not group or "No such" in listed:
            return {}
        return {int(pid): self.machine.read(f"/proc/{pid}/comm").strip() for pid in listed.split()}

    def test_of_other_processes_the_service_sees_names_and_no_more(self):
        _, service, session, client = self.pair()
        for number, again in enumerate((service.restart, service.kill, lambda: None), 2):
            recv = self.machine.popen("ftcpctl", "recv", uid=1234, groups="ftcpd",
                                      stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            self.addCleanup(harness.end, recv)
            service.wait_clients(number)
            self.assertEqual(service.call("ListClients")["clients"][-1]["program"], "ftcpctl")
            teller = [pid for pid, name in self.processes(service).items() if name != "ftcpd"]
            self.assertEqual(len(teller), 1)
            # It holds nothing that the daemon's end is to close.
            self.assertEqual(os.listdir(self.machine.path(f"/proc/{teller[0]}/fd")), ["0"])
            self.check_both_ways(session, client)
            again()
        self.assertNotIn("stay in sight", service.log)
        service.stop()
        self.assertEqual(self.processes(service), {})

    def test_an_instance_runs_beside_the_service(self):
        _, one, session, client = self.pair()
        upstream = self.upstream()
        two = self.daemon(f"[Upstream]\nAddress=localhost:{upstream.port}\n", instance="two")
        session2 = upstream.accept()
        client2 = two.client()
        two.wait_clients(1)
        self.check_both_ways(session2, client2)
        two.restart()
        self.check_both_ways(session2, client2)
        self.check_both_ways(session, client)
        two.systemctl("stop")
        self.assertEqual(self.active("ftcpd", "ftcpd@two.socket"), ["active", "active"])
        self.assertTrue(os.path.exists(two.data_path), "the service took its socket with it")

    # the journal

    def test_the_journal_has_classes_and_fields_and_explains_them(self):
        _, service, session, _ = self.pair(QUICK)
        session.reset()
        entries = harness.until(lambda: [e for e in service.journal if "FTCPD_CAUSE" in e],
                                "the loss in the journal")
        self.assertEqual(
            (entries[0]["FTCPD_CAUSE"], entries[0]["PRIORITY"], entries[0]["SYSLOG_IDENTIFIER"]),
            ("reset", "4", "ftcpd"))
        self.machine.run("journalctl", "--update-catalog")
        text = self.machine.run("journalctl", "-q", "--catalog", "-u", "ftcpd",
                                f"MESSAGE_ID={entries[0]['MESSAGE_ID']}")
        self.assertIn("The link to the upstream was lost", text)

    def test_a_journal_that_hangs_does_not_stop_the_relay(self):
        _, service, session, client = self.pair()
        service.configure("[Upstream]\n" + "Address=nowhere\n" * 40)
        self.machine.run("systemctl", "kill", "--signal=STOP", "systemd-journald")
        try:
            with harness.Varlink(service.control_path) as asks:
                for _ in range(2000):  # each says some thirty lines, more than any socket holds
                    with self.assertRaises(harness.VarlinkError):
                        asks.call("io.ftcpd.Reload")
            self.check_both_ways(session, client)
        finally:
            self.machine.run("systemctl", "kill", "--signal=CONT", "systemd-journald")

        def told():
            with self.assertRaises(harness.VarlinkError):
                service.call("Reload")
            return "lines, which are lost here" in service.log

        harness.until(told, "the log to go on")

    def allow_list(self):
        with open(f"{harness.TOP}/systemd/ip-allow-list.conf", encoding="utf-8") as file:
            return file.read()

    def test_the_example_of_an_allow_list_allows_what_it_names(self):
        _, _, session, client = self.pair(unit=self.allow_list())  # localhost is in it
        self.check_both_ways(session, client)

    def test_the_example_of_an_allow_list_allows_nothing_else(self):
        upstream = self.upstream()
        connect = f"exec 3<>/dev/tcp/127.0.0.1/{upstream.port}"
        self.machine.run("systemd-run", "--wait", "-q", "-p", "IPAddressDeny=any", "timeout", "1",
                         "bash", "-c", connect, check=False)
        try:
            upstream.accept(0.1).close()
            self.skipTest("the kernel filters nothing by control group here")
        except AssertionError:
            pass
        unit = self.allow_list().replace("IPAddressAllow=localhost", "")
        service = self.daemon(f"{QUICK}ConnectTimeout=1s\nAddress={upstream.address}\n", unit=unit)
        service.wait_log(r"link: (?!up)\w+: ")
        with self.assertRaises(AssertionError):
            upstream.accept(0.1)

    # without interruption

    def test_restarts_at_full_load_are_not_noticed(self):
        times = harness.often(3, 100)
        ended = self.storm(self.seed(), times, lambda service: service.restart())
        self.assertEqual(ended, 0)
        log = self.daemons[0].log
        self.assertEqual(log.count("restart: everything is handed over to the next process"), times)
        self.assertEqual(log.count("the state of the last run is taken over"), times)

    def test_crashes_at_full_load_cost_no_message(self):
        self.storm(self.seed(), harness.often(4, 200), lambda service: service.kill())

    def test_what_is_kept_outlives_an_update_of_systemd_itself(self):
        _, service, session, client = self.pair()
        self.machine.run("systemctl", "daemon-reexec")
        service.kill()
        self.check_both_ways(session, client)
        service.systemctl("try-restart")
        self.check_both_ways(session, client)
        self.assertEqual(service.status()["upstream"]["disconnects"], 0)

    def test_the_watchdog_ends_a_loop_that_stands_still_and_the_service_goes_on(self):
        _, service, session, client = self.pair()
        service.drop_in("[Service]\nWatchdogSec=1s\n")
        service.restart()
        before = service.pid
        service.systemctl("kill", "--signal=STOP")
        client.send(b"meanwhile")
        session.expect(b"meanwhile")
        self.assertNotEqual(service.pid, before)
        self.check_both_ways(session, client)
        self.assertEqual(service.status()["upstream"]["disconnects"], 0)

    def test_without_a_bus_a_restart_is_not_noticed_either(self):
        _, service, session, client = self.pair()
        self.machine.run("systemctl", "stop", "dbus.socket", "dbus.service")
        self.addCleanup(self.machine.run, "systemctl", "start", "dbus.socket", "dbus.service")
        service.restart()
        service.wait_log("systemd does not say whether")
        self.check_both_ways(session, client)
        self.assertEqual(service.status()["upstream"]["disconnects"], 0)

    # what systemd does not keep

    def test_a_store_without_room_is_told_and_a_crash_begins_anew(self):
        upstream, service, session, client = self.pair(
            QUICK, unit="[Service]\nFileDescriptorStoreMax=2\n")
        service.kill()
        service.wait_log("the state of the last run is not there, and its connections are ended")
        self.assertEqual(client.expect_end(), "closed")
        session.expect_end()
        session, client = upstream.accept(), service.client()
        service.wait_clients(1)
        self.check_both_ways(session, client)

    def test_a_store_without_room_for_the_connection_costs_that_alone(self):
        upstream, service, session, client = self.pair(
            QUICK, unit="[Service]\nFileDescriptorStoreMax=5\n")
        service.kill()
        service.wait_log("the connection of the last run is lost: it is made anew")
        session.expect_end()
        self.check_both_ways(upstream.accept(), client)

    def test_a_restart_without_a_store_is_a_stop_that_flushes(self):
        upstream, service, session, client = self.pair(
            QUICK, unit="[Service]\nFileDescriptorStoreMax=0\n")
        messages = [harness.stamp(1, i, bytes(10000)) for i in range(300)]
        client.send(*messages)
        ups = session.collect()
        service.restart()
        service.wait_log("does not keep what the next process would need, so it is a stop")
        service.wait_log("everything was acknowledged by the upstream's kernel")
        ups.wait_count(len(messages))
        self.assertEqual(ups.messages, messages)
        self.assertEqual(client.expect_end(), "closed")
        upstream.accept()

    def test_a_restart_with_a_broken_file_is_not_noticed_but_in_its_health(self):
        upstream, service, session, client = self.pair()
        service.configure("[Upstream]\nAddress=nowhere\n")
        service.restart()
        self.check_both_ways(session, client)
        service.kill()
        self.check_both_ways(session, client)
        self.assertEqual(service.call("Health")["health"], "warning")
        service.configure(f"[Upstream]\nAddress={upstream.address}\n{CONFIG}")
        service.systemctl("reload")
        self.assertEqual(service.call("Health")["health"], "ok")
        self.check_both_ways(session, client)

    def test_who_knocks_at_a_service_that_cannot_start_does_not_cost_it_its_sockets(self):
        service = self.daemon("", wait=False)
        harness.until(lambda: service.show("ActiveState") == "failed", "the service to fail")
        for _ in range(3):
            self.assertEqual(service.client().expect_end(), "closed")
        self.assertEqual(self.active(*SOCKETS), ["active"] * 2)
        upstream = self.upstream()
        service.configure(f"[Upstream]\nAddress={upstream.address}\n")
        client = service.client()
        self.check_both_ways(upstream.accept(), client)

    def test_no_number_of_crashes_in_a_row_costs_it_its_sockets(self):
        for unit in SOCKETS:  # by default 20 starts within two seconds do
            self.assertEqual(self.machine.run("systemctl", "show", unit, "--value",
                                              "--property=TriggerLimitIntervalUSec").strip(), "0")

    def test_a_removed_socket_is_bound_anew_by_its_unit_and_nobody_is_disconnected(self):
        for unit, name in zip(SOCKETS, ("ftcpd.sock", "ftcpd.varlink")):
            _, service, session, client = self.pair()
            with harness.Varlink(service.control_path) as control:
                self.machine.run("rm", f"/run/{name}")
                gone = f"path is gone: nothing stands at /run/{name}; the socket unit binds it " \
                       f"anew: systemctl restart {unit}"
                self.assertIn(gone, control.call("io.ftcpd.Health")["reasons"][0]["text"])
            if name == "ftcpd.sock":
                service.restart()  # which is no cure
                self.assertIn(gone, service.call("Health")["reasons"][0]["text"])
            self.machine.run("systemctl", "restart", unit)
            harness.until(service._answers, "it to answer")
            self.assertEqual(service.call("Health")["reasons"], [])
            self.check_both_ways(session, client)
            with service.client():
                service.wait_clients(2)
            service.close()

    def test_a_user_that_was_deleted_since_ends_nobody(self):
        self.machine.run("useradd", "--no-create-home", "gone")
        upstream, service, session, client = self.pair("[Local]\nSenders=gone root\n")
        self.machine.run("userdel", "gone")
        service.kill()
        self.check_both_ways(session, client)
        self.assertIn('there is no user "gone": nobody matches', service.log)

    def test_a_check_by_root_tells_what_the_service_could_not_read(self):
        self.pair()
        self.machine.run("chmod", "600", "/etc/ftcpd.conf")
        self.addCleanup(self.machine.run, "chmod", "644", "/etc/ftcpd.conf")
        self.assertIn("note: /etc/ftcpd.conf: the packaged service, which runs as the user ftcpd, "
                      "can't read it: Permission denied",
                      self.machine.run("ftcpd", "--check-config"))

    def metrics(self, name="ftcpd", directory=os.path.dirname(METRICS)):
        """What the unit puts into the collector's directory, which is root's, as in Debian."""
        unit = name.replace("ftcpd", "ftcpd-metrics", 1) + ".service"
        self.machine.run("mkdir", "-p", directory)
        self.machine.run("systemctl", "start", unit)
        path = f"{directory}/{name.replace('@', '-')}.prom"
        self.assertEqual(os.stat(self.machine.path(path)).st_mode & 0o777, 0o644)
        return self.machine.read(path)

    def test_the_metrics_of_a_stopped_service_do_not_start_it(self):
        _, service, _, _ = self.pair()
        self.assertIn('ftcpd_up{link="ftcpd"} 1', self.metrics())
        for again in (service.restart, service.kill):
            again()
            self.assertIn('ftcpd_up{link="ftcpd"} 1', self.metrics())
        service.stop()
        self.assertIn('ftcpd_up{link="ftcpd"} 0', self.metrics())
        self.assertEqual(self.active("ftcpd"), ["inactive"])

    def test_the_metrics_of_an_instance_go_where_a_drop_in_says(self):
        upstream = self.upstream()
        two = self.daemon(f"[Upstream]\nAddress={upstream.address}\n", instance="two")
        upstream.accept()
        two.wait_state("up")
        drop_in = "/run/systemd/system/ftcpd-metrics@.service.d/test.conf"
        self.machine.write(drop_in, "[Unit]\nConditionPathIsDirectory=\n[Service]\n"
                           "Environment=DIRECTORY=/srv/textfile\nReadWritePaths=/srv/textfile\n")
        self.machine.run("systemctl", "daemon-reload")
        self.addCleanup(self.machine.remove, drop_in)
        where = {"name": "ftcpd@two", "directory": "/srv/textfile"}
        self.assertIn('ftcpd_up{link="two"} 1', self.metrics(**where))
        two.systemctl("stop")
        self.assertIn('ftcpd_up{link="two"} 0', self.metrics(**where))
        self.assertEqual(self.active("ftcpd@two"), ["inactive"])

    def test_the_metrics_follow_no_link_in_the_collectors_directory(self):
        self.pair()
        self.machine.remove(METRICS)
        self.machine.run("mkdir", "-p", os.path.dirname(METRICS))
        self.machine.run("ln", "-s", "/usr/precious", METRICS)
        self.addCleanup(self.machine.run, "rm", "-f", METRICS)
        self.machine.run("systemctl", "start", "ftcpd-metrics.service", check=False)
        self.machine.run("systemctl", "reset-failed", "ftcpd-metrics.service")
        self.assertTrue(os.path.islink(self.machine.path(METRICS)))
        self.assertFalse(os.path.exists(self.machine.path("/usr/precious")))

    def test_systemd_finds_little_that_a_running_service_could_do_without(self):
        _, service, _, _ = self.pair()
        for unit in (service.name, "ftcpd-metrics"):
            said = self.machine.run("systemd-analyze", "security", "--no-pager", "--threshold=12",
                                    f"{unit}.service")
            print(said.splitlines()[-1])

    def test_an_instance_may_have_a_user_of_its_own(self):
        self.machine.run("useradd", "--system", "--no-create-home", "ftcpd-two")
        drop_in = "/run/systemd/system/ftcpd@two.socket.d/test.conf"
        self.machine.write(drop_in, "[Socket]\nSocketGroup=ftcpd-two\n")
        self.addCleanup(self.machine.run, "userdel", "ftcpd-two")
        self.addCleanup(self.machine.remove, drop_in)
        upstream = self.upstream()
        two = self.daemon(f"[Upstream]\nAddress={upstream.address}\n", instance="two",
                          unit="[Service]\nUser=ftcpd-two\nGroup=ftcpd-two\n")
        session, client = upstream.accept(), two.client()
        two.wait_clients(1)
        two.restart()
        two.kill()
        self.check_both_ways(session, client)
        two.systemctl("reload")
        stranger = self.machine.popen("ftcpctl", "--instance=two", "hold", text=True, uid=1234,
                                      groups="ftcpd", stderr=subprocess.PIPE)
        self.addCleanup(harness.end, stranger)
        _, words = stranger.communicate(timeout=harness.DEADLINE)
        self.assertIn("the user ftcpd-two", words)
        self.assertIn("ftcpd-two", self.machine.run("stat", "-c%G", "/run/ftcpd/two.sock"))
        two.systemctl("stop")

    def test_a_crash_leaves_no_memory_behind(self):
        _, service, _, _ = self.pair()
        limits = self.machine.read(f"/proc/{service.pid}/limits")
        self.assertRegex(limits, r"Max core file size +0 +0 ")

    # stop

    def test_a_stop_may_take_longer_than_the_unit_says(self):
        _, service, session, client = self.pair("[Service]\nStopTimeout=2s\n",
                                                unit="[Service]\nTimeoutStopSec=500ms\n")
        client.send(*[bytes(100_000)] * 200)  # the upstream reads none of them
        service.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 200, "200 messages")
        service.stop()
        self.assertRegex(service.log, r"stopped; \d+ messages")
        self.assertEqual(service.show("Result"), "success")

    def test_a_stop_says_how_many_messages_are_left(self):
        service = self.daemon(f"{QUICK}Address={NOBODY}\n")
        client = service.client()
        client.send(b"one", b"two", b"three")
        service.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 3, "3 messages")
        service.stop()
        self.assertNotIn("does not say", service.log)
        self.assertIn("stopped; 3 messages (23 bytes) were not acknowledged by the upstream's kernel", service.log)
        self.assertEqual(service.show("Result"), "success")
        self.assertEqual(client.expect_end(), "closed")

    def test_a_stop_without_a_bus_says_so_too(self):
        service = self.daemon(f"{QUICK}Address={NOBODY}\n[Service]\nStopTimeout=100ms\n")
        client = service.client()
        client.send(b"one")
        service.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "a message")
        self.machine.run("systemctl", "stop", "dbus.socket", "dbus.service")
        self.addCleanup(self.machine.run, "systemctl", "start", "dbus.socket", "dbus.service")
        service.stop()
        self.assertRegex(service.log, r"stopped; 1 message.* not acknowledged by the upstream's kernel")
        self.assertEqual(client.expect_end(), "closed")

    def test_a_stop_keeps_nothing_for_the_next_start(self):
        upstream, service, session, client = self.pair()
        service.stop()
        self.assertEqual(client.expect_end(), "closed")
        service.start()
        upstream.accept()
        self.assertNotIn("taken over", service.log)

    # operators

    def test_events_are_followed_over_restarts_and_crashes_but_a_stop_stays_one(self):
        _, service, _, _ = self.pair()
        follower = self.machine.popen("ftcpctl", "events", "-n1", text=True, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE)
        self.addCleanup(harness.end, follower)
        told = follower.stdout.readline()
        for again in (service.restart, service.kill, service.restart):
            again()
            while f"started, pid {service.pid}\n" not in told:
                line = follower.stdout.readline()
                self.assertTrue(line, told)
                told += line
        self.assertEqual(told.count("handing over to the next process"), 2)
        service.stop()
        _, words = follower.communicate(timeout=harness.DEADLINE)
        self.assertEqual((follower.returncode, self.active("ftcpd", *SOCKETS)),
                         (1, ["inactive", "active", "active"]), words)

    def test_a_held_link_stays_held_over_a_restart_and_a_crash_but_not_over_a_stop(self):
        upstream, service, session, client = self.pair(QUICK)
        self.machine.run("ftcpctl", "hold", "--for=1h", "--reason=new cable")
        session.expect_end()
        session.close()
        client.send(b"meanwhile")
        service.wait_status(lambda s: s["toUpstream"]["queued"]["messages"] == 1, "it to wait")
        left = service.status()["upstream"]["heldForUsec"]
        for again in (service.restart, service.kill):
            again()
            status = service.status()["upstream"]
            self.assertEqual((status["state"], status["heldBy"], status["heldReason"]),
                             ("held", "root", "new cable"))
            self.assertLess(status["heldForUsec"], left)
            left = status["heldForUsec"]
        self.assertRegex(service.systemctl("status"), 'Status: "held: held by root for .*: new cable"')
        held = [e for e in service.journal if e.get("FTCPD_CAUSE") == "held"
                and e.get("MESSAGE_ID") == "20d1fc2ca9504ce2ae97e135a1e1e6fc"]
        self.assertEqual(len(held), 3)
        service.stop()
        service.start()
        upstream.accept()
        self.assertNotIn("heldBy", service.wait_state("up")["upstream"])

    def test_who_may_not_steer_is_told_what_it_takes(self):
        _, service, _ = self.linked()
        stranger = self.machine.popen("ftcpctl", "hold", uid=1234, groups="ftcpd", text=True,
                                      stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(harness.end, stranger)
        _, words = stranger.communicate(timeout=harness.DEADLINE)
        self.assertEqual(stranger.returncode, 4)
        self.assertIn("not permitted: Hold needs root, the user ftcpd, or Admin= in ftcpd.conf", words)
        self.assertNotIn("heldBy", service.status()["upstream"])

    def test_what_a_stop_gave_up_is_not_sent_by_the_start_behind_it(self):
        _, service, _, client = self.pair(f"{QUICK}[Service]\nStopTimeout=1s\n")
        client.send(*[bytes(100_000)] * 200)  # the upstream reads none of them
        service.wait_status(lambda s: s["toUpstream"]["accepted"]["messages"] == 200, "200 messages")
        self.machine.run("systemctl", "stop", "--no-block", "ftcpd")
        service.wait_log("SIGTERM: stopping")
        self.machine.run("systemctl", "start", "ftcpd")
        self.assertRegex(service.log, r"stopped; \d+ messages")
        if "a process that is started at once goes on with them" not in service.log:
            self.assertNotIn("taken over", service.log)
            self.assertEqual(service.status()["toUpstream"]["queued"]["messages"], 0)

    def test_stopping_the_socket_stops_all_for_good(self):
        _, service, session, client = self.pair()
        self.machine.run("systemctl", "stop", "ftcpd.socket")
        self.assertEqual(self.active("ftcpd", *SOCKETS), ["inactive"] * 3)
        client.expect_end()
        self.assertFalse(os.path.exists(service.data_path))
        self.assertFalse(os.path.exists(service.control_path))
        service.start()
        self.assertEqual(self.active("ftcpd", *SOCKETS), ["active"] * 3)


class Bookworm(Service, nspawn.MachineTest):
    suite = "bookworm"


class Trixie(Service, nspawn.MachineTest):
    suite = "trixie"


if __name__ == "__main__":
    harness.main()
