/* SPDX-License-Identifier: Apache-2.0 */

/* The table of groups: who stands where, and how a group is forgotten. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/stream/local_internal.h"

enum { PLACES_MAX = 64 * 1024 }; /* positions that a walk takes with it */

/* A row, copied: the walk calls out with no transaction open. */
struct place {
    char group[LOCAL_NAME_MAX];
    char topic[LOCAL_NAME_MAX];
    int partition;
    int64_t position;
};

bool local_group_key(const MDB_val *key, const char **group, const char **topic, int *partition)
{
    const char *bytes = key->mv_data;
    const char *end = memchr(bytes, '\0', key->mv_size);

    if (end == NULL || (size_t)(end - bytes) + 3 > key->mv_size ||
        bytes[key->mv_size - 2] != '\0') {
        return false;
    }
    *group = bytes;
    *topic = end + 1;
    *partition = (unsigned char)bytes[key->mv_size - 1];
    return strlen(*group) < LOCAL_NAME_MAX && strlen(*topic) < LOCAL_NAME_MAX;
}

static int add_place(struct place **places, size_t *count, const MDB_val *key, const MDB_val *data)
{
    const char *group;
    const char *topic;
    struct place *place;

    if (*count % 64 == 0) {
        struct place *grown = realloc(*places, (*count + 64) * sizeof *grown);

        if (grown == NULL) {
            return ENOMEM;
        }
        *places = grown;
    }
    place = &(*places)[*count];
    if (data->mv_size != sizeof place->position ||
        !local_group_key(key, &group, &topic, &place->partition)) {
        return MDB_CORRUPTED;
    }
    memcpy(place->group, group, strlen(group) + 1);
    memcpy(place->topic, topic, strlen(topic) + 1);
    memcpy(&place->position, data->mv_data, sizeof place->position);
    (*count)++;
    return 0;
}

static int copy_places(const struct local *local, MDB_txn *txn, struct place **places,
                       size_t *count)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    int code = mdb_cursor_open(txn, local->groups, &cursor);

    if (code != 0) {
        return code;
    }
    while (*count < PLACES_MAX && (code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
        code = add_place(places, count, &key, &data);
        if (code != 0) {
            break;
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int local_each_group(struct stream *stream,
                     bool (*visit)(void *user, const char *group, const char *topic, int partition,
                                   int64_t position),
                     void *user, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    struct place *places = NULL;
    size_t count = 0;
    MDB_txn *txn;
    int code;

    if (local_enter(local, MDB_RDONLY, &txn, err) != 0) {
        return -1;
    }
    code = copy_places(local, txn, &places, &count);
    local_leave(local, txn);
    for (size_t i = 0; code == 0 && i < count; i++) {
        if (!visit(user, places[i].group, places[i].topic, places[i].partition,
                   places[i].position)) {
            break;
        }
    }
    free(places);
    return code == 0 ? 0 : local_fail(local, code, "read its groups", err);
}

static int remove_group(const struct local *local, MDB_txn *txn, const char *name, int *found)
{
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val data;
    int code = mdb_cursor_open(txn, local->groups, &cursor);

    if (code != 0) {
        return code;
    }
    while ((code = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) == 0) {
        const char *group;
        const char *topic;
        int partition;

        if (local_group_key(&key, &group, &topic, &partition) && strcmp(group, name) == 0) {
            *found = 1;
            code = mdb_cursor_del(cursor, 0);
            if (code != 0) {
                break;
            }
        }
    }
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? 0 : code;
}

int local_forget_group(struct stream *stream, const char *group, struct ear_error *err)
{
    struct local *local = (struct local *)stream;
    MDB_txn *txn;
    int found = 0;
    int code;

    if (local->read_only) {
        return ear_fail(err, EAR_FATAL, "the log %s is open for reading only", local->folder);
    }
    if (local_enter(local, 0, &txn, err) != 0) {
        return -1;
    }
    code = remove_group(local, txn, group, &found);
    if (code != 0) {
        local_leave(local, txn);
        return local_fail(local, code, "forget a group", err);
    }
    return local_commit(local, txn, "forget a group", err) == 0 ? found : -1;
}
