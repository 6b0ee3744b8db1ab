/*
 * channel.c - tests of the rings between the engine and a worker process,
 * both ends in this process.
 */
#define _GNU_SOURCE
#include "pools/forks/channel.h"
#include "base/hash.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

static struct unit_heap heap = { .allowed = -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };

/* ---- both ends -------------------------------------------------------- */

static struct fri_channel engine, worker;
static int fds_before;

static int count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void open_both(void)
{
    int socket, fd;

    fds_before = count_fds();
    ck_assert(fri_channel_make(&engine, &memory, &socket, &fd));
    ck_assert(fri_channel_join(&worker, socket, fd));
}

static void close_both(void)
{
    fri_channel_close(&worker);
    fri_channel_close(&engine);
    ck_assert_int_eq(heap.blocks, 0);
    ck_assert_int_eq(count_fds(), fds_before);
}

/* ---- frames that can be told from each other --------------------------- */

static uint64_t state = 88172645463325252u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static uint8_t byte_at(uint64_t seed, size_t i)
{
    return (uint8_t)(seed * 131 + i * 7 + (i >> 8));
}

static void fill(struct fri_buffer *b, uint64_t seed, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fri_buffer_byte(b, byte_at(seed, i));
}

static bool send_fds(struct fri_channel *c, uint64_t seed, size_t length,
                     const int *fds, unsigned count)
{
    fill(fri_channel_begin(c), seed, length);
    return fri_channel_send(c, (unsigned)(seed % 60000), fds, count, true);
}

static bool send_frame(struct fri_channel *c, uint64_t seed, size_t length)
{
    return send_fds(c, seed, length, NULL, 0);
}

static void is_frame(const struct fri_frame *f, uint64_t seed, size_t length)
{
    ck_assert_uint_eq(f->kind, seed % 60000);
    ck_assert_uint_eq(f->length, length);
    for (size_t i = 0; i < length; i++)
        if (f->bytes[i] != byte_at(seed, i))
            ck_abort_msg("byte %zu of %zu differs", i, length);
}

static void expect(struct fri_channel *c, uint64_t seed, size_t length)
{
    struct fri_frame f;

    ck_assert_msg(fri_channel_next(c, &f), "a frame of %zu bytes", length);
    is_frame(&f, seed, length);
    fri_channel_done(c, &f);
}

static void expect_none(struct fri_channel *c)
{
    struct fri_frame f;

    ck_assert(!fri_channel_next(c, &f));
}

/* ---- frames that arrive ------------------------------------------------ */

START_TEST(nothing_is_there_at_first)
{
    open_both();
    expect_none(&engine);
    expect_none(&worker);
    ck_assert(!engine.bad && !worker.bad && !engine.ended && !worker.ended);
    close_both();
}
END_TEST

static const size_t lengths[] = {
    0, 1, 7, 8, 9, 23, 24, 25, 1000, FRI_FRAME_MOST - 1, FRI_FRAME_MOST,
    FRI_FRAME_MOST + 1, FRI_RING - 24, FRI_RING, FRI_RING + 1, 1000000,
};

START_TEST(every_length_both_ways)
{
    open_both();
    for (size_t round = 0; round < 20; round++)
        for (size_t i = 0; i < COUNT(lengths); i++) {
            ck_assert(send_frame(&engine, i + 1, lengths[i]));
            expect(&worker, i + 1, lengths[i]);
            ck_assert(send_frame(&worker, i + 100, lengths[i]));
            expect(&engine, i + 100, lengths[i]);
        }
    expect_none(&engine);
    expect_none(&worker);
    close_both();
}
END_TEST

/* Every place of the ring's end in a frame. */
START_TEST(across_the_end_of_the_ring)
{
    open_both();
    for (size_t length = 0; length < 400; length++)
        for (uint64_t i = 0; i < 2 * FRI_RING / (length + 1024); i++) {
            ck_assert(send_frame(&worker, i, 1000 + length));
            expect(&engine, i, 1000 + length);
            ck_assert(send_frame(&engine, i, length));
            expect(&worker, i, length);
        }
    close_both();
}
END_TEST

struct sent {
    uint64_t seed;
    size_t length;
};

struct model {
    struct sent frames[4096];
    size_t first, count;
    size_t bytes, large;
};

static size_t cost(size_t length)
{
    return length > FRI_FRAME_MOST ? 32 : 32 + length;
}

static size_t some_length(void)
{
    switch (draw(8)) {
    case 0: return draw(16);
    case 1: return FRI_FRAME_MOST - draw(40);
    case 2: return FRI_FRAME_MOST + 1 + (draw(4) ? draw(9) : draw(200000));
    case 3: return draw(FRI_FRAME_MOST);
    default: return draw(600);
    }
}

static void model_send(struct fri_channel *c, struct model *m, bool waits)
{
    struct sent *s = &m->frames[(m->first + m->count) % COUNT(m->frames)];

    s->seed = draw(1000000);
    s->length = some_length();
    if (m->count == COUNT(m->frames) || (s->length > FRI_FRAME_MOST
                                         && m->large > 8))
        return;
    if (waits && 2 * m->bytes + 3 * cost(s->length) > FRI_RING)
        return; /* it would wait for room */
    ck_assert(send_frame(c, s->seed, s->length));
    m->count++;
    m->bytes += cost(s->length);
    m->large += s->length > FRI_FRAME_MOST;
}

static void model_read(struct fri_channel *c, struct model *m)
{
    struct sent *s = &m->frames[m->first];
    struct fri_frame f;

    if (!fri_channel_next(c, &f)) {
        ck_assert(!c->bad);
        return;
    }
    ck_assert_uint_gt(m->count, 0);
    is_frame(&f, s->seed, s->length);
    fri_channel_done(c, &f);
    m->bytes -= cost(s->length);
    m->large -= s->length > FRI_FRAME_MOST;
    m->count--;
    m->first = (m->first + 1) % COUNT(m->frames);
}

START_TEST(as_the_model_says)
{
    static struct model out, in;

    open_both();
    for (int i = 0; i < 60000; i++) {
        unsigned bias = (unsigned)(i / 3000 % 2); /* it fills, then empties */

        switch (draw(5)) {
        case 0: model_send(&engine, &out, false); break;
        case 1: model_send(&worker, &in, true); break;
        case 2: model_read(&worker, &out); break;
        case 3: model_read(&engine, &in); break;
        default:
            if (bias) {
                model_read(&worker, &out);
                model_read(&engine, &in);
            } else {
                model_send(&engine, &out, false);
            }
        }
        if (draw(3) == 0) {
            fri_channel_listen(&engine);
            fri_channel_flush(&engine);
        }
        fri_channel_listen(&worker);
    }
    while (out.count > 0) {
        model_read(&worker, &out);
        fri_channel_flush(&engine);
    }
    while (in.count > 0)
        model_read(&engine, &in);
    expect_none(&engine);
    expect_none(&worker);
    close_both();
}
END_TEST

START_TEST(the_outbox_keeps_the_order)
{
    enum { N = 3000 };
    uint64_t got = 0;

    open_both();
    for (uint64_t i = 0; i < N; i++)
        ck_assert(send_frame(&engine, i, i % 100 == 99 ? 20000 : i));
    ck_assert(engine.first != NULL);
    while (got < N) {
        struct fri_frame f;
        uint64_t before = got;

        while (fri_channel_next(&worker, &f)) {
            is_frame(&f, got, got % 100 == 99 ? 20000 : got);
            fri_channel_done(&worker, &f);
            got++;
        }
        ck_assert(!worker.bad);
        fri_channel_flush(&engine);
        ck_assert_uint_gt(got, before);
    }
    ck_assert(engine.first == NULL);
    expect_none(&worker);
    close_both();
}
END_TEST

START_TEST(a_full_outbox_is_freed)
{
    open_both();
    for (uint64_t i = 0; i < 100; i++)
        ck_assert(send_frame(&engine, i, i % 10 ? 10000 : 20000));
    ck_assert(engine.first != NULL);
    close_both();
}
END_TEST

/* The bell which says that there is room stands before a descriptor, and is
 * taken off the socket with it, while a large frame is read. */
START_TEST(the_bell_for_room_is_taken_with_a_descriptor)
{
    uint64_t n = 0;
    int bell;

    open_both();
    while (!engine.first)
        ck_assert(send_frame(&engine, n++, 10000));
    for (uint64_t i = 0; i + 1 < n; i++)
        expect(&worker, i, 10000);
    ck_assert(send_frame(&worker, 1, FRI_FRAME_MOST + 1));
    expect(&engine, 1, FRI_FRAME_MOST + 1);
    ck_assert_int_eq(ioctl(engine.socket, FIONREAD, &bell), 0);
    ck_assert_int_eq(bell, 0);
    expect(&worker, n - 1, 10000);
    ck_assert(engine.first == NULL);
    close_both();
}
END_TEST

START_TEST(no_memory_for_the_outbox)
{
    uint64_t i = 0, n;

    open_both();
    fill(fri_channel_begin(&engine), 1, 1000); /* its buffer is there */
    heap.allowed = 0;
    while (send_frame(&engine, i, 1000))
        ck_assert_uint_lt(++i, 1000);
    heap.allowed = -1;
    for (n = 0; n < i; n++)
        expect(&worker, n, 1000);
    expect_none(&worker);
    ck_assert(send_frame(&engine, n, 1000));
    expect(&worker, n, 1000);
    close_both();
}
END_TEST

/* ---- two threads ------------------------------------------------------- */

enum { FRAMES = 30000 };

static size_t length_of(uint64_t i)
{
    uint64_t r = fri_mix(i);

    return r % 64 == 0 ? FRI_FRAME_MOST + r / 64 % 5000
           : r % 8 == 0 ? r / 64 % FRI_FRAME_MOST
                        : r / 64 % 300;
}

/* Gives back what it gets, and adds one of its own. */
static void *echoes(void *none)
{
    struct fri_frame f;

    for (uint64_t i = 0; i < FRAMES; i++) {
        if (!fri_channel_wait(&worker, fri_now() + 30 * FRI_SECOND, i % 2)
            || !fri_channel_next(&worker, &f) || f.length != length_of(i))
            return "it did not come";
        fri_channel_done(&worker, &f);
        if (!send_frame(&worker, i, length_of(i)))
            return "it could not be sent";
    }
    return none;
}

START_TEST(a_thread_at_each_end)
{
    struct pollfd p;
    uint64_t sent = 0, got = 0;
    pthread_t thread;
    void *why;

    open_both();
    p.fd = engine.socket;
    p.events = POLLIN;
    pthread_create(&thread, NULL, echoes, NULL);
    while (got < FRAMES) {
        struct fri_frame f;

        for (int i = 0; i < 50 && sent < FRAMES && sent < got + 500; i++) {
            ck_assert(send_frame(&engine, sent, length_of(sent)));
            sent++;
        }
        fri_channel_listen(&engine);
        fri_channel_flush(&engine);
        while (fri_channel_next(&engine, &f)) {
            is_frame(&f, got, length_of(got));
            fri_channel_done(&engine, &f);
            got++;
        }
        ck_assert(!engine.bad);
        if (got < FRAMES && !fri_channel_sleep(&engine)
            && (sent == FRAMES || sent >= got + 500))
            ck_assert_msg(poll(&p, 1, 20000) == 1, "no bell after %d",
                          (int)got);
    }
    pthread_join(thread, &why);
    ck_assert_msg(why == NULL, "%s", (const char *)why);
    close_both();
}
END_TEST

/* ---- descriptors ------------------------------------------------------- */

static ino_t inode(int fd)
{
    struct stat st;

    ck_assert_int_eq(fstat(fd, &st), 0);
    return st.st_ino;
}

START_TEST(descriptors_come_in_order)
{
    int fds[5];

    open_both();
    for (int i = 0; i < 5; i++)
        fds[i] = memfd_create("test", MFD_CLOEXEC);
    for (int round = 0; round < 50; round++) {
        struct fri_channel *from = round % 2 ? &engine : &worker;
        struct fri_channel *to = round % 2 ? &worker : &engine;

        ck_assert(send_fds(from, 1, 10, fds, 2));
        ck_assert(send_fds(from, 2, 50000, fds + 2, 3));
        ck_assert(send_frame(from, 3, 50000));
        for (uint64_t f = 1; f <= 3; f++) {
            expect(to, f, f == 1 ? 10 : 50000);
            for (int i = f == 1 ? 0 : 2; f < 3 && i < (f == 1 ? 2 : 5); i++) {
                int fd = fri_channel_fd(to);

                ck_assert_int_ge(fd, 0);
                ck_assert_uint_eq(inode(fd), inode(fds[i]));
                ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
                close(fd);
            }
        }
        ck_assert_int_lt(fri_channel_fd(to), 0);
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    close_both();
}
END_TEST

START_TEST(descriptors_in_the_outbox)
{
    int fd = memfd_create("test", MFD_CLOEXEC), got;
    ino_t own = inode(fd);

    open_both();
    for (uint64_t i = 0; i < 12; i++)
        ck_assert(send_frame(&engine, i, 14000));
    ck_assert(engine.first != NULL);
    ck_assert(send_fds(&engine, 20, 5, &fd, 1));
    close(fd);
    fds_before--;
    for (uint64_t i = 0; i < 12; i++) {
        expect(&worker, i, 14000);
        fri_channel_flush(&engine);
    }
    expect(&worker, 20, 5);
    got = fri_channel_fd(&worker);
    ck_assert_uint_eq(inode(got), own);
    close(got);
    close_both();
}
END_TEST

/* ---- garbage ----------------------------------------------------------- */

/* What a header is, for those who forge one. */
struct header {
    uint32_t magic;
    uint16_t kind, flags;
    uint64_t length, check;
};

enum { LARGE = 1, SKIP = 2 };

static struct header forged(uint16_t flags, uint64_t length)
{
    struct header h = { 0x46525546, 7, flags, length, 0 };

    h.check = fri_mix(h.length ^ ((uint64_t)h.kind << 48)
                      ^ ((uint64_t)h.flags << 32) ^ h.magic);
    return h;
}

/* The worker publishes so many bytes that begin with this. */
static void publish(const struct header *h, size_t n, uint64_t bytes)
{
    memcpy(engine.in->bytes, h, n * sizeof *h);
    atomic_store(&engine.in->head, bytes);
}

static void is_bad(const char *what, unsigned long long detail)
{
    struct fri_frame f;

    ck_assert_msg(!fri_channel_next(&engine, &f), "%s %llu", what, detail);
    ck_assert_msg(engine.bad, "%s %llu", what, detail);
    expect_none(&engine); /* and it stays so */
}

START_TEST(a_forged_header_is_as_the_true_one)
{
    struct header h = forged(0, 16);
    struct fri_frame f;

    open_both();
    publish(&h, 1, 40);
    ck_assert(fri_channel_next(&engine, &f));
    ck_assert_uint_eq(f.kind, 7);
    ck_assert_uint_eq(f.length, 16);
    fri_channel_done(&engine, &f);
    expect_none(&engine);
    ck_assert(!engine.bad);
    close_both();
}
END_TEST

START_TEST(each_flipped_bit_is_seen)
{
    for (unsigned bit = 0; bit < 8 * sizeof(struct header); bit++) {
        open_both();
        ck_assert(send_frame(&worker, 5, 100));
        engine.in->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        is_bad("bit", bit);
        close_both();
    }
}
END_TEST

START_TEST(random_bytes_are_bad)
{
    for (int round = 0; round < 200; round++) {
        open_both();
        for (size_t i = 0; i < FRI_RING; i++)
            engine.in->bytes[i] = round ? (uint8_t)draw(256) : 0;
        atomic_store(&engine.in->head, 8 * (3 + draw(FRI_RING / 8 - 3)));
        is_bad("random", (unsigned)round);
        close_both();
    }
}
END_TEST

START_TEST(wrong_lengths_are_bad)
{
    static const uint64_t wrong[] = {
        17, 100, FRI_RING - 24, FRI_RING, FRI_RING + 1, 1u << 31,
        UINT32_MAX, (uint64_t)1 << 40, INT64_MAX, UINT64_MAX - 40,
        UINT64_MAX - 7, UINT64_MAX,
    };

    for (size_t i = 0; i < COUNT(wrong); i++) {
        struct header h = forged(0, wrong[i]);

        open_both();
        publish(&h, 1, 40); /* 16 bytes of payload are there */
        is_bad("length", wrong[i]);
        close_both();
    }
}
END_TEST

START_TEST(wrong_places_are_bad)
{
    static const uint64_t heads[] = {
        1, 8, 16, 23, FRI_RING + 8, 2 * FRI_RING, (uint64_t)1 << 40,
        UINT64_MAX - 7, UINT64_MAX,
    };
    struct fri_frame f;

    for (size_t i = 0; i < COUNT(heads); i++) {
        struct header h = forged(0, 0);

        open_both();
        publish(&h, 1, heads[i]);
        is_bad("head", heads[i]);
        close_both();
        open_both();
        publish(&h, 1, 24); /* its own place a reader knows by itself */
        atomic_store(&engine.in->tail, heads[i] + 64);
        ck_assert(fri_channel_next(&engine, &f));
        fri_channel_done(&engine, &f);
        expect_none(&engine);
        close_both();
    }
}
END_TEST

START_TEST(wrong_skips_are_bad)
{
    static const uint64_t skips[] = {
        0, 8, 1000, FRI_RING - 32, FRI_RING - 16, FRI_RING, 2 * FRI_RING - 24,
        (uint64_t)0 - 24, UINT64_MAX,
    };
    struct header two[2];

    for (size_t i = 0; i < COUNT(skips); i++)
        for (uint16_t flags = SKIP; flags <= (SKIP | LARGE); flags++) {
            two[0] = two[1] = forged(flags, skips[i]);
            open_both();
            publish(two, 2, FRI_RING);
            is_bad("skip", skips[i]);
            close_both();
        }
    /* One to the end, with nothing behind it. */
    two[0] = forged(SKIP, FRI_RING - 24);
    open_both();
    publish(two, 1, FRI_RING);
    expect_none(&engine);
    close_both();
    for (uint16_t flags = 4; flags != 0; flags = (uint16_t)(flags << 1)) {
        two[0] = forged(flags, 8);
        open_both();
        publish(two, 1, 64);
        is_bad("flags", flags);
        close_both();
    }
}
END_TEST

/* Sends bytes and a descriptor as no worker does. */
static void send_raw(const char *bytes, size_t length, const int *fds,
                     size_t count)
{
    struct iovec iov = { (void *)(uintptr_t)bytes, length };
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(64 * sizeof(int))];
    } control;
    struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
    struct cmsghdr *h;

    memset(&control, 0, sizeof control);
    if (count > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(count * sizeof(int));
        h = CMSG_FIRSTHDR(&m);
        h->cmsg_level = SOL_SOCKET;
        h->cmsg_type = SCM_RIGHTS;
        h->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(h), fds, count * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(worker.socket, &m, MSG_NOSIGNAL),
                     (ssize_t)length);
}

static int memfd(off_t size, int seals)
{
    int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    ck_assert_int_eq(ftruncate(fd, size), 0);
    if (seals)
        ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* A frame of 50,000 bytes that speaks of this descriptor, which is taken. */
static bool accepts(int fd)
{
    struct header h = forged(LARGE, 50000);
    struct fri_frame f;
    bool accepted;

    open_both();
    fds_before--;
    if (fd >= 0)
        send_raw("\xb1", 1, &fd, 1);
    publish(&h, 1, 24);
    accepted = fri_channel_next(&engine, &f);
    if (accepted)
        fri_channel_done(&engine, &f);
    ck_assert(accepted == !engine.bad);
    if (fd >= 0)
        close(fd);
    else
        fds_before++;
    close_both();
    return accepted;
}

START_TEST(a_large_frame_must_be_sealed)
{
    enum { ALL = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE };
    int ends[2];

    ck_assert(accepts(memfd(50000, ALL)));
    ck_assert(accepts(memfd(50000, ALL | F_SEAL_SEAL)));
    ck_assert(!accepts(memfd(50000, 0)));
    ck_assert(!accepts(memfd(50000, F_SEAL_SHRINK)));
    ck_assert(!accepts(memfd(50000, F_SEAL_WRITE)));
    ck_assert(!accepts(memfd(50000, F_SEAL_SHRINK | F_SEAL_GROW)));
    ck_assert(!accepts(memfd(50000, F_SEAL_GROW | F_SEAL_WRITE)));
    ck_assert(!accepts(memfd(49999, ALL)));
    ck_assert(!accepts(memfd(50001, ALL)));
    ck_assert(!accepts(memfd(0, ALL)));
    ck_assert(!accepts(-1));
    ck_assert(!accepts(open("/", O_RDONLY | O_CLOEXEC)));
    ck_assert(!accepts(open("/dev/zero", O_RDWR | O_CLOEXEC)));
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert(!accepts(ends[0]));
    close(ends[1]);
}
END_TEST

START_TEST(a_large_frame_of_a_wild_length_is_bad)
{
    static const uint64_t wild[] = { 0, 1, (uint64_t)1 << 40, INT64_MAX,
                                     UINT64_MAX };

    for (size_t i = 0; i < COUNT(wild); i++) {
        struct header h = forged(LARGE, wild[i]);
        int fd = memfd(50000, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);

        open_both();
        send_raw("\xb1", 1, &fd, 1);
        publish(&h, 1, 24);
        is_bad("large", wild[i]);
        close_both();
        close(fd);
    }
}
END_TEST

START_TEST(other_bytes_than_bells_are_noise)
{
    open_both();
    fri_channel_listen(&engine);
    send_raw("\xb1\xb1\xb1", 3, NULL, 0);
    fri_channel_listen(&engine);
    ck_assert(!engine.noise);
    send_raw("\xb1\xb1" "b\xb1", 4, NULL, 0);
    fri_channel_listen(&engine);
    ck_assert(engine.noise);
    ck_assert(!engine.bad); /* what it had sent can be read */
    expect_none(&engine);
    close_both();
}
END_TEST

START_TEST(a_flood_of_descriptors_is_closed)
{
    int fds[64];

    open_both();
    for (int i = 0; i < 64; i++)
        fds[i] = 1;
    for (int i = 0; i < 20; i++)
        send_raw("\xb1", 1, fds, 7);
    for (int i = 0; i < 100; i++)
        fri_channel_listen(&engine);
    for (int i = 0; i < 50; i++)
        send_raw("\xb1", 1, fds, 7);
    fri_channel_listen(&engine);
    ck_assert_uint_le(engine.fd_count, FRI_FDS_MOST);
    ck_assert(engine.noise);
    close_both();
    open_both();
    send_raw("\xb1", 1, fds, 64); /* more than there is room for at once */
    fri_channel_listen(&engine);
    ck_assert_uint_le(engine.fd_count, FRI_FDS);
    close_both();
}
END_TEST

/* What was written there by somebody else must not lead a writer astray. */
START_TEST(a_writer_stays_in_its_ring)
{
    open_both();
    for (int i = 0; i < 2000; i++) {
        uint64_t head = draw(2) ? draw(1u << 20) : UINT64_MAX - draw(99);

        atomic_store(&engine.out->head, 8 * head);
        atomic_store(&engine.out->tail, 8 * head + 8 * draw(99));
        atomic_store(&engine.in->head, 0);
        ck_assert(send_frame(&engine, 1, draw(FRI_FRAME_MOST)));
        ck_assert_uint_eq(atomic_load(&engine.in->head), 0);
    }
    close_both();
}
END_TEST

/* ---- ends, waits, slots ------------------------------------------------ */

START_TEST(what_was_sent_before_the_end_is_there)
{
    open_both();
    for (uint64_t i = 0; i < 10; i++)
        ck_assert(send_frame(&worker, i, 1000 * i));
    ck_assert(send_frame(&worker, 10, 100000));
    fri_channel_close(&worker);
    fri_channel_listen(&engine);
    for (uint64_t i = 0; i < 10; i++)
        expect(&engine, i, 1000 * i);
    expect(&engine, 10, 100000);
    fri_channel_listen(&engine);
    ck_assert(engine.ended);
    ck_assert(!engine.bad);
    expect_none(&engine);
    ck_assert(send_frame(&engine, 1, 10)); /* nobody reads it */
    close_both();
}
END_TEST

START_TEST(a_wait_ends)
{
    open_both();
    ck_assert(!fri_channel_wait(&worker, fri_now(), false));
    ck_assert(!fri_channel_wait(&worker, fri_now() + 1000000, true));
    ck_assert(!worker.ended);
    ck_assert(send_frame(&engine, 1, 1));
    ck_assert(fri_channel_wait(&worker, FRI_NEVER, false));
    expect(&worker, 1, 1);
    fri_channel_close(&engine);
    ck_assert(!fri_channel_wait(&worker, FRI_NEVER, false));
    ck_assert(worker.ended);
    close_both();
}
END_TEST

START_TEST(a_bell_only_for_who_sleeps)
{
    struct pollfd p;

    open_both();
    p.fd = engine.socket;
    p.events = POLLIN;
    ck_assert(send_frame(&worker, 1, 1));
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    ck_assert(fri_channel_sleep(&engine)); /* look first */
    expect(&engine, 1, 1);
    ck_assert(!fri_channel_sleep(&engine));
    ck_assert(send_frame(&worker, 2, 1));
    ck_assert_int_eq(poll(&p, 1, 0), 1);
    fri_channel_listen(&engine);
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    ck_assert(send_frame(&worker, 3, 1)); /* one bell is enough */
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    close_both();
}
END_TEST

START_TEST(a_slot_moves_once)
{
    struct fri_slot *mine, *other;

    open_both();
    mine = &engine.page->slots[FRI_SLOTS - 1];
    other = &worker.page->slots[FRI_SLOTS - 1];
    ck_assert_uint_eq(atomic_load(&other->state), FRI_SLOT_FREE);
    ck_assert(fri_slot_move(mine, FRI_SLOT_FREE, FRI_SLOT_HANDED));
    ck_assert(fri_slot_move(other, FRI_SLOT_HANDED, FRI_SLOT_BEGUN));
    ck_assert(!fri_slot_move(mine, FRI_SLOT_HANDED, FRI_SLOT_REVOKED));
    ck_assert(fri_slot_move(mine, FRI_SLOT_BEGUN, FRI_SLOT_STOPPED));
    ck_assert(!fri_slot_move(other, FRI_SLOT_BEGUN, FRI_SLOT_ENDED));
    close_both();
}
END_TEST

START_TEST(many_channels)
{
    for (int i = 0; i < 500; i++) {
        open_both();
        ck_assert(send_frame(&worker, 1, 50000)); /* never read */
        ck_assert(send_frame(&engine, 1, 50000));
        close_both();
    }
    fri_channel_close(&engine); /* takes one that is closed */
    memset(&engine, 0, sizeof engine);
    fri_channel_close(&engine);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nothing_is_there_at_first, every_length_both_ways,
        across_the_end_of_the_ring, as_the_model_says,
        the_outbox_keeps_the_order, a_full_outbox_is_freed,
        the_bell_for_room_is_taken_with_a_descriptor,
        no_memory_for_the_outbox, a_thread_at_each_end,
        descriptors_come_in_order, descriptors_in_the_outbox,
        a_forged_header_is_as_the_true_one, each_flipped_bit_is_seen,
        random_bytes_are_bad, wrong_lengths_are_bad, wrong_places_are_bad,
        wrong_skips_are_bad, a_large_frame_must_be_sealed,
        a_large_frame_of_a_wild_length_is_bad, other_bytes_than_bells_are_noise,
        a_flood_of_descriptors_is_closed, a_writer_stays_in_its_ring,
        what_was_sent_before_the_end_is_there, a_wait_ends,
        a_bell_only_for_who_sleeps, a_slot_moves_once, many_channels,
    };

    return unit_run("channel", tests, COUNT(tests));
}
