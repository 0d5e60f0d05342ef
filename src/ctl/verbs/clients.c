/* SPDX-License-Identifier: MIT */
/* The verb `clients`: a table, each column as wide as its widest value. */
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ctl/show/show.h"
#include "ctl/talk/bus.h"
#include "ctl/talk/ctl.h"
#include "ctl/verbs/verbs.h"

enum { ID, PID, USER, PROGRAM, SINCE, IN, OUT, QUEUED, DROPPED, NOTE, COLUMNS };
enum { CELL = 320 }; /* room for 64 bytes, each shown as an escape of four */

static const char *const titles[COLUMNS] = {
        "ID", "PID", "USER", "PROGRAM", "SINCE", "IN", "OUT", "QUEUED", "DROPPED", "NOTE",
};

struct row {
        char cell[COLUMNS][CELL];
};

/* Fills a cell with at most max bytes of untrusted text, control characters as escapes. */
static void set_safe(char cell[CELL], const char *text, size_t max)
{
        FILE *to = fmemopen(cell, CELL, "w");

        if (!to)
                return;
        show_safe(to, text, strnlen(text, max), max);
        fclose(to);
        cell[CELL - 1] = '\0';
}

static void set_user(char cell[CELL], const json_t *client)
{
        int64_t uid = member_int(client, "uid", -1);
        struct passwd *user = uid >= 0 ? getpwuid((uid_t)uid) : NULL;

        if (user)
                set_safe(cell, user->pw_name, 32);
        else if (uid >= 0)
                snprintf(cell, CELL, "%" PRId64, uid);
        else
                snprintf(cell, CELL, "%s", json_object_get(client, "peer") ? "-" : "unknown");
}

static void set_note(char cell[CELL], const json_t *client)
{
        const json_t *partial = json_object_get(client, "partial");
        int64_t declared = member_int(partial, "declaredBytes", -1);
        char size[SHOW_SIZE], of[SHOW_SIZE], age[SHOW_SIZE];
        size_t n = 0;

        if (member_true(client, "sendOnly"))
                n = (size_t)snprintf(cell, CELL, "send-only");
        else if (member_true(client, "receiveOnly"))
                n = (size_t)snprintf(cell, CELL, "receive-only");
        if (!json_is_object(partial))
                return;
        show_bytes((uint64_t)member_int(partial, "receivedBytes", 0), size);
        show_span((uint64_t)member_int(partial, "ageUsec", 0), age);
        snprintf(cell + n, CELL - n, "%spartial %s%s%s, %s", n ? ", " : "", size,
                 declared >= 0 ? " of " : "",
                 declared >= 0 ? show_bytes((uint64_t)declared, of) : "", age);
}

static void set_messages(char cell[CELL], const json_t *count)
{
        show_number((uint64_t)member_int(count, "messages", 0), cell);
}

static void row_fill(struct row *row, const json_t *client)
{
        const json_t *queued = json_object_get(client, "queued");
        int64_t pid = member_int(client, "pid", -1);

        *row = (struct row){0};
        snprintf(row->cell[ID], CELL, "%" PRId64, member_int(client, "id", 0));
        if (pid >= 0)
                snprintf(row->cell[PID], CELL, "%" PRId64, pid);
        else
                snprintf(row->cell[PID], CELL, "-");
        set_user(row->cell[USER], client);
        set_safe(row->cell[PROGRAM],
                 member_text(client, "program", member_text(client, "peer", "-")), 64);
        show_span((uint64_t)member_int(client, "connectedUsec", 0), row->cell[SINCE]);
        set_messages(row->cell[IN], json_object_get(client, "received"));
        set_messages(row->cell[OUT], json_object_get(client, "sent"));
        show_bytes((uint64_t)member_int(queued, "bytes", 0), row->cell[QUEUED]);
        set_messages(row->cell[DROPPED], json_object_get(client, "dropped"));
        set_note(row->cell[NOTE], client);
}

static bool is_number(int column)
{
        return column == ID || column == PID || column >= SINCE;
}

static void print_table(const struct row *rows, size_t n)
{
        int width[COLUMNS];

        for (int c = 0; c < COLUMNS; c++) {
                width[c] = (int)strlen(titles[c]);
                for (size_t i = 0; i < n; i++)
                        if ((int)strlen(rows[i].cell[c]) > width[c])
                                width[c] = (int)strlen(rows[i].cell[c]);
        }
        for (size_t i = 0; i <= n; i++) {
                for (int c = 0; c < NOTE; c++)
                        printf("%*s%s", is_number(c) ? width[c] : -width[c],
                               i ? rows[i - 1].cell[c] : titles[c], c + 1 < NOTE ? "  " : "");
                if (!i || *rows[i - 1].cell[NOTE])
                        printf("  %s", i ? rows[i - 1].cell[NOTE] : titles[NOTE]);
                putchar('\n');
        }
}

int verb_clients(struct ctl *ctl, int argc, char **argv)
{
        json_t *result = NULL;
        int code = ctl_arguments(ctl, argc, argv, 0);

        if (code)
                return code;
        code = bus_call(ctl, "io.ftcpd.ListClients", NULL, &result);
        if (code == CTL_DONE && ctl->json != CTL_JSON_OFF) {
                code = ctl_print_json(ctl, result);
        } else if (code == CTL_DONE) {
                const json_t *clients = json_object_get(result, "clients");
                size_t n = json_array_size(clients);
                struct row *rows = calloc(n + 1, sizeof(*rows));

                for (size_t i = 0; rows && i < n; i++)
                        row_fill(&rows[i], json_array_get(clients, i));
                if (rows)
                        print_table(rows, n);
                free(rows);
        }
        json_decref(result);
        return code;
}
