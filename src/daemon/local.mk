# SPDX-License-Identifier: MIT
# Layer 7: the program ftcpd. Its rooms are above each other as tests/system/docs/layers_test.py says.
sbin_PROGRAMS += ftcpd
ftcpd_SOURCES = %D%/main.c
ftcpd_LDADD = $(daemon_libraries)

noinst_LIBRARIES += libdaemon.a
libdaemon_a_SOURCES = \
	%D%/cgroup.c %D%/cgroup.h \
	%D%/daemon.c %D%/daemon.h \
	%D%/daemon_internal.h \
	%D%/doors.c %D%/doors.h \
	%D%/limits.c %D%/limits.h \
	%D%/lookups.c %D%/lookups.h \
	%D%/ops.c \
	%D%/options.c %D%/options.h \
	%D%/timers.c %D%/timers.h

include %D%/service/local.mk
include %D%/report/local.mk
include %D%/relay/local.mk
include %D%/control/local.mk
