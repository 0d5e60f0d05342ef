/* SPDX-License-Identifier: MIT */
/*
 * Values that are bytes: messages, the expected answer to the greeting, the delimiter. The bytes
 * may be a secret: no error quotes them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/type.h"
#include "util/room.h"
#include "util/units.h"

enum { CONFIG_FILE_MESSAGE_MAX = 1 << 20 }; /* bytes of a message in a separate file */

static int bytes_from_text(struct config_reading *reading, const char *text,
                           struct config_bytes *bytes)
{
        unsigned char *data = malloc(strlen(text) + 1);
        ssize_t size;

        if (!data)
                return -ENOMEM;
        size = strcmp(text, "\"\"") == 0 ? 0 : units_unescape(text, data);
        if (size < 0) {
                free(data);
                return config_wrong(reading, "it has an escape that is not known, expected C "
                                             "escapes such as \\n, \\x02 or \\\\");
        }
        *bytes = (struct config_bytes){.data = data, .size = (size_t)size};
        return 0;
}

/* Reads at most one byte more than CONFIG_FILE_MESSAGE_MAX: the file may be endless. */
static ssize_t read_bounded(int fd, unsigned char *data)
{
        size_t size = 0;
        ssize_t n;

        do {
                n = read(fd, data + size, CONFIG_FILE_MESSAGE_MAX + 1 - size);
                if (n < 0 && errno != EINTR)
                        return -errno;
                size += n > 0 ? (size_t)n : 0;
        } while (n != 0 && size <= CONFIG_FILE_MESSAGE_MAX);
        return (ssize_t)size;
}

static int bytes_from_file(struct config_reading *reading, const char *path,
                           struct config_bytes *bytes)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
        unsigned char *data, *fitted;
        struct stat st;
        ssize_t size;

        if (fd < 0 && errno == ENOMEM)
                return -ENOMEM;
        if (fd < 0)
                return config_wrong(reading,
                                    "%s can't be read: %s, expected a file with one message",
                                    config_quote(path).text, strerror(errno));
        data = malloc(CONFIG_FILE_MESSAGE_MAX + 1);
        if (!data) {
                close(fd);
                return -ENOMEM;
        }
        size = fstat(fd, &st) < 0     ? -errno
               : !S_ISREG(st.st_mode) ? -EINVAL
                                      : read_bounded(fd, data);
        close(fd);
        if (size < 0 || size > CONFIG_FILE_MESSAGE_MAX) {
                free(data);
                return config_wrong(reading, "%s can't be used: %s, expected a file of at most 1M",
                                    config_quote(path).text,
                                    size == -EINVAL ? "it is no regular file"
                                    : size < 0      ? strerror((int)-size)
                                                    : "it is larger");
        }
        fitted = realloc(data, (size_t)size + 1);
        if (fitted)
                data = fitted;
        bytes->data = data;
        bytes->size = (size_t)size;
        return 0;
}

static int bytes_from_credential(struct config_reading *reading, const char *name,
                                 struct config_bytes *bytes)
{
        const char *directory = getenv("CREDENTIALS_DIRECTORY");
        char *path;
        int result;

        if (!*name || strchr(name, '/') || *name == '.')
                return config_wrong(reading,
                                    "%s is no name of a credential, expected "
                                    "@credential:NAME",
                                    config_quote(name).text);
        if (!directory && reading->strict) {
                /* A person runs the check; only the service has the credential. */
                *bytes = (struct config_bytes){.data = calloc(1, 1)};
                if (!bytes->data)
                        return -ENOMEM;
                reading->unread = true;
                snprintf(reading->note, sizeof(reading->note),
                         "the credential %s was not checked: systemd gives it to the service only "
                         "(LoadCredential= in its unit)",
                         config_quote(name).text);
                return 0;
        }
        if (!directory)
                return config_wrong(reading,
                                    "there is no credential %s here, expected systemd to give it "
                                    "(LoadCredential= in the unit)",
                                    config_quote(name).text);
        if (asprintf(&path, "%s/%s", directory, name) < 0)
                return -ENOMEM;
        result = bytes_from_file(reading, path, bytes);
        free(path);
        return result;
}

/* Reads bytes from text, or, for the row of a secret only, from a file or a credential. */
static int bytes_read(struct config_reading *reading, const char *text, struct config_bytes *bytes)
{
        static const char credential[] = "@credential:";

        if (reading->row->secret && strncmp(text, "@/", 2) == 0)
                return bytes_from_file(reading, text + 1, bytes);
        if (reading->row->secret && strncmp(text, credential, strlen(credential)) == 0)
                return bytes_from_credential(reading, text + strlen(credential), bytes);
        return bytes_from_text(reading, text, bytes);
}

static char *bytes_show(const struct config_bytes *bytes)
{
        char *text = malloc(UNITS_ESCAPE_ROOM(bytes->size) + 4);

        if (!text)
                return NULL;
        units_escape(bytes->data, bytes->size, text);
        if (bytes->size == 0)
                strcpy(text, "\"\"");
        else if (strcmp(text, "\"\"") == 0)
                strcpy(text, "\\\"\"");
        return text;
}

static void clear_messages(const struct config_row *row, struct config *config)
{
        struct config_messages *messages = config_place(row, config);

        for (size_t i = 0; i < messages->n; i++)
                free(messages->items[i].data);
        free(messages->items);
        *messages = (struct config_messages){0};
}

static int read_messages(struct config_reading *reading, const char *text)
{
        struct config_messages *messages = config_place(reading->row, reading->config);
        struct config_bytes bytes, *items;
        int result = bytes_read(reading, text, &bytes);

        if (result < 0)
                return result;
        if (!reading->row->list)
                clear_messages(reading->row, reading->config);
        items = room_for_one(messages->items, messages->n, sizeof(*items));
        if (!items) {
                free(bytes.data);
                return -ENOMEM;
        }
        messages->items = items;
        messages->items[messages->n++] = bytes;
        messages->set = !reading->fallback;
        return 0;
}

static size_t count_messages(const struct config_row *row, const struct config *config)
{
        const struct config_messages *messages = config_place(row, config);

        return messages->n;
}

static char *show_messages(const struct config_row *row, const struct config *config, size_t i)
{
        const struct config_messages *messages = config_place(row, config);

        return bytes_show(&messages->items[i]);
}

static void reset_messages(const struct config_row *row, struct config *config)
{
        struct config_messages *messages = config_place(row, config);

        messages->set = true;
}

const struct config_type config_type_messages = {
        .read = read_messages,
        .count = count_messages,
        .show = show_messages,
        .clear = clear_messages,
        .reset = reset_messages,
};

static void clear_expect(const struct config_row *row, struct config *config)
{
        struct config_bytes *bytes = config_place(row, config);

        free(bytes->data);
        *bytes = (struct config_bytes){0};
}

static int read_expect(struct config_reading *reading, const char *text)
{
        struct config_bytes bytes;
        int result = bytes_read(reading, text, &bytes);

        if (result < 0)
                return result;
        clear_expect(reading->row, reading->config);
        *(struct config_bytes *)config_place(reading->row, reading->config) = bytes;
        return 0;
}

static size_t count_expect(const struct config_row *row, const struct config *config)
{
        return ((const struct config_bytes *)config_place(row, config))->size ? 1 : 0;
}

static char *show_expect(const struct config_row *row, const struct config *config, size_t i)
{
        (void)i;
        return bytes_show(config_place(row, config));
}

const struct config_type config_type_expect = {
        .read = read_expect,
        .count = count_expect,
        .show = show_expect,
        .clear = clear_expect,
};

static int read_delimiter(struct config_reading *reading, const char *text)
{
        struct frame_spec *frame = &reading->config->frame;
        struct config_bytes bytes;
        int result = bytes_from_text(reading, text, &bytes);

        if (result < 0)
                return result;
        if (bytes.size < 1 || bytes.size > FRAME_DELIMITER_MAX) {
                free(bytes.data);
                return config_wrong(reading, "it has %zu bytes, expected 1 to %d", bytes.size,
                                    FRAME_DELIMITER_MAX);
        }
        memset(frame->delimiter, 0, sizeof(frame->delimiter));
        memcpy(frame->delimiter, bytes.data, bytes.size);
        frame->delimiter_size = (uint32_t)bytes.size;
        free(bytes.data);
        return 0;
}

static char *show_delimiter(const struct config_row *row, const struct config *config, size_t i)
{
        char text[UNITS_ESCAPE_ROOM(FRAME_DELIMITER_MAX)];

        (void)row;
        (void)i;
        units_escape(config->frame.delimiter, config->frame.delimiter_size, text);
        return strdup(text);
}

const struct config_type config_type_delimiter = {.read = read_delimiter, .show = show_delimiter};
