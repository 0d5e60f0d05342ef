# SPDX-License-Identifier: MIT
# Both edges together.
noinst_LIBRARIES += librelay.a
librelay_a_SOURCES = \
	%D%/door.c \
	%D%/down.c \
	%D%/events.c \
	%D%/fate.c \
	%D%/recover.c \
	%D%/relay.c %D%/relay.h \
	%D%/relay_internal.h \
	%D%/status.c \
	%D%/steer.c \
	%D%/tap.c \
	%D%/up.c
