/* Faults on order: the n-th allocation, or the n-th call of the system that reads or writes, fails,
 * or the caller who is asked whether to go on says no. The C library's calls are replaced. */
#ifndef OCTET_TESTS_FAULTS_H
#define OCTET_TESTS_FAULTS_H

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "octet/octet.h"

/* ---- allocations ---- */

static long countdown = -1; /* allocations until one fails; below 0: none does */
static bool one_failed;
static long living;

static void *failing_reallocate(void *pointer, size_t size, void *user) {
    (void)user;
    if (countdown == 0) {
        one_failed = true;
        return NULL;
    }
    countdown -= countdown > 0;
    living += pointer == NULL;
    return realloc(pointer, size);
}

static void counting_release(void *pointer, void *user) {
    (void)user;
    living -= pointer != NULL;
    free(pointer);
}

/* ---- calls of the system, in the place of the C library's ---- */

typedef enum Fault {
    NO_FAULT,    /* of calls: an allocation fails, if one is to */
    INTERRUPTED, /* every second call is interrupted, and the others are short */
    FAILS,       /* the call whose turn it is fails: no space to write, no medium to read */
    ENDS,        /* the read whose turn it is finds the end of the file */
    STOPS        /* the caller who is asked whether to go on says no */
} Fault;

static Fault fault;
static long calls_left; /* before the fault */
static bool second;

/* -1 or 0 where the call is to return that; 1: it goes on, with *bytes perhaps fewer. */
static int intrude(int error, bool reads, size_t *bytes) {
    if (fault == INTERRUPTED) {
        second = !second;
        if (second) {
            errno = EINTR;
            return -1;
        }
        *bytes = *bytes > 1 ? 1 + *bytes / 3 : *bytes;
    } else if (fault == FAILS || (fault == ENDS && reads)) {
        if (calls_left-- == 0) {
            errno = error;
            return fault == ENDS ? 0 : -1;
        }
    }
    return 1;
}

static bool stops(void *user) {
    (void)user;
    return fault == STOPS && calls_left-- <= 0;
}
__attribute__((unused)) static const OctetLimits patient = {.canceled = stops};

ssize_t read(int file, void *buffer, size_t bytes) {
    int known = intrude(EIO, true, &bytes);
    return known == 1 ? syscall(SYS_read, file, buffer, bytes) : known;
}

ssize_t pread(int file, void *buffer, size_t bytes, off_t offset) {
    int known = intrude(EIO, true, &bytes);
    return known == 1 ? syscall(SYS_pread64, file, buffer, bytes, offset) : known;
}

ssize_t write(int file, const void *buffer, size_t bytes) {
    int known = intrude(ENOSPC, false, &bytes);
    return known == 1 ? syscall(SYS_write, file, buffer, bytes) : known;
}

int fsync(int file) {
    size_t bytes = 0;
    if (fault == FAILS && intrude(ENOSPC, false, &bytes) != 1) {
        return -1;
    }
    return (int)syscall(SYS_fsync, file);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    size_t bytes = 0;
    if (fault == FAILS && intrude(ENOSPC, false, &bytes) != 1) {
        return -1;
    }
    return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int rename(const char *from, const char *to) {
    size_t bytes = 0;
    if (fault == FAILS && intrude(ENOSPC, false, &bytes) != 1) {
        return -1;
    }
    return (int)syscall(SYS_renameat2, -100 /* AT_FDCWD */, from, -100, to, 0);
}

/* ---- orders ---- */

static void arm(Fault kind, long n) {
    countdown = kind == NO_FAULT ? n : -1;
    one_failed = false;
    fault = kind;
    calls_left = n;
}

/* Whether what was ordered has happened since. */
static bool has_struck(Fault kind) {
    return kind == NO_FAULT ? one_failed : calls_left < 0;
}

#endif
