/* Makes calls of the C library fail as a file system or a sandbox would. Loaded with LD_PRELOAD.
 *
 * FAULT:       rules "call errno path from to", separated by ';'. Calls whose path contains `path`
 *              ("*": any; with a "$" behind it: ends with it) are counted from 1; those from `from`
 *              to `to` (0: all later ones) fail.
 * FAULT_WHILE: a file; faults are made only while it exists. Not set: always.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define RULES 16
static atomic_int counts[RULES];

static int fits(const char *part, const char *path) {
  size_t n = strlen(part), m = strlen(path);
  if (strcmp(part, "*") == 0) return 1;
  if (part[n - 1] != '$') return strstr(path, part) != NULL;
  return m >= n - 1 && strncmp(path + m - (n - 1), part, n - 1) == 0;
}

static int fault(const char *call, const char *path) {
  const char *gate = getenv("FAULT_WHILE"), *rules = getenv("FAULT");
  struct stat st;
  if (!rules || (gate && stat(gate, &st) != 0)) return 0;
  for (int i = 0; i < RULES && rules && *rules; i++) {
    char name[32], part[256];
    int number, from, to;
    if (sscanf(rules, "%31s %d %255s %d %d", name, &number, part, &from, &to) == 5 &&
        strcmp(name, call) == 0 && fits(part, path)) {
      int n = atomic_fetch_add(&counts[i], 1) + 1;
      if (n >= from && (to == 0 || n <= to)) {
        errno = number;
        return -1;
      }
    }
    rules = strchr(rules, ';');
    if (rules) rules++;
  }
  return 0;
}

/* The path of a descriptor; a directory's ends with a slash. */
static const char *path_of(int fd, char *out, size_t size) {
  char link[64];
  struct stat st;
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t n = readlink(link, out, size - 2);
  if (n < 0) n = 0;
  if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) out[n++] = '/';
  out[n] = 0;
  return out;
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define ON_FD(name, fd)                                                       \
  char path[4200];                                                            \
  int saved = errno;                                                          \
  if (fault(name, path_of(fd, path, sizeof path))) return -1;                 \
  errno = saved;

int fsync(int fd) { ON_FD("fsync", fd) return NEXT(fsync)(fd); }
int fdatasync(int fd) { ON_FD("fdatasync", fd) return NEXT(fdatasync)(fd); }
int flock(int fd, int how) { ON_FD("flock", fd) return NEXT(flock)(fd, how); }
ssize_t write(int fd, const void *p, size_t n) { ON_FD("write", fd) return NEXT(write)(fd, p, n); }
int bind(int fd, const struct sockaddr *a, socklen_t n) { ON_FD("bind", fd) return NEXT(bind)(fd, a, n); }
int rename(const char *a, const char *b) { return fault("rename", b) ? -1 : NEXT(rename)(a, b); }
int mkdir(const char *a, mode_t m) { return fault("mkdir", a) ? -1 : NEXT(mkdir)(a, m); }

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
  va_end(rest);
  return fault("open", path) ? -1 : NEXT(open64)(path, flags, mode);
}
