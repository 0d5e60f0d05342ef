/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/top/top.h"
#include "util/clock.h"

static const struct {
        char key;
        const char *name;
} sorts[TOP_SORTS] = {
        [TOP_ID] = {'i', "id"},         [TOP_PROGRAM] = {'p', "program"},
        [TOP_IN] = {'n', "in"},         [TOP_OUT] = {'o', "out"},
        [TOP_QUEUED] = {'u', "queued"}, [TOP_DROPPED] = {'d', "dropped"},
};

char top_sort_key(enum top_sort sort)
{
        return sorts[sort].key;
}

const char *top_sort_name(enum top_sort sort)
{
        return sorts[sort].name;
}

static void history_add(struct top_history *history, double value)
{
        if (history->n == TOP_HISTORY) {
                memmove(history->values, history->values + 1,
                        (TOP_HISTORY - 1) * sizeof(*history->values));
                history->n--;
        }
        history->values[history->n++] = value;
}

static const json_t *find_client(const json_t *clients, int64_t id)
{
        for (size_t i = 0; i < json_array_size(clients); i++) {
                const json_t *client = json_array_get(clients, i);

                if (member_int(client, "id", -1) == id)
                        return client;
        }
        return NULL;
}

/* Messages a second; less than 0 for a new client, after no time, and after a restarted count. */
static double client_rate(const json_t *before, const json_t *after, const char *member,
                          double seconds)
{
        int64_t more = member_int(json_object_get(after, member), "messages", 0) -
                       member_int(json_object_get(before, member), "messages", 0);

        return before && seconds > 0 && more >= 0 ? (double)more / seconds : -1;
}

static struct top_row row_from(const json_t *client, const json_t *before, double seconds)
{
        struct top_row row = {
                .id = member_int(client, "id", 0),
                .pid = member_int(client, "pid", -1),
                .program = member_text(client, "program", member_text(client, "peer", "-")),
                .in = client_rate(before, client, "received", seconds),
                .out = client_rate(before, client, "sent", seconds),
                .queued = (uint64_t)member_int(json_object_get(client, "queued"), "bytes", 0),
                .limit = (uint64_t)member_int(client, "queueLimitBytes", 0),
                .dropped = (uint64_t)member_int(json_object_get(client, "dropped"), "messages", 0),
        };

        return row;
}

/* Makes the rows of the clients. Both lists are in the order of the clients' slots, so that most
 * clients have the same index as before. */
static void make_rows(struct top *top, const json_t *before, double seconds)
{
        size_t n = json_array_size(top->clients);
        struct top_row *rows = reallocarray(top->rows, n + 1, sizeof(*rows));

        top->n_rows = 0;
        if (!rows)
                return;
        top->rows = rows;
        for (size_t i = 0; i < n; i++) {
                const json_t *client = json_array_get(top->clients, i);
                const json_t *was = json_array_get(before, i);
                int64_t id = member_int(client, "id", 0);

                if (member_int(was, "id", -1) != id)
                        was = find_client(before, id);
                rows[top->n_rows++] = row_from(client, was, seconds);
        }
}

void top_take(struct top *top, json_t *status, json_t *clients, json_t *latency)
{
        const json_t *upstream = json_object_get(status, "upstream");
        int64_t passed = top->status ? member_int(status, "uptimeUsec", 0) -
                                               member_int(top->status, "uptimeUsec", 0)
                                     : 0;
        json_t *clients_before = top->clients;

        top->rates = rates_between(top->status, status);
        json_decref(top->status);
        json_decref(top->latency);
        top->status = status;
        top->clients = clients;
        top->latency = latency;
        top->taken = clock_usec();
        make_rows(top, clients_before, (double)passed / 1e6);
        json_decref(clients_before);
        top_arrange(top);
        history_add(&top->in, top->rates.known ? top->rates.in.messages : -1);
        history_add(&top->out, top->rates.known ? top->rates.out.messages : -1);
        history_add(&top->rtt, (double)member_int(upstream, "rttUsec", -1));
        *top->trouble = '\0';
}

void top_lost(struct top *top, const char *why)
{
        history_add(&top->in, -1);
        history_add(&top->out, -1);
        history_add(&top->rtt, -1);
        top->rates.known = false;
        snprintf(top->trouble, sizeof(top->trouble), "%s", why);
}

void top_done(struct top *top)
{
        json_decref(top->status);
        json_decref(top->clients);
        json_decref(top->latency);
        free(top->rows);
        *top = (struct top){0};
}

static int order(double a, double b)
{
        return (a > b) - (a < b);
}

static int compare(const void *left, const void *right, void *context)
{
        const struct top_row *a = left, *b = right;
        const struct top *top = context;
        int by = 0;

        switch (top->sort) {
        case TOP_PROGRAM: by = strcmp(a->program, b->program); break;
        case TOP_IN: by = order(b->in, a->in); break;
        case TOP_OUT: by = order(b->out, a->out); break;
        case TOP_QUEUED: by = (a->queued < b->queued) - (a->queued > b->queued); break;
        case TOP_DROPPED: by = (a->dropped < b->dropped) - (a->dropped > b->dropped); break;
        default: break;
        }
        if (by == 0)
                by = (a->id > b->id) - (a->id < b->id);
        return top->reverse ? -by : by;
}

void top_arrange(struct top *top)
{
        if (top->n_rows)
                qsort_r(top->rows, top->n_rows, sizeof(*top->rows), compare, top);
}
