/* SPDX-License-Identifier: MIT */
#include "util/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/program.h"

void socket_peer_init(struct socket_peer *peer)
{
        *peer = (struct socket_peer){.uid = SOCKET_NO_UID, .gid = SOCKET_NO_GID};
}

/* Fills the groups: gid alone if the kernel or the memory does not give the others. A group that is
 * not told takes a right away, and never gives one. */
static void read_groups(int fd, struct socket_peer *peer)
{
        socklen_t size = 0;

        if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &size) < 0 && errno != ERANGE)
                size = 0;
        peer->groups = malloc(size + sizeof(gid_t));
        if (!peer->groups)
                return;
        if (size && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &size) == 0)
                peer->n_groups = size / sizeof(gid_t);
        peer->groups[peer->n_groups++] = peer->gid;
}

void socket_peer_get_ids(int fd, struct socket_peer *peer)
{
        struct ucred cred;
        socklen_t size = sizeof(cred);

        socket_peer_init(peer);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0 || size != sizeof(cred) ||
            cred.uid == SOCKET_NO_UID)
                return;
        peer->pid = cred.pid;
        peer->uid = cred.uid;
        peer->gid = cred.gid;
        read_groups(fd, peer);
}

void socket_peer_get(int fd, struct socket_peer *peer)
{
        socket_peer_get_ids(fd, peer);
        if (peer->pid > 0)
                program_name(peer->pid, peer->program);
}

void socket_peer_done(struct socket_peer *peer)
{
        free(peer->groups);
        socket_peer_init(peer);
}

void socket_address_text(const struct sockaddr *address, socklen_t size, char *text, size_t room)
{
        char host[INET6_ADDRSTRLEN + 32], port[16];

        if (address->sa_family == AF_UNIX) {
                const struct sockaddr_un *local = (const struct sockaddr_un *)address;

                snprintf(text, room, "%s",
                         size > sizeof(sa_family_t) ? local->sun_path : "(unnamed)");
                return;
        }
        if (getnameinfo(address, size, host, sizeof(host), port, sizeof(port),
                        NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
                snprintf(text, room, "(unknown)");
                return;
        }
        snprintf(text, room, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

bool socket_is_loopback(const struct sockaddr *address)
{
        const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;

        if (address->sa_family == AF_INET)
                return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 ==
                       IN_LOOPBACKNET;
        return address->sa_family == AF_INET6 &&
               (IN6_IS_ADDR_LOOPBACK(v6) ||
                (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET));
}

void socket_local_text(int fd, char *text, size_t room)
{
        struct sockaddr_storage address = {0};
        socklen_t size = sizeof(address);

        if (getsockname(fd, (struct sockaddr *)&address, &size) < 0)
                snprintf(text, room, "(unknown)");
        else
                socket_address_text((struct sockaddr *)&address, size, text, room);
}

bool socket_is_short(int error)
{
        return error == ENOBUFS || error == ENOMEM;
}

void socket_keep_in_line(int fd)
{
        int on = 1;

        setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on));
}

void socket_reset(int fd)
{
        struct sockaddr nobody = {.sa_family = AF_UNSPEC};
        struct linger linger = {.l_onoff = 1};

        /* connect() resets also if another process has a copy of the descriptor. SO_LINGER resets
         * where connect() is not enough, as for a socket still connecting. */
        connect(fd, &nobody, sizeof(nobody));
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
        close(fd);
}
