/* SPDX-License-Identifier: MIT */
#include "daemon/service/bag.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/store.h"

enum {
        BATCH = 253, /* descriptors in a message, the kernel's limit */
        LEAST = 16,  /* fewer that left are not worth the work */
        BUFFER = 8 << 20,
        SINGLES = 256, /* messages at least before they are put together */
};

union control {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(BATCH * sizeof(int))];
};

struct batch {
        uint64_t who[BATCH][2]; /* slot, id */
        int fd[BATCH];
        size_t n;
};

static int *pair_of(struct bag *bag, uint64_t number)
{
        return &bag->end[number * 2];
}

static void stretch(int fd)
{
        int size = BUFFER;

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int bag_init(struct bag *bag, uint64_t *selected, const struct bag_ops *ops, void *context)
{
        *bag = (struct bag){selected, {-1, -1, -1, -1}, .ops = ops, .context = context};
        for (uint64_t i = 0; i < 2; i++) {
                int *pair = pair_of(bag, i);

                if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) <
                    0) {
                        int error = -errno;

                        bag_done(bag);
                        return error;
                }
                stretch(pair[0]);
        }
        return 0;
}

void bag_recover(struct bag *bag, uint64_t *selected, const int end[BAG_ENDS],
                 const struct bag_ops *ops, void *context)
{
        *bag = (struct bag){selected, {-1, -1, -1, -1}, .ops = ops, .context = context};
        memcpy(bag->end, end, sizeof(bag->end));
        if (*selected > 1)
                store_set(selected, 0);
}

void bag_done(struct bag *bag)
{
        for (int i = 0; i < BAG_ENDS; i++)
                if (bag->end[i] >= 0)
                        close(bag->end[i]);
        memset(bag->end, -1, sizeof(bag->end));
}

/* ---- messages ---- */

static bool batch_send(int fd, const struct batch *batch)
{
        union control control;
        struct iovec iov = {(void *)batch->who, batch->n * sizeof(batch->who[0])};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = CMSG_SPACE(batch->n * sizeof(int))};
        struct cmsghdr *header = &control.header;

        memset(&control, 0, sizeof(control));
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(batch->n * sizeof(int));
        memcpy(CMSG_DATA(header), batch->fd, batch->n * sizeof(int));
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0;
}

/* Looks at the next message without taking it. False: there is none. */
static bool batch_peek(int fd, struct batch *batch)
{
        union control control;
        struct iovec iov = {batch->who, sizeof(batch->who)};
        struct msghdr message = {.msg_iov = &iov,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
        size_t n;

        if (got <= 0)
                return false;
        batch->n = 0;
        if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
                return true;
        n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(batch->fd, CMSG_DATA(header), n * sizeof(int));
        while (n > (size_t)got / sizeof(batch->who[0]))
                close(batch->fd[--n]);
        batch->n = n;
        return true;
}

/* Without room for descriptors the kernel closes them. */
static void empty(int fd)
{
        char byte;

        while (recv(fd, &byte, 1, MSG_DONTWAIT) > 0)
                ;
}

void bag_walk(struct bag *bag, void (*found)(void *context, const struct bag_client *client),
              void *context)
{
        int fd = pair_of(bag, *bag->selected)[1], offset = 0;
        struct batch batch;

        bag->inside = bag->there = bag->messages = 0;
        if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) < 0)
                return;
        while (batch_peek(fd, &batch)) {
                for (size_t i = 0; i < batch.n; i++) {
                        struct bag_client client = {batch.who[i][0], batch.who[i][1], batch.fd[i]};

                        found(context, &client);
                }
                bag->inside += batch.n;
                bag->messages++;
        }
        offset = -1;
        setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
        bag->there = bag->inside;
}

void bag_empty(struct bag *bag)
{
        for (uint64_t i = 0; i < 2; i++)
                empty(pair_of(bag, i)[1]);
        bag->inside = bag->there = bag->messages = 0;
}

/* ---- clients come and go ---- */

static void batch_put(struct batch *batch, const struct bag_client *client)
{
        batch->who[batch->n][0] = client->slot;
        batch->who[batch->n][1] = client->id;
        batch->fd[batch->n++] = client->fd;
}

/* All who are there, and one that comes, into the other bag. */
static bool refill(struct bag *bag, const struct bag_client *one)
{
        uint64_t other = !*bag->selected, at = 0, n = 0;
        struct batch batch = {.n = 0};
        struct bag_client client;
        bool good = true;

        empty(pair_of(bag, other)[1]);
        while (good && bag->ops->next(bag->context, &at, &client)) {
                batch_put(&batch, &client);
                n++;
                if (batch.n == BATCH) {
                        good = batch_send(pair_of(bag, other)[0], &batch);
                        batch.n = 0;
                }
        }
        if (one) {
                if (batch.n == BATCH) {
                        good = good && batch_send(pair_of(bag, other)[0], &batch);
                        batch.n = 0;
                }
                batch_put(&batch, one);
                n++;
        }
        if (good && batch.n)
                good = batch_send(pair_of(bag, other)[0], &batch);
        if (!good) {
                empty(pair_of(bag, other)[1]);
                return false;
        }
        store_set(bag->selected, other);
        empty(pair_of(bag, !other)[1]);
        bag->inside = bag->there = n;
        bag->messages = (n + BATCH - 1) / BATCH;
        bag->missed = 0;
        return true;
}

/* The walk looks past every message before the one it reads: 10,000 of them would take it half a
 * second. */
static bool is_scattered(const struct bag *bag)
{
        return bag->messages > SINGLES + bag->inside / 16;
}

bool bag_add(struct bag *bag, const struct bag_client *client)
{
        struct batch batch = {.n = 0};

        if (bag->end[0] < 0)
                return true;
        if (is_scattered(bag) && refill(bag, client))
                return true;
        batch_put(&batch, client);
        if (batch_send(pair_of(bag, *bag->selected)[0], &batch)) {
                bag->inside++;
                bag->there++;
                bag->messages++;
                return true;
        }
        if (refill(bag, client))
                return true;
        bag->missed++;
        return false;
}

void bag_forget(struct bag *bag)
{
        if (bag->end[0] < 0 || !bag->there)
                return;
        bag->there--;
        if (bag->inside - bag->there >= bag->there + LEAST)
                refill(bag, NULL);
}

void bag_tidy(struct bag *bag)
{
        if (bag->end[0] >= 0 && bag->inside > bag->there)
                refill(bag, NULL);
}
