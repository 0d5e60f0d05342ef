# SPDX-License-Identifier: MIT
"""Folders are layers: a file includes only its own layer and those below it."""
import glob
import os
import re
import unittest

import tap

TOP = os.environ.get('top_srcdir', os.path.join(os.path.dirname(__file__), '..', '..'))
SRC = os.path.join(TOP, 'src')

LAYERS = ['util', 'wire', 'core', 'edge', 'daemon']
BESIDE = {  # these stand beside the layers: what they may use
    'ctl': {'ctl', 'lib', 'util', 'wire', 'core/state.h', 'core/books.h'},
    'lib': {'lib', 'util', 'wire'},
}
GENERATED = {'config.h'}  # written by configure
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def allowed(folder):
    if folder in BESIDE:
        return BESIDE[folder]
    return set(LAYERS[:LAYERS.index(folder) + 1])


def wrong_inclusion(path, quote, target):
    """Why this file must not include that one, or None."""
    folder, name = path.split('/', 1)
    if target.startswith('event2/') and folder not in ('edge', 'daemon'):
        return 'libevent begins at edge/'
    if target.startswith('systemd/') and folder != 'daemon':
        return 'systemd is for daemon/'
    if target == 'systemd/sd-daemon.h' and not name.startswith('service.'):
        return 'sd-daemon is for daemon/service'
    if quote == '<' or target in GENERATED:
        return None
    if '/' not in target or not os.path.exists(os.path.join(SRC, target)):
        return 'no such file under src/; paths are relative to src/'
    if target.split('/')[0] not in allowed(folder) and target not in allowed(folder):
        return f'{folder}/ does not stand above {target.split("/")[0]}/'
    return None


def sources():
    found = sorted(glob.glob('**/*.[ch]', root_dir=SRC, recursive=True))
    return [path for path in found if '/' in path]


def inclusions():
    for path in sources():
        with open(os.path.join(SRC, path), encoding='utf-8') as file:
            for quote, target in INCLUDE.findall(file.read()):
                yield path, quote, target


class Layers(unittest.TestCase):
    def test_every_folder_is_a_known_layer(self):
        known = set(LAYERS) | set(BESIDE)
        self.assertEqual([p for p in sources() if p.split('/')[0] not in known], [])
        self.assertTrue(sources())

    def test_no_include_points_up_a_layer(self):
        wrong = [f'src/{path}: {target}: {why}'
                 for path, quote, target in inclusions()
                 if (why := wrong_inclusion(path, quote, target))]
        self.assertEqual(wrong, [], '\n' + '\n'.join(wrong))

    def test_the_check_itself_finds_what_is_forbidden(self):
        for path, quote, target in [
                ('util/log.c', '"', 'wire/frame.h'),
                ('wire/frame.c', '"', 'core/state.h'),
                ('core/log.c', '<', 'event2/event.h'),
                ('edge/link.c', '<', 'systemd/sd-daemon.h'),
                ('edge/link.c', '"', 'daemon/status.h'),
                ('daemon/relay.c', '<', 'systemd/sd-daemon.h'),
                ('ctl/status.c', '"', 'core/config.h'),
                ('wire/frame.c', '"', 'frame.h'),
        ]:
            with self.subTest(path=path, target=target):
                self.assertIsNotNone(wrong_inclusion(path, quote, target))


if __name__ == '__main__':
    tap.main()
