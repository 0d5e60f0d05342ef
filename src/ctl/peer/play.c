/* SPDX-License-Identifier: MIT */
/* Plays the part of a script on a connection, step by step, until a step has to wait. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ctl/peer/conn.h"
#include "ctl/show/show.h"

enum { PIECE_PAUSE_USEC = 20 * 1000, EXPECTED_MAX = 200, OUT_HIGH = 1024 * 1024 };

/* Steps of one connection in a pass: a loop without a wait would stop all other connections. */
enum { STEPS_A_PASS = 10000 };

bool play_wants_messages(const struct conn *conn)
{
        if (conn->echo)
                return conn->step < conn->n_steps &&
                       conn->steps[conn->step].op <= SCRIPT_EXPECT_ANY;
        /* A later step may expect a message that comes during a wait. */
        if (conn->step < conn->n_steps)
                for (size_t i = 0; i < conn->n_steps; i++)
                        if (conn->steps[i].op <= SCRIPT_EXPECT_ANY)
                                return true;
        return false;
}

uint64_t play_wake(const struct conn *conn)
{
        if (conn->pass_over)
                return 0;
        return conn->step < conn->n_steps && conn->wait_until ? conn->wait_until : UINT64_MAX;
}

static void unexpected(struct conn *conn, const struct script_step *step, const char *got,
                       size_t size)
{
        fflush(stdout);
        fprintf(stderr, "%s:%u: connection %u: expected ", conn->options->script_path, step->line,
                conn->id);
        if (step->op == SCRIPT_EXPECT_ANY)
                fputs("a message", stderr);
        else
                show_safe(stderr, step->data, step->size, EXPECTED_MAX);
        fputs(", got ", stderr);
        if (got)
                show_safe(stderr, got, size, EXPECTED_MAX);
        else
                fputs("the end of the connection", stderr);
        fputc('\n', stderr);
        conn->result->failed = true;
        conn_reset(conn, "reset, it was not as expected");
}

/* True when the step is done. */
static bool play_expect(struct conn *conn, const struct script_step *step)
{
        const unsigned char *frame, *message;
        bool any = step->op == SCRIPT_EXPECT_ANY;
        size_t size, n;

        while (conn_next(conn, &frame, &size)) {
                bool same, heartbeat;

                frame_message(&conn->options->spec, frame, size, &message, &n);
                same = n == step->size && memcmp(message, step->data, n) == 0;
                heartbeat = conn_is_heartbeat(conn, frame, size);
                if (!same && !heartbeat && !any) {
                        unexpected(conn, step, (const char *)message, n);
                        return false;
                }
                conn_took(conn, frame, size);
                if (any ? !heartbeat : same)
                        return true;
        }
        if (conn->state == CONN_OPEN && conn->input_ended)
                unexpected(conn, step, NULL, 0);
        return false;
}

static bool play_wait(struct conn *conn, uint64_t span, uint64_t now)
{
        if (!conn->wait_until)
                conn->wait_until = span > UINT64_MAX - now ? UINT64_MAX : now + span;
        if (now < conn->wait_until)
                return false;
        conn->wait_until = 0;
        return true;
}

static bool out_empty(const struct conn *conn)
{
        return conn->out.at == conn->out.size;
}

/* True when the step is done. Each piece of a split is written alone, PIECE_PAUSE_USEC after
 * all output before is gone. */
static bool play_send(struct conn *conn, const struct script_step *step, uint64_t now)
{
        size_t left, size;

        if (step->n_pieces ? !out_empty(conn) : conn->out.size - conn->out.at > OUT_HIGH)
                return false;
        if (conn->piece && !play_wait(conn, PIECE_PAUSE_USEC, now))
                return false;
        left = step->size - conn->piece_at;
        size = conn->piece < step->n_pieces && step->pieces[conn->piece] < left
                       ? step->pieces[conn->piece]
                       : left;
        conn_send(conn, step->data + conn->piece_at, size);
        conn->piece++;
        conn->piece_at += size;
        conn->torn = step->op == SCRIPT_SEND_BROKEN || conn->piece_at < step->size;
        if (conn->piece_at < step->size)
                return false;
        conn->piece = conn->piece_at = 0;
        return true;
}

static void play_heartbeat(struct conn *conn, uint64_t span, uint64_t now)
{
        conn->heartbeat_usec = conn->options->heartbeat ? span : 0;
        conn->heartbeat_at = now;
        conn->torn = false;
}

/* True when the step is done. */
static bool play_step(struct conn *conn, const struct script_step *step, uint64_t now)
{
        switch (step->op) {
        case SCRIPT_EXPECT:
        case SCRIPT_EXPECT_ANY: return play_expect(conn, step);
        case SCRIPT_SEND:
        case SCRIPT_SEND_BROKEN: return play_send(conn, step, now);
        case SCRIPT_WAIT: return play_wait(conn, step->number, now);
        case SCRIPT_STALL:
                if (!play_wait(conn, step->number, now)) {
                        conn->stalled_until = conn->wait_until;
                        return false;
                }
                return true;
        case SCRIPT_HEARTBEAT: play_heartbeat(conn, step->number, now); return true;
        case SCRIPT_ECHO: conn->echo = true; return true;
        case SCRIPT_CLOSE:
                if (out_empty(conn))
                        conn_close(conn, now);
                return false;
        case SCRIPT_RESET:
                if (out_empty(conn))
                        conn_reset(conn, "reset by the script");
                return false;
        case SCRIPT_EXIT:
                if (out_empty(conn)) {
                        conn->result->exit = true;
                        conn->result->code = (int)step->number;
                }
                return false;
        default: return true;
        }
}

/* Writes after a step that is not done. True if the step is worth another try at once: the output
 * is gone, and no time is waited for. */
static bool play_written(struct conn *conn, bool pending)
{
        conn_write(conn);
        return out_empty(conn) && !conn->wait_until && (pending || conn->piece);
}

void play_run(struct conn *conn, uint64_t now)
{
        conn->pass_over = false;
        for (int i = 0; conn->state == CONN_OPEN && conn->step < conn->n_steps; i++) {
                const struct script_step *step = &conn->steps[conn->step];
                bool pending = !out_empty(conn);

                if (i == STEPS_A_PASS) {
                        conn->pass_over = true;
                        return;
                }
                if (step->op == SCRIPT_LOOP) {
                        conn->step = 0;
                        continue;
                }
                if (!play_step(conn, step, now)) {
                        if (!play_written(conn, pending))
                                return;
                        continue;
                }
                if (++conn->repeated < step->repeat)
                        continue;
                conn->repeated = 0;
                conn->step++;
        }
}

void play_end(struct conn *conn)
{
        for (size_t i = conn->step; i < conn->n_steps; i++) {
                const struct script_step *step = &conn->steps[i];

                if (step->op == SCRIPT_EXIT) {
                        conn->result->exit = true;
                        conn->result->code = (int)step->number;
                }
                if (step->op != SCRIPT_WAIT && step->op != SCRIPT_CLOSE && step->op != SCRIPT_RESET)
                        return;
        }
}
