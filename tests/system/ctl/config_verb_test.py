# SPDX-License-Identifier: MIT
"""`ftcpctl config` of a real daemon: what is in force, and from where."""
import json
import os
import subprocess

import harness

CONFIG = """[Upstream]
Address={address}
Greeting=LOGIN hunter2
Greeting=
Greeting=LOGIN hunter3
Greeting=READY
[Heartbeat]
Message="\\x01 ping"
[Delivery]
MessageTTL=1min 30s
"""


class ConfigVerb(harness.SystemTest):
    def setUp(self):
        super().setUp()
        self.address = self.upstream().address
        self.live = self.daemon(CONFIG.format(address=self.address))

    def ctl(self, *args):
        command = [harness.program('ftcpctl'), '--socket', self.live.control_path, *args]
        return subprocess.run(command, check=True, text=True, timeout=harness.DEADLINE,
                              stdout=subprocess.PIPE).stdout

    def test_each_value_names_the_file_and_line_that_it_was_read_from(self):
        table = self.ctl('config')
        path = self.live.config_path
        for line, words in ((2, self.address), (10, '1min 30s'), (8, 'ping')):
            self.assertRegex(' '.join(table.split()), rf'{words}[^/]* {path}:{line}( |$)')
        self.assertRegex(table, r'(?m)^  ConnectTimeout +5s +default$')

    def test_a_greeting_is_in_no_form_of_it(self):
        for args in (('config',), ('config', '--cat'), ('config', '-j')):
            out = self.ctl(*args)
            self.assertIn('(set, 2 messages)', out)
            self.assertNotIn('hunter', out)
            self.assertNotIn('LOGIN', out)

    def test_the_file_that_cat_prints_means_the_same(self):
        """Of a second daemon that reads it, GetConfig says the same, but for what is secret."""
        path = os.path.join(self.live.directory, 'again.conf')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(self.ctl('config', '--cat'))
        subprocess.run([harness.program('ftcpd'), '--check-config', '--config', path], check=True,
                       timeout=harness.DEADLINE, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        before = json.loads(self.ctl('config', '-j'))['settings']
        self.live.stop()
        os.rename(path, self.live.config_path)
        self.live.start()
        after = json.loads(self.ctl('config', '-j'))['settings']
        plain = [{(s['section'], s['key'], s['value']) for s in settings if s['key'] != 'Greeting'}
                 for settings in (before, after)]
        self.assertEqual(*plain)
        self.assertNotIn('(set', json.dumps(after))


if __name__ == '__main__':
    harness.main()
