/* SPDX-License-Identifier: MIT */
/* The reply to ListClients. Thousands of clients would take a pass of a tenth of a second, and a
 * MiB: the text of the reply is made some clients at a time, as it is read. */
#include "daemon/control/control_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/clock.h"

enum {
        AT_ONCE = 16,
        LISTING_USEC = 1000, /* of a slot */
        UNREAD_MOST = 64 * 1024,
};

static int append(struct control_client *client, const char *text, size_t size)
{
        char *room = control_client_room(client, size);

        if (!room)
                return -ENOMEM;
        memcpy(room, text, size);
        client->out_size += size;
        return 0;
}

static int append_client(struct control_client *client, const struct status_client *one)
{
        json_t *object = client->control->service->listing_client(one);
        char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        int result = text ? 0 : -ENOMEM;

        if (result == 0 && client->listing.begun)
                result = append(client, ",", 1);
        if (result == 0)
                result = append(client, text, strlen(text));
        client->listing.begun = true;
        client->listing.after = one->id;
        free(text);
        json_decref(object);
        return result;
}

int control_listing_begin(struct control_client *client)
{
        static const char head[] = "{\"parameters\":{\"clients\":[";

        return append(client, head, sizeof(head) - 1);
}

int control_listing_go_on(struct control_client *client)
{
        static const char tail[] = "]}}"; /* with the NUL */
        const struct control *control = client->control;
        uint64_t begin = clock_usec();
        int result = 0;

        while (result == 0 && control_client_unread(client) < UNREAD_MOST &&
               clock_usec() - begin < LISTING_USEC) {
                struct status_client some[AT_ONCE];
                size_t n = control->ops->clients(control->context, client->listing.after, some,
                                                 AT_ONCE);

                for (size_t i = 0; i < n && result == 0; i++)
                        result = append_client(client, &some[i]);
                if (n)
                        continue;
                client->listing.on = false;
                return append(client, tail, sizeof(tail));
        }
        return result;
}
