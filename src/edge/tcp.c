/* SPDX-License-Identifier: MIT */
#include "edge/tcp.h"

#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "util/clock.h"
#include "util/socket.h"

enum {
        NOTSENT_LOWAT =
                256 *
                1024, /* by default 2 to 3 MB wait in the kernel, out of reach of any policy */
        KEEPALIVE_COUNT =
                127, /* the kernel must not end the connection: ftcpd judges a dead path */
        /* Of a client the kernel is the judge, 2 min after the last sign of life: no less, as a
         * host that sleeps or moves to another network for a moment is no dead one. */
        CLIENT_IDLE = 60,
        CLIENT_INTERVAL = 15,
        CLIENT_COUNT = 4,
};

/* Values of tcpi_state. linux/tcp.h has no names for the values; netinet/tcp.h has names, but the
 * two headers exclude each other. */
enum {
        TCP_ESTABLISHED = 1,
        TCP_FIN_WAIT1 = 4,
        TCP_FIN_WAIT2,
        TCP_TIME_WAIT,
        TCP_CLOSE,
        TCP_CLOSE_WAIT,
        TCP_LAST_ACK,
        TCP_CLOSING = 11,
};

static void set(int fd, int level, int option, int value)
{
        setsockopt(fd, level, option, &value, sizeof(value));
}

/* BBR, where the host uses it by default, paces segments with timers. Within the host pacing is of
 * no use, and without pacing several writes in a row take a fifth less CPU. */
void tcp_connects(int fd, const struct sockaddr *to)
{
        static const char unpaced[] = "reno"; /* in every kernel, and allowed to every user */

        socket_keep_in_line(fd);
        if (socket_is_loopback(to))
                setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, unpaced, sizeof(unpaced) - 1);
}

void tcp_prepare(int fd, uint64_t path_usec)
{
        uint64_t probe = path_usec / USEC_PER_SEC / 60 + 1;

        set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        socket_keep_in_line(fd); /* of a predecessor's connection */
        set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, NOTSENT_LOWAT);
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, probe < 3600 ? (int)probe : 3600);
        set(fd, IPPROTO_TCP, TCP_KEEPINTVL, probe < 3600 ? (int)probe : 3600);
        set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
        set(fd, SOL_SOCKET, SO_KEEPALIVE, path_usec != 0);
}

/* TCP_USER_TIMEOUT is not set: it would end a live client that does not read for as long. */
void tcp_prepare_client(int fd)
{
        int on = 0;
        socklen_t size = sizeof(on);

        set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size) < 0 || on)
                return; /* inherited from the listener: the socket unit has KeepAlive= */
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, CLIENT_IDLE);
        set(fd, IPPROTO_TCP, TCP_KEEPINTVL, CLIENT_INTERVAL);
        set(fd, IPPROTO_TCP, TCP_KEEPCNT, CLIENT_COUNT);
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* The kernel sends nothing into a window smaller than the next segment, and probes as behind a
 * window of 0. */
static bool is_closed(const struct tcp_info *info, socklen_t size)
{
        bool known = size > offsetof(struct tcp_info, tcpi_snd_wnd);

        return (known && info->tcpi_snd_wnd == 0) ||
               (info->tcpi_unacked == 0 && info->tcpi_notsent_bytes > 0);
}

bool tcp_has_source(const struct sockaddr *to, socklen_t size)
{
        int fd = socket(to->sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        bool has = fd < 0 || connect(fd, to, size) == 0 || errno != EADDRNOTAVAIL;

        if (fd >= 0)
                close(fd);
        return has;
}

bool tcp_is_open(int fd)
{
        struct tcp_info info = {0};
        socklen_t size = sizeof(info);

        return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
               info.tcpi_state != TCP_CLOSE;
}

bool tcp_look(int fd, struct tcp_state *state)
{
        struct tcp_info info = {0};
        socklen_t size = sizeof(info);

        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0)
                return false;
        *state = (struct tcp_state){
                .rtt_usec = info.tcpi_rtt,
                .since_ack_usec = (uint64_t)info.tcpi_last_ack_recv * 1000,
                .unsent = info.tcpi_notsent_bytes,
                .unanswered = info.tcpi_probes,
                .window_closed = is_closed(&info, size),
                .sent_again = info.tcpi_retransmits > 0,
        };
        return true;
}

bool tcp_path_lives(int fd, uint64_t usec)
{
        struct tcp_info info = {0};
        socklen_t size = sizeof(info);

        if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) < 0 ||
            (info.tcpi_state != TCP_ESTABLISHED && info.tcpi_state != TCP_FIN_WAIT1 &&
             info.tcpi_state != TCP_FIN_WAIT2))
                return false;
        return (uint64_t)info.tcpi_last_ack_recv * 1000 < usec ||
               (is_closed(&info, size) && info.tcpi_probes == 0);
}

uint64_t tcp_acked(int fd, uint64_t written)
{
        int left;

        if (ioctl(fd, SIOCOUTQ, &left) < 0 || left < 0 || (uint64_t)left > written)
                return 0;
        return written - (uint64_t)left;
}

bool tcp_has_input(int fd)
{
        int size;

        return ioctl(fd, SIOCINQ, &size) == 0 && size > 0;
}

struct tcp_books tcp_books(int fd, uint64_t written)
{
        struct tcp_books books = {.acked = tcp_acked(fd, written), .transmitted = written};
        int unsent;

        if (ioctl(fd, SIOCOUTQNSD, &unsent) == 0 && unsent >= 0 && (uint64_t)unsent <= written)
                books.transmitted = written - (uint64_t)unsent;
        if (books.transmitted < books.acked)
                books.transmitted = books.acked;
        return books;
}

struct tcp_books tcp_last_books(int fd, uint64_t written)
{
        struct tcp_info info = {0};
        socklen_t size = sizeof(info);
        struct tcp_books books;
        bool over;

        /* First: the counters of a connection that is in CLOSE by now are final. */
        over = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
               info.tcpi_state == TCP_CLOSE;
        books = tcp_books(fd, written);
        if (!over)
                books.transmitted = written;
        return books;
}

/* Reads the queue's counter and the TCP_INFO of a live socket. Two system calls give skewed values,
 * so the reading is repeated until the first counter has not changed, at most 100 times. */
static bool read_both(int fd, int request, struct tcp_info *info, int *queued)
{
        for (int i = 0; i < 100; i++) {
                socklen_t size = sizeof(*info);
                int before, after;

                *info = (struct tcp_info){0};
                if (ioctl(fd, (unsigned long)request, &before) < 0 ||
                    getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) < 0 ||
                    ioctl(fd, (unsigned long)request, &after) < 0)
                        return false;
                *queued = after;
                if (before == after)
                        return true;
        }
        return true;
}

static bool end_came(const struct tcp_info *info)
{
        return info->tcpi_state == TCP_CLOSE_WAIT || info->tcpi_state == TCP_CLOSING ||
               info->tcpi_state == TCP_LAST_ACK || info->tcpi_state == TCP_TIME_WAIT ||
               info->tcpi_state == TCP_CLOSE;
}

/* Takes the error of a lost connection from the socket, which tells an error once. */
static int take_error(int fd)
{
        int error = 0;
        socklen_t size = sizeof(error);

        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
        return error;
}

bool tcp_gave_up(int fd)
{
        int error = take_error(fd);

        return error == ETIMEDOUT || error == EHOSTUNREACH || error == ENETUNREACH;
}

bool tcp_total(int fd, uint64_t read, uint64_t written, struct tcp_totals *totals)
{
        struct tcp_info info;
        int queued;
        uint64_t got, acked;
        bool ended, gone;

        if (!read_both(fd, SIOCINQ, &info, &queued))
                return false;
        got = info.tcpi_bytes_received - (uint64_t)queued;
        ended = end_came(&info);
        gone = info.tcpi_state == TCP_CLOSE;
        if (!read_both(fd, SIOCOUTQ, &info, &queued))
                return false;
        acked = info.tcpi_bytes_acked ? info.tcpi_bytes_acked - 1 : 0; /* our SYN */
        totals->closing = info.tcpi_state == TCP_FIN_WAIT1 || info.tcpi_state == TCP_FIN_WAIT2 ||
                          info.tcpi_state == TCP_CLOSING || info.tcpi_state == TCP_LAST_ACK ||
                          info.tcpi_state == TCP_TIME_WAIT ||
                          (info.tcpi_state == TCP_CLOSE &&
                           acked + (uint64_t)queued == written + 1); /* our FIN, as a byte */
        totals->error = got > read && gone && !totals->closing ? take_error(fd) : 0;
        if (totals->error == EPIPE) /* a reset behind the peer's FIN: the FIN is to be told */
                totals->error = 0;
        if (got > read && ended && !totals->error)
                got--; /* the peer's FIN counts as a byte */
        totals->read = got > read ? got : read;
        totals->written = acked + (uint64_t)queued;
        if (totals->written < written || totals->closing)
                totals->written = written;
        totals->acked = acked < totals->written ? acked : totals->written;
        return true;
}

void tcp_listen_again(int fd)
{
        int unused = 0;

        setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused));
}

void tcp_reset(int fd)
{
        socket_reset(fd);
}
