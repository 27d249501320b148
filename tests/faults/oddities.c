/* Preloaded into a server of the test's stack: its wall clock is off, its writes to files are slow, as a file says.

   The file, $FAULTS_ODDITIES, holds two numbers of 64 bits, which may be changed while the server runs: seconds that the
   wall clock is ahead, and milliseconds that each write to a file and each sync of it takes longer. Monotonic clocks are
   left alone, as they are when a real clock is set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

struct oddities { volatile int64_t ahead_s, slower_ms; };
static struct oddities none, *now = &none;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("FAULTS_ODDITIES");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return;
    void *found = mmap(NULL, sizeof(struct oddities), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (found != MAP_FAILED) now = found;
}

#define NEXT(name) static __typeof__(&name) next; if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
/* The default version of these; an older one would be found first. */
#define NEXT_OF(name, version) static __typeof__(&name) next; \
    if (!next) next = (__typeof__(&name))dlvsym(RTLD_NEXT, #name, version); \
    if (!next) next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

/* --- the wall clock --- */

static int is_wall(clockid_t id) { return id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE; }

int clock_gettime(clockid_t id, struct timespec *at) {
    NEXT(clock_gettime);
    int failed = next(id, at);
    if (!failed && is_wall(id)) at->tv_sec += now->ahead_s;
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    NEXT(gettimeofday);
    int failed = next(at, zone);
    if (!failed) at->tv_sec += now->ahead_s;
    return failed;
}

time_t time(time_t *at) {
    NEXT(time);
    time_t found = next(NULL) + now->ahead_s;
    if (at) *at = found;
    return found;
}

int timespec_get(struct timespec *at, int base) {
    NEXT(timespec_get);
    int found = next(at, base);
    if (found == TIME_UTC) at->tv_sec += now->ahead_s;
    return found;
}

/* Waits until a time of the wall clock go by the kernel's. A time of the monotonic clock is small: it counts from the boot. */
static const struct timespec *kernels(const struct timespec *until, struct timespec *place) {
    if (!until || until->tv_sec < 1000000000) return until;
    *place = *until;
    place->tv_sec -= now->ahead_s;
    return place;
}

int pthread_cond_timedwait(pthread_cond_t *restrict c, pthread_mutex_t *restrict m, const struct timespec *restrict t) {
    NEXT_OF(pthread_cond_timedwait, "GLIBC_2.3.2");
    struct timespec place;
    return next(c, m, kernels(t, &place));
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict m, const struct timespec *restrict t) {
    NEXT(pthread_mutex_timedlock);
    struct timespec place;
    return next(m, kernels(t, &place));
}

int sem_timedwait(sem_t *restrict s, const struct timespec *restrict t) {
    NEXT(sem_timedwait);
    struct timespec place;
    return next(s, kernels(t, &place));
}

/* C11's, as librdkafka uses them; threads.h is not for every compiler. */
int cnd_timedwait(void *c, void *m, const struct timespec *t) {
    static int (*next)(void *, void *, const struct timespec *);
    if (!next) next = (int (*)(void *, void *, const struct timespec *))dlsym(RTLD_NEXT, "cnd_timedwait");
    struct timespec place;
    return next(c, m, kernels(t, &place));
}

/* --- the disk --- */

static void drag(int file) {
    int64_t ms = now->slower_ms;
    struct stat what;
    if (ms <= 0 || (file >= 0 && (fstat(file, &what) || !S_ISREG(what.st_mode)))) return;
    struct timespec rest = {ms / 1000, ms % 1000 * 1000000};
    syscall(SYS_nanosleep, &rest, NULL);
}

ssize_t write(int file, const void *from, size_t bytes) { NEXT(write); drag(file); return next(file, from, bytes); }
ssize_t pwrite(int file, const void *from, size_t bytes, off_t at) { NEXT(pwrite); drag(file); return next(file, from, bytes, at); }
ssize_t pwrite64(int file, const void *from, size_t bytes, off64_t at) { NEXT(pwrite64); drag(file); return next(file, from, bytes, at); }
ssize_t writev(int file, const struct iovec *from, int parts) { NEXT(writev); drag(file); return next(file, from, parts); }
int fsync(int file) { NEXT(fsync); drag(file); return next(file); }
int fdatasync(int file) { NEXT(fdatasync); drag(file); return next(file); }
int msync(void *from, size_t bytes, int flags) { NEXT(msync); drag(-1); return next(from, bytes, flags); }
