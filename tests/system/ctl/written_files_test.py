# SPDX-License-Identifier: MIT
"""The files that ftcpctl writes for its caller: who may read them, and whose links are followed.

The fault: as root, both followed any link to any file of the system, and a capture, which holds
everybody's messages, could be read by everybody.
"""
import os
import re
import stat
import subprocess
import tempfile
import unittest

import harness
from harness import DEADLINE

STRANGER, USER = 4321, 1234
FORMS = (["metrics", "--output"], ["tap", "--pcap"])


class WrittenFiles(harness.SystemTest):
    """No daemon is there: metrics say so in the file, and a tap ends after it made the file."""

    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="ftcpd-written-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.chmod(self.folder, 0o755)

    def at(self, name):
        return os.path.join(self.folder, name)

    def make(self, name, mode=0o644, uid=None, folder=False):
        if folder:
            os.mkdir(self.at(name))
        else:
            with open(self.at(name), "w", encoding="utf-8") as file:
                file.write("old\n")
        if uid is not None:
            os.chown(self.at(name), uid, uid)
        os.chmod(self.at(name), mode)
        return self.at(name)

    def link(self, name, target, uid=None):
        os.symlink(target, self.at(name))
        if uid is not None:
            os.lchown(self.at(name), uid, uid)
        return self.at(name)

    def write(self, form, path, *more, **options):
        """The exit code and the words of an attempt."""
        done = subprocess.run(
            [harness.program("ftcpctl"), "--socket", "/nowhere/varlink", *form, path, *more],
            capture_output=True, text=True, timeout=DEADLINE, check=False, **options)
        return done.returncode, done.stderr

    def mode(self, path):
        return oct(os.lstat(path).st_mode & 0o777)

    def need_root(self):
        if os.geteuid():
            self.skipTest("to be several users takes root")

    def test_a_new_file_is_for_its_owner_only_or_as_the_umask_says(self):
        for form in FORMS:
            for umask, mode in ((0o022, "0o600"), (0, "0o600"), (0o277, "0o400")):
                with self.subTest(form=form, umask=umask):
                    path = self.at("new")
                    self.assertEqual(self.write(form, path, umask=umask)[0], 3)
                    self.assertEqual(self.mode(path), mode)
                    os.unlink(path)
        self.assertEqual(os.listdir(self.folder), [])

    def test_a_capture_is_never_put_into_a_file_that_others_may_read(self):
        path = self.make("file.pcapng")
        with open(path, encoding="utf-8") as before:
            self.assertEqual(self.write(FORMS[1], path)[0], 3)
            self.assertEqual(before.read(), "old\n")  # who has it open sees nothing
        self.assertEqual(self.mode(path), "0o600")

    def test_metrics_have_the_permissions_that_are_asked_for(self):
        path = self.at("ftcpd.prom")
        for mode in ("640", "0644", "600"):
            self.assertEqual(self.write(FORMS[0], path, f"--mode={mode}", umask=0o077)[0], 3)
            self.assertEqual(self.mode(path), oct(int(mode, 8)))
        for mode in ("", "6", "rw-r--r--", "888", "4755", "07777", "-644"):
            code, words = self.write(FORMS[0], path, f"--mode={mode}")
            self.assertEqual(code, 2)
            self.assertIn("--mode needs permissions in octal, such as 644", words)

    def test_root_follows_no_link_at_the_end_of_the_name(self):
        self.need_root()
        self.make("precious")
        for form in FORMS:
            for target in ("precious", "missing", self.at("precious"), "/dev/null"):
                with self.subTest(form=form, target=target):
                    path = self.link("link", target)
                    code, words = self.write(form, path)
                    self.assertEqual(code, 1)
                    self.assertIn(f"{path}: a symbolic link that is not followed", words)
                    self.assertEqual(os.readlink(path), target)
                    os.unlink(path)
        with open(self.at("precious"), encoding="utf-8") as file:
            self.assertEqual(file.read(), "old\n")
        self.assertEqual(os.listdir(self.folder), ["precious"])

    def test_root_follows_only_links_of_root_on_the_way(self):
        self.need_root()
        self.make("real", 0o755, folder=True)
        self.link("mine", "./real")
        self.link("theirs", "real", uid=STRANGER)
        self.link("two", "mine/../theirs")
        for form in FORMS:
            self.assertEqual(self.write(form, self.at("mine/new"))[0], 3)
            os.unlink(self.at("real/new"))
            for way in ("theirs", "two"):
                self.assertEqual(self.write(form, self.at(f"{way}/new"))[0], 1)
        self.assertEqual(os.listdir(self.at("real")), [])

    def test_a_user_with_a_capability_follows_none_either(self):
        self.need_root()
        self.make("mine", 0o755, USER, folder=True)
        self.make("precious")
        path = self.link("mine/link", "../precious")
        done = subprocess.run(
            ["setpriv", f"--reuid={USER}", "--clear-groups", "--inh-caps=+dac_override",
             "--ambient-caps=+dac_override", harness.program("ftcpctl"), "--socket", "/nowhere",
             "metrics", "--output", path], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("a symbolic link that is not followed", done.stderr)

    def test_a_user_follows_own_links_and_in_a_common_folder_no_strangers(self):
        self.need_root()
        as_user = {"user": USER, "group": USER, "extra_groups": []}
        self.make("common", 0o1777, folder=True)
        self.make("home", 0o755, USER, folder=True)
        self.make("home/file", 0o644, USER)
        self.link("common/own", "../home/file", uid=USER)
        self.link("common/trap", "../home/file", uid=STRANGER)
        self.link("common/way", "../home", uid=STRANGER)
        for form in FORMS:
            self.assertEqual(self.write(form, self.at("common/own"), **as_user)[0], 3)
            inode = os.stat(self.at("home/file")).st_ino
            for path in ("common/trap", "common/way/file"):
                code, words = self.write(form, self.at(path), **as_user)
                self.assertEqual(code, 1)
                self.assertIn("a symbolic link that is not followed", words)
            self.assertEqual(os.stat(self.at("home/file")).st_ino, inode)
        self.assertTrue(os.path.islink(self.at("common/own")))

    def test_links_without_end_end(self):
        self.link("one", "two")
        self.link("two", "one")
        for form in FORMS:
            for path in ("one", "one/file"):
                self.assertEqual(self.write(form, self.at(path))[0], 1)

    def test_a_strangers_pipe_in_a_common_folder_gets_nothing(self):
        self.need_root()
        self.make("common", 0o1777, folder=True)
        path = self.at("common/pipe")
        os.mkfifo(path)
        os.chown(path, STRANGER, STRANGER)
        reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, reader)
        for form in FORMS:
            code, words = self.write(form, path)
            self.assertEqual(code, 1)
            self.assertIn("put by a stranger", words)
            self.assertEqual(os.read(reader, 1), b"")
        self.assertTrue(stat.S_ISFIFO(os.lstat(path).st_mode))

    def test_a_strangers_file_in_a_common_folder_does_not_say_who_may_read(self):
        self.need_root()
        self.make("common", 0o1777, folder=True)
        path = self.make("common/ftcpd.prom", 0o666, STRANGER)
        self.assertEqual(self.write(FORMS[0], path)[0], 3)
        self.assertEqual((os.stat(path).st_uid, self.mode(path)), (0, "0o600"))

    def test_permissions_are_never_wider_than_they_were_where_the_group_is_lost(self):
        self.need_root()
        self.make("open", 0o777, folder=True)
        path = self.make("open/ftcpd.prom", 0o664, STRANGER)
        self.assertEqual(self.write(FORMS[0], path, user=USER, group=USER, extra_groups=[])[0], 3)
        self.assertEqual((os.stat(path).st_uid, self.mode(path)), (USER, "0o644"))

    def test_a_descriptor_of_the_caller_is_written_to(self):
        for form in FORMS:
            reader, writer = os.pipe()
            self.assertEqual(self.write(form, f"/dev/fd/{writer}", pass_fds=[writer])[0], 3)
            os.close(writer)
            with open(reader, "rb") as file:
                self.assertTrue(file.read())

    def test_no_other_place_of_the_sources_opens_a_file_to_write(self):
        """A new one belongs into whole_file.c, or here with a reason."""
        known = {
            "src/ctl/talk/whole_file.c",
            "src/util/socket_path.c",  # the lock beside a socket: O_NOFOLLOW, 0600, nothing is written
        }
        opens = re.compile(r"\bO_CREAT\b|\bcreat\(|\bfopen\([^;]*?\"[wa]|\bmkos?temp\(|\bfreopen\(",
                           re.S)
        found = set()
        for folder, _, names in os.walk(os.path.join(harness.TOP, "src")):
            for name in (name for name in names if name.endswith(".c")):
                path = os.path.join(folder, name)
                with open(path, encoding="utf-8") as file:
                    if opens.search(file.read()):
                        found.add(os.path.relpath(path, harness.TOP))
        self.assertEqual(found, known)


if __name__ == "__main__":
    harness.main()
