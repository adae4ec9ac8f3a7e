/* Between a process and the kernel: what it does to files below one folder is noted, in order, and
 * can be made to fail.  LD_PRELOAD loads it.
 *
 * FAULTS_UNDER: the folder.  FAULTS_LOG: the file that is written; without it, nothing is noted.
 * faults_fail(skip, times, error, what): of the calls of these sorts, after `skip` more, so many
 * fail with this errno; faults_calls(what): how many there were since the last faults_fail.
 *
 * Files whose names end in "-shm" are passed over: SQLite makes them anew after a crash.
 * One thread at a time.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, MAKE, WRITE, TRUNCATE, SYNC, UNLINK, RENAME, CLOSE, SORTS };

struct record {
    uint32_t sort;
    int32_t file;
    int64_t offset;
    uint64_t length;
};

#define FILES 4096
static char watched[FILES];
static const char *under;
static size_t under_length;
static int log_file = -1;
static long skip = -1, times, calls[SORTS];
static int failing_error;
static unsigned failing_sorts;

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void start(void) {
    static int started;
    if (started) return;
    started = 1;
    under = getenv("FAULTS_UNDER");
    under_length = under ? strlen(under) : 0;
    const char *path = getenv("FAULTS_LOG");
    if (path) {
        int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, "open64");
        log_file = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (log_file < 0) abort();
    }
}

static int is_below(const char *path) {
    start();
    if (!under || strncmp(path, under, under_length)) return 0;
    if (path[under_length] && path[under_length] != '/') return 0;
    size_t length = strlen(path);
    return length < 4 || strcmp(path + length - 4, "-shm");
}

static int is_watched(int file) { return file >= 0 && file < FILES && watched[file]; }

static void note(int sort, int file, int64_t offset, const void *data, size_t length) {
    if (log_file < 0) return;
    struct record head = {sort, file, offset, length};
    struct iovec parts[2] = {{&head, sizeof head}, {(void *)data, length}};
    if (writev(log_file, parts, data ? 2 : 1) != (ssize_t)(sizeof head + (data ? length : 0)))
        abort();
}

/* Whether this call is to fail. */
static int fails(int sort) {
    if (!(failing_sorts >> sort & 1)) { calls[sort]++; return 0; }
    calls[sort]++;
    if (skip < 0) return 0;
    if (skip > 0) { skip--; return 0; }
    if (times == 0) return 0;
    times--;
    errno = failing_error;
    return 1;
}

void faults_fail(long after, long number, int error, unsigned sorts) {
    skip = after;
    times = number;
    failing_error = error;
    failing_sorts = sorts;
    memset(calls, 0, sizeof calls);
}

long faults_calls(unsigned sorts) {
    long found = 0;
    for (int sort = 0; sort < SORTS; sort++)
        if (sorts >> sort & 1) found += calls[sort];
    return found;
}

static int opened(int file, const char *path, int flags, int existed) {
    if (file >= 0 && file < FILES) {
        watched[file] = 1;
        note(existed ? OPEN : MAKE, file, 0, path, strlen(path));
        if (existed && (flags & O_TRUNC)) note(TRUNCATE, file, 0, NULL, 0);
    }
    return file;
}

#define OPENER(name) \
    int name(const char *path, int flags, ...) { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = va_arg(more, mode_t); \
        va_end(more); \
        if (!is_below(path)) return real(path, flags, mode); \
        int existed = access(path, F_OK) == 0; \
        if (fails(existed ? OPEN : MAKE)) return -1; \
        return opened(real(path, flags, mode), path, flags, existed); \
    }
OPENER(open)
OPENER(open64)

ssize_t write(int file, const void *data, size_t length) {
    REAL(write);
    if (!is_watched(file)) return real(file, data, length);
    if (fails(WRITE)) return -1;
    /* -1: where the last write ended, or at the end where it appends. */
    off_t at = fcntl(file, F_GETFL) & O_APPEND ? lseek(file, 0, SEEK_END) : lseek(file, 0, SEEK_CUR);
    ssize_t done = real(file, data, length);
    if (done > 0) note(WRITE, file, at, data, done);
    return done;
}

#define WRITER(name, offset_type) \
    ssize_t name(int file, const void *data, size_t length, offset_type at) { \
        REAL(name); \
        if (!is_watched(file)) return real(file, data, length, at); \
        if (fails(WRITE)) return -1; \
        ssize_t done = real(file, data, length, at); \
        if (done > 0) note(WRITE, file, at, data, done); \
        return done; \
    }
WRITER(pwrite, off_t)
WRITER(pwrite64, off64_t)

#define TRUNCATER(name, offset_type) \
    int name(int file, offset_type length) { \
        REAL(name); \
        if (!is_watched(file)) return real(file, length); \
        if (fails(TRUNCATE)) return -1; \
        int failed = real(file, length); \
        if (!failed) note(TRUNCATE, file, length, NULL, 0); \
        return failed; \
    }
TRUNCATER(ftruncate, off_t)
TRUNCATER(ftruncate64, off64_t)

#define SYNCER(name) \
    int name(int file) { \
        REAL(name); \
        if (!is_watched(file)) return real(file); \
        if (fails(SYNC)) return -1; \
        /* It is not waited for: nothing here ends the machine. */ \
        note(SYNC, file, 0, NULL, 0); \
        return 0; \
    }
SYNCER(fsync)
SYNCER(fdatasync)

int unlink(const char *path) {
    REAL(unlink);
    if (!is_below(path)) return real(path);
    if (fails(UNLINK)) return -1;
    int failed = real(path);
    if (!failed) note(UNLINK, -1, 0, path, strlen(path));
    return failed;
}

int rename(const char *old, const char *new) {
    REAL(rename);
    if (!is_below(old) || !is_below(new)) return real(old, new);
    if (fails(RENAME)) return -1;
    int failed = real(old, new);
    if (!failed) {
        /* Both names, and between them a 0. */
        size_t first = strlen(old) + 1, second = strlen(new);
        char *names = malloc(first + second);
        if (!names) abort();
        memcpy(names, old, first);
        memcpy(names + first, new, second);
        note(RENAME, -1, 0, names, first + second);
        free(names);
    }
    return failed;
}

int close(int file) {
    REAL(close);
    if (is_watched(file)) {
        watched[file] = 0;
        note(CLOSE, file, 0, NULL, 0);
    }
    return real(file);
}
