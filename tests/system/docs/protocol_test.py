# SPDX-License-Identifier: MIT
"""ftcp-protocol(7) explains every word of the protocol, as the daemon and its interface have it."""
import glob
import os
import re
import unittest

import harness
import idl
from harness import TOP
from manual import ExplainsTheLink, entries, read, sections

PAGE = 'ftcp-protocol.7'
CONTROL = ('src', 'daemon', 'control')
# How the page is written: an entry `.It Li Method` or `.It Vt Type` has a list of its members, each
# with the type of the interface file: `.It Va name , name : Vt type`. Parameters, and members of
# errors, stand in the head of the entry: `.It Li Method Pq Va name : Vt type , Va name : Vt type`.
MEMBERS = re.compile(r'\bVa ([\w ,]+?) : Vt ("[^"]+"|\S+)')
ASKING, STEERING = 'Methods that ask', 'Methods that steer'
SERVICE = 'The interface org.varlink.service'


class Words(ExplainsTheLink, unittest.TestCase):
    PAGE = PAGE
    STATES, CAUSES, REASONS = 'States of the link', 'Causes', 'Reasons of a drop'

    def test_no_page_puts_anything_off_to_a_later_version(self):
        pages = glob.glob(os.path.join(TOP, 'man', '*.[1-8]'))
        self.assertGreater(len(pages), 5)
        for page in pages:
            self.assertIsNone(re.search(r'later\s+version', read(page)), page)


def interface(name):
    return idl.Interface(read(*CONTROL, f'{name}.varlink'))


def notation(kind):
    """A type as the interface file writes it."""
    if isinstance(kind, str):
        return kind
    if kind[0] in ('?', '[]', '[string]'):
        return kind[0] + notation(kind[1])
    return f'({", ".join(kind)})'


def members(structure):
    """{name: type} of a structure; that of an enumeration is empty, its words stand elsewhere."""
    if isinstance(structure, tuple):
        return {}
    return {name: notation(kind) for name, kind in structure.items()}


def listed(text):
    """The members that stand in the head of an entry."""
    return {name: kind.strip('"') for names, kind in MEMBERS.findall(text)
            for name in names.split(' , ')}


def replies(entry):
    """The members that have entries of their own within this one."""
    found = {}
    for member in entry.entries:
        if member.head.startswith('Va '):
            found |= listed(member.head)
    return found


def documented(macro, *headings):
    """{name: its entry} of these sections."""
    found = [entry for heading in headings for entry in entries(sections(PAGE)[heading])]
    by_name = {entry.head.split()[1]: entry for entry in found if entry.head.startswith(macro)}
    if len(by_name) != len(found):
        raise AssertionError(f'twice, or not {macro}: {[entry.head for entry in found]}')
    return by_name


def methods_of(name):
    """{name as the page has it: method} of an interface."""
    prefix = '' if name == 'io.ftcpd' else f'{name}.'
    return {prefix + method: what for method, what in interface(name).methods.items()}


class Interfaces(unittest.TestCase):
    """Both directions: what the interface has stands there, and nothing else does."""
    maxDiff = None

    def check_methods(self, name, *headings):
        methods, found = methods_of(name), documented('Li', *headings)
        self.assertEqual(sorted(found), sorted(methods))
        for method, what in methods.items():
            entry = found[method]
            self.assertEqual(listed(entry.head), members(what.parameters), method)
            self.assertEqual(replies(entry), members(what.replies), method)

    def test_every_method_stands_there_with_its_parameters_and_its_reply(self):
        self.check_methods('io.ftcpd', ASKING, STEERING)

    def test_every_method_of_the_service_stands_there(self):
        self.check_methods('org.varlink.service', SERVICE)

    def test_every_type_stands_there_with_its_members(self):
        types, found = interface('io.ftcpd').types, documented('Vt', 'Types')
        self.assertEqual(interface('org.varlink.service').types, {})
        self.assertEqual(sorted(found), sorted(types))
        for name, structure in types.items():
            self.assertEqual(replies(found[name]), members(structure), name)

    def test_every_error_stands_there_with_its_members(self):
        errors = interface('io.ftcpd').errors | interface('org.varlink.service').errors
        found = documented('Li', 'Errors')
        self.assertEqual(sorted(found), sorted(errors))
        for name, structure in errors.items():
            self.assertEqual(listed(found[name].head), members(structure), name)

    def test_every_word_of_an_enumeration_is_explained(self):
        types = interface('io.ftcpd').types
        words = {'Severity': documented('Vt', 'Types')['Severity'].entries,
                 'LinkState': entries(sections(PAGE)['States of the link']),
                 'Event.kind': entries(sections(PAGE)['Events'])}
        self.assertEqual([name for name, what in types.items() if isinstance(what, tuple)],
                         ['LinkState', 'Severity'])
        for name, found in words.items():
            name, _, member = name.partition('.')
            kind = types[name][member] if member else types[name]
            self.assertEqual([entry.head for entry in found], [f'Li {word}' for word in kind])

    def described(self):
        """Every entry of a member."""
        for heading in (ASKING, STEERING, SERVICE, 'Types'):
            for entry in entries(sections(PAGE)[heading]):
                self.assertTrue(entry.text.strip(), entry.head)
                yield from (member for member in entry.entries if member.head.startswith('Va '))

    def test_a_member_that_may_be_absent_says_when_and_no_other_does(self):
        for member in self.described():
            optional = member.head.partition(' : Vt ')[2].startswith('?')
            self.assertEqual('absent' in member.text, optional, member.head)

    def test_a_method_stands_among_those_whom_it_is_for(self):
        table = read(*CONTROL, 'methods.c').partition('ftcpd_methods[] = {')[2]
        rows = dict(re.findall(r'(?s)\{\.name = "(\w+)"(.*?)\}(?=,\n        \{)', table))
        self.assertEqual(sorted(rows), sorted(methods_of('io.ftcpd')))
        steering, needing = documented('Li', STEERING), documented('Li', ASKING, STEERING)
        for name, row in rows.items():
            self.assertEqual(name in steering, '.changes = true' in row, name)
            self.assertEqual('\nNeeds\n' in '\n' + needing[name].text,
                             '.needs_more = true' in row, name)


if __name__ == '__main__':
    harness.main()
