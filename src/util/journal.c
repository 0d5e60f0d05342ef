/* SPDX-License-Identifier: MIT */
#include "util/journal.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/clock.h"

enum { ENTRY_BYTES = 4096, FIELD_BYTES = 80 };

const char *journal_path = "/run/systemd/journal/socket";
static int journal = -1;

int journal_open(void)
{
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (journal >= 0)
                close(journal);
        journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (journal < 0)
                return -errno;
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", journal_path);
        if (connect(journal, (struct sockaddr *)&address, sizeof(address)) == 0)
                return 0;
        close(journal);
        journal = -1;
        return -errno;
}

static void add_word(char *entry, const char *name, const char *value)
{
        size_t used = strlen(entry);

        if (value)
                snprintf(entry + used, ENTRY_BYTES - used, "%s=%.*s\n", name, FIELD_BYTES, value);
}

static void add_number(char *entry, const char *name, unsigned long long value)
{
        char digits[24];

        snprintf(digits, sizeof(digits), "%llu", value);
        add_word(entry, name, value ? digits : NULL);
}

bool journal_send(int level, const struct diag_event *event, const char *text)
{
        char entry[ENTRY_BYTES];
        size_t size;

        if (snprintf(entry, sizeof(entry), "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=ftcpd\n",
                     text, level) > ENTRY_BYTES / 2 + FIELD_BYTES)
                return false;
        add_word(entry, "MESSAGE_ID", event->id);
        add_word(entry, "FTCPD_CAUSE", event->cause);
        add_number(entry, "FTCPD_CLIENT", event->client);
        add_number(entry, "FTCPD_MESSAGES", event->messages);
        size = strlen(entry);
        for (int attempt = 0; attempt < 2; attempt++) {
                if (send(journal, entry, size, MSG_NOSIGNAL) == (ssize_t)size)
                        return true;
                /* The journal was restarted, or was not there yet. */
                if (errno == EAGAIN || journal_open() < 0)
                        return false;
        }
        return false;
}

/* The journal reads datagrams in order, and ignores an empty datagram: when an empty datagram has
 * left the socket's queue, the journal has read all datagrams before. */
void journal_settle(uint64_t usec)
{
        uint64_t until = clock_usec() + usec;
        int waiting = 1;

        if (journal < 0 || send(journal, "", 0, MSG_NOSIGNAL) < 0)
                return;
        while (ioctl(journal, SIOCOUTQ, &waiting) == 0 && waiting > 0 && clock_usec() < until)
                usleep(500);
}
