/* SPDX-License-Identifier: MIT */
#include "core/books.h"

#include <assert.h>

static const char *const names[] = {
        [DROP_QUEUE_FULL] = "queue_full",   [DROP_HOLD_FULL] = "hold_full",
        [DROP_EXPIRED] = "expired",         [DROP_LINK_DOWN] = "link_down",
        [DROP_NOT_RESENT] = "not_resent",   [DROP_NO_CLIENT] = "no_client",
        [DROP_CLIENT_GONE] = "client_gone", [DROP_STOPPED] = "stopped",
};
static_assert(sizeof(names) / sizeof(*names) == DROP_REASONS, "every reason has its word");

const char *drop_reason_name(enum drop_reason reason)
{
        return names[reason];
}

struct count count_add(struct count a, struct count b)
{
        return (struct count){a.messages + b.messages, a.bytes + b.bytes};
}

struct count count_sub(struct count a, struct count b)
{
        return (struct count){a.messages > b.messages ? a.messages - b.messages : 0,
                              a.bytes > b.bytes ? a.bytes - b.bytes : 0};
}

bool books_balance(const struct books *books)
{
        struct count sum = count_add(books->delivered, books->queued);

        for (int i = 0; i < DROP_REASONS; i++)
                sum = count_add(sum, books->dropped[i]);
        return sum.messages == books->accepted.messages && sum.bytes == books->accepted.bytes;
}
