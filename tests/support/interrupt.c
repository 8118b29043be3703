/* Preloaded by a test: the system interrupts and shortens calls, as it may at any time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static int calls;

/* Every third call is interrupted, every third takes or gives half. */
static int turn(void) { return __sync_fetch_and_add(&calls, 1) % 3; }

#define INTERRUPTED(type, name, params, args)                                  \
    type name params {                                                         \
        static type(*real) params;                                             \
        if (!real) real = (type(*) params)dlsym(RTLD_NEXT, #name);             \
        if (turn() == 0) {                                                     \
            errno = EINTR;                                                     \
            return -1;                                                         \
        }                                                                      \
        return real args;                                                      \
    }

#define SHORTENED(name, params, args)                                          \
    ssize_t name params {                                                      \
        static ssize_t(*real) params;                                          \
        if (!real) real = (ssize_t(*) params)dlsym(RTLD_NEXT, #name);          \
        switch (turn()) {                                                      \
        case 0: errno = EINTR; return -1;                                      \
        case 1: if (count > 1) count /= 2;                                     \
        }                                                                      \
        return real args;                                                      \
    }

SHORTENED(write, (int fd, const void *bytes, size_t count), (fd, bytes, count))
SHORTENED(read, (int fd, void *bytes, size_t count), (fd, bytes, count))
SHORTENED(pwrite64, (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
SHORTENED(pread64, (int fd, void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
INTERRUPTED(int, fsync, (int fd), (fd))
INTERRUPTED(int, fdatasync, (int fd), (fd))
INTERRUPTED(int, ftruncate64, (int fd, off64_t length), (fd, length))

int open64(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    va_list more;
    va_start(more, flags);
    mode_t mode = va_arg(more, mode_t);
    va_end(more);
    if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    if (turn() == 0) {
        errno = EINTR;
        return -1;
    }
    return real(path, flags, mode);
}

__attribute__((destructor)) static void told(void) {
    const char *path = getenv("INTERRUPTED");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%d\n", calls / 3);
        fclose(file);
    }
}
