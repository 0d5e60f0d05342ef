/* SPDX-License-Identifier: MIT */
#include "daemon/service/fd_bag.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "store/store.h"

enum {
        BATCH = 253, /* descriptors in a message, the kernel's limit */
        LEAST = 16,  /* with fewer clients that left, a refill is not worth the work */
        BUFFER = 8 << 20,
        SINGLES = 256, /* no refill for scattered entries up to this number of messages */
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

static int *pair_of(struct fd_bag *fd_bag, uint64_t number)
{
        return &fd_bag->end[number * 2];
}

static void stretch(int fd)
{
        int size = BUFFER;

        if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
                setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

int fd_bag_init(struct fd_bag *fd_bag, uint64_t *selected, const struct fd_bag_ops *ops,
                void *context)
{
        *fd_bag = (struct fd_bag){selected, {-1, -1, -1, -1}, .ops = ops, .context = context};
        for (uint64_t i = 0; i < 2; i++) {
                int *pair = pair_of(fd_bag, i);

                if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) <
                    0) {
                        int error = -errno;

                        fd_bag_done(fd_bag);
                        return error;
                }
                stretch(pair[0]);
        }
        return 0;
}

void fd_bag_recover(struct fd_bag *fd_bag, uint64_t *selected, const int end[FD_BAG_ENDS],
                    const struct fd_bag_ops *ops, void *context)
{
        *fd_bag = (struct fd_bag){selected, {-1, -1, -1, -1}, .ops = ops, .context = context};
        memcpy(fd_bag->end, end, sizeof(fd_bag->end));
        if (*selected > 1)
                store_set(selected, 0);
}

void fd_bag_done(struct fd_bag *fd_bag)
{
        for (int i = 0; i < FD_BAG_ENDS; i++)
                if (fd_bag->end[i] >= 0)
                        close(fd_bag->end[i]);
        memset(fd_bag->end, -1, sizeof(fd_bag->end));
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

/* Copies the next message and leaves the message in the bag. Returns false if there is none. */
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

/* Reads all messages without room for descriptors: the kernel closes the descriptors. */
static void empty(int fd)
{
        char byte;

        while (recv(fd, &byte, 1, MSG_DONTWAIT) > 0)
                ;
}

void fd_bag_walk(struct fd_bag *fd_bag,
                 void (*found)(void *context, const struct fd_bag_client *client), void *context)
{
        int fd = pair_of(fd_bag, *fd_bag->selected)[1], offset = 0;
        struct batch batch;

        fd_bag->inside = fd_bag->there = fd_bag->messages = 0;
        if (setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) < 0)
                return;
        while (batch_peek(fd, &batch)) {
                for (size_t i = 0; i < batch.n; i++) {
                        struct fd_bag_client client = {batch.who[i][0], batch.who[i][1],
                                                       batch.fd[i]};

                        found(context, &client);
                }
                fd_bag->inside += batch.n;
                fd_bag->messages++;
        }
        offset = -1;
        setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset));
        fd_bag->there = fd_bag->inside;
}

void fd_bag_empty(struct fd_bag *fd_bag)
{
        for (uint64_t i = 0; i < 2; i++)
                empty(pair_of(fd_bag, i)[1]);
        fd_bag->inside = fd_bag->there = fd_bag->messages = 0;
}

/* ---- clients come and go ---- */

static void batch_put(struct batch *batch, const struct fd_bag_client *client)
{
        batch->who[batch->n][0] = client->slot;
        batch->who[batch->n][1] = client->id;
        batch->fd[batch->n++] = client->fd;
}

/* Puts all present clients, and the new client `one` unless NULL, into the other bag, and selects
 * that bag. Returns false without room; the selected bag is as before. */
static bool refill(struct fd_bag *fd_bag, const struct fd_bag_client *one)
{
        uint64_t other = !*fd_bag->selected, at = 0, n = 0;
        struct batch batch = {.n = 0};
        struct fd_bag_client client;
        bool good = true;

        empty(pair_of(fd_bag, other)[1]);
        while (good && fd_bag->ops->next(fd_bag->context, &at, &client)) {
                batch_put(&batch, &client);
                n++;
                if (batch.n == BATCH) {
                        good = batch_send(pair_of(fd_bag, other)[0], &batch);
                        batch.n = 0;
                }
        }
        if (one) {
                if (batch.n == BATCH) {
                        good = good && batch_send(pair_of(fd_bag, other)[0], &batch);
                        batch.n = 0;
                }
                batch_put(&batch, one);
                n++;
        }
        if (good && batch.n)
                good = batch_send(pair_of(fd_bag, other)[0], &batch);
        if (!good) {
                empty(pair_of(fd_bag, other)[1]);
                return false;
        }
        store_set(fd_bag->selected, other);
        empty(pair_of(fd_bag, !other)[1]);
        fd_bag->inside = fd_bag->there = n;
        fd_bag->messages = (n + BATCH - 1) / BATCH;
        fd_bag->missed = 0;
        return true;
}

/* True if the entries are in too many messages. To peek at a message, the kernel walks over all
 * messages before: 10,000 messages would take half a second. */
static bool is_scattered(const struct fd_bag *fd_bag)
{
        return fd_bag->messages > SINGLES + fd_bag->inside / 16;
}

bool fd_bag_add(struct fd_bag *fd_bag, const struct fd_bag_client *client)
{
        struct batch batch = {.n = 0};

        if (fd_bag->end[0] < 0)
                return true;
        if (is_scattered(fd_bag) && refill(fd_bag, client))
                return true;
        batch_put(&batch, client);
        if (batch_send(pair_of(fd_bag, *fd_bag->selected)[0], &batch)) {
                fd_bag->inside++;
                fd_bag->there++;
                fd_bag->messages++;
                return true;
        }
        if (refill(fd_bag, client))
                return true;
        fd_bag->missed++;
        return false;
}

void fd_bag_forget(struct fd_bag *fd_bag)
{
        if (fd_bag->end[0] < 0 || !fd_bag->there)
                return;
        fd_bag->there--;
        if (fd_bag->inside - fd_bag->there >= fd_bag->there + LEAST)
                refill(fd_bag, NULL);
}

void fd_bag_tidy(struct fd_bag *fd_bag)
{
        if (fd_bag->end[0] >= 0 && fd_bag->inside > fd_bag->there)
                refill(fd_bag, NULL);
}
