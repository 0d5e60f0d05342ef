# SPDX-License-Identifier: MIT
# Layer 0: small helpers that know nothing of ftcpd.
noinst_LIBRARIES += libutil.a
libutil_a_SOURCES = \
	%D%/address.c %D%/address.h \
	%D%/base64.c %D%/base64.h \
	%D%/clock.c %D%/clock.h \
	%D%/diag.c %D%/diag.h \
	%D%/host_error.c %D%/host_error.h \
	%D%/journal.c %D%/journal.h \
	%D%/memfd.c %D%/memfd.h \
	%D%/program.c %D%/program.h \
	%D%/room.h \
	%D%/socket.c %D%/socket.h \
	%D%/socket_path.c %D%/socket_path.h \
	%D%/std_fds.c %D%/std_fds.h \
	%D%/suggest.c %D%/suggest.h \
	%D%/text.c %D%/text.h \
	%D%/units.c %D%/units.h \
	%D%/user.c %D%/user.h
