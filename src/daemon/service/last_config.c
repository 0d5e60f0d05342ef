/* SPDX-License-Identifier: MIT */
#include "daemon/service/last_config.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/service/handover.h"
#include "util/diag.h"
#include "util/host_error.h"
#include "util/memfd.h"

/*
 * The memfd begins with a word that selects one of two places and tells the number of bytes there:
 * place << 63 | size. The other place is written first, then the word.
 */
#define PLACE_SIZE (UINT64_C(64) << 20)
#define PLACE_BIT  (UINT64_C(1) << 63)

static off_t place_of(uint64_t word)
{
        return (off_t)(4096 + (word & PLACE_BIT ? PLACE_SIZE : 0));
}

void last_config_init(struct last_config *last, int fd)
{
        *last = (struct last_config){.fd = fd};
}

void last_config_done(struct last_config *last)
{
        if (last->fd >= 0)
                close(last->fd);
        free(last->map);
        *last = (struct last_config){.fd = -1};
}

bool last_config_source(struct last_config *last, struct config_source *source)
{
        uint64_t word, size;

        if (last->fd < 0 || pread(last->fd, &word, sizeof(word), 0) != sizeof(word))
                return false;
        size = word & ~PLACE_BIT;
        if (!size || size > PLACE_SIZE)
                return false;
        free(last->map);
        last->map = malloc(size);
        if (!last->map || pread(last->fd, last->map, size, place_of(word)) != (ssize_t)size)
                return false;
        source->kept = last->map;
        source->kept_size = size;
        return true;
}

static bool write_all(int fd, const char *data, size_t size, off_t at)
{
        while (size) {
                ssize_t n = pwrite(fd, data, size, at);

                if (n <= 0)
                        return false;
                data += n;
                at += n;
                size -= (size_t)n;
        }
        return true;
}

static bool store(int fd, const struct config *config)
{
        uint64_t word = 0;

        if (config->kept_size > PLACE_SIZE || pread(fd, &word, sizeof(word), 0) < 0)
                return false;
        word = (~word & PLACE_BIT) | config->kept_size;
        return write_all(fd, config->kept, config->kept_size, place_of(word)) &&
               pwrite(fd, &word, sizeof(word), 0) == sizeof(word);
}

void last_config_put(struct last_config *last, const struct config *config)
{
        bool made = last->fd < 0;

        if (!service_keeps())
                return;
        if (made)
                last->fd = memfd_make("ftcpd-config");
        if (last->fd < 0 || !store(last->fd, config))
                diag_warning("the configuration can't be kept for the next process: %s",
                             host_error_words(HOST_CALL_ANY, errno));
        else if (made)
                handover_keep_config(last->fd);
}
