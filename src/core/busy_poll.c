/* SPDX-License-Identifier: MIT */
#include "core/busy_poll.h"

enum {
        BYTES_A_USEC = 3 * 1024, /* to read and to write these bytes takes most of a microsecond */
        MOST_USEC = 100,
        MOST_ASLEEP = 64, /* waits */
};

static void passed(struct busy_poll *poll, uint64_t bytes)
{
        if (poll->awake)
                poll->asleep = 0;
        poll->credit += bytes;
        if (poll->credit > MOST_USEC * BYTES_A_USEC)
                poll->credit = MOST_USEC * BYTES_A_USEC;
}

static void waited(struct busy_poll *poll, uint64_t usec)
{
        uint64_t bytes = usec * BYTES_A_USEC;

        poll->credit -= bytes < poll->credit ? bytes : poll->credit;
}

static void fall_asleep(struct busy_poll *poll)
{
        if (poll->awake) {
                poll->asleep = poll->asleep ? 2 * poll->asleep : 1;
                if (poll->asleep > MOST_ASLEEP)
                        poll->asleep = MOST_ASLEEP;
                poll->left = poll->asleep;
        } else if (poll->left > 0) {
                poll->left--;
        }
        poll->credit = 0;
}

bool busy_poll_pass(struct busy_poll *poll, uint64_t bytes, uint64_t now)
{
        bool awake;

        if (bytes != poll->bytes)
                passed(poll, bytes - poll->bytes);
        else
                waited(poll, now - poll->looked);
        poll->bytes = bytes;
        poll->looked = now;
        awake = poll->credit >= BYTES_A_USEC && poll->left == 0;
        if (!awake)
                fall_asleep(poll);
        poll->awake = awake;
        return awake;
}
