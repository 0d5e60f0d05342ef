/* SPDX-License-Identifier: MIT */
#pragma once
/* Words for errors that are this host's own: a limit that is used up, or a rule that forbids. The
 * words name the setting to look at. */

/* What failed: one errno means different things for different calls. */
enum host_call {
        HOST_CALL_ANY, /* a descriptor, or memory */
        HOST_CALL_SOCKET,
        HOST_CALL_CONNECT, /* connect() of a TCP socket, and what goes through the socket later */
        HOST_CALL_PORT,    /* connect() or bind() that chooses the local port */
        HOST_CALL_LINK_LOCAL, /* connect() or bind() of a link-local address without interface */
        HOST_CALL_ACCEPT,
        HOST_CALL_THREAD,
        HOST_CALL_WATCH, /* epoll_ctl() */
};

/* Returns the error in words, a constant, with the limit or the rule behind the error if one is
 * known. */
const char *host_error_words(enum host_call call, int error);

/* Returns the negative errno of a constructor that returned NULL, from errno: descriptors are used
 * up, or else memory. */
int host_error_of_null(void);
