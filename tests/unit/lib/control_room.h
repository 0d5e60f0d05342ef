/* SPDX-License-Identifier: MIT */
#pragma once
/* The control server on a real Unix socket, before a fake daemon, in the thread of the test: a
 * function that waits runs passes of the event loop. */
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <event2/event.h>
#include <jansson.h>

#include "daemon/control/control.h"
#include "flow/events.h"

enum { DEADLINE_S = 60 };

/* The fake daemon: its answers, and the calls that it got. */
struct fake {
        struct config config;
        struct config_setting settings[2];
        const char *data_socket;
        size_t n_clients;
        const char *reload_error; /* NULL: reloads succeed; "": fails without a reason */
        unsigned reloads;
        useconds_t reload_usec;       /* length of a reload, asleep */
        char steered[300];            /* the last order of an operator, as words */
        uint64_t accepted, delivered; /* positions */
        unsigned flushed_asked;       /* number of calls */
        struct store store;           /* for the events */
        struct events events;
        struct taps taps;
        uint64_t gone_client; /* an ID that no client has */
};
extern struct fake fake;

struct server {
        struct event_base *base;
        struct control *control;
        struct sockaddr_un address;
        socklen_t address_size;
        bool strict; /* the time spent on requests is throttled, as beside a link */
        int listener;
        int fds[600]; /* of client(), closed by stop() */
        size_t n_fds;
};
extern struct server server;

/* Set-up of a test: a fresh fake and server. */
int start(void **state);

/* Teardown of a test. */
int stop(void **state);

/* One pass of the event loop. */
void turn(void);

/* One pass of the event loop; fails the test if now() is behind the deadline. */
void turn_until(time_t deadline);

/* Returns the seconds of the monotonic clock. */
time_t now(void);

/* Returns a new connection to the server, non-blocking, in passes of the loop while no place is
 * free. */
int client(void);

/* Sends data, in passes of the loop while the server reads. */
void put(int fd, const void *data, size_t size);

/* Sends a text and its NUL. */
void call(int fd, const char *text);

/* Waits for the next reply. Returns a new reference. */
json_t *get(int fd);

/* Waits for one byte. Returns the byte, or -1 at the end of the connection. */
int get_byte(int fd);

/* Fails the test unless the connection ends without a byte. */
void assert_ended(int fd);

/* Fails the test unless reply is no error and has nothing but parameters. Takes the reference. */
void assert_result(json_t *reply);

/* Fails the test unless reply is this error, with this parameter only, or none with key NULL. Takes
 * the reference. */
void assert_error(json_t *reply, const char *error, const char *key, const char *value);

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop)
