/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery.h"

struct room room;

/* Whatever a message has besides its number. */
static unsigned char filler[LARGEST + 65536];

static uint64_t down_pos(const void *context, uint32_t message)
{
        (void)context;
        must(room.n_down - message < RING, "a message waits for longer than the test remembers");
        return message == room.n_down ? room.down_pos : room.down[message % RING].pos;
}

void room_start(void)
{
        memset(&room, 0, sizeof(room));
        for (size_t i = 0; i < sizeof(filler); i++)
                filler[i] = (unsigned char)(random_number() >> 56);
        room.spec = frame_spec_default;
        room.now = 1000000;
        room.doing = "nothing";
        room.queue_size = 4000;
        room.up_size = 20000;
        must(store_init(&room.store) == 0, "no image");
        log_init(&room.in, &room.store, &room.store.image->in, &room.spec);
        log_init(&room.out, &room.store, &room.store.image->out, &room.spec);
        room.in.exact = room.out.exact = true;
        turn_init(&room.turn, &room.out, &room.store.image->turn);
        ledger_init(&room.ledger, &room.out, false);
        spread_init(&room.spread, &room.in);
        audience_init(&room.audience, down_pos, NULL);
        letter_make(&room.coming, 0);
        room.frame = malloc(LARGEST + 64);
}

void room_end(void)
{
        free(room.frame);
        spread_done(&room.spread);
        store_done(&room.store);
}

void room_fail(const char *what)
{
        fail_msg("step %llu (%s): %s", (unsigned long long)room.step, room.doing, what);
        abort();
}

/* ---- messages ---- */

enum { HEAD = 8 }; /* the length, and the number */

void letter_make(struct letter *letter, uint32_t id)
{
        uint64_t size = random_one_in(400)  ? random_below(LARGEST)
                        : random_one_in(20) ? random_below(2000)
                                            : random_below(80);

        *letter = (struct letter){
                .size = HEAD + size, .id = id, .salt = (uint32_t)random_below(65536)};
}

static void letter_head(const struct letter *letter, unsigned char *head)
{
        uint32_t length = (uint32_t)letter->size - 4;

        for (int i = 0; i < 4; i++)
                head[i] = (unsigned char)(length >> (24 - 8 * i));
        memcpy(head + 4, &letter->id, 4);
}

void letter_copy(const struct letter *letter, uint64_t off, unsigned char *to, uint64_t size)
{
        if (off < HEAD) {
                unsigned char head[HEAD];
                uint64_t n = HEAD - off < size ? HEAD - off : size;

                letter_head(letter, head);
                memcpy(to, head + off, n);
                to += n;
                off += n;
                size -= n;
        }
        if (size)
                memcpy(to, filler + letter->salt + off - HEAD, size);
}

bool letter_is(const struct letter *letter, uint64_t off, const unsigned char *bytes, uint64_t size)
{
        if (off < HEAD) {
                unsigned char head[HEAD];
                uint64_t n = HEAD - off < size ? HEAD - off : size;

                letter_head(letter, head);
                if (memcmp(bytes, head + off, n) != 0)
                        return false;
                bytes += n;
                off += n;
                size -= n;
        }
        return !size || memcmp(bytes, filler + letter->salt + off - HEAD, size) == 0;
}
