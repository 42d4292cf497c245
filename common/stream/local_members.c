/* SPDX-License-Identifier: Apache-2.0 */
#include "common/stream/local_members.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum {
    SLOTS = 256,
    GATE = 0,
    FIRST_SLOT = 1,
    GATE_TRIES = 100, /* of 50 ms */
    GATE_PAUSE_MS = 50
};

/* The file, byte for byte; all zero when new. */
struct page {
    _Atomic uint32_t sequence; /* raised by every commit */
    _Atomic uint32_t waiting;  /* how many wait (a killed one stays counted: a wake too many) */
    _Atomic int32_t pids[SLOTS];
};

struct local_members {
    int file;
    struct page *page;
};

/* Sets a lock of `type` on one byte; false: someone else's is in the way. */
static bool set_lock(int file, int byte, short type)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(file, F_OFD_SETLK, &lock) == 0;
}

static bool locked_by_another(int file, int byte)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};

    return fcntl(file, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

/* "pid 17, 23": everyone else who is in a slot. Returns out. */
static const char *name_others(const struct local_members *members, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (int i = 0; i < SLOTS && used < size; i++) {
        if (locked_by_another(members->file, FIRST_SLOT + i)) {
            int written = snprintf(out + used, size - used, "%s%d", used == 0 ? "pid " : ", ",
                                   (int)atomic_load(&members->page->pids[i]));

            used += written > 0 ? (size_t)written : 0;
        }
    }
    return used == 0 ? "another process" : out;
}

static int map_page(struct local_members *members, const char *folder, struct ear_error *err)
{
    char path[PATH_MAX];
    void *page;

    snprintf(path, sizeof path, "%s/members", folder);
    members->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (members->file < 0) {
        return ear_fail(err, EAR_CONFIG,
                        "cannot open %s: %s; whoever reads or writes the log must be able to write "
                        "in its folder",
                        path, strerrordesc_np(errno));
    }
    if (ftruncate(members->file, sizeof(struct page)) != 0) {
        return ear_fail(err, errno == ENOSPC ? EAR_RETRY : EAR_FATAL, "cannot write %s: %s", path,
                        strerrordesc_np(errno));
    }
    page = mmap(NULL, sizeof(struct page), PROT_READ | PROT_WRITE, MAP_SHARED, members->file, 0);
    if (page == MAP_FAILED) {
        return ear_fail(err, EAR_FATAL, "cannot map %s: %s", path, strerrordesc_np(errno));
    }
    members->page = page;
    return 0;
}

static int pass_gate(struct local_members *members, const char *folder, struct ear_error *err)
{
    const struct timespec pause = {.tv_nsec = GATE_PAUSE_MS * 1000000L};
    char others[256];

    for (int i = 0; i < GATE_TRIES; i++) {
        if (set_lock(members->file, GATE, F_RDLCK)) {
            return 0;
        }
        nanosleep(&pause, NULL);
    }
    return ear_fail(err, EAR_RETRY, "the log %s is being compacted by %s; try again in a moment",
                    folder, name_others(members, others, sizeof others));
}

static int take_slot(struct local_members *members, const char *folder, struct ear_error *err)
{
    _Atomic int32_t *pids = members->page->pids;

    for (int i = 0; i < SLOTS; i++) {
        if (atomic_load(&pids[i]) == getpid() && locked_by_another(members->file, FIRST_SLOT + i)) {
            return ear_fail(err, EAR_FATAL,
                            "the log %s is open in this process already (a bug of ours): a process "
                            "shares one struct stream",
                            folder);
        }
    }
    for (int i = 0; i < SLOTS; i++) {
        if (set_lock(members->file, FIRST_SLOT + i, F_WRLCK)) {
            atomic_store(&pids[i], getpid());
            return 0;
        }
    }
    return ear_fail(err, EAR_RETRY, "the log %s is open in %d processes, which is as many as may",
                    folder, SLOTS);
}

int local_members_join(struct local_members **out, const char *folder, struct ear_error *err)
{
    struct local_members *members = calloc(1, sizeof *members);

    if (members == NULL) {
        return ear_fail_memory(err, "the members of the log");
    }
    members->file = -1;
    if (map_page(members, folder, err) != 0 || pass_gate(members, folder, err) != 0 ||
        take_slot(members, folder, err) != 0) {
        local_members_leave(members);
        return -1;
    }
    *out = members;
    return 0;
}

void local_members_leave(struct local_members *members)
{
    if (members == NULL) {
        return;
    }
    if (members->page != NULL) {
        munmap(members->page, sizeof *members->page);
    }
    if (members->file >= 0) {
        close(members->file);
    }
    free(members);
}

int local_members_exclude(struct local_members *members, struct ear_error *err)
{
    char others[256];

    if (!set_lock(members->file, GATE, F_WRLCK)) {
        return ear_fail(err, EAR_RETRY,
                        "the log is open in %s; stop it, then run earshot compact again",
                        name_others(members, others, sizeof others));
    }
    return 0;
}

void local_members_readmit(struct local_members *members)
{
    (void)set_lock(members->file, GATE, F_RDLCK);
}

uint32_t local_members_sequence(const struct local_members *members)
{
    return atomic_load(&members->page->sequence);
}

int local_members_wait(struct local_members *members, uint32_t seen, int64_t timeout_us)
{
    const struct timespec timeout = {.tv_sec = timeout_us / 1000000,
                                     .tv_nsec = timeout_us % 1000000 * 1000};
    long result;
    int reason;

    atomic_fetch_add(&members->page->waiting, 1);
    result = syscall(SYS_futex, &members->page->sequence, FUTEX_WAIT, seen, &timeout, NULL, 0);
    reason = errno;
    atomic_fetch_sub(&members->page->waiting, 1);
    return result != 0 && reason == EINTR ? -1 : 0;
}

void local_members_wake(struct local_members *members)
{
    atomic_fetch_add(&members->page->sequence, 1);
    if (atomic_load(&members->page->waiting) != 0) {
        syscall(SYS_futex, &members->page->sequence, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    }
}
