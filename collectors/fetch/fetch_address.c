/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which addresses a stranger's URL may lead to. The check is made on the address that is about to
 * be connected to, so neither a name that resolves inwards nor one that changes its answer passes.
 *
 * IPv4 is judged by a list of what is not public (IANA's special-purpose registry, RFC 6890). IPv6
 * the other way round: only global unicast is public, less what is carved out of it. Addresses that
 * carry an IPv4 address inside (mapped, NAT64) are judged by that one.
 */

#include "collectors/fetch/fetch_internal.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

struct special {
    const char *range, *what;
};

static const struct special special_v4[] = {
    {"0.0.0.0/8", "this network"},
    {"10.0.0.0/8", "private"},
    {"100.64.0.0/10", "shared (carrier-grade NAT)"},
    {"127.0.0.0/8", "loopback"},
    {"168.63.129.16/32", "cloud metadata"},
    {"169.254.0.0/16", "link-local (cloud metadata)"},
    {"172.16.0.0/12", "private"},
    {"192.0.0.0/24", "special-purpose"},
    {"192.0.2.0/24", "documentation"},
    {"192.88.99.0/24", "6to4 relay"},
    {"192.168.0.0/16", "private"},
    {"198.18.0.0/15", "benchmarking"},
    {"198.51.100.0/24", "documentation"},
    {"203.0.113.0/24", "documentation"},
    {"224.0.0.0/4", "multicast"},
    {"240.0.0.0/4", "reserved"},
    {NULL, NULL},
};

static const struct special special_v6[] = {
    {"::1/128", "loopback"},
    {"fc00::/7", "private (unique local)"},
    {"fe80::/10", "link-local"},
    {"ff00::/8", "multicast"},
    {"2001::/23", "special-purpose"},
    {"2001:db8::/32", "documentation"},
    {"2002::/16", "6to4"},
    {"3fff::/20", "documentation"},
    {NULL, NULL},
};

static const unsigned char mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
static const unsigned char nat64_prefix[12] = {0, 0x64, 0xff, 0x9b};

bool fetch_range_parse(struct fetch_range *out, const char *text)
{
    char address[INET6_ADDRSTRLEN];
    const char *slash = strchr(text, '/');
    const size_t length = slash == NULL ? strlen(text) : (size_t)(slash - text);
    struct fetch_range range = {.bits = 128};
    bool is_v4 = false;

    if (length >= sizeof(address)) {
        return false;
    }
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(AF_INET, address, range.bytes + 12) == 1) {
        memcpy(range.bytes, mapped_prefix, sizeof(mapped_prefix));
        is_v4 = true;
    } else if (inet_pton(AF_INET6, address, range.bytes) != 1) {
        return false;
    }
    if (slash != NULL) {
        char *end = NULL;
        const long bits = strtol(slash + 1, &end, 10);

        if (slash[1] < '0' || slash[1] > '9' || *end != '\0' || bits > (is_v4 ? 32 : 128)) {
            return false;
        }
        range.bits = (int)bits + (is_v4 ? 96 : 0);
    }
    *out = range;
    return true;
}

static bool within(const struct fetch_range *range, const unsigned char bytes[16])
{
    const size_t whole = (size_t)range->bits / 8;
    const int rest = range->bits % 8;

    if (memcmp(range->bytes, bytes, whole) != 0) {
        return false;
    }
    return rest == 0 || (range->bytes[whole] >> (8 - rest)) == (bytes[whole] >> (8 - rest));
}

bool fetch_range_opened(const struct fetch_range *range, const struct fetch_range allow[],
                        size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (allow[i].bits <= range->bits && within(&allow[i], range->bytes)) {
            return true;
        }
    }
    return false;
}

static const char *special_kind(const struct special list[], const unsigned char bytes[16])
{
    for (size_t i = 0; list[i].range != NULL; i++) {
        struct fetch_range range;

        if (fetch_range_parse(&range, list[i].range) && within(&range, bytes)) {
            return list[i].what;
        }
    }
    return NULL;
}

/* The address as 16 bytes, IPv4 mapped, NAT64 taken off. False: neither IPv4 nor IPv6. */
static bool normalise(unsigned char out[16], const struct sockaddr *address)
{
    memcpy(out, mapped_prefix, sizeof(mapped_prefix));
    if (address->sa_family == AF_INET) {
        struct sockaddr_in v4;

        memcpy(&v4, address, sizeof(v4));
        memcpy(out + 12, &v4.sin_addr, 4);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 v6;

        memcpy(&v6, address, sizeof(v6));
        if (memcmp(&v6.sin6_addr, nat64_prefix, sizeof(nat64_prefix)) == 0) {
            memcpy(out + 12, (const unsigned char *)&v6.sin6_addr + 12, 4);
        } else {
            memcpy(out, &v6.sin6_addr, 16);
        }
        return true;
    }
    return false;
}

enum fetch_verdict fetch_judge_address(const struct sockaddr *address,
                                       const struct fetch_range allow[], size_t count,
                                       const char **what)
{
    struct fetch_range range = {.bits = 128};
    unsigned char bytes[16];

    *what = "of an unknown family";
    if (!normalise(bytes, address)) {
        return FETCH_FORBIDDEN;
    }
    if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0) {
        *what = special_kind(special_v4, bytes);
    } else {
        *what = special_kind(special_v6, bytes);
        if (*what == NULL && (bytes[0] & 0xe0) != 0x20) {
            *what = "not public";
        }
    }
    memcpy(range.bytes, bytes, sizeof(bytes));
    if (fetch_range_opened(&range, allow, count)) {
        return FETCH_OPENED;
    }
    return *what == NULL ? FETCH_PUBLIC : FETCH_FORBIDDEN;
}

const char *fetch_address_text(char out[INET6_ADDRSTRLEN], const struct sockaddr *address)
{
    const void *bytes = NULL;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        bytes = &v4.sin_addr;
    } else {
        memcpy(&v6, address, sizeof(v6));
        bytes = &v6.sin6_addr;
    }
    if (inet_ntop(address->sa_family, bytes, out, INET6_ADDRSTRLEN) == NULL) {
        memcpy(out, "?", 2);
    }
    return out;
}
