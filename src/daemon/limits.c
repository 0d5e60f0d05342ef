/* SPDX-License-Identifier: MIT */
#include "daemon/limits.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/cgroup.h"
#include "daemon/service/service.h"
#include "util/diag.h"
#include "util/host_error.h"
#include "util/units.h"

#define OWN_MEMORY (UINT64_C(32) << 20) /* besides messages: tables, buffers, the program */

/* Needs descriptors for clients, control connections and 32 more. Where a service manager keeps
 * descriptors, a client counts four times: ours, a copy in each bag, the successor's. */
void limits_raise(const struct config *config)
{
        uint64_t each = service_keeps() ? 4 : 1, clients = config->max_clients;
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_max < clients + config->control_max_clients + 32)
                diag_warning("only %llu descriptors are allowed, MaxClients=%" PRIu64
                             ": see LimitNOFILE=",
                             (unsigned long long)limit.rlim_max, clients);
        else if (limit.rlim_max < each * clients)
                diag_warning("LimitNOFILE=%llu is below four times MaxClients=%" PRIu64
                             ": with so many a restart would disconnect some",
                             (unsigned long long)limit.rlim_max, clients);
}

void limits_tell_memory(const struct config *config, const char *root)
{
        uint64_t sum = config_memory(config);
        char messages[UNITS_TEXT_MAX], itself[UNITS_TEXT_MAX], most[UNITS_TEXT_MAX];
        struct cgroup_limit limit;

        if (!cgroup_memory(root, &limit) || limit.bytes >= sum + OWN_MEMORY)
                return;
        units_size_format(sum, messages);
        units_size_format(OWN_MEMORY, itself);
        units_size_format(limit.bytes, most);
        diag_warning("the control group may have %s of memory (%s), and messages may take %s, "
                     "ftcpd itself %s: beyond the limit the kernel %s it; make the limit larger "
                     "(%s) or the queues smaller (ftcpd --check-config tells which)",
                     most, limit.file, messages, itself, limit.stalls ? "stalls" : "ends",
                     limit.stalls ? "MemoryHigh=" : "MemoryMax=");
}

/* The limits surprise: LimitFSIZE= counts the memory of a memfd, LimitAS= counts addresses that are
 * reserved and not used, and a filter of system calls may be a container's. */
void limits_tell_no_store(int error)
{
        struct rlimit space;
        const char *hint = "";

        if (error == EFBIG)
                hint = ": see LimitFSIZE=, which holds for it";
        else if (error == ENOMEM && getrlimit(RLIMIT_AS, &space) == 0 &&
                 space.rlim_cur != RLIM_INFINITY)
                hint = ": it reserves 64G of addresses, see LimitAS=";
        else if (error == EPERM || error == EACCES || error == ENOSYS)
                hint = ": memfd_create() must be allowed, see SystemCallFilter= or the seccomp "
                       "profile of the container";
        diag_err("can't make the store: %s%s",
                 hint[0] ? strerror(error) : host_error_words(HOST_CALL_ANY, error), hint);
}
