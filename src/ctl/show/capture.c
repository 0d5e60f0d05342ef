/* SPDX-License-Identifier: MIT */
#include "ctl/show/capture.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* draft-ietf-opsawg-pcapng; numbers are in the byte order of the writing machine. */
enum {
        BLOCK_SECTION = 0x0a0d0d0a,
        BLOCK_INTERFACE = 1,
        BLOCK_PACKET = 6,
        SECTION_MAGIC = 0x1a2b3c4d,
        OPTION_END = 0,
        OPTION_COMMENT = 1,
        OPTION_NAME = 2,
        OPTION_FLAGS = 2,
        OPTION_DROPPED = 4,
        FLAG_IN = 1,
        FLAG_OUT = 2,
};

/* DLT_USER0, reserved for private use: Wireshark's preferences (DLT_USER) name the protocol. */
enum { LINK_USER = 147 };

/* The part of a block with fields of limited size. */
struct block {
        unsigned char bytes[256];
        size_t size;
};

static void put(struct block *block, const void *data, size_t size)
{
        memcpy(block->bytes + block->size, data, size);
        block->size += size;
        while (block->size % 4)
                block->bytes[block->size++] = 0;
}

static void put32(struct block *block, uint32_t value)
{
        put(block, &value, sizeof(value));
}

static void put_option(struct block *block, uint16_t code, const void *data, size_t size)
{
        uint16_t head[2] = {code, (uint16_t)size};

        put(block, head, sizeof(head));
        put(block, data, size);
}

/* Writes a whole block: fixed fields, data and options, with the length behind the type and at the
 * end. Returns 0 or a negative errno. */
static int write_block(FILE *to, uint32_t type, const struct block *block, const void *data,
                       size_t size, const struct block *options)
{
        static const unsigned char zeros[3];
        size_t pad = (4 - size % 4) % 4, rest = options ? options->size : 0;
        uint32_t total = (uint32_t)(12 + block->size + size + pad + rest);

        fwrite(&type, 4, 1, to);
        fwrite(&total, 4, 1, to);
        fwrite(block->bytes, 1, block->size, to);
        if (size)
                fwrite(data, 1, size, to);
        fwrite(zeros, 1, pad, to);
        if (rest)
                fwrite(options->bytes, 1, rest, to);
        fwrite(&total, 4, 1, to);
        return fflush(to) == 0 ? 0 : -errno;
}

static int write_section(FILE *to)
{
        struct block block = {.size = 0};

        put32(&block, SECTION_MAGIC);
        put32(&block, 1);          /* version 1.0 */
        put32(&block, UINT32_MAX); /* the section's length, 64 bits: unknown */
        put32(&block, UINT32_MAX);
        return write_block(to, BLOCK_SECTION, &block, NULL, 0, NULL);
}

static void interface_name(uint64_t client_id, char *text, size_t size)
{
        if (client_id)
                snprintf(text, size, "client %" PRIu64, client_id);
        else
                snprintf(text, size, "upstream");
}

static int write_interface(FILE *to, uint64_t client_id)
{
        struct block block = {.size = 0};
        char name[32];

        interface_name(client_id, name, sizeof(name));
        put32(&block, LINK_USER);
        put32(&block, 0); /* packets of any size */
        put_option(&block, OPTION_NAME, name, strlen(name));
        put32(&block, OPTION_END);
        return write_block(to, BLOCK_INTERFACE, &block, NULL, 0, NULL);
}

/* Returns the number of the client's interface, or a negative errno. Writes the interface block of
 * a new client. */
static int64_t find_interface(struct capture *capture, uint64_t client_id)
{
        uint64_t *more = capture->clients;
        size_t i = capture->n;
        int result;

        while (i-- > 0)
                if (capture->clients[i] == client_id)
                        return (int64_t)i;
        if (capture->n == capture->room)
                more = reallocarray(more, capture->room * 2 + 16, sizeof(*more));
        if (!more)
                return -ENOMEM;
        if (capture->n == capture->room)
                capture->room = capture->room * 2 + 16;
        capture->clients = more;
        result = write_interface(capture->to, client_id);
        if (result < 0)
                return result;
        capture->clients[capture->n] = client_id;
        return (int64_t)capture->n++;
}

int capture_begin(struct capture *capture, FILE *to)
{
        *capture = (struct capture){.to = to};
        return write_section(to);
}

static void put_options(struct block *block, const struct capture_message *message)
{
        uint32_t flags = message->out ? FLAG_OUT : FLAG_IN;
        char text[64];

        put_option(block, OPTION_FLAGS, &flags, sizeof(flags));
        if (message->missed) {
                snprintf(text, sizeof(text), "%" PRIu64 " message%s before this one %s missed",
                         message->missed, message->missed == 1 ? "" : "s",
                         message->missed == 1 ? "was" : "were");
                put_option(block, OPTION_DROPPED, &message->missed, sizeof(message->missed));
                put_option(block, OPTION_COMMENT, text, strlen(text));
        }
        put32(block, OPTION_END);
}

int capture_write(struct capture *capture, const struct capture_message *message)
{
        struct block block = {.size = 0}, options = {.size = 0};
        int64_t interface = find_interface(capture, message->client_id);
        size_t size = message->size < CAPTURE_MAX ? message->size : CAPTURE_MAX;

        if (interface < 0)
                return (int)interface;
        put_options(&options, message);
        put32(&block, (uint32_t)interface);
        put32(&block, (uint32_t)(message->time_usec >> 32));
        put32(&block, (uint32_t)message->time_usec);
        put32(&block, (uint32_t)size);
        put32(&block, (uint32_t)message->size);
        return write_block(capture->to, BLOCK_PACKET, &block, message->data, size, &options);
}

int capture_close(struct capture *capture)
{
        int result = 0;

        free(capture->clients);
        if (capture->to != stdout && fclose(capture->to) != 0)
                result = -errno;
        return result;
}
