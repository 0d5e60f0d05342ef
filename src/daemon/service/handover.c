/* SPDX-License-Identifier: MIT */
#include "daemon/service/handover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "util/diag.h"
#include "util/socket.h"

struct name {
        char text[40];
};

static struct name upstream_name(uint64_t epoch)
{
        struct name name;

        snprintf(name.text, sizeof(name.text), "upstream-%" PRIu64, epoch);
        return name;
}

static struct name fd_bag_name(int i)
{
        struct name name;

        snprintf(name.text, sizeof(name.text), "bag-%d", i);
        return name;
}

static bool add_upstream(struct handover *handover, uint64_t epoch, int fd)
{
        struct handover_upstream *more = reallocarray(handover->upstream, handover->n_upstreams + 1,
                                                      sizeof(*handover->upstream));

        if (!more)
                return false;
        handover->upstream = more;
        more[handover->n_upstreams++] = (struct handover_upstream){epoch, fd};
        return true;
}

/* The service manager may pass a descriptor twice: the last one counts. */
static void put(int *place, int fd)
{
        if (*place >= 0)
                close(*place);
        *place = fd;
}

static bool sort(struct handover *handover, const char *name, int fd)
{
        uint64_t epoch;
        int i;

        if (strcmp(name, "state") == 0) {
                put(&handover->state, fd);
                return true;
        }
        if (strcmp(name, "config") == 0) {
                put(&handover->config, fd);
                return true;
        }
        if (sscanf(name, "bag-%d", &i) == 1 && i >= 0 && i < FD_BAG_ENDS) {
                put(&handover->fd_bag[i], fd);
                return true;
        }
        return sscanf(name, "upstream-%" SCNu64, &epoch) == 1 && add_upstream(handover, epoch, fd);
}

int handover_init(struct handover *handover, struct service_sockets *sockets)
{
        *handover = (struct handover){.state = -1, .config = -1, .fd_bag = {-1, -1, -1, -1}};
        for (size_t i = 0; i < sockets->n_kept; i++) {
                struct service_kept *kept = &sockets->kept[i];

                if (sort(handover, kept->name, kept->fd)) {
                        kept->fd = -1;
                        continue;
                }
                diag_warning("systemd passed the descriptor \"%s\", which nobody knows",
                             kept->name);
                service_forget(kept->name);
        }
        return 0;
}

static void close_one(int *fd)
{
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

void handover_done(struct handover *handover)
{
        close_one(&handover->state);
        close_one(&handover->config);
        for (int i = 0; i < FD_BAG_ENDS; i++)
                close_one(&handover->fd_bag[i]);
        for (size_t i = 0; i < handover->n_upstreams; i++) {
                if (handover->upstream[i].fd < 0)
                        continue;
                socket_reset(handover->upstream[i].fd);
                handover_forget_upstream(handover->upstream[i].epoch);
        }
        free(handover->upstream);
        *handover = (struct handover){.state = -1, .config = -1, .fd_bag = {-1, -1, -1, -1}};
}

bool handover_has_leftovers(const struct handover *handover)
{
        for (int i = 0; i < FD_BAG_ENDS; i++)
                if (handover->fd_bag[i] >= 0)
                        return true;
        return handover->n_upstreams > 0;
}

int handover_upstream(struct handover *handover, uint64_t epoch)
{
        for (size_t i = 0; i < handover->n_upstreams; i++) {
                int fd = handover->upstream[i].fd;

                if (handover->upstream[i].epoch != epoch || fd < 0)
                        continue;
                handover->upstream[i].fd = -1;
                return fd;
        }
        return -1;
}

static void turn_out(void *context, const struct fd_bag_client *client)
{
        (void)context;
        shutdown(client->fd, SHUT_RDWR);
        close(client->fd);
}

void handover_refuse(struct handover *handover)
{
        uint64_t which = 0;
        struct fd_bag fd_bag;

        /* An end that was not left is -1, and the walk finds no client. */
        fd_bag_recover(&fd_bag, &which, handover->fd_bag, NULL, NULL);
        for (; which < 2; which++)
                fd_bag_walk(&fd_bag, turn_out, NULL);
        fd_bag_empty(&fd_bag); /* descriptors in flight count against our limit */
        if (handover->state >= 0)
                service_forget("state");
        for (int i = 0; i < FD_BAG_ENDS; i++)
                if (handover->fd_bag[i] >= 0)
                        service_forget(fd_bag_name(i).text);
        handover_done(handover);
}

void handover_forget_all(void)
{
        service_forget("state");
        service_forget("config");
        for (int i = 0; i < FD_BAG_ENDS; i++)
                service_forget(fd_bag_name(i).text);
        service_settle();
}

void handover_keep_state(int fd)
{
        service_keep("state", fd);
}

void handover_keep_config(int fd)
{
        service_keep("config", fd);
}

void handover_keep_upstream(uint64_t epoch, int fd)
{
        service_keep(upstream_name(epoch).text, fd);
}

void handover_forget_upstream(uint64_t epoch)
{
        service_forget(upstream_name(epoch).text);
}

void handover_keep_bag(const struct fd_bag *fd_bag)
{
        for (int i = 0; i < FD_BAG_ENDS; i++)
                service_keep(fd_bag_name(i).text, fd_bag->end[i]);
}
