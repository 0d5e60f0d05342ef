/* SPDX-License-Identifier: MIT */
#include "flow/hold.h"

#include <stdio.h>
#include <string.h>

#include "util/text.h"
#include "util/units.h"

static void put_text(struct store *store, uint64_t *words, size_t size, const char *text)
{
        char bytes[sizeof(((struct image_hold *)0)->reason)] = {0};

        text_escape(bytes, size, text, strlen(text));
        for (size_t i = 0; i < size / sizeof(*words); i++) {
                uint64_t word;

                memcpy(&word, bytes + i * sizeof(word), sizeof(word));
                store_put(store, &words[i], word);
        }
}

void hold_set(struct store *store, const char *by, const char *reason, uint64_t now, uint64_t until)
{
        struct image_hold *hold = &store->image->hold;

        store_begin(store);
        if (!hold->since)
                store_put(store, &hold->since, now);
        store_put(store, &hold->until, until == UINT64_MAX ? 0 : until);
        put_text(store, hold->by, sizeof(hold->by), by);
        put_text(store, hold->reason, sizeof(hold->reason), reason ? reason : "");
        store_commit(store);
}

void hold_clear(struct store *store)
{
        store_set(&store->image->hold.since, 0);
}

bool hold_is_on(const struct image *image)
{
        return image->hold.since != 0;
}

struct hold_view hold_look(const struct image *image, uint64_t now)
{
        const struct image_hold *hold = &image->hold;
        const char *reason = (const char *)hold->reason;

        return (struct hold_view){
                .by = (const char *)hold->by,
                .reason = *reason ? reason : NULL,
                .since = hold->since,
                .left_usec = !hold->until        ? UINT64_MAX
                             : hold->until > now ? hold->until - now
                                                 : 0,
        };
}

void hold_text(const struct image *image, uint64_t now, char text[HOLD_TEXT])
{
        struct hold_view hold = hold_look(image, now);
        bool ends = hold.left_usec != UINT64_MAX;

        snprintf(text, HOLD_TEXT, "held by %s%s%s%s%s", hold.by, ends ? " for " : "",
                 ends ? units_span_words(hold.left_usec).text : "", hold.reason ? ": " : "",
                 hold.reason ? hold.reason : "");
}

const char *hold_check(const struct image *image)
{
        const struct image_hold *hold = &image->hold;

        if (hold->since > UINT64_MAX / 2 || !memchr(hold->by, '\0', sizeof(hold->by)) ||
            !memchr(hold->reason, '\0', sizeof(hold->reason)))
                return "the hold of the link is not what it should be";
        return NULL;
}
