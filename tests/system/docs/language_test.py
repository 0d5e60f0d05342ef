# SPDX-License-Identifier: MIT
"""Names begin with a noun, and comments say nouns: what CONTRIBUTING.md asks for is held here."""
import glob
import os
import re
import statistics
import unittest

import harness

SRC = os.path.join(harness.TOP, 'src')
VAGUE = set('it its this that those what who whom them they one such so there then'.split())
LONG = 12  # words, from which on a comment counts
MOST_OF_ALL, MOST_OF_A_FILE = 0.05, 0.10  # median of all comments; mean of a file's
# Nouns that stand in the header of a larger one.
NOUNS = set('''chain count drop_reason due event event_kind extent latency_kind link_cause link_state
               member play reader severity silence slab slabs tap taps verb writer'''.split())


def files(pattern):
    for path in sorted(glob.glob(pattern, root_dir=SRC, recursive=True)):
        with open(os.path.join(SRC, path), encoding='utf-8') as file:
            yield path, file.read()


def shares(text):
    """The share of vague words of each long comment."""
    for comment in re.findall(r'/\*(.*?)\*/', text, re.DOTALL):
        words = re.findall(r'[a-z]+', re.sub(r'\n\s*\*', '\n', comment).lower())
        if len(words) >= LONG and 'spdx' not in words:
            yield sum(word in VAGUE for word in words) / len(words)


def prototypes(text):
    """The functions that a header declares."""
    text = re.sub(r'/\*.*?\*/', '', text, flags=re.DOTALL)
    text = re.sub(r'(?m)^\s*#(?:\\\n|.)*', '', text)
    while re.search(r'\{[^{}]*\}', text):
        text = re.sub(r'\{[^{}]*\}', '', text)
    text = re.sub(r'__attribute__\(\((?:[^()]|\([^()]*\))*\)\)', '', text)
    return re.findall(r'(?m)^(?!typedef|static inline \w+ \w+;)[a-z][\w *]*?\b(\w+)\(', text)


def has_noun(path, name):
    folder, file = os.path.split(path)
    stem = re.sub(r'_internal$', '', os.path.splitext(file)[0])
    nouns = NOUNS | {stem, stem.removesuffix('s'), os.path.basename(folder),
                     os.path.basename(folder).removesuffix('s')}
    return any(name == noun or name.startswith(noun.rstrip('_') + '_') for noun in nouns)


class Language(unittest.TestCase):
    def test_comments_say_nouns(self):
        every, vague = [], {}
        for path, text in files('**/*.[ch]'):
            found = list(shares(text))
            every += found
            if len(found) >= 3 and statistics.mean(found) > MOST_OF_A_FILE:
                vague[path] = round(statistics.mean(found), 3)
        self.assertGreater(len(every), 500)
        self.assertEqual(vague, {})
        self.assertLessEqual(statistics.median(every), MOST_OF_ALL)

    def test_public_functions_begin_with_a_noun(self):
        number, without = 0, []
        for path, text in files('**/*.h'):
            for name in prototypes(text):
                number += 1
                if not has_noun(path, name):
                    without.append(f'{path}: {name}')
        self.assertGreater(number, 400)
        self.assertEqual(without, [], '\n'.join(without))

    def test_the_checks_themselves_find_what_is_forbidden(self):
        riddle = '/* Of those who wait, it came first, so that what is held would go to it. */'
        self.assertGreater(max(shares(riddle)), 0.3)
        self.assertEqual(prototypes('/* x */\nbool holds(const struct log *log);\n'), ['holds'])
        self.assertFalse(has_noun('flow/recover_internal.h', 'holds'))
        self.assertTrue(has_noun('flow/recover_internal.h', 'recover_has_bytes'))


if __name__ == '__main__':
    harness.main()
