# SPDX-License-Identifier: MIT
# Not a test: both ends of a relay under load, a publisher with its subscribers, and a relay to compare
# with. "./dev bench" runs them.

noinst_PROGRAMS = bench-load bench-fanout bench-bare
bench_load_SOURCES = %D%/load.c %D%/ends.c %D%/ends.h \
	%D%/beside.c %D%/beside.h
bench_load_LDADD =
bench_fanout_SOURCES = %D%/fanout.c %D%/ends.c %D%/ends.h
bench_fanout_LDADD =
bench_bare_SOURCES = %D%/bare.c
bench_bare_CFLAGS = $(AM_CFLAGS) -pthread
bench_bare_LDADD =

system_tests += %D%/guard_test.py %D%/bench_test.py

EXTRA_DIST += %D%/run %D%/attack %D%/attack_control.py %D%/attack_door.py %D%/attack_hung.py \
	%D%/attack_loop.py %D%/attack_places.py %D%/isolation \
	%D%/bars.py %D%/before.py %D%/curves.py %D%/measure.py %D%/peers.py %D%/plots.py %D%/guard.c \
	%D%/guard.expected
