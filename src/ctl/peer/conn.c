/* SPDX-License-Identifier: MIT */
#include "ctl/peer/conn.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ctl/peer/encode.h"
#include "ctl/show/show.h"
#include "ctl/talk/ctl.h"
#include "ctl/talk/local.h"
#include "util/clock.h"
#include "util/units.h"

enum {
        READ_SIZE = 256 * 1024,
        OUT_HIGH = 4 * 1024 * 1024, /* from here on nothing is read, echoed or generated */
        IN_HIGH = 4 * 1024 * 1024,  /* input for the script, beyond one largest message */
        SHOWN_MAX = 200,
        CLOSE_USEC = 1000 * 1000,
        SECOND = 1000 * 1000,
};

static bool bytes_room(struct conn_bytes *bytes, size_t want)
{
        unsigned char *data;
        size_t room;

        if (bytes->at == bytes->size)
                bytes->at = bytes->size = 0;
        if (bytes->room - bytes->size >= want)
                return true;
        if (bytes->at) {
                memmove(bytes->data, bytes->data + bytes->at, bytes->size - bytes->at);
                bytes->size -= bytes->at;
                bytes->at = 0;
        }
        if (bytes->room - bytes->size >= want)
                return true;
        room = bytes->room * 2 > bytes->size + want ? bytes->room * 2 : bytes->size + want;
        data = realloc(bytes->data, room);
        if (!data)
                return false;
        bytes->data = data;
        bytes->room = room;
        return true;
}

static size_t bytes_left(const struct conn_bytes *bytes)
{
        return bytes->size - bytes->at;
}

void conn_init(struct conn *conn, const struct peer_options *options, struct peer_result *result,
               int fd, unsigned id, const char *from)
{
        const struct script *script = &options->script;
        int on = 1;

        *conn = (struct conn){
                .options = options,
                .result = result,
                .fd = fd,
                .id = id,
                .echo = options->echo,
                .heartbeat_usec = options->heartbeat_usec,
                .heartbeat_at = clock_deadline(options->heartbeat_usec),
        };
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        if (script->n_parts) {
                size_t n = id <= script->n_parts ? id - 1 : script->n_parts - 1;

                conn->steps = script->steps + script->parts[n].first;
                conn->n_steps = script->parts[n].n;
        }
        printf("connection %u opened: from %s\n", id, from);
}

static void conn_end(struct conn *conn, const char *why)
{
        if (conn->state != CONN_OVER)
                printf("connection %u closed: %s, after %s\n", conn->id, why,
                       units_messages(conn->received).text);
        conn->state = CONN_OVER;
}

void conn_done(struct conn *conn)
{
        conn_end(conn, conn->state == CONN_CLOSING ? "by the script" : "at the end");
        play_end(conn);
        close(conn->fd);
        free(conn->in.data);
        free(conn->out.data);
}

void conn_reset(struct conn *conn, const char *why)
{
        struct linger linger = {.l_onoff = 1};

        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        conn_end(conn, why);
}

void conn_close(struct conn *conn, uint64_t now)
{
        shutdown(conn->fd, SHUT_WR);
        conn->state = CONN_CLOSING;
        conn->closing_until = now + CLOSE_USEC;
        if (conn->input_ended)
                conn_end(conn, "by the script");
}

void conn_send(struct conn *conn, const void *bytes, size_t size)
{
        if (!bytes_room(&conn->out, size)) {
                conn_reset(conn, "no memory");
                return;
        }
        memcpy(conn->out.data + conn->out.size, bytes, size);
        conn->out.size += size;
}

bool conn_next(struct conn *conn, const unsigned char **frame, size_t *size)
{
        const unsigned char *data = conn->in.data + conn->in.at;
        uint64_t total;

        if (bytes_left(&conn->in) == 0)
                return false;
        switch (frame_next(&conn->options->spec, data, bytes_left(&conn->in), &total)) {
        case FRAME_WHOLE:
                *frame = data;
                *size = total;
                return true;
        case FRAME_MORE: return false;
        case FRAME_TOO_LARGE: conn_reset(conn, "reset, its message is too large"); return false;
        default: conn_reset(conn, "reset, what it sent is no message of this frame"); return false;
        }
}

bool conn_is_heartbeat(const struct conn *conn, const unsigned char *frame, size_t size)
{
        const unsigned char *message;
        size_t n;

        frame_message(&conn->options->spec, frame, size, &message, &n);
        return n == 0 ||
               (n == conn->options->beat_size && memcmp(message, conn->options->beat, n) == 0);
}

void conn_took(struct conn *conn, const unsigned char *frame, size_t size)
{
        const unsigned char *message;
        size_t n;

        if (!conn_is_heartbeat(conn, frame, size)) {
                conn->received++;
                if (!conn->options->quiet) {
                        frame_message(&conn->options->spec, frame, size, &message, &n);
                        printf("connection %u received: ", conn->id);
                        show_safe(stdout, message, n, SHOWN_MAX);
                        putchar('\n');
                }
        }
        if (conn->echo)
                conn_send(conn, frame, size);
        conn->in.at += size;
}

/* Takes the messages that the script does not want. */
static void conn_take(struct conn *conn)
{
        const unsigned char *frame;
        size_t size;

        while (conn->state == CONN_OPEN && bytes_left(&conn->out) < OUT_HIGH &&
               !play_wants_messages(conn) && conn_next(conn, &frame, &size))
                conn_took(conn, frame, size);
}

static bool conn_reads(const struct conn *conn, uint64_t now)
{
        if (conn->input_ended || conn->stalled_until > now)
                return false;
        if (conn->state == CONN_CLOSING)
                return true;
        return bytes_left(&conn->in) < conn->options->spec.max_message_size + IN_HIGH &&
               bytes_left(&conn->out) < OUT_HIGH;
}

short conn_events(const struct conn *conn, uint64_t now)
{
        return (short)((conn_reads(conn, now) ? POLLIN : 0) |
                       (bytes_left(&conn->out) ? POLLOUT : 0));
}

void conn_read(struct conn *conn)
{
        ssize_t n;

        if (!bytes_room(&conn->in, READ_SIZE)) {
                conn_reset(conn, "no memory");
                return;
        }
        n = recv(conn->fd, conn->in.data + conn->in.size, conn->in.room - conn->in.size, 0);
        if (n > 0 && conn->state == CONN_OPEN)
                conn->in.size += (size_t)n;
        if (n == 0)
                conn->input_ended = true;
        if (n == 0 && conn->state == CONN_CLOSING)
                conn_end(conn, "by the script");
        if (n < 0 && !local_may_retry(errno))
                conn_end(conn, strerror(errno));
}

void conn_hangup(struct conn *conn)
{
        if (conn->input_ended)
                conn_end(conn, "reset by the other side");
        else
                conn_read(conn);
}

static void conn_beat(struct conn *conn, uint64_t now)
{
        if (!conn->heartbeat_usec || conn->torn || bytes_left(&conn->out))
                return;
        if (now < conn->heartbeat_at)
                return;
        conn_send(conn, conn->options->heartbeat, conn->options->heartbeat_size);
        conn->heartbeat_at = now + conn->heartbeat_usec;
}

/* Returns the time at which generated message number n (from 0) is due. */
static uint64_t generate_at(const struct conn *conn, uint64_t n)
{
        return conn->generate_since + n / conn->options->rate * SECOND +
               n % conn->options->rate * SECOND / conn->options->rate;
}

static void conn_generate(struct conn *conn, uint64_t now)
{
        const struct peer_options *options = conn->options;
        size_t size = encode_numbered_size(&options->spec, options->size);

        if (!options->generate || conn->torn || conn->step < conn->n_steps)
                return;
        if (!conn->generate_since)
                conn->generate_since = now;
        while (bytes_left(&conn->out) < READ_SIZE &&
               (!options->rate || generate_at(conn, conn->generated) <= now)) {
                if (!bytes_room(&conn->out, size)) {
                        conn_reset(conn, "no memory");
                        return;
                }
                encode_numbered(&options->spec, conn->generated++, options->size,
                                conn->out.data + conn->out.size);
                conn->out.size += size;
        }
}

static uint64_t min(uint64_t a, uint64_t b)
{
        return a < b ? a : b;
}

uint64_t conn_wake(const struct conn *conn, uint64_t now)
{
        uint64_t wake = play_wake(conn);

        if (conn->state == CONN_CLOSING)
                return conn->closing_until;
        if (conn->stalled_until > now)
                wake = min(wake, conn->stalled_until);
        if (conn->heartbeat_usec && !conn->torn && !bytes_left(&conn->out))
                wake = min(wake, conn->heartbeat_at);
        if (conn->options->generate && conn->step == conn->n_steps && !conn->torn &&
            bytes_left(&conn->out) < READ_SIZE)
                wake = min(wake, conn->options->rate && conn->generate_since
                                         ? generate_at(conn, conn->generated)
                                         : now);
        return wake;
}

void conn_run(struct conn *conn, uint64_t now)
{
        bool full;

        if (conn->state != CONN_OPEN)
                return;
        do {
                play_run(conn, now);
                conn_take(conn);
                full = bytes_left(&conn->out) >= OUT_HIGH;
                conn_write(conn);
        } while (conn->state == CONN_OPEN && full && bytes_left(&conn->out) < OUT_HIGH);
        conn_generate(conn, now);
        if (conn->state == CONN_OPEN)
                conn_beat(conn, now);
        conn_write(conn);
        if (conn->state == CONN_OPEN && conn->input_ended && !bytes_left(&conn->out))
                conn_end(conn, bytes_left(&conn->in) ? "by the other side, with bytes left unused"
                                                     : "by the other side");
}

void conn_write(struct conn *conn)
{
        while (conn->state != CONN_OVER && bytes_left(&conn->out)) {
                ssize_t n = send(conn->fd, conn->out.data + conn->out.at, bytes_left(&conn->out),
                                 MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0 && !local_may_retry(errno))
                        conn_end(conn, strerror(errno));
                if (n < 0)
                        return;
                conn->out.at += (size_t)n;
        }
}

bool conn_over(const struct conn *conn, uint64_t now)
{
        return conn->state == CONN_OVER ||
               (conn->state == CONN_CLOSING && now >= conn->closing_until);
}
