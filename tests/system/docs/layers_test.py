# SPDX-License-Identifier: MIT
"""Folders are layers and rooms: a file includes only what its own folder stands above."""
import collections
import glob
import os
import re
import unittest

import runner

TOP = os.environ.get('top_srcdir', os.path.join(os.path.dirname(__file__), '..', '..', '..'))
SRC = os.path.join(TOP, 'src')

LAYERS = ['util', 'wire', 'core', 'config', 'store', 'flow', 'edge', 'daemon']
BESIDE = {  # these stand beside the layers: what they may use
    'ctl': {'ctl', 'util', 'wire', 'core/state.h', 'core/books.h'},
}
# The rooms of a folder: which others each may use. What stands in the folder itself is above them.
ROOMS = {
    'daemon/service': set(),
    'daemon/report': set(),
    'daemon/relay': {'daemon/service', 'daemon/report'},
    'daemon/control': {'daemon/report'},
    'ctl/show': set(),
    'ctl/talk': {'ctl/show'},
    'ctl/verbs': {'ctl/show', 'ctl/talk'},
    'ctl/top': {'ctl/show', 'ctl/talk', 'ctl/verbs/verbs.h'},
    'ctl/peer': {'ctl/show', 'ctl/talk', 'ctl/verbs/verbs.h'},
}
MOST_FILES = 32  # in a folder: with more of them, a stranger no longer sees what is where
GENERATED = {'config.h'}  # written by configure
# What may end the program, how often: a broken invariant, or a start. A lack of memory never does.
ABORTS = {'ctl/peer/script.c': 1, 'flow/spread.c': 1, 'store/cursor.c': 1, 'store/store.c': 1,
          'util/std_fds.c': 1}
INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def allowed(folder):
    if folder in BESIDE:
        return BESIDE[folder]
    return set(LAYERS[:LAYERS.index(folder) + 1])


def wrong_room(path, target):
    """Why this file must not include that one of the same layer, or None."""
    room, other = os.path.dirname(path), os.path.dirname(target)
    if '/' not in room or room == other:
        return None
    if other not in ROOMS[room] and target not in ROOMS[room]:
        return f'{room}/ does not stand above {other}/'
    return None


def wrong_inclusion(path, quote, target):
    """Why this file must not include that one, or None."""
    folder = path.split('/', 1)[0]
    if target.startswith('event2/') and folder not in ('edge', 'daemon'):
        return 'libevent begins at edge/'
    if target.startswith('systemd/') and folder != 'daemon':
        return 'systemd is for daemon/'
    if target == 'systemd/sd-daemon.h' and not path.startswith('daemon/service/service.'):
        return 'sd-daemon is for daemon/service/service'
    if quote == '<' or target in GENERATED:
        return None
    if '/' not in target or not os.path.exists(os.path.join(SRC, target)):
        return 'no such file under src/; paths are relative to src/'
    if target.split('/')[0] not in allowed(folder) and target not in allowed(folder):
        return f'{folder}/ does not stand above {target.split("/")[0]}/'
    if target.split('/')[0] == folder:
        return wrong_room(path, target)
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
    def test_every_folder_is_a_known_layer_or_room(self):
        known = set(LAYERS) | set(BESIDE) | set(ROOMS)
        self.assertEqual([p for p in sources() if os.path.dirname(p) not in known], [])
        self.assertTrue(sources())

    def test_no_folder_is_too_full_to_be_looked_over(self):
        files = collections.Counter(os.path.dirname(path) for path in sources())
        self.assertEqual({room: n for room, n in files.items() if n > MOST_FILES}, {})

    def test_no_include_points_up_a_layer(self):
        wrong = [f'src/{path}: {target}: {why}'
                 for path, quote, target in inclusions()
                 if (why := wrong_inclusion(path, quote, target))]
        self.assertEqual(wrong, [], '\n' + '\n'.join(wrong))

    def test_nothing_ends_the_program_but_what_is_known(self):
        aborts = collections.Counter()
        for path in sources():
            with open(os.path.join(SRC, path), encoding='utf-8') as file:
                aborts[path] += len(re.findall(r'\babort\(\)', file.read()))
        self.assertEqual({path: n for path, n in aborts.items() if n}, ABORTS)

    def test_the_check_itself_finds_what_is_forbidden(self):
        for path, quote, target in [
                ('util/log.c', '"', 'wire/frame.h'),
                ('wire/frame.c', '"', 'core/state.h'),
                ('store/log.c', '<', 'event2/event.h'),
                ('config/config.c', '"', 'store/image.h'),
                ('edge/link.c', '<', 'systemd/sd-daemon.h'),
                ('edge/link.c', '"', 'daemon/report/status.h'),
                ('daemon/relay/relay.c', '<', 'systemd/sd-daemon.h'),
                ('daemon/relay/relay.c', '"', 'daemon/control/control.h'),
                ('daemon/control/control.c', '"', 'daemon/relay/relay.h'),
                ('daemon/relay/relay.c', '"', 'daemon/daemon.h'),
                ('daemon/report/health.c', '"', 'daemon/service/service.h'),
                ('ctl/verbs/status.c', '"', 'config/config.h'),
                ('ctl/show/show.c', '"', 'ctl/talk/bus.h'),
                ('ctl/top/top.c', '"', 'ctl/verbs/flush.h'),
                ('wire/frame.c', '"', 'frame.h'),
        ]:
            with self.subTest(path=path, target=target):
                self.assertIsNotNone(wrong_inclusion(path, quote, target))


if __name__ == '__main__':
    runner.main()
