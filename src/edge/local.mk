# SPDX-License-Identifier: MIT
# Layer 6: the link, the listeners, and the clients; libevent begins here.
noinst_LIBRARIES += libedge.a
libedge_a_SOURCES = \
	%D%/client.c %D%/client.h \
	%D%/client_in.c \
	%D%/client_internal.h \
	%D%/client_out.c \
	%D%/client_rx_count.c \
	%D%/deadlines.c %D%/deadlines.h \
	%D%/dial.c %D%/dial.h \
	%D%/link.c %D%/link.h \
	%D%/link_internal.h \
	%D%/link_linger.c \
	%D%/link_steer.c \
	%D%/link_tell.c \
	%D%/listener.c %D%/listener.h \
	%D%/poller.c %D%/poller.h \
	%D%/resolver.c %D%/resolver.h \
	%D%/session.c %D%/session.h \
	%D%/session_in.c \
	%D%/session_internal.h \
	%D%/session_life.c \
	%D%/session_out.c \
	%D%/tcp.c %D%/tcp.h \
	%D%/timer.h
