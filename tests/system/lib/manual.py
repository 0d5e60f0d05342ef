# SPDX-License-Identifier: MIT
"""The manual pages, as tests read them: sections, lists and their entries; macros are left in."""
import os
import re

from harness import TOP


def read(*path):
    """The text of a file of the source tree."""
    with open(os.path.join(TOP, *path), encoding='utf-8') as file:
        return file.read()


def sections(page):
    """{heading: text} of a page of man/; .Sh and .Ss alike end the section before."""
    parts = re.split(r'(?m)^\.S[hs] (.*)$', read('man', page))
    return dict(zip(parts[1::2], parts[2::2]))


def words_of(prefix, *path):
    """The words of a table in the source, such as [CAUSE_CLOSED] = "closed"."""
    return re.findall(rf'\[{prefix}_\w+\] = "(\w+)"', read(*path))


class Entry:
    """An item of a list: what stands behind .It, its own lines, and the entries of lists in it."""

    def __init__(self, head):
        self.head, self.text, self.entries = head, '', []


def entries(text):
    """The entries of all lists of a section, outer ones alone."""
    entry = Entry('')
    owners = []  # whose lists are open
    for line in text.splitlines():
        if line.startswith('.Bl '):
            owners.append(entry)
        elif line == '.El':
            entry = owners.pop()
        elif line.startswith('.It '):
            entry = Entry(line.removeprefix('.It '))
            owners[-1].entries.append(entry)
        else:
            entry.text += line + '\n'
    return entry.entries


class ExplainsTheLink:
    """Of a page's test: states, causes and reasons of a drop each have an entry with a text."""
    PAGE = STATES = CAUSES = REASONS = None
    LEAST = 2  # words of a text

    def assert_explained(self, heading, words):
        """Each word has an entry of its own there, and there is no other entry."""
        self.assertGreater(len(words), 5)
        found = entries(sections(self.PAGE)[heading])
        self.assertEqual(sorted(entry.head for entry in found),
                         sorted(f'Li {word}' for word in words))
        for entry in found:
            self.assertGreaterEqual(len(entry.text.split()), self.LEAST, entry.head)

    def test_every_state_of_the_link_is_explained(self):
        self.assert_explained(self.STATES, words_of('LINK', 'src', 'core', 'state.c'))

    def test_every_cause_of_a_loss_is_explained(self):
        self.assert_explained(self.CAUSES, words_of('CAUSE', 'src', 'core', 'state.c'))

    def test_every_reason_of_a_drop_is_explained(self):
        self.assert_explained(self.REASONS, words_of('DROP', 'src', 'core', 'books.c'))
