/* SPDX-License-Identifier: MIT */
/* The unread replies of a connection. */
#include "daemon/control/control_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "util/socket.h"

enum { OUT_LEAST = 16 * 1024 };

void control_client_forget(struct control_client *client)
{
        free(client->out);
        client->out = NULL;
        client->out_size = client->out_sent = client->out_room = 0;
}

size_t control_client_unread(const struct control_client *client)
{
        return client->out_size - client->out_sent;
}

int control_client_write(struct control_client *client)
{
        while (control_client_unread(client) > 0) {
                ssize_t n = send(client->fd, client->out + client->out_sent,
                                 control_client_unread(client), MSG_NOSIGNAL | MSG_DONTWAIT);

                if (n < 0 && socket_is_short(errno))
                        client->starved = true;
                if (n < 0 && (errno == EAGAIN || client->starved))
                        return 0;
                if (n < 0 && errno != EINTR)
                        return -errno;
                client->out_sent += n > 0 ? (size_t)n : 0;
        }
        control_client_forget(client);
        return 0;
}

void control_client_count(struct control_client *client)
{
        struct control *control = client->control;

        assert(control->buffered >= client->buffered);
        control->buffered -= client->buffered;
        client->user->buffered -= client->buffered;
        client->buffered = client->in.room + client->out_room;
        control->buffered += client->buffered;
        client->user->buffered += client->buffered;
}

static void drop_read(struct control_client *client)
{
        memmove(client->out, client->out + client->out_sent, control_client_unread(client));
        client->out_size -= client->out_sent;
        client->out_sent = 0;
}

/* The room doubles while smaller than VARLINK_MESSAGE_MAX; a reply for which more is needed gets
 * exactly the room for the reply. */
char *control_client_room(struct control_client *client, size_t size)
{
        struct control *control = client->control;
        size_t room = client->out_room > OUT_LEAST ? client->out_room : OUT_LEAST;
        char *more;

        if (client->out_room - client->out_size < size && client->out_sent)
                drop_read(client);
        if (client->out_room - client->out_size >= size)
                return client->out + client->out_size;
        while (room < VARLINK_MESSAGE_MAX && room - client->out_size < size)
                room *= 2;
        if (room - client->out_size < size)
                room = client->out_size + size;
        if (control->buffered - client->buffered + client->in.room + room > CONTROL_BUFFERED_MAX)
                return NULL;
        more = realloc(client->out, room);
        if (!more)
                return NULL;
        client->out = more;
        client->out_room = room;
        control_client_count(client);
        return more + client->out_size;
}

/* Queues a reply. The unread bytes before the reply are few, because requests wait while replies
 * are unread. A Monitor may always have unread replies, so written bytes are dropped here, when
 * more bytes are written than unread. The room grows by a quarter beyond what is needed, so that
 * many small replies are not copied again and again. Returns 0 or -ENOMEM. */
static int append_one(struct control_client *client, const json_t *reply)
{
        size_t size;
        char *bytes = varlink_encode(reply, &size), *more;

        if (!bytes)
                return -ENOMEM;
        if (!client->out) {
                client->out = bytes;
                client->out_size = client->out_room = size;
                return 0;
        }
        if (client->out_sent > control_client_unread(client))
                drop_read(client);
        if (client->out_room - client->out_size < size) {
                size_t room = client->out_size + size + (client->out_size + size) / 4;

                more = realloc(client->out, room);
                if (!more) {
                        free(bytes);
                        return -ENOMEM;
                }
                client->out = more;
                client->out_room = room;
        }
        memcpy(client->out + client->out_size, bytes, size);
        client->out_size += size;
        free(bytes);
        return 0;
}

int control_client_append(struct control_client *client, json_t *reply)
{
        int result = json_is_array(reply) ? 0 : append_one(client, reply);

        for (size_t i = 0; i < json_array_size(reply) && result == 0; i++)
                result = append_one(client, json_array_get(reply, i));
        json_decref(reply);
        return result;
}
