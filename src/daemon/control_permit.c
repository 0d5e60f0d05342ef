/* SPDX-License-Identifier: MIT */
#include "daemon/control_permit.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* The primary and all supplementary groups, to be freed; NULL without memory or credentials. */
static gid_t *peer_groups(int fd, gid_t primary, size_t *n)
{
        socklen_t size = 64 * sizeof(gid_t);
        gid_t *groups = NULL, *grown;
        int r;

        do {
                grown = realloc(groups, size + sizeof(gid_t));
                if (!grown)
                        goto fail;
                groups = grown;
                /* Says how much it needs where that does not suffice. */
                r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size);
        } while (r < 0 && errno == ERANGE);
        if (r < 0)
                goto fail;
        groups[0] = primary;
        *n = 1 + size / sizeof(gid_t);
        return groups;
fail:
        free(groups);
        return NULL;
}

bool control_permit(int fd, const struct config *config)
{
        struct ucred peer;
        socklen_t size = sizeof(peer);
        size_t n_groups = 0;
        gid_t *groups;
        bool permitted;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0 || peer.uid == (uid_t)-1)
                return false;
        if (peer.uid == 0 || peer.uid == geteuid())
                return true;
        groups = peer_groups(fd, peer.gid, &n_groups);
        if (!groups)
                return config_people_have(&config->admin, peer.uid, &peer.gid, 1);
        permitted = config_people_have(&config->admin, peer.uid, groups, n_groups);
        free(groups);
        return permitted;
}
