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
#include "util/need.h"
#include "util/units.h"

enum { CONFIG_HOST_MAX = 255 };

static bool is_ip(int family, const char *text)
{
        unsigned char address[sizeof(struct in6_addr)];
        char host[INET6_ADDRSTRLEN];
        size_t size = family == AF_INET6 ? strcspn(text, "%") : strlen(text);

        if (size >= sizeof(host) || (text[size] == '%' && !text[size + 1]))
                return false;
        memcpy(host, text, size);
        host[size] = '\0';
        return inet_pton(family, host, address) == 1;
}

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
                return is_ip(AF_INET6, *host) ? NULL : "there is no IPv6 address in the brackets";
        }
        if (is_ip(AF_INET6, text))
                return "an IPv6 address stands in brackets, with the port behind them";
        if (!colon)
                return "the port is missing";
        *colon = '\0';
        *host = text;
        *port = colon + 1;
        if (strchr(text, ':'))
                return is_ip(AF_INET6, text) ? "an IPv6 address stands in brackets"
                                             : "it has more than one colon";
        return is_host(text) ? NULL : "the host is missing or is no name";
}

static int add_address(struct config_reading *reading, const char *text)
{
        struct config *config = reading->config;
        const char *host = NULL, *port = NULL, *wrong;
        char *parts = need(strdup(text));

        wrong = split_address(parts, &host, &port);
        if (!wrong && !is_port(port))
                wrong = "the port is neither 1 to 65535 nor the name of a service";
        if (wrong) {
                free(parts);
                return config_wrong(reading,
                                    "%s is no address: %s, expected HOST:PORT or [IPV6]:PORT",
                                    config_quote(text).text, wrong);
        }
        config->addresses =
                need_room(config->addresses, config->n_addresses, sizeof(*config->addresses));
        config->addresses[config->n_addresses++] = (struct config_address){
                .text = need(strdup(text)),
                .host = need(strdup(host)),
                .port = need(strdup(port)),
        };
        free(parts);
        return 0;
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
        return need(strdup(config->addresses[i].text));
}

static void clear_addresses(const struct config_row *row, struct config *config)
{
        (void)row;
        for (size_t i = 0; i < config->n_addresses; i++) {
                free(config->addresses[i].text);
                free(config->addresses[i].host);
                free(config->addresses[i].port);
        }
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

static void replace_text(struct config_reading *reading, const char *text)
{
        char **place = config_place(reading->row, reading->config);

        free(*place);
        *place = need(strdup(text));
}

static size_t count_text(const struct config_row *row, const struct config *config)
{
        return *(char *const *)config_place(row, config) ? 1 : 0;
}

static char *show_text(const struct config_row *row, const struct config *config, size_t i)
{
        (void)i;
        return need(strdup(*(char *const *)config_place(row, config)));
}

static void clear_text(const struct config_row *row, struct config *config)
{
        char **place = config_place(row, config);

        free(*place);
        *place = NULL;
}

static int read_source(struct config_reading *reading, const char *text)
{
        if (!is_ip(AF_INET, text) && !is_ip(AF_INET6, text))
                return config_wrong(reading,
                                    "%s is no IP address, expected one of this machine, "
                                    "without a port",
                                    config_quote(text).text);
        replace_text(reading, text);
        return 0;
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
        replace_text(reading, text);
        return 0;
}

const struct config_type config_type_socket = {
        .read = read_socket,
        .count = count_text,
        .show = show_text,
        .clear = clear_text,
};
