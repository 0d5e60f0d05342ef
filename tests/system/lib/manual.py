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
