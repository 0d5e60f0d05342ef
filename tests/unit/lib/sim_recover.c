/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "flow/recover.h"
#include "sim.h"

enum { COPIES = 2 };

static const struct store *mapped[COPIES];

void sim_stay_mapped(const struct store *first, const struct store *second)
{
        mapped[0] = first;
        mapped[1] = second;
}

static bool same_file(int fd, int other)
{
        struct stat a, b;

        return fstat(fd, &a) == 0 && fstat(other, &b) == 0 && a.st_ino == b.st_ino &&
               a.st_dev == b.st_dev;
}

/* The linker takes these for mmap() and munmap(). */
void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_munmap(void *at, size_t size);
int __wrap_munmap(void *at, size_t size);

void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
        for (int i = 0; i < COPIES; i++)
                if (mapped[i] && same_file(mapped[i]->fd, fd))
                        return mapped[i]->image;
        return __real_mmap(at, size, protection, flags, fd, offset);
}

int __wrap_munmap(void *at, size_t size)
{
        for (int i = 0; i < COPIES; i++)
                if (mapped[i] && mapped[i]->image == at)
                        return 0;
        return __real_munmap(at, size);
}

void sim_copy_image(struct image *to, const struct image *from, const struct store *known,
                    uint32_t slabs, uint32_t extents)
{
        size_t undo = offsetof(struct image_undo, entry[from->undo.count]);

        memcpy(&to->header, &from->header, sizeof(to->header));
        memcpy(&to->undo, &from->undo, undo);
        memcpy(&to->in, &from->in, offsetof(struct image, event) - offsetof(struct image, in));
        memcpy(to->client, from->client, SIM_SLOTS * sizeof(*to->client));
        memcpy(to->slab, from->slab, slabs * sizeof(*to->slab));
        memcpy(to->extent, from->extent, extents * sizeof(*to->extent));
        for (uint32_t i = 0; i < slabs; i++) {
                size_t at = (size_t)i * IMAGE_SLAB_SIZE;

                if (!known)
                        memcpy(to->data + at, from->data + at, IMAGE_SLAB_SIZE);
                else if (known->slab[i].used)
                        memcpy(to->data + at, from->data + at, known->slab[i].committed);
        }
}

static inline uint64_t mix(uint64_t hash, uint64_t word)
{
        hash ^= word;
        return (hash << 29 | hash >> 35) * 0x9e3779b97f4a7c15u;
}

/* Many streams beside each other: each waits most of the time for its own multiplication. */
static void print_add(struct sim_print *print, const void *bytes, size_t size)
{
        const uint64_t *word = bytes, *end = word + size / sizeof(*word);
        uint64_t a = print->half[0], b = print->half[1], c = size, d = 1, e = 2, f = 3;

        for (; end - word >= 6; word += 6) {
                a = mix(a, word[0]);
                b = mix(b, word[1]);
                c = mix(c, word[2]);
                d = mix(d, word[3]);
                e = mix(e, word[4]);
                f = mix(f, word[5]);
        }
        for (; word < end; word++)
                a = mix(a, *word);
        if (size % sizeof(*word))
                b = mix(b, *(const uint32_t *)(const void *)end);
        print->half[0] = mix(mix(a, c), e);
        print->half[1] = mix(mix(b, d), f);
}

struct sim_print side_print(const struct side *side)
{
        const struct store *store = &side->store;
        const struct image *image = store->image;
        struct sim_print print = {{0, 1}};
        struct world_part part[WORLD_PARTS];

        world_parts(side->world, part);
        for (int i = 0; i < WORLD_PARTS; i++)
                print_add(&print, (const char *)side->world + part[i].at, part[i].size);
        print_add(&print, &image->in, offsetof(struct image, event) - offsetof(struct image, in));
        print_add(&print, image->client, SIM_SLOTS * sizeof(*image->client));
        print_add(&print, image->extent, store->extents_used * sizeof(*image->extent));
        for (uint32_t i = 0; i < store->slabs; i++)
                if (store->slab[i].used) {
                        print_add(&print, &image->slab[i], sizeof(image->slab[i]));
                        print_add(&print, slab_data(store, i), store->slab[i].committed);
                }
        return print;
}

void side_init_logs(struct side *side, bool recovered)
{
        struct image *image = side->store.image;

        log_init(&side->in, &side->store, &image->in, &side->plan->spec);
        log_init(&side->out, &side->store, &image->out, &side->plan->spec);
        turn_init(&side->turn, &side->out, &image->turn);
        ledger_init(&side->ledger, &side->out, recovered);
}

const char *side_open(struct side *side, const struct plan *plan, int fd)
{
        const char *wrong;

        side->plan = plan;
        if (store_open(&side->store, fd) < 0)
                return "store_open";
        wrong = recover_image(&side->store, &plan->spec);
        if (wrong)
                return wrong;
        if (side->world && plan->spread)
                side_settle_readers(side);
        side_init_logs(side, true);
        for (uint32_t slot = 0; slot < SIM_SLOTS; slot++) {
                struct image_client *client = side_client(side, slot);

                if (!client->id || slot >= side->store.image->totals.client_slots)
                        continue;
                writer_init(&side->writer[slot], &side->turn, slot);
                if (client->reading && !plan->spread)
                        cursor_recover(&side->cursor[slot], &side->in, &client->cursor);
        }
        if (plan->spread && side->world)
                side_recover_readers(side);
        else if (plan->spread)
                side_open_readers(side);
        return NULL;
}

/* What the kernel did that no store tells yet. */
static void take_kernel(struct side *side)
{
        struct image_session *session = &side->store.image->session;
        struct world *world = side->world;

        side_hear(side);
        if (session->live && world->rx_read > 0)
                side_take_received(side, world->rx_read);
        for (uint32_t slot = 0; slot < SIM_SLOTS; slot++) {
                struct image_client *client = side_client(side, slot);

                if (client->id && world->client[client->id - 1].read > client->rx_read)
                        turn_take(&side->writer[slot],
                                  world->client[client->id - 1].read - client->rx_read, world->now);
        }
        if (session->live && world->written > session->written)
                ledger_sent(&side->ledger, world->written - session->written);
        if (session->live && world->conn != CONN_DEAD)
                ledger_acked(&side->ledger, world->acked);
}

/* All messages of a read are discarded at once, or the successor accepts them. */
static void settle_discarding(struct side *side)
{
        struct world *world = side->world;
        uint32_t c = world->discarding.client - 1;

        if (!world->discarding.client)
                return;
        for (uint32_t slot = 0; slot < SIM_SLOTS; slot++)
                if (side_client(side, slot)->id == c + 1 &&
                    side_client(side, slot)->accepted_messages == world->discarding.to)
                        world_discarded(world);
        world->discarding.client = 0;
}

/* What was under way happened wholly or not at all: the image tells. */
static void settle(struct side *side, uint32_t slot)
{
        const struct image_cursor *cursor = &side_client(side, slot)->cursor;
        const uint64_t *boundary = side->plan->down.boundary;
        struct world *world = side->world;
        uint32_t c = side_number(side, slot);

        if (world->jumping.client == c + 1) {
                uint64_t to = boundary[world->jumping.to];

                if (cursor->open_from == to || cursor->from == to)
                        world_jump(world, c, world->jumping.to);
                world->jumping.client = 0;
        }
        if (world->extending.client == c + 1) {
                const struct image_extent *extent = side->store.image->extent;
                uint64_t to =
                        cursor->extent_tail ? extent[cursor->extent_tail - 1].to : cursor->stop;

                if (to == boundary[world->extending.to])
                        world_given(world, c, world->extending.from, world->extending.to);
                world->extending.client = 0;
        }
}

static void settle_clients(struct side *side)
{
        bool known[SIM_CLIENTS] = {false};
        uint32_t first = 0;
        struct world *world = side->world;

        /* Who was being sent to goes before anybody leaves it something. */
        while (first < SIM_SLOTS - 1 &&
               !(side_client(side, first)->id && side_client(side, first)->sending))
                first++;
        for (uint32_t i = 0; i < SIM_SLOTS; i++) {
                uint32_t slot = (first + i) % SIM_SLOTS;

                if (!side_client(side, slot)->id)
                        continue;
                if (!side->plan->spread)
                        settle(side, slot);
                known[side_number(side, slot)] = true;
                if (side_client(side, slot)->sending ||
                    world->client[side_number(side, slot)].state == SIM_DEAD)
                        side_dispose(side, slot);
        }
        for (uint32_t c = 0; c < world->n_clients; c++)
                if (!known[c])
                        world->client[c].state = SIM_GONE;
}

static void settle_link(struct side *side)
{
        const struct image_session *session = &side->store.image->session;
        struct world *world = side->world;

        if (world->linger_ends && !session->lingers)
                world->lingers = 0;
        world->linger_ends = false;
        if (world->conn == CONN_DEAD && !session->live && world->ends_lingering)
                world->lingers = session->epoch;
        if (world->conn == CONN_NEW)
                world->conn = session->live ? CONN_UP : CONN_NONE;
        else if (world->conn == CONN_DEAD && session->live)
                side_connection_ends(side);
        else if (world->conn == CONN_DEAD)
                world_cut(world, session->begun_number > world->index);
        world->inject_end = session->inject.end;
}

void side_recover(struct side *side, struct world *world, int fd)
{
        const char *wrong;

        *side = (struct side){.world = world};
        wrong = side_open(side, world->plan, fd);
        if (wrong)
                world_fail(world, wrong);
        side_injected(side);
        settle_discarding(side);
        take_kernel(side);
        settle_link(side);
        settle_clients(side);
        if (world->plan->spread)
                side_configure_anew(side);
        else
                side_give(side);
        side_check(side);
}
