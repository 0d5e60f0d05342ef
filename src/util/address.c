/* SPDX-License-Identifier: MIT */
#include "util/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int address_list_add(struct address_list *addresses, const struct sockaddr *to, socklen_t size)
{
        size_t n = addresses->n;
        struct address *items = addresses->items;

        if ((to->sa_family != AF_INET && to->sa_family != AF_INET6) || size > sizeof(items->to))
                return 0;
        if ((n & (n - 1)) == 0) /* a name may have 20,000: the room doubles, at powers of two */
                items = reallocarray(addresses->items, n ? 2 * n : 1, sizeof(*items));
        if (!items)
                return -ENOMEM;
        addresses->items = items;
        items[addresses->n] = (struct address){.size = size};
        memcpy(&items[addresses->n++].to, to, size);
        return 0;
}

int address_list_add_found(struct address_list *addresses, const struct addrinfo *found)
{
        int result = 0;

        for (; found && result == 0; found = found->ai_next)
                result = address_list_add(addresses, found->ai_addr, found->ai_addrlen);
        return result;
}

int address_list_add_numeric(struct address_list *addresses, const char *host, const char *port)
{
        const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                       .ai_socktype = SOCK_STREAM,
                                       .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
        struct addrinfo *found = NULL;
        int result;

        if (getaddrinfo(host, port, &hints, &found) != 0)
                return -EINVAL;
        result = address_list_add_found(addresses, found);
        freeaddrinfo(found);
        return result;
}

int address_list_add_all(struct address_list *addresses, const struct address_list *from)
{
        int result = 0;

        for (size_t i = 0; i < from->n && result == 0; i++)
                result = address_list_add(addresses, &from->items[i].to.any, from->items[i].size);
        return result;
}

void address_list_keep_family(struct address_list *addresses, int family)
{
        size_t kept = 0;

        for (size_t i = 0; i < addresses->n; i++)
                if (family == AF_UNSPEC || addresses->items[i].to.any.sa_family == family)
                        addresses->items[kept++] = addresses->items[i];
        addresses->n = kept;
}

void address_list_done(struct address_list *addresses)
{
        free(addresses->items);
        *addresses = (struct address_list){0};
}

/* ---- as people write them ---- */

int address_family(const char *text)
{
        unsigned char address[sizeof(struct in6_addr)];
        char host[INET6_ADDRSTRLEN];
        size_t size = strcspn(text, "%");

        if (inet_pton(AF_INET, text, address) == 1)
                return AF_INET;
        if (size >= sizeof(host) || (text[size] == '%' && !text[size + 1]))
                return AF_UNSPEC;
        memcpy(host, text, size);
        host[size] = '\0';
        return inet_pton(AF_INET6, host, address) == 1 ? AF_INET6 : AF_UNSPEC;
}

bool address_lacks_interface(const struct address *address)
{
        const struct sockaddr_in6 *to = &address->to.v6;

        return to->sin6_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&to->sin6_addr) &&
               !to->sin6_scope_id;
}

/* The size of the number at the beginning of text: decimal, or hexadecimal behind 0x. Sets *padded
 * if it is decimal with a leading zero. */
static size_t number_size(const char *text, bool *padded)
{
        size_t digits = strspn(text, "0123456789");

        if (digits == 1 && *text == '0' && tolower((unsigned char)text[1]) == 'x')
                return 2 + strspn(text + 2, "0123456789abcdefABCDEF");
        *padded = *padded || (digits > 1 && *text == '0');
        return digits;
}

/* True for numbers and dots that begin with a number; *padded as number_size() sets it. */
static bool is_numbers(const char *host, bool *padded)
{
        size_t size = number_size(host, padded);

        while (size && host[size] == '.') {
                host += size;
                host += strspn(host, ".");
                size = number_size(host, padded);
                if (!*host)
                        return true;
        }
        return size && !host[size];
}

enum address_writing address_writing(const char *host)
{
        struct in_addr address;
        bool padded = false;

        if (inet_pton(AF_INET, host, &address) == 1)
                return ADDRESS_PLAIN;
        if (!is_numbers(host, &padded))
                return ADDRESS_NAME;
        if (padded)
                return ADDRESS_PADDED;
        return inet_aton(host, &address) ? ADDRESS_SHORT : ADDRESS_BROKEN;
}

/* ---- the book ---- */

struct address_entry {
        char *host, *port; /* owned */
        struct address_list addresses;
        uint64_t at;
};

static struct address_entry *find(const struct address_book *book, const char *host,
                                  const char *port)
{
        for (size_t i = 0; i < book->n; i++)
                if (strcmp(book->entries[i].host, host) == 0 &&
                    strcmp(book->entries[i].port, port) == 0)
                        return &book->entries[i];
        return NULL;
}

static void remove_entry(struct address_book *book, struct address_entry *entry)
{
        free(entry->host);
        free(entry->port);
        address_list_done(&entry->addresses);
        *entry = book->entries[--book->n];
}

static void remove_oldest(struct address_book *book)
{
        struct address_entry *oldest = book->entries;

        for (size_t i = 1; i < book->n; i++)
                if (book->entries[i].at < oldest->at)
                        oldest = &book->entries[i];
        remove_entry(book, oldest);
}

void address_book_put(struct address_book *book, const char *host, const char *port,
                      struct address_list *addresses, uint64_t now)
{
        struct address_entry entry = {strdup(host), strdup(port), *addresses, now};

        address_book_remove(book, host, port);
        if (book->n == ADDRESS_BOOK_MAX)
                remove_oldest(book);
        if (!book->entries)
                book->entries = calloc(ADDRESS_BOOK_MAX, sizeof(*book->entries));
        if (book->entries && entry.host && entry.port) {
                book->entries[book->n++] = entry;
        } else {
                free(entry.host);
                free(entry.port);
                address_list_done(addresses);
        }
        *addresses = (struct address_list){0};
}

const struct address_list *address_book_find(const struct address_book *book, const char *host,
                                             const char *port, uint64_t since)
{
        const struct address_entry *entry = find(book, host, port);

        return entry && entry->at >= since ? &entry->addresses : NULL;
}

void address_book_remove(struct address_book *book, const char *host, const char *port)
{
        struct address_entry *entry = find(book, host, port);

        if (entry)
                remove_entry(book, entry);
}

void address_book_done(struct address_book *book)
{
        while (book->n)
                remove_entry(book, book->entries);
        free(book->entries);
        *book = (struct address_book){0};
}
