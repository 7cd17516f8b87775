/* A disk that fails and forgets, put between a program and the C library with LD_PRELOAD.
 *
 *   FAULTS_DIR      only files below this directory are concerned; an absolute path without symbolic links
 *   FAULTS_CONTROL  a file of CONTROL_BYTES bytes, read all the time: see `struct control`
 *   FAULTS_TRACE    optional; what happens to the files is appended to it, so that the state after a power loss can be made
 *                   up later (tests/src/faults/disk.rs): with it, syncs go to no real disk
 *
 * A record of the trace is a line `KIND FILE A B LENGTH`, LENGTH bytes and a line feed. Its number is its place in the trace.
 *
 *   C file 0 0      path is a new file      K file 0 0      path was there before
 *   W file at 0     bytes written           T file size 0   cut or extended
 *   S file n 0      synced: all records of the file before number n will stay
 *   F file n 0      a sync has failed: nobody knows about those
 *   D 0 n 0         the directory path was synced
 *   R 0 0 0         path, zero byte, path: renamed
 *   U 0 0 0         path is gone            M 0 0 0        path is a new directory
 *   B 0 0 0         a process begins: its records are counted from here on
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { CONTROL_BYTES = 4096, FDS = 65536, FILES = 65536 };

/* The other side of it is `Control` in tests/src/faults/disk.rs. */
struct control {
    volatile int64_t room;        /* bytes that can still be written before the disk is full; negative: any number */
    volatile int64_t write_error; /* what each write fails with; 0: it does not */
    volatile int64_t piece;       /* a write takes so many bytes at most; 0: any number */
    volatile int64_t sync_error;
    volatile int64_t sync_us;     /* a sync takes so long */
    volatile int64_t open_error;  /* of files opened to be written */
    volatile int64_t rename_error;
    volatile int64_t cut_error;
    volatile int64_t syncs;       /* counted here */
    volatile int64_t faults;      /* counted here */
    volatile char filter[256];    /* failures concern only paths that contain this; with a `$` behind it, that end in it */
};

struct file {
    char *path;
    int64_t id;
};

static struct control *control;
static char dir[PATH_MAX];
static size_t dir_len;
static int trace_fd = -1;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t records, ids;
/* By descriptor: what is open there, once it is known. */
static struct file *open_files[FDS];
static char is_known[FDS], is_dir[FDS];
/* Files that have a name. */
static struct file *named[FILES];
static int named_count;

static int (*real_open)(const char *, int, ...);
static int (*real_openat)(int, const char *, int, ...);
static int (*real_close)(int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *);
static int (*real_mkdir)(const char *, mode_t);

static void note(char kind, int64_t id, int64_t a, int64_t b, const void *bytes, size_t len);

__attribute__((constructor)) static void begin(void) {
    if (real_open) return;
    *(void **)&real_openat = dlsym(RTLD_NEXT, "openat64");
    *(void **)&real_close = dlsym(RTLD_NEXT, "close");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_writev = dlsym(RTLD_NEXT, "writev");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
    *(void **)&real_unlink = dlsym(RTLD_NEXT, "unlink");
    *(void **)&real_mkdir = dlsym(RTLD_NEXT, "mkdir");
    *(void **)&real_open = dlsym(RTLD_NEXT, "open64");
    const char *below = getenv("FAULTS_DIR"), *path = getenv("FAULTS_CONTROL"), *trace = getenv("FAULTS_TRACE");
    int fd = path ? real_open(path, O_RDWR | O_CLOEXEC) : -1;
    if (!below || fd < 0) {
        fprintf(stderr, "faults: there is no FAULTS_DIR or no FAULTS_CONTROL\n");
        _exit(99);
    }
    control = mmap(NULL, CONTROL_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (control == MAP_FAILED) _exit(99);
    real_close(fd);
    snprintf(dir, sizeof dir, "%s/", below);
    dir_len = strlen(dir);
    if (trace) {
        trace_fd = real_open(trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (trace_fd < 0) _exit(99);
        /* So that files of several processes have different numbers. */
        ids = (int64_t)getpid() << 24;
        note('B', 0, 0, 0, "", 0);
    }
}

static int is_below(const char *path) {
    return strncmp(path, dir, dir_len) == 0 || (strncmp(path, dir, dir_len - 1) == 0 && path[dir_len - 1] == 0);
}

/* The whole path, without looking whether it is there. */
static const char *whole(const char *path, char *out) {
    char cwd[PATH_MAX];
    while (path[0] == '.' && path[1] == '/') path += 2;
    if (path[0] == '/') snprintf(out, PATH_MAX, "%s", path);
    else if (!getcwd(cwd, sizeof cwd)) return NULL;
    else if (strcmp(path, ".") == 0) snprintf(out, PATH_MAX, "%s", cwd);
    else snprintf(out, PATH_MAX, "%.2000s/%.2000s", cwd, path);
    return is_below(out) ? out : NULL;
}

/* Whether a failure that was asked for concerns this path. */
static int concerns(const char *path) {
    char filter[256];
    memcpy(filter, (const char *)control->filter, sizeof filter);
    size_t len = strlen(filter), path_len = strlen(path);
    if (len > 0 && filter[len - 1] == '$') {
        return path_len >= --len && memcmp(path + path_len - len, filter, len) == 0;
    }
    return strstr(path, filter) != NULL;
}

static int fails(int64_t error) {
    if (error == 0) return 0;
    __sync_fetch_and_add(&control->faults, 1);
    errno = (int)error;
    return 1;
}

/* Appends a record; the mutex is held. */
static void note(char kind, int64_t id, int64_t a, int64_t b, const void *bytes, size_t len) {
    char head[128];
    records++;
    if (trace_fd < 0) return;
    int head_len = snprintf(head, sizeof head, "%c %lld %lld %lld %zu\n", kind, (long long)id, (long long)a, (long long)b, len);
    struct iovec parts[3] = {{head, head_len}, {(void *)bytes, len}, {"\n", 1}};
    size_t total = head_len + len + 1;
    if (real_writev(trace_fd, parts, 3) != (ssize_t)total) {
        fprintf(stderr, "faults: the trace cannot be written\n");
        _exit(99);
    }
}

static int find_named(const char *path) {
    for (int at = 0; at < named_count; at++)
        if (strcmp(named[at]->path, path) == 0) return at;
    return -1;
}

/* The file of this name, whether it is new or not; the mutex is held. */
static struct file *file_of(const char *path, int is_new) {
    int at = find_named(path);
    if (at >= 0 && !is_new) return named[at];
    if (at >= 0) named[at] = named[--named_count];
    if (named_count == FILES) _exit(99);
    struct file *file = malloc(sizeof *file);
    file->path = strdup(path);
    file->id = ++ids;
    named[named_count++] = file;
    note(is_new ? 'C' : 'K', file->id, 0, 0, path, strlen(path));
    return file;
}

static struct file *lookup(int fd) {
    if (fd < 0 || fd >= FDS || !control) return NULL;
    if (is_known[fd]) return open_files[fd];
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    struct file *file = NULL;
    struct stat stat;
    is_dir[fd] = 0;
    if (len > 0 && (path[len] = 0, is_below(path)) && fstat(fd, &stat) == 0) {
        pthread_mutex_lock(&mutex);
        is_dir[fd] = S_ISDIR(stat.st_mode);
        if (is_dir[fd]) {
            file = malloc(sizeof *file);
            file->path = strdup(path);
            file->id = 0;
        } else if (S_ISREG(stat.st_mode)) {
            file = file_of(path, 0);
        }
        pthread_mutex_unlock(&mutex);
    }
    open_files[fd] = file;
    is_known[fd] = 1;
    return file;
}

static int open_below(const char *path, int flags, mode_t mode) {
    char full[PATH_MAX];
    int writes = (flags & O_ACCMODE) != O_RDONLY;
    if (!whole(path, full)) return real_open(path, flags, mode);
    if (writes && concerns(full) && fails(control->open_error)) return -1;
    pthread_mutex_lock(&mutex);
    int is_new = (flags & O_CREAT) && access(full, F_OK) != 0;
    int fd = real_open(path, flags, mode);
    if (fd >= 0 && fd < FDS) {
        is_known[fd] = 0;
        if (is_new || writes) {
            open_files[fd] = file_of(full, is_new);
            is_known[fd] = 1;
            is_dir[fd] = 0;
            if (!is_new && (flags & O_TRUNC)) note('T', open_files[fd]->id, 0, 0, "", 0);
        }
    }
    pthread_mutex_unlock(&mutex);
    return fd;
}

static int open_any(const char *path, int flags, mode_t mode) {
    begin();
    return open_below(path, flags, mode);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list list; \
        va_start(list, flags); \
        mode = va_arg(list, mode_t); \
        va_end(list); \
    }

int open64(const char *path, int flags, ...) { MODE(flags) return open_any(path, flags, mode); }
int open(const char *path, int flags, ...) { MODE(flags) return open_any(path, flags, mode); }

static int openat_any(int at, const char *path, int flags, mode_t mode) {
    begin();
    if (at == AT_FDCWD || path[0] == '/') return open_any(path, flags, mode);
    int fd = real_openat(at, path, flags, mode);
    if (fd >= 0 && fd < FDS) is_known[fd] = 0;
    return fd;
}

int openat64(int at, const char *path, int flags, ...) { MODE(flags) return openat_any(at, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { MODE(flags) return openat_any(at, path, flags, mode); }

int close(int fd) {
    begin();
    if (fd >= 0 && fd < FDS) is_known[fd] = 0;
    return real_close(fd);
}

/* How much of a write goes through, or -1 with errno. */
static ssize_t admitted(const char *path, size_t len) {
    if (!concerns(path)) return len;
    if (fails(control->write_error)) return -1;
    size_t count = len;
    int64_t piece = control->piece, room = control->room;
    if (piece > 0 && count > (size_t)piece) count = piece;
    if (room >= 0) {
        if (room == 0 && len > 0) return fails(ENOSPC), -1;
        if (count > (size_t)room) count = room;
        control->room = room - (int64_t)count;
    }
    if (count < len) __sync_fetch_and_add(&control->faults, 1);
    return count;
}

/* With `at` negative: where the file stands. */
static ssize_t write_file(int fd, struct file *file, const void *bytes, size_t len, off_t at) {
    pthread_mutex_lock(&mutex);
    ssize_t count = admitted(file->path, len);
    if (count >= 0) {
        count = at < 0 ? real_write(fd, bytes, count) : real_pwrite(fd, bytes, count, at);
        if (count > 0) note('W', file->id, at < 0 ? lseek(fd, 0, SEEK_CUR) - count : at, 0, bytes, count);
    }
    int error = errno;
    pthread_mutex_unlock(&mutex);
    errno = error;
    return count;
}

ssize_t write(int fd, const void *bytes, size_t len) {
    begin();
    struct file *file = fd > 2 ? lookup(fd) : NULL;
    return file ? write_file(fd, file, bytes, len, -1) : real_write(fd, bytes, len);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    begin();
    struct file *file = fd > 2 ? lookup(fd) : NULL;
    if (!file) return real_writev(fd, parts, count);
    /* The first part that is not empty: a short write, which is allowed. */
    for (int at = 0; at < count; at++)
        if (parts[at].iov_len > 0) return write_file(fd, file, parts[at].iov_base, parts[at].iov_len, -1);
    return 0;
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at) {
    begin();
    struct file *file = lookup(fd);
    return file ? write_file(fd, file, bytes, len, at) : real_pwrite(fd, bytes, len, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) { return pwrite64(fd, bytes, len, at); }

static int sync_any(int fd, int (*real)(int)) {
    begin();
    struct file *file = lookup(fd);
    if (!file) return real(fd);
    pthread_mutex_lock(&mutex);
    int64_t until = records;
    pthread_mutex_unlock(&mutex);
    __sync_fetch_and_add(&control->syncs, 1);
    int64_t us = control->sync_us;
    if (us > 0) {
        struct timespec time = {us / 1000000, us % 1000000 * 1000};
        nanosleep(&time, NULL);
    }
    int failed = concerns(file->path) && fails(control->sync_error), error = errno;
    if (!failed && trace_fd < 0) return real(fd);
    pthread_mutex_lock(&mutex);
    if (!is_dir[fd]) note(failed ? 'F' : 'S', file->id, until, 0, "", 0);
    else if (!failed) note('D', 0, until, 0, file->path, strlen(file->path));
    pthread_mutex_unlock(&mutex);
    errno = error;
    return failed ? -1 : 0;
}

int fsync(int fd) { begin(); return sync_any(fd, real_fsync); }
int fdatasync(int fd) { begin(); return sync_any(fd, real_fdatasync); }

int ftruncate64(int fd, off_t size) {
    begin();
    struct file *file = lookup(fd);
    if (!file) return real_ftruncate(fd, size);
    if (concerns(file->path) && fails(control->cut_error)) return -1;
    pthread_mutex_lock(&mutex);
    int result = real_ftruncate(fd, size);
    if (result == 0) note('T', file->id, size, 0, "", 0);
    pthread_mutex_unlock(&mutex);
    return result;
}

int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int rename(const char *from, const char *to) {
    begin();
    char pair[2 * PATH_MAX], full[PATH_MAX];
    if (!whole(from, pair) || !whole(to, full)) return real_rename(from, to);
    if ((concerns(pair) || concerns(full)) && fails(control->rename_error)) return -1;
    pthread_mutex_lock(&mutex);
    /* So that it is known if it is there. */
    if (access(pair, F_OK) == 0) file_of(pair, 0);
    int result = real_rename(from, to), error = errno;
    if (result == 0) {
        int old = find_named(full);
        if (old >= 0) named[old] = named[--named_count];
        struct file *file = named[find_named(pair)];
        size_t len = strlen(pair) + 1;
        strcpy(pair + len, full);
        note('R', 0, 0, 0, pair, len + strlen(full));
        file->path = strdup(full);
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

int unlink(const char *path) {
    begin();
    char full[PATH_MAX];
    if (!whole(path, full)) return real_unlink(path);
    pthread_mutex_lock(&mutex);
    int result = real_unlink(path), error = errno;
    if (result == 0) {
        int at = find_named(full);
        if (at >= 0) named[at] = named[--named_count];
        note('U', 0, 0, 0, full, strlen(full));
    }
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}

int mkdir(const char *path, mode_t mode) {
    begin();
    char full[PATH_MAX];
    if (!whole(path, full)) return real_mkdir(path, mode);
    pthread_mutex_lock(&mutex);
    int result = real_mkdir(path, mode), error = errno;
    if (result == 0) note('M', 0, 0, 0, full, strlen(full));
    pthread_mutex_unlock(&mutex);
    errno = error;
    return result;
}
