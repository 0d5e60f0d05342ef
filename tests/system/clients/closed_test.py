# SPDX-License-Identifier: MIT
"""ftcpctl where whoever started it has closed standard input, output or error: none of its sockets
takes the free place, or what the upstream says would be read as requests of whoever asked."""
import subprocess

import harness

CALL = b'{"method":"io.ftcpd.Hold","parameters":{"reason":"said by the upstream"}}\0'


class Closed(harness.SystemTest):
    def setUp(self):
        super().setUp()
        _, self.process, self.session = self.linked()

    def start(self, redirection, *args):
        ctl = [harness.program("ftcpctl"), "--socket", self.process.control_path, *args]
        return self.spawn(["/bin/sh", "-c", f'exec "$@" {redirection}', "sh", *ctl],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def test_what_the_upstream_says_is_no_request(self):
        ctl = self.start(">&-", "recv", "-n", "1", "--raw")
        self.process.wait_clients(1)
        self.session.send(CALL)
        said = ctl.communicate(timeout=harness.DEADLINE)[1]
        self.assertEqual((ctl.returncode, said), (1, b"ftcpctl: stdout: Bad file descriptor\n"))
        self.assertEqual(self.process.status()["upstream"]["state"], "up")

    def test_each_is_told_as_closed(self):
        for redirection, args, what in (("<&-", ["send"], b"stdin"),
                                        ("<&-", ["send", "--lines"], b"stdin"),
                                        (">&-", ["status"], b"stdout"),
                                        (">&-", ["config"], b"stdout")):
            with self.subTest(args=args):
                ctl = self.start(redirection, *args)
                said = ctl.communicate(timeout=harness.DEADLINE)[1]
                self.assertEqual((ctl.returncode, said),
                                 (1, b"ftcpctl: " + what + b": Bad file descriptor\n"))


if __name__ == "__main__":
    harness.main()
