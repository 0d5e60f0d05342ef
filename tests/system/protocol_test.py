# SPDX-License-Identifier: MIT
"""ftcp-protocol(7) explains every word of the protocol, as the daemon and its interfaces have it."""
import glob
import os
import re
import unittest

import harness
from harness import TOP
from manual import entries, read, sections, words_of

PAGE = 'ftcp-protocol.7'


class Words(unittest.TestCase):
    def assert_explained(self, heading, words):
        """Each word has an entry of its own there, with a text, and there is no other entry."""
        self.assertGreater(len(words), 5)
        found = entries(sections(PAGE)[heading])
        self.assertEqual(sorted(entry.head for entry in found),
                         sorted(f'Li {word}' for word in words))
        for entry in found:
            self.assertGreater(len(entry.text.split()), 1, entry.head)

    def test_every_state_of_the_link_is_explained(self):
        self.assert_explained('States of the link', words_of('LINK', 'src', 'core', 'state.c'))

    def test_every_cause_of_a_loss_is_explained(self):
        self.assert_explained('Causes', words_of('CAUSE', 'src', 'core', 'state.c'))

    def test_every_reason_of_a_drop_is_explained(self):
        self.assert_explained('Reasons of a drop', words_of('DROP', 'src', 'core', 'books.c'))

    def test_no_page_puts_anything_off_to_a_later_version(self):
        pages = glob.glob(os.path.join(TOP, 'man', '*.[1-8]'))
        self.assertGreater(len(pages), 5)
        for page in pages:
            self.assertIsNone(re.search(r'later\s+version', read(page)), page)


if __name__ == '__main__':
    harness.main()
