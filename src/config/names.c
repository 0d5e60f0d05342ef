/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "config/type.h"
#include "util/address.h"
#include "util/room.h"
#include "util/units.h"

enum { CONFIG_HOST_MAX = 255 };

static bool is_host(const char *host)
{
        size_t size = strlen(host);

        for (const char *p = host; *p; p++)
                if (!isalnum((unsigned char)*p) && !strchr("-._", *p))
                        return false;
        return size > 0 && size <= CONFIG_HOST_MAX && *host != '-' && *host != '.';
}

/* True for a number from 1 to 65535, and for a text that may name a service. */
static bool is_port(const char *port)
{
        uint64_t number;
        bool letter = false;

        if (strspn(port, "0123456789") == strlen(port))
                return units_number_parse(port, &number) == 0 && number >= 1 && number <= 65535;
        for (const char *p = port; *p; p++) {
                if (!isalnum((unsigned char)*p) && *p != '-' && *p != '_')
                        return false;
                letter = letter || isalpha((unsigned char)*p);
        }
        return letter && strlen(port) <= 64;
}

/* Cuts text, in place, into *host and *port. Returns NULL, or the fault of text. */
static const char *split_address(char *text, const char **host, const char **port)
{
        char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');

        if (*text == '[' && bracket) {
                if (bracket[1] != ':')
                        return bracket[1] ? "what follows the bracket is no port"
                                          : "the port is missing";
                *bracket = '\0';
                *host = text + 1;
                *port = bracket + 2;
                return address_family(*host) == AF_INET6
                               ? NULL
                               : "there is no IPv6 address in the brackets";
        }
        if (address_family(text) == AF_INET6)
                return "an IPv6 address stands in brackets, with the port behind them";
        if (!colon)
                return "the port is missing";
        *colon = '\0';
        *host = text;
        *port = colon + 1;
        if (strchr(text, ':'))
                return address_family(text) == AF_INET6 ? "an IPv6 address stands in brackets"
                                                        : "it has more than one colon";
        return is_host(text) ? NULL : "the host is missing or is no name";
}

static int padded(struct config_reading *reading, const char *host)
{
        return config_wrong(reading,
                            "%s has a zero before a number, which means octal to some programs, "
                            "expected the address without it",
                            config_quote(host).text);
}

/* A host in numbers that programs read in more than one way, or in none. Those that cannot be meant
 * are an error in a check, and at run time a warning. Returns 0, or -EINVAL with the fault. */
static int check_host(struct config_reading *reading, const char *host)
{
        struct in_addr address = {0};
        char text[INET_ADDRSTRLEN];

        switch (address_writing(host)) {
        case ADDRESS_PADDED:
                if (reading->strict)
                        return padded(reading, host);
                config_doubt(reading,
                             "%s has a zero before a number, which means octal to some programs: "
                             "it is not tried",
                             config_quote(host).text);
                return 0;
        case ADDRESS_BROKEN:
                if (reading->strict)
                        return config_wrong(reading,
                                            "%s is neither an IPv4 address nor a name, expected "
                                            "four numbers from 0 to 255 with dots between them",
                                            config_quote(host).text);
                config_doubt(reading, "%s is no IPv4 address: it is looked up as a name",
                             config_quote(host).text);
                return 0;
        case ADDRESS_SHORT:
                inet_aton(host, &address);
                inet_ntop(AF_INET, &address, text, sizeof(text));
                config_doubt(reading, "%s is read as %s", config_quote(host).text, text);
                return 0;
        default: return 0;
        }
}

/* Returns 1 if port is a number, or the name of a TCP service of this host, 0 if not, or -ENOMEM.
 */
static int is_known_port(const char *port)
{
        const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
        struct addrinfo *found = NULL;
        int error;

        if (strspn(port, "0123456789") == strlen(port))
                return 1;
        errno = 0;
        error = getaddrinfo(NULL, port, &hints, &found);
        if (error == 0)
                freeaddrinfo(found);
        /* Without memory to open services(5) it returns EAI_SERVICE. */
        return error && errno == ENOMEM ? -ENOMEM : error == 0;
}

/* An unknown name of a port is an error in a check; at run time a warning, as /etc/services may be
 * mended. Returns 0, -EINVAL with the fault, or -ENOMEM. */
static int check_port(struct config_reading *reading, const char *port)
{
        int known = is_known_port(port);

        if (known)
                return known < 0 ? known : 0;
        if (reading->strict)
                return config_wrong(reading,
                                    "there is no TCP port of the name %s in services(5), expected "
                                    "its number, or a name that stands there",
                                    config_quote(port).text);
        config_doubt(reading,
                     "there is no TCP port of the name %s in services(5): it is looked up again at "
                     "each attempt",
                     config_quote(port).text);
        return 0;
}

static void free_address(struct config_address *address)
{
        free(address->text);
        free(address->host);
        free(address->port);
}

/* Appends an address of copies. Returns 0 or -ENOMEM. */
static int append_address(struct config *config, const char *text, const char *host,
                          const char *port)
{
        struct config_address address = {strdup(text), strdup(host), strdup(port)}, *addresses;

        addresses = room_for_one(config->addresses, config->n_addresses, sizeof(*addresses));
        if (addresses)
                config->addresses = addresses;
        if (!addresses || !address.text || !address.host || !address.port) {
                free_address(&address);
                return -ENOMEM;
        }
        config->addresses[config->n_addresses++] = address;
        return 0;
}

static int add_address(struct config_reading *reading, const char *text)
{
        const char *host = NULL, *port = NULL, *wrong;
        char *parts = strdup(text);
        int result;

        if (!parts)
                return -ENOMEM;
        wrong = split_address(parts, &host, &port);
        if (!wrong && !is_port(port))
                wrong = "the port is neither 1 to 65535 nor the name of a service";
        if (wrong)
                result = config_wrong(reading,
                                      "%s is no address: %s, expected HOST:PORT or [IPV6]:PORT",
                                      config_quote(text).text, wrong);
        else
                result = check_host(reading, host);
        if (result == 0)
                result = check_port(reading, port);
        if (result == 0)
                result = append_address(reading->config, text, host, port);
        free(parts);
        return result;
}

static int read_addresses(struct config_reading *reading, const char *text)
{
        return config_read_words(reading, text, add_address);
}

static size_t count_addresses(const struct config_row *row, const struct config *config)
{
        (void)row;
        return config->n_addresses;
}

static char *show_address(const struct config_row *row, const struct config *config, size_t i)
{
        (void)row;
        return strdup(config->addresses[i].text);
}

static void clear_addresses(const struct config_row *row, struct config *config)
{
        (void)row;
        for (size_t i = 0; i < config->n_addresses; i++)
                free_address(&config->addresses[i]);
        free(config->addresses);
        config->addresses = NULL;
        config->n_addresses = 0;
}

const struct config_type config_type_address = {
        .read = read_addresses,
        .count = count_addresses,
        .show = show_address,
        .clear = clear_addresses,
};

static int replace_text(struct config_reading *reading, const char *text)
{
        char **place = config_place(reading->row, reading->config), *copy = strdup(text);

        if (!copy)
                return -ENOMEM;
        free(*place);
        *place = copy;
        return 0;
}

static size_t count_text(const struct config_row *row, const struct config *config)
{
        return *(char *const *)config_place(row, config) ? 1 : 0;
}

static char *show_text(const struct config_row *row, const struct config *config, size_t i)
{
        (void)i;
        return strdup(*(char *const *)config_place(row, config));
}

static void clear_text(const struct config_row *row, struct config *config)
{
        char **place = config_place(row, config);

        free(*place);
        *place = NULL;
}

static int read_source(struct config_reading *reading, const char *text)
{
        if (address_writing(text) == ADDRESS_PADDED)
                return padded(reading, text);
        if (address_family(text) == AF_UNSPEC)
                return config_wrong(reading,
                                    "%s is no IP address, expected one of this machine, "
                                    "without a port",
                                    config_quote(text).text);
        return replace_text(reading, text);
}

const struct config_type config_type_source = {
        .read = read_source,
        .count = count_text,
        .show = show_text,
        .clear = clear_text,
};

static int read_socket(struct config_reading *reading, const char *text)
{
        const size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path);
        size_t size = strlen(text);

        if (*text != '/' || text[size - 1] == '/')
                return config_wrong(reading, "%s is no path of a socket, expected an absolute one",
                                    config_quote(text).text);
        if (size >= room)
                return config_wrong(reading,
                                    "%s has %zu bytes, expected at most %zu (the kernel's "
                                    "limit for a socket's path)",
                                    config_quote(text).text, size, room - 1);
        return replace_text(reading, text);
}

const struct config_type config_type_socket = {
        .read = read_socket,
        .count = count_text,
        .show = show_text,
        .clear = clear_text,
};
