/* Makes system calls of a program fail: an LD_PRELOAD library for tests. It sees only files below one folder, through their paths
 * or descriptors, and only programs that are linked dynamically.
 *
 * SHIM_FOLDER  absolute path of the folder, without links
 * SHIM_LOG     file that gets a line for each call: kind, name below the folder, and "failed" if the shim made it fail
 * SHIM_KIND    kind of call that fails: open (for writing), write, sync, close, rename, unlink, mkdir, lock, truncate, link
 * SHIM_N       which call of this kind fails, from 1; 0 or unset: none
 * SHIM_ERRNO   number of its error
 * SHIM_MODE    once: only this call; always: this and all later ones; lost: this one, and a file that was open for writing loses
 *              the second half of its bytes, as if the write-back at close had failed (close only); done: this one, which has
 *              its effect nevertheless (rename only)
 *
 * Else a call that fails has no effect, except for close: the descriptor is closed, as it is if FUSE or NFS report at close that
 * the data cannot be stored.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))next(#name))

static const char *folder, *kind_to_fail, *mode;
static size_t folder_length;
static long number_to_fail;
static int error_to_fail, log_descriptor = -1;
static long calls;

static void *next(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) abort();
    return found;
}

__attribute__((constructor)) static void start(void) {
    const char *text;
    kind_to_fail = (text = getenv("SHIM_KIND")) ? text : "";
    number_to_fail = (text = getenv("SHIM_N")) ? atol(text) : 0;
    error_to_fail = (text = getenv("SHIM_ERRNO")) ? atoi(text) : EIO;
    mode = (text = getenv("SHIM_MODE")) ? text : "once";
    if ((text = getenv("SHIM_LOG")))
        log_descriptor = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    folder = getenv("SHIM_FOLDER");
    folder_length = folder ? strlen(folder) : 0;
}

/* The part of a path below the folder, which begins with a slash or is empty; NULL if it is elsewhere. */
static const char *below(const char *path) {
    if (!folder_length || strncmp(path, folder, folder_length)) return NULL;
    path += folder_length;
    return *path == '/' || *path == 0 ? path : NULL;
}

static int path_of(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    long length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return 1;
}

/* Counts a call and says whether it is to fail; then errno is set. */
static int fails(const char *kind, const char *name) {
    if (!name) return 0;
    int fail = 0;
    if (number_to_fail && !strcmp(kind, kind_to_fail)) {
        long number = __atomic_add_fetch(&calls, 1, __ATOMIC_SEQ_CST);
        fail = number == number_to_fail || (number > number_to_fail && !strcmp(mode, "always"));
    }
    if (log_descriptor >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%s %s%s\n", kind, *name ? name + 1 : ".", fail ? " failed" : "");
        syscall(SYS_write, log_descriptor, line, (size_t)length);
    }
    if (fail) errno = error_to_fail;
    return fail;
}

static int fails_on(const char *kind, int descriptor) {
    int saved = errno;
    char path[PATH_MAX];
    int fail = path_of(descriptor, path) && fails(kind, below(path));
    if (!fail) errno = saved;
    return fail;
}

static int fails_at(const char *kind, int directory, const char *name) {
    int saved = errno;
    char path[2 * PATH_MAX] = "";
    if (name[0] != '/') {
        if (directory == AT_FDCWD ? !getcwd(path, PATH_MAX) : !path_of(directory, path)) return 0;
        strcat(path, "/");
    }
    strncat(path, name, PATH_MAX - 1);
    int fail = fails(kind, below(path));
    if (!fail) errno = saved;
    return fail;
}

static int writes(int flags) { return (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT; }

#define OPEN(NAME) \
    int NAME(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t bits = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (writes(flags) && fails_at("open", AT_FDCWD, path)) return -1; \
        return REAL(NAME)(path, flags, bits); \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(NAME) \
    int NAME(int directory, const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t bits = flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        if (writes(flags) && fails_at("open", directory, path)) return -1; \
        return REAL(NAME)(directory, path, flags, bits); \
    }
OPENAT(openat)
OPENAT(openat64)

/* Functions whose first argument is the descriptor. */
#define ON(RESULT, KIND, NAME, PARAMETERS, ARGUMENTS) \
    RESULT NAME PARAMETERS { return fails_on(KIND, fd) ? -1 : REAL(NAME) ARGUMENTS; }
ON(ssize_t, "write", write, (int fd, const void *bytes, size_t count), (fd, bytes, count))
ON(ssize_t, "write", writev, (int fd, const struct iovec *parts, int count), (fd, parts, count))
ON(ssize_t, "write", pwrite, (int fd, const void *bytes, size_t count, off_t at), (fd, bytes, count, at))
ON(ssize_t, "write", pwrite64, (int fd, const void *bytes, size_t count, off64_t at), (fd, bytes, count, at))
ON(ssize_t, "write", pwritev, (int fd, const struct iovec *parts, int count, off_t at), (fd, parts, count, at))
ON(ssize_t, "write", pwritev64, (int fd, const struct iovec *parts, int count, off64_t at), (fd, parts, count, at))
ON(int, "sync", fsync, (int fd), (fd))
ON(int, "sync", fdatasync, (int fd), (fd))
ON(int, "lock", flock, (int fd, int operation), (fd, operation))
ON(int, "truncate", ftruncate, (int fd, off_t length), (fd, length))
ON(int, "truncate", ftruncate64, (int fd, off64_t length), (fd, length))

/* Where bytes are copied from one file to another, the descriptor of the target decides. */
ssize_t copy_file_range(int in, off64_t *from, int fd, off64_t *to, size_t count, unsigned flags) {
    return fails_on("write", fd) ? -1 : REAL(copy_file_range)(in, from, fd, to, count, flags);
}
ssize_t sendfile64(int fd, int in, off64_t *from, size_t count) {
    ssize_t (*real)(int, int, off64_t *, size_t) = next("sendfile64");
    return fails_on("write", fd) ? -1 : real(fd, in, from, count);
}

static int fcntl_of(int (*real)(int, int, ...), int fd, int command, void *argument) {
    int locks = command == F_SETLK || command == F_SETLKW || command == F_OFD_SETLK || command == F_OFD_SETLKW;
    return locks && fails_on("lock", fd) ? -1 : real(fd, command, argument);
}
#define FCNTL(NAME) \
    int NAME(int fd, int command, ...) { \
        va_list rest; \
        va_start(rest, command); \
        void *argument = va_arg(rest, void *); \
        va_end(rest); \
        return fcntl_of(REAL(NAME), fd, command, argument); \
    }
FCNTL(fcntl)
FCNTL(fcntl64)

int close(int fd) {
    if (!fails_on("close", fd)) return REAL(close)(fd);
    if (!strcmp(mode, "lost")) {
        struct stat found;
        int flags = REAL(fcntl)(fd, F_GETFL);
        if (flags >= 0 && (flags & O_ACCMODE) != O_RDONLY && !fstat(fd, &found) && S_ISREG(found.st_mode))
            if (REAL(ftruncate)(fd, found.st_size / 2)) abort();
    }
    REAL(close)(fd);
    errno = error_to_fail;
    return -1;
}

/* With the mode "done", the call that fails has its effect, as on NFS when a response is lost. */
#define RENAME(FAILS, CALL) ((FAILS) ? (strcmp(mode, "done") || (CALL) ? 0 : (errno = error_to_fail), -1) : (CALL))

int rename(const char *from, const char *to) {
    return RENAME(fails_at("rename", AT_FDCWD, to), REAL(rename)(from, to));
}
int renameat(int from_directory, const char *from, int directory, const char *to) {
    return RENAME(fails_at("rename", directory, to), REAL(renameat)(from_directory, from, directory, to));
}
int renameat2(int from_directory, const char *from, int directory, const char *to, unsigned flags) {
    return RENAME(fails_at("rename", directory, to), REAL(renameat2)(from_directory, from, directory, to, flags));
}
int unlink(const char *path) {
    return fails_at("unlink", AT_FDCWD, path) ? -1 : REAL(unlink)(path);
}
int unlinkat(int directory, const char *path, int flags) {
    return fails_at("unlink", directory, path) ? -1 : REAL(unlinkat)(directory, path, flags);
}
int rmdir(const char *path) {
    return fails_at("unlink", AT_FDCWD, path) ? -1 : REAL(rmdir)(path);
}
int mkdir(const char *path, mode_t bits) {
    return fails_at("mkdir", AT_FDCWD, path) ? -1 : REAL(mkdir)(path, bits);
}
int mkdirat(int directory, const char *path, mode_t bits) {
    return fails_at("mkdir", directory, path) ? -1 : REAL(mkdirat)(directory, path, bits);
}
int link(const char *from, const char *to) {
    return fails_at("link", AT_FDCWD, to) ? -1 : REAL(link)(from, to);
}
int linkat(int from_directory, const char *from, int directory, const char *to, int flags) {
    return fails_at("link", directory, to) ? -1 : REAL(linkat)(from_directory, from, directory, to, flags);
}
