/* SPDX-License-Identifier: MIT */
#pragma once
/*
 * Numeric addresses of a host and port, IPv4 addresses as people write them, and a book that
 * remembers the addresses of names.
 */
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct address {
        socklen_t size;
        union {
                struct sockaddr any;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
        } to;
};

/* A list of addresses in the order in which to try them; all zeros: empty. */
struct address_list {
        struct address *items; /* owned */
        size_t n;
};

/* Appends an address; one that is neither IPv4 nor IPv6 is left out. Returns 0 or -ENOMEM. */
int address_list_add(struct address_list *addresses, const struct sockaddr *to, socklen_t size);

/* Appends the addresses that getaddrinfo() found. Returns 0 or -ENOMEM. */
int address_list_add_found(struct address_list *addresses, const struct addrinfo *found);

/* Appends the address of a numeric host and port. Returns 0, -EINVAL for a host or port that is a
 * name, or -ENOMEM. */
int address_list_add_numeric(struct address_list *addresses, const char *host, const char *port);

/* Appends the addresses of another list. Returns 0 or -ENOMEM. */
int address_list_add_all(struct address_list *addresses, const struct address_list *from);

/* Removes the addresses of other families. AF_UNSPEC: removes none. */
void address_list_keep_family(struct address_list *addresses, int family);

/* Frees and empties the list. */
void address_list_done(struct address_list *addresses);

/* Returns the family of an IP address without a port, AF_UNSPEC for anything else. */
int address_family(const char *text);

/* True for a link-local IPv6 address that names no network interface: it leads nowhere. */
bool address_lacks_interface(const struct address *address);

/* A host in an address, by its writing. */
enum address_writing {
        ADDRESS_NAME,   /* a name, or an IPv6 address */
        ADDRESS_PLAIN,  /* an IPv4 address: four decimal numbers */
        ADDRESS_SHORT,  /* an IPv4 address with fewer or hexadecimal numbers: 127.1 */
        ADDRESS_PADDED, /* with a leading zero, which means octal to the C library: 010.0.0.1 */
        ADDRESS_BROKEN, /* numbers and dots that are no IPv4 address: 192.0.2.256, 192.0.2.1. */
};

enum address_writing address_writing(const char *host);

/* The addresses of names. All zeros: empty. */
struct address_book {
        struct address_entry *entries; /* owned */
        size_t n;
};

enum { ADDRESS_BOOK_MAX = 64 }; /* names in a book; beyond, a new name replaces the oldest */

/* Enters the addresses of a name, in place of an earlier entry of the same host and port. Takes
 * over and empties addresses. now: the time of the entry. Without memory the book has no entry of
 * the name. */
void address_book_put(struct address_book *book, const char *host, const char *port,
                      struct address_list *addresses, uint64_t now);

/* The addresses of an entry that was made at `since` or later; borrowed until the book changes.
 * NULL: there is none. */
const struct address_list *address_book_find(const struct address_book *book, const char *host,
                                             const char *port, uint64_t since);

/* Removes the entry of a name, if any. */
void address_book_remove(struct address_book *book, const char *host, const char *port);

/* Frees and empties the book. */
void address_book_done(struct address_book *book);
