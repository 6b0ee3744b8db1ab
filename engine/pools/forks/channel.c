#define _GNU_SOURCE
#include "pools/forks/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BELL = 0xb1,
    SPIN = 20000 /* ns: what two wakes cost */
};

struct shared {
    struct fri_page page;
    struct fri_ring to_worker, to_engine;
};

/* ---- opening ---------------------------------------------------------- */

static bool map(struct fri_channel *c, int memory)
{
    struct shared *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE,
                            MAP_SHARED, memory, 0);

    if (s == MAP_FAILED)
        return false;
    c->page = &s->page;
    c->out = c->worker ? &s->to_engine : &s->to_worker;
    c->in = c->worker ? &s->to_worker : &s->to_engine;
    return true;
}

static void init(struct fri_channel *c, const struct fri_memory *m, int socket,
                 bool worker)
{
    memset(c, 0, sizeof *c);
    c->memory = m;
    c->socket = socket;
    c->worker = worker;
    c->last = &c->first;
    fri_buffer_init(&c->text, m);
}

static int shared_memory(size_t size)
{
    int fd = memfd_create("flowrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0
        && (ftruncate(fd, (off_t)size) != 0
            || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

bool fri_channel_make(struct fri_channel *c, const struct fri_memory *m,
                      int *socket, int *memory)
{
    int pair[2], error;

    init(c, m, -1, false);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
                   pair)
        != 0)
        return false;
    c->socket = pair[0];
    *memory = shared_memory(sizeof(struct shared));
    if (*memory >= 0 && map(c, *memory)) {
        *socket = pair[1];
        return true;
    }
    error = errno;
    if (*memory >= 0)
        close(*memory);
    close(pair[1]);
    fri_channel_close(c);
    errno = error;
    return false;
}

bool fri_channel_join(struct fri_channel *c, int socket, int memory)
{
    struct stat st;
    bool mapped;

    init(c, NULL, socket, true);
    mapped = map(c, memory);
    close(memory); /* nothing can write there by a descriptor any more */
    if (!mapped || fstat(socket, &st) != 0)
        return false;
    c->device = st.st_dev;
    c->inode = st.st_ino;
    return true;
}

void fri_channel_close(struct fri_channel *c)
{
    struct fri_letter *letter;
    void *at = c->worker ? (void *)c->in : (void *)c->out;

    if (!c->last)
        return;
    while ((letter = c->first) != NULL) {
        c->first = letter->next;
        for (unsigned i = 0; i < letter->fd_count; i++)
            close(letter->fds[i]);
        fri_free(c->memory, letter);
    }
    for (unsigned i = 0; i < c->fd_count; i++)
        close(c->fds[i]);
    fri_free(c->memory, c->fds);
    if (at)
        munmap(c->page, sizeof(struct shared));
    if (c->socket >= 0)
        close(c->socket);
    fri_buffer_free(&c->text);
    memset(c, 0, sizeof *c);
    c->socket = -1;
}

/* ---- the socket ------------------------------------------------------- */

/* One byte, and descriptors.  False: errno. */
bool fri_channel_bell(struct fri_channel *c, const int *fds, unsigned count)
{
    uint8_t byte = BELL;
    struct iovec iov = { &byte, 1 };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FRI_FDS * sizeof(int))];
    } control;
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

    if (count > 0) {
        struct cmsghdr *h;

        memset(&control, 0, sizeof control);
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(h), fds, count * sizeof(int));
    }
    return sendmsg(c->socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL) == 1;
}

void fri_channel_ring(struct fri_channel *c)
{
    _Atomic uint32_t *sleeps
        = c->worker ? &c->page->engine_sleeps : &c->page->worker_sleeps;

    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(sleeps, memory_order_relaxed)
        && atomic_exchange(sleeps, 0))
        /* Full of bells: it will wake.  Closed: it has gone. */
        (void)fri_channel_bell(c, NULL, 0);
}

void fri_channel_ring_surely(struct fri_channel *c)
{
    (void)fri_channel_bell(c, NULL, 0);
}

static void keep_fd(struct fri_channel *c, int fd)
{
    unsigned most = c->worker ? 16 * FRI_FDS_MOST : FRI_FDS_MOST;

    if (c->fd_count == c->fd_room && c->fd_room < most) {
        unsigned want = c->fd_room ? 2 * c->fd_room : FRI_FDS;
        int *more = fri_realloc(c->memory, c->fds, want * sizeof *more);

        if (more) {
            c->fds = more;
            c->fd_room = want;
        }
    }
    if (c->fd_count < c->fd_room) {
        c->fds[c->fd_count++] = fd;
    } else {
        close(fd);
        c->noise = true;
    }
}

static void keep_fds(struct fri_channel *c, struct msghdr *m)
{
    for (struct cmsghdr *h = CMSG_FIRSTHDR(m); h; h = CMSG_NXTHDR(m, h)) {
        size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        int fd;

        if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < n; i++) {
            memcpy(&fd, CMSG_DATA(h) + i * sizeof fd, sizeof fd);
            keep_fd(c, fd);
        }
    }
}

/* False: there is nothing (more) to read. */
static bool receive(struct fri_channel *c)
{
    uint8_t bytes[64];
    struct iovec iov = { bytes, sizeof bytes };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FRI_FDS * sizeof(int))];
    } control;
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1,
                        .msg_control = control.bytes,
                        .msg_controllen = sizeof control.bytes };
    ssize_t n;

    do
        n = recvmsg(c->socket, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        c->ended = true;
    if (n <= 0)
        return false;
    for (ssize_t i = 0; i < n; i++)
        c->noise |= bytes[i] != BELL;
    keep_fds(c, &m);
    return n == (ssize_t)sizeof bytes || m.msg_controllen > 0;
}

void fri_channel_listen(struct fri_channel *c)
{
    while (!c->ended && !c->noise && receive(c))
        ;
}

int fri_channel_fd(struct fri_channel *c)
{
    int fd;

    if (c->fd_count == 0) {
        fri_channel_listen(c);
        if (!c->worker)
            fri_channel_flush(c); /* rule 6 */
    }
    if (c->fd_count == 0)
        return -1;
    fd = c->fds[0];
    c->fd_count--;
    memmove(c->fds, c->fds + 1, c->fd_count * sizeof *c->fds);
    return fd;
}

/* ---- sleeping --------------------------------------------------------- */

bool fri_channel_sleep(struct fri_channel *c)
{
    if (!atomic_load_explicit(&c->page->engine_sleeps, memory_order_relaxed))
        atomic_store(&c->page->engine_sleeps, 1);
    return fri_channel_has(c);
}

static void pause_(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static bool spin(const struct fri_channel *c)
{
    fri_time until = fri_now() + SPIN;

    do {
        for (int i = 0; i < 16; i++) {
            if (fri_channel_has(c))
                return true;
            pause_();
        }
    } while (fri_now() < until);
    return false;
}

static int milliseconds(fri_time deadline)
{
    fri_time left;

    if (deadline == FRI_NEVER)
        return -1;
    left = (deadline - fri_now() + 999999) / 1000000;
    return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

/* Rule 7. */
static bool is_same(const struct fri_channel *c)
{
    struct stat st;

    return fstat(c->socket, &st) == 0 && st.st_ino == c->inode
           && st.st_dev == c->device;
}

bool fri_channel_wait(struct fri_channel *c, fri_time deadline, bool spins)
{
    struct pollfd p = { .fd = c->socket, .events = POLLIN };

    if (fri_channel_has(c) || (spins && spin(c)))
        return true;
    if (!is_same(c))
        c->ended = true;
    while (!c->ended && !c->bad && !c->noise) {
        atomic_store(&c->page->worker_sleeps, 1);
        if (fri_channel_has(c))
            break;
        if (poll(&p, 1, milliseconds(deadline)) < 0 && errno != EINTR)
            c->ended = true;
        fri_channel_listen(c);
        if (fri_channel_has(c) || fri_now() >= deadline)
            break;
    }
    atomic_store_explicit(&c->page->worker_sleeps, 0, memory_order_relaxed);
    return fri_channel_has(c);
}
