# SPDX-License-Identifier: MIT
"""ftcpd-operations(7) explains every word that the daemon uses, and its recipes are good."""
import re
import subprocess
import tempfile
import unittest

import harness
from manual import ExplainsTheLink, entries, read, sections

PAGE = 'ftcpd-operations.7'


class Operations(ExplainsTheLink, unittest.TestCase):
    PAGE, LEAST = PAGE, 4
    STATES, CAUSES, REASONS = 'STATES OF THE LINK', 'CAUSES', 'REASONS OF A DROP'

    def test_a_cause_says_on_whose_side_it_is(self):
        silent = [entry.head for entry in entries(sections(PAGE)['CAUSES'])
                  if '.Em ' not in entry.text]
        self.assertEqual(sorted(silent), ['Li held', 'Li none', 'Li operator'])

    def test_every_key_that_it_names_is_one(self):
        known = subprocess.run([harness.program('ftcpd'), '--print-defaults'], check=True, text=True,
                               stdout=subprocess.PIPE, timeout=harness.DEADLINE).stdout
        keys = set(re.findall(r'(?m)^#?(\w+)=', known))
        named = set(re.findall(r'\b([A-Z][A-Za-z]+)=(?!\w*/)', read('man', PAGE)))
        # One of systemd's units, and one that a daemon may not know yet.
        self.assertLessEqual(named - keys, {'LoadCredentialEncrypted', 'Held'})
        self.assertGreater(len(named), 30)

    def test_every_recipe_is_a_configuration_without_an_error(self):
        recipes = re.findall(r'(?ms)^\.Bd -literal -offset indent\n(\[.*?)^\.Ed', read('man', PAGE))
        self.assertEqual(len(recipes), 7)
        for recipe in recipes:
            # Neither the credential nor the group need be here.
            text = recipe.replace('@credential:login', 'LOGIN').replace('@operators', '')
            text += '' if 'Address=' in text else '[Upstream]\nAddress=192.0.2.1:7000\n'
            with tempfile.NamedTemporaryFile('w', prefix='ftcpd-', suffix='.conf') as file:
                file.write(text)
                file.flush()
                done = subprocess.run(
                    [harness.program('ftcpd'), '--check-config', '--config', file.name],
                    check=False, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE,
                    timeout=harness.DEADLINE)
            self.assertEqual(done.returncode, 0, recipe + done.stderr)

    def test_it_has_the_recipes_that_people_look_for(self):
        for heading in ('A gateway with a single slot', 'A feed that is silent by nature',
                        'Login on connect', 'A peer that speaks first', 'Commands at most once',
                        'Metered links', 'Behind a TLS tunnel'):
            self.assertIn(heading, sections(PAGE))

    def test_the_other_pages_lead_to_it(self):
        for page in ('ftcpd.8', 'ftcpd.conf.5', 'ftcpctl.1', 'ftcp-protocol.7'):
            self.assertRegex(read('man', page).partition('.Sh SEE ALSO')[2], 'ftcpd-operations 7')


if __name__ == '__main__':
    harness.main()
