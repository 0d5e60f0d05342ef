/* SPDX-License-Identifier: MIT */
#include "util/host_error.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define FORBIDDEN_IN_SOCKET " (a rule of this host forbids it: SELinux, AppArmor or seccomp)"
#define FORBIDDEN_TO_CONNECT                                                                       \
        " (a rule of this host forbids it: a prohibit route, a firewall, a filter of the control " \
        "group, SELinux or AppArmor)"
#define NO_PORT "no local port is free (see the sysctl net.ipv4.ip_local_port_range)"

static const struct {
        enum host_call call; /* HOST_CALL_ANY: of every call without a row of its own */
        int error;
        const char *words;
} rows[] = {
        {HOST_CALL_SOCKET, EACCES, "Permission denied" FORBIDDEN_IN_SOCKET},
        {HOST_CALL_SOCKET, EPERM, "Operation not permitted" FORBIDDEN_IN_SOCKET},
        {HOST_CALL_SOCKET, EAFNOSUPPORT,
         "Address family not supported by protocol (this host has none of it, or "
         "RestrictAddressFamilies= forbids it)"},
        {HOST_CALL_CONNECT, EACCES, "Permission denied" FORBIDDEN_TO_CONNECT},
        {HOST_CALL_CONNECT, EPERM, "Operation not permitted" FORBIDDEN_TO_CONNECT},
        {HOST_CALL_CONNECT, EADDRNOTAVAIL,
         "Cannot assign requested address (this host has no address to reach it from)"},
        {HOST_CALL_CONNECT, EINVAL,
         "Invalid argument (a blackhole route of this host leads there, or SourceAddress= is a "
         "loopback address)"},
        {HOST_CALL_LINK_LOCAL, EINVAL,
         "Invalid argument (a link-local address needs its network interface, as in fe80::1%eth0)"},
        {HOST_CALL_PORT, ENODEV, "No such device (this host has no such network interface)"},
        {HOST_CALL_PORT, EADDRNOTAVAIL, "Cannot assign requested address: " NO_PORT},
        {HOST_CALL_PORT, EADDRINUSE, "Address already in use: " NO_PORT},
        {HOST_CALL_PORT, EAGAIN, "Resource temporarily unavailable: " NO_PORT},
        {HOST_CALL_ACCEPT, EACCES, "Permission denied" FORBIDDEN_IN_SOCKET},
        {HOST_CALL_ACCEPT, EPERM, "Operation not permitted" FORBIDDEN_IN_SOCKET},
        {HOST_CALL_THREAD, EAGAIN,
         "no thread can be made: Resource temporarily unavailable (see TasksMax=, LimitNPROC= and "
         "the sysctl kernel.threads-max)"},
        {HOST_CALL_WATCH, ENOSPC,
         "No space left on device (see the sysctl fs.epoll.max_user_watches)"},
        {HOST_CALL_ANY, EMFILE, "Too many open files (see LimitNOFILE=)"},
        {HOST_CALL_ANY, ENFILE, "Too many open files in system (see the sysctl fs.file-max)"},
        {HOST_CALL_ANY, ENOMEM, "Cannot allocate memory (see MemoryMax= and the host's memory)"},
        {HOST_CALL_ANY, ENOBUFS,
         "No buffer space available (see MemoryMax= and the host's memory)"},
};

const char *host_error_words(enum host_call call, int error)
{
        const char *words;

        for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
                if (rows[i].error == error &&
                    (rows[i].call == call || rows[i].call == HOST_CALL_ANY))
                        return rows[i].words;
        words = strerrordesc_np(error);
        return words ? words : "an unknown error";
}

int host_error_of_null(void)
{
        return errno == EMFILE || errno == ENFILE ? -errno : -ENOMEM;
}
