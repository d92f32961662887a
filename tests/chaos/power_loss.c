/* A disk that is slow and forgets: what a server writes to its append-only file is held back until the server syncs it.
 *
 * Preloaded into the server under test. write() to a `*.aof` file is kept in memory; fdatasync() or fsync() waits DISK_DELAY_MS,
 * then writes it out. So kill -9 loses what was not synced, as a power failure would, and a reply that was given before the sync
 * shows as lost data. Only what one thread writes and syncs is modelled: with appendfsync always that is the server's main thread.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FDS 1024
static char *held[FDS];
static size_t held_bytes[FDS];

static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static int (*real_close)(int);

static void find_real(void) {
    if (real_write) return;
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_close = dlsym(RTLD_NEXT, "close");
    real_write = dlsym(RTLD_NEXT, "write");
}

static int aof(int fd) { /* asked each time: descriptors are reused by calls that can't be seen from here */
    if (fd < 3 || fd >= FDS) return 0;
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 9) return 0;
    return !memcmp(path + n - 9, ".incr.aof", 9);
}

static void write_out(int fd) {
    size_t done = 0;
    while (done < held_bytes[fd]) {
        ssize_t n = real_write(fd, held[fd] + done, held_bytes[fd] - done);
        if (n <= 0) abort();
        done += n;
    }
    held_bytes[fd] = 0;
}

ssize_t write(int fd, const void *data, size_t bytes) {
    find_real();
    if (!aof(fd)) return real_write(fd, data, bytes);
    held[fd] = realloc(held[fd], held_bytes[fd] + bytes);
    if (!held[fd]) abort();
    memcpy(held[fd] + held_bytes[fd], data, bytes);
    held_bytes[fd] += bytes;
    return bytes;
}

static void slow_sync(int fd) {
    const char *delay = getenv("DISK_DELAY_MS");
    if (aof(fd)) {
        if (delay) usleep(atoi(delay) * 1000);
        write_out(fd);
    }
}

int fdatasync(int fd) { find_real(); slow_sync(fd); return real_fdatasync(fd); }
int fsync(int fd) { find_real(); slow_sync(fd); return real_fsync(fd); }

int close(int fd) {
    find_real();
    if (aof(fd)) write_out(fd);
    return real_close(fd);
}
