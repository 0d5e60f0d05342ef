# SPDX-License-Identifier: MIT
# Both edges together.
noinst_LIBRARIES += librelay.a
librelay_a_SOURCES = \
	%D%/relay.c %D%/relay.h \
	%D%/relay_door.c \
	%D%/relay_down.c \
	%D%/relay_events.c \
	%D%/relay_fate.c \
	%D%/relay_own.h \
	%D%/relay_resume.c \
	%D%/relay_status.c \
	%D%/relay_steer.c \
	%D%/relay_tap.c \
	%D%/relay_up.c
