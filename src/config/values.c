/* SPDX-License-Identifier: MIT */
/* From entries to values: the defaults first, then the entries in the order of the files. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/draft.h"
#include "config/type.h"
#include "util/room.h"

static void read_value(struct config_draft *draft, const struct config_row *row, const char *text,
                       bool fallback, struct config_origin origin)
{
        struct config_row_state *state = config_draft_state(draft, row);
        struct config_reading reading = {
                .config = draft->config,
                .row = row,
                .strict = draft->strict,
                .fallback = fallback,
        };

        int result = row->type->read(&reading, text);

        if (result == -ENOMEM)
                config_draft_starve(draft);
        else if (result < 0) {
                state->wrong = true;
                config_error(draft, origin, row->section, row->key, "%s", reading.wrong);
        }
        if (*reading.doubt)
                config_warn(draft, origin, row->section, row->key, "%s%s%s", reading.doubt,
                            reading.effect ? ": " : "", reading.effect ? reading.effect : "");
        state->unread = state->unread || reading.unread;
        if (*reading.note)
                config_note(draft, "%s", reading.note);
}

static void read_fallback(struct config_draft *draft, const struct config_row *row)
{
        const struct config_origin nowhere = {0};
        char *named = NULL;

        if (draft->config->instance && row->named_fallback &&
            asprintf(&named, row->named_fallback, draft->config->instance) < 0) {
                config_draft_starve(draft);
                return;
        }
        if (*row->fallback)
                read_value(draft, row, named ? named : row->fallback, true, nowhere);
        free(named);
}

static void read_entry(struct config_draft *draft, const struct config_entry *entry)
{
        struct config_row_state *state = config_draft_state(draft, entry->row);
        size_t n;

        read_value(draft, entry->row, entry->value, false, entry->origin);
        n = config_count(entry->row, draft->config);
        state->last = entry->origin;
        if (!entry->row->list)
                state->n_origins = 0;
        while (state->n_origins < n) {
                struct config_origin *origins =
                        room_for_one(state->origins, state->n_origins, sizeof(*origins));

                if (!origins) {
                        config_draft_starve(draft);
                        return;
                }
                state->origins = origins;
                state->origins[state->n_origins++] = entry->origin;
        }
}

/* The index behind the row's last empty assignment, which takes back all entries before: they are
 * not even checked. *reset gets the origin of the empty assignment. Returns 0 if there is none. */
static size_t after_last_reset(const struct config_draft *draft, const struct config_row *row,
                               struct config_origin *reset)
{
        size_t first = 0;

        for (size_t i = 0; i < draft->n_entries; i++) {
                if (draft->entries[i].row != row || *draft->entries[i].value)
                        continue;
                *reset = draft->entries[i].origin;
                first = i + 1;
        }
        return first;
}

void config_values_read(struct config_draft *draft)
{
        for (const struct config_row *row = config_rows; row < config_rows + config_n_rows; row++) {
                struct config_origin reset = {0};
                size_t first = after_last_reset(draft, row, &reset);

                read_fallback(draft, row);
                if (first && row->list && row->type->reset) {
                        row->type->reset(row, draft->config);
                        config_draft_state(draft, row)->last = reset;
                }
                for (size_t i = first; i < draft->n_entries; i++)
                        if (draft->entries[i].row == row)
                                read_entry(draft, &draft->entries[i]);
        }
}
