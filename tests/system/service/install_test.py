# SPDX-License-Identifier: MIT
"""What `make install` puts where, that its units hold for systemd, and that all of it goes again."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import runner

BUILD = os.environ.get('top_builddir') or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), '..', '..', '..', 'build')
TOP = os.environ.get('top_srcdir') or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), '..', '..', '..')
UNIT_DIR = '/units'

UNITS = {f'{name}{at}.{kind}' for at in ('', '@')
         for name, kind in [('ftcpd', 'service'), ('ftcpd', 'socket'), ('ftcpd-varlink', 'socket'),
                            ('ftcpd-metrics', 'service'), ('ftcpd-metrics', 'timer')]}
FILES = {  # below the prefix
    'sbin/ftcpd',
    'bin/ftcpctl',
    'lib/sysusers.d/ftcpd.conf',
    'lib/systemd/catalog/ftcpd.catalog',
    'share/man/man1/ftcpctl.1',
    'share/man/man5/ftcpd.conf.5',
    'share/man/man7/ftcp-protocol.7',
    'share/man/man7/ftcpd-metrics.7',
    'share/doc/ftcpd/examples/ftcpd-alerts.yml',
    'share/doc/ftcpd/examples/ftcpd-dashboard.json',
    'share/man/man7/ftcpd-operations.7',
    'share/man/man8/ftcpd.8',
    'share/doc/ftcpd/NEWS.md',
    'share/doc/ftcpd/ftcpd.conf',
    'share/bash-completion/completions/ftcpctl',
    'share/zsh/site-functions/_ftcpctl',
    'share/fish/vendor_completions.d/ftcpctl.fish',
} | {f'share/doc/ftcpd/examples/{name}.conf' for name in (
    'command-channel', 'host-session', 'ip-allow-list', 'metered-link',
    'ninjatcp', 'silent-feed')}


def run(*command):
    """Its output; a failure shows it."""
    # The make that runs the suite has nothing to say to one that a test starts.
    env = {k: v for k, v in os.environ.items() if k not in ('MAKEFLAGS', 'MFLAGS', 'MAKELEVEL')}
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          env=env)
    if done.returncode:
        raise AssertionError(f'{" ".join(command)}: exit {done.returncode}\n{done.stdout}')
    return done.stdout


def make(target, root):
    return run('make', '-s', '-C', BUILD, target, f'DESTDIR={root}',
               f'systemdsystemunitdir={UNIT_DIR}')


def files(root):
    return {os.path.join(folder, name)[len(root):]
            for folder, _, names in os.walk(root) for name in names}


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = tempfile.mkdtemp(prefix='ftcpd-install-')
        cls.addClassCleanup(shutil.rmtree, cls.root, ignore_errors=True)
        make('install', cls.root)
        cls.files = files(cls.root)
        cls.prefix = next(path for path in cls.files
                          if path.endswith('/sbin/ftcpd')).removesuffix('/sbin/ftcpd')

    def expected(self):
        return {f'{self.prefix}/{name}' for name in FILES} | {f'{UNIT_DIR}/{u}' for u in UNITS}

    def units(self, folder):
        """The installed units in a folder of their own, where their programs stand in the root."""
        for unit in UNITS:
            with open(f'{self.root}{UNIT_DIR}/{unit}', encoding='utf-8') as file:
                text = file.read().replace(f'{self.prefix}/', f'{self.root}{self.prefix}/')
            # A template is verified as one of its instances.
            with open(f'{folder}/{unit.replace("@", "@x")}', 'w', encoding='utf-8') as file:
                file.write(text)
        return sorted(os.listdir(folder))

    def test_every_file_goes_where_it_belongs_and_none_to_etc(self):
        self.assertEqual(self.files, self.expected())

    def test_programs_may_be_run_and_nothing_else_and_all_may_be_read(self):
        for path in sorted(self.files):
            program = path.endswith(('/sbin/ftcpd', '/bin/ftcpctl'))
            with self.subTest(path=path):
                mode = os.stat(self.root + path).st_mode & 0o777
                self.assertEqual(oct(mode), oct(0o755 if program else 0o644))

    def test_the_installed_programs_run_and_tell_the_version_that_was_configured(self):
        with open(f'{BUILD}/config.h', encoding='utf-8') as file:
            version = re.search(r'#define PACKAGE_VERSION "(.+)"', file.read())[1]
        for program in ('sbin/ftcpd', 'bin/ftcpctl'):
            out = run(f'{self.root}{self.prefix}/{program}', '--version')
            self.assertEqual(out, f'{os.path.basename(program)} {version}\n')

    def test_nothing_is_left_to_be_filled_in(self):
        for path in self.files:
            with open(self.root + path, 'rb') as file:
                self.assertIsNone(re.search(rb'@[a-z]+dir@', file.read()), path)

    def test_the_units_start_the_installed_programs(self):
        for at in ('', '@'):
            with open(f'{self.root}{UNIT_DIR}/ftcpd{at}.service', encoding='utf-8') as file:
                commands = dict(re.findall(r'^(Exec\w+)=(\S+)', file.read(), re.M))
            self.assertEqual(commands, {'ExecStart': f'{self.prefix}/sbin/ftcpd',
                                        'ExecReload': f'{self.prefix}/bin/ftcpctl'})
            with open(f'{self.root}{UNIT_DIR}/ftcpd-metrics{at}.service', encoding='utf-8') as file:
                commands = re.findall(r'^Exec\w+=(\S+)', file.read(), re.M)
            self.assertEqual(commands, [f'{self.prefix}/bin/ftcpctl'])  # no shell, no root's helper

    def test_no_service_runs_as_root_or_leaves_its_memory_in_a_file(self):
        for unit in sorted(unit for unit in UNITS if unit.endswith('.service')):
            with self.subTest(unit=unit), \
                    open(f'{self.root}{UNIT_DIR}/{unit}', encoding='utf-8') as file:
                lines = file.read().splitlines()
                for line in ('User=ftcpd', 'Group=ftcpd', 'LimitCORE=0'):
                    self.assertIn(line, lines)
                self.assertTrue([line for line in lines if line.startswith('TasksMax=')])

    def test_systemd_has_no_complaint_about_the_units(self):
        if not shutil.which('systemd-analyze'):
            self.skipTest('systemd-analyze is not installed (Debian: systemd)')
        with tempfile.TemporaryDirectory() as folder:
            for unit in self.units(folder):
                with self.subTest(unit=unit):
                    said = run('systemd-analyze', 'verify', '--man=no', f'{folder}/{unit}')
                    self.assertNotIn('ftcpd', said)

    def test_systemd_makes_the_user_that_the_units_name(self):
        if not shutil.which('systemd-sysusers'):
            self.skipTest('systemd-sysusers is not installed (Debian: systemd)')
        with tempfile.TemporaryDirectory() as root:
            os.mkdir(f'{root}/etc')
            run('systemd-sysusers', f'--root={root}',
                f'{self.root}{self.prefix}/lib/sysusers.d/ftcpd.conf')
            for name in ('passwd', 'group'):
                with open(f'{root}/etc/{name}', encoding='utf-8') as file:
                    self.assertRegex(file.read(), r'(?m)^ftcpd:')

    def test_the_catalog_explains_every_class_of_entries(self):
        with open(f'{TOP}/src/core/catalog.h', encoding='utf-8') as file:
            known = re.findall(r'^#define CATALOG_\w+ +"([0-9a-f]{32})"', file.read(), re.M)
        with open(f'{self.root}{self.prefix}/lib/systemd/catalog/ftcpd.catalog',
                  encoding='utf-8') as file:
            explained = re.findall(r'^-- ([0-9a-f]{32})$', file.read(), re.M)
        self.assertEqual(sorted(known), sorted(explained))
        self.assertEqual(len(known), len(set(known)))

    def test_systemd_finds_little_that_the_services_could_do_without(self):
        if not shutil.which('systemd-analyze'):
            self.skipTest('systemd-analyze is not installed (Debian: systemd)')
        version = int(re.search(r'systemd (\d+)', run('systemd-analyze', '--version'))[1])
        if version != 252:
            self.skipTest(f'the measure is that of systemd 252, this is {version}')
        with tempfile.TemporaryDirectory() as folder:
            self.units(folder)
            for unit in ('ftcpd.service', 'ftcpd@x.service',
                         'ftcpd-metrics.service', 'ftcpd-metrics@x.service'):
                with self.subTest(unit=unit):
                    print(run('systemd-analyze', 'security', '--offline=yes', '--threshold=12',
                              '--no-pager', f'{folder}/{unit}').splitlines()[-1])

    def test_a_build_for_32_bits_is_refused_with_a_sentence(self):
        """Of a compiler that makes objects of 32 bits and, without their library, links others."""
        if os.path.exists(f'{TOP}/config.status'):
            self.skipTest('configure runs only outside of a source tree that is built in itself')
        with tempfile.TemporaryDirectory() as folder:
            compiler = f'{folder}/cc32'
            with open(compiler, 'w', encoding='utf-8') as file:
                file.write('#!/bin/sh\ncase " $* " in *" -c "*) exec cc -m32 "$@";; esac\n'
                           'exec cc "$@"\n')
            os.chmod(compiler, 0o755)
            if subprocess.run([compiler, '-c', '-x', 'c', '/dev/null', '-o', f'{folder}/x.o'],
                              stderr=subprocess.DEVNULL, check=False).returncode:
                self.skipTest('this compiler knows no -m32')
            with open(f'{BUILD}/config.log', encoding='utf-8', errors='replace') as file:
                known = re.findall(r'^a[cm]_cv_(?!env_)(?!.*_CC=).*\n', file.read(), re.M)
            with open(f'{folder}/site', 'w', encoding='utf-8') as file:
                file.writelines(known)  # all but the compiler: it takes half of the time
            done = subprocess.run([f'{os.path.abspath(TOP)}/configure', f'CC={compiler}'],
                                  cwd=folder, text=True, capture_output=True, check=False,
                                  env=os.environ | {'CONFIG_SITE': f'{folder}/site'})
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertRegex(done.stderr, 'ftcpd needs a system of 64 bits: .* 64 GiB')

    def test_make_uninstall_leaves_nothing(self):
        with tempfile.TemporaryDirectory() as root:
            make('install', root)
            self.assertEqual(files(root), self.files)
            make('uninstall', root)
            self.assertEqual(files(root), set())


if __name__ == '__main__':
    runner.main()
