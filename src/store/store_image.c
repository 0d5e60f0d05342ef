/* SPDX-License-Identifier: MIT */
#include "store/store_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "util/memfd.h"

/* The words of the image are stored whole, and its addresses are reserved at once. */
_Static_assert(sizeof(void *) >= 8 && sizeof(size_t) >= 8, "ftcpd needs 64 bits");

void (*store_hook)(void);

static uint64_t mix(uint64_t sum, uint64_t word)
{
        sum = (sum ^ word) * UINT64_C(0x100000001b3);
        return sum ^ sum >> 29;
}

static uint64_t layout_sum(void)
{
        const uint64_t words[] = {
                sizeof(struct image_header),     sizeof(struct image_undo),
                sizeof(struct image_log),        sizeof(struct image_cursor),
                sizeof(struct image_session),    sizeof(struct image_spread),
                sizeof(struct image_totals),     sizeof(struct image_client),
                sizeof(struct image_slab),       sizeof(struct image_extent),
                sizeof(struct image_event),      sizeof(struct image_histogram),
                offsetof(struct image, latency), offsetof(struct image, frame),
                offsetof(struct image, in),      offsetof(struct image, out),
                offsetof(struct image, acked),   offsetof(struct image, turn),
                offsetof(struct image, session), offsetof(struct image, spread),
                offsetof(struct image, totals),  offsetof(struct image, events),
                offsetof(struct image, event),   offsetof(struct image, link_event),
                offsetof(struct image, client),  offsetof(struct image, slab),
                offsetof(struct image, extent),  DATA_OFFSET,
        };
        uint64_t sum = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
                sum = mix(sum, words[i]);
        return sum;
}

static uint64_t header_sum(const struct image_header *header)
{
        return mix(mix(mix(UINT64_C(0xcbf29ce484222325), header->magic), header->version),
                   header->layout);
}

/* True if sendfile() hands the pages of the memfd to a Unix socket. Before Linux 6.5 sendfile()
 * goes page by page and waits while the other end reads, for any time. */
static bool lends_pages(void)
{
        struct utsname name;
        unsigned major, minor;

        return uname(&name) == 0 && sscanf(name.release, "%u.%u", &major, &minor) == 2 &&
               (major > 6 || (major == 6 && minor >= 5));
}

static bool map_image(struct store *store)
{
        void *p = mmap(NULL, IMAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
                       store->fd, 0);

        if (p == MAP_FAILED)
                return false;
        /* Else a core dump would have all reserved memory, and take minutes. The head of the image
         * has no messages, and helps to see the fault. */
        madvise(p, IMAGE_SIZE, MADV_DONTDUMP);
        madvise(p, offsetof(struct image, client), MADV_DODUMP);
        madvise(p, IMAGE_SIZE, MADV_NOHUGEPAGE);
        store->image = p;
        store->mapped = IMAGE_SIZE;
        store->limit_bytes = UINT64_MAX;
        store->extents_most = IMAGE_EXTENTS;
        return true;
}

int store_init(struct store *store)
{
        struct image_header *header;

        *store = (struct store){.fd = memfd_make("ftcpd"), .lends = lends_pages()};
        if (store->fd < 0)
                return -errno;
        if (ftruncate(store->fd, (off_t)IMAGE_SIZE) < 0 || !map_image(store) ||
            !store_get_memory(store, 0, offsetof(struct image, client))) {
                int error = -errno;

                store_done(store);
                return error;
        }
        store->image->small = store->lends;
        header = &store->image->header;
        store->image->in.data = store->image->out.data = (struct image_chain){0, 0};
        store->image->acked.stop = store->image->acked.open_from = IMAGE_OPEN;
        header->magic = IMAGE_MAGIC;
        header->version = IMAGE_VERSION;
        header->layout = layout_sum();
        store_put_word(&header->checksum, header_sum(header));
        return 0;
}

static bool header_good(const struct image_header *header)
{
        return header->magic == IMAGE_MAGIC && header->version == IMAGE_VERSION &&
               header->layout == layout_sum() && header->checksum == header_sum(header);
}

/* Puts back the old words of an unfinished transaction, the last first. Safe to repeat. False: the
 * undo list is out of range. */
static bool roll_back(struct store *store)
{
        struct image_undo *undo = &store->image->undo;

        if (undo->count > IMAGE_UNDO)
                return false;
        while (undo->count) {
                uint64_t offset = undo->entry[undo->count - 1].offset;

                if (offset % 8 || offset < offsetof(struct image, in) || offset > DATA_OFFSET - 8)
                        return false;
                store_put_word((uint64_t *)((unsigned char *)store->image + offset),
                               undo->entry[undo->count - 1].old);
                store_put_word(&undo->count, undo->count - 1);
        }
        return true;
}

int store_open(struct store *store, int fd)
{
        struct stat st;

        *store = (struct store){.fd = fd};
        if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != IMAGE_SIZE) {
                store_done(store);
                return -EPROTO;
        }
        if (!map_image(store)) {
                int error = -errno;

                store_done(store);
                return error;
        }
        if (!header_good(&store->image->header) || !roll_back(store)) {
                store_done(store);
                return -EPROTO;
        }
        store->lends = store->image->small && lends_pages();
        return 0;
}

void store_done(struct store *store)
{
        store_not_busy(store);
        if (store->image)
                munmap(store->image, store->mapped);
        if (store->fd >= 0)
                close(store->fd);
        free(store->slab);
        free(store->free);
        free(store->cold);
        free(store->idle);
        free(store->late);
        free(store->free_extents);
        *store = (struct store){.fd = -1};
}
