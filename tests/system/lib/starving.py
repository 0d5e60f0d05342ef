# SPDX-License-Identifier: MIT
"""An allocator that fails when told to, preloaded into ftcpd: see starve.h."""
import mmap
import os
import struct

SIZE = 40  # struct starve: first, many, seen, failed, live
FOREVER = 2 ** 63


class Starvation:
    def __init__(self, library):
        path = os.path.join(os.path.dirname(library), "orders")
        with open(path, "w+b") as file:
            file.truncate(SIZE)
            self.orders = mmap.mmap(file.fileno(), SIZE)
        self.many = 0
        self.env = {"LD_PRELOAD": library, "FTCPD_TEST_STARVE": path}

    def _put(self, index, value):
        struct.pack_into("Q", self.orders, 8 * index, value)

    def begin(self, first, many=1):
        """The allocation `first` from now on fails, and `many` in all."""
        self.many = many
        self._put(2, 0)
        self._put(3, 0)
        self._put(1, many)
        self._put(0, first)

    def end(self):
        """How many have failed since begin()."""
        self._put(0, 0)
        return struct.unpack_from("Q", self.orders, 24)[0]

    @property
    def live(self):
        """Allocations that are not freed."""
        return struct.unpack_from("Q", self.orders, 32)[0]
