/*
 * memory.c - a host with an allocator of its own runs scripts: what does not
 * come from it, and what happens when it gives nothing.
 *
 *    memory counts SCRIPT    every byte through the allocator, all given back
 *    memory starves SCRIPT   the n-th allocation fails, for many n
 *    memory two SCRIPT       two engines, each with its own allocator and log
 *
 * The process's own malloc says who has called it: in `counts`, of the
 * engine's library nobody but those that are named in `excused`.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <flowrun.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static long at; /* which allocation fails */

static void fail(const char *what, const char *why)
{
    printf("FAILED at %ld: %s: %s\n", at, what, why);
    fflush(stdout);
    _exit(1);
}

/* ---- who calls malloc ------------------------------------------------- */

static atomic_bool watching;
static __thread int own; /* this thread is in the allocator, or in `seen` */
static pid_t host; /* worker processes have no allocator but malloc */
static atomic_long from_libraries;

#ifndef SANITIZED

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

/* A call from the engine's code, or from a Lua for it. */
static void seen(const void *caller)
{
    Dl_info info;

    if (!atomic_load(&watching) || own || getpid() != host)
        return;
    own++;
    if (dladdr(caller, &info) && info.dli_fname
        && (strstr(info.dli_fname, "libflowrun")
            || strstr(info.dli_fname, "liblua"))) {
        atomic_fetch_add(&from_libraries, 1);
        printf("malloc, called by %s of %s\n",
               info.dli_sname ? info.dli_sname : "a function",
               info.dli_fname);
    }
    own--;
}

void *malloc(size_t size)
{
    seen(__builtin_return_address(0));
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    seen(__builtin_return_address(0));
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    seen(__builtin_return_address(0));
    return __libc_realloc(old, size);
}

#endif

/* ---- the allocator ---------------------------------------------------- */

struct heap {
    atomic_long blocks, bytes, made;
    atomic_long from, last; /* those fail; from 0: none */
    atomic_ulong odds, seed;
    pid_t pid;
};

struct head {
    struct heap *heap; /* whose it is */
    size_t size;
};

/* splitmix64 */
static bool unlucky(struct heap *h)
{
    unsigned long x = atomic_fetch_add(&h->seed, 0x9e3779b97f4a7c15u);
    unsigned long odds = atomic_load(&h->odds);

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return odds > 0 && (x ^ x >> 31) % odds == 0;
}

static bool refuses(struct heap *h)
{
    long n = atomic_fetch_add(&h->made, 1) + 1, from = atomic_load(&h->from);

    return (from > 0 && n >= from && n <= atomic_load(&h->last))
           || unlucky(h);
}

static struct head *head_of(struct heap *h, void *block)
{
    struct head *head = (struct head *)block - 1;

    if (h->pid != getpid())
        fail("allocator", "called in another process");
    if (head->heap != h)
        fail("allocator", "a block of somebody else");
    return head;
}

static void *allocate(void *user, void *old, size_t size)
{
    struct heap *h = user;
    struct head *head = old ? head_of(h, old) : NULL;
    size_t before = head ? head->size : 0;

    if (refuses(h))
        return NULL;
    own++;
    head = realloc(head, sizeof *head + size);
    own--;
    if (!head)
        return NULL;
    *head = (struct head){ h, size };
    atomic_fetch_add(&h->bytes, (long)size - (long)before);
    atomic_fetch_add(&h->blocks, old == NULL);
    return head + 1;
}

static void release(void *user, void *block)
{
    struct heap *h = user;
    struct head *head = head_of(h, block);

    atomic_fetch_sub(&h->bytes, (long)head->size);
    atomic_fetch_sub(&h->blocks, 1);
    head->heap = NULL;
    free(head);
}

/* ---- an engine -------------------------------------------------------- */

/* What was printed and logged, cut where it becomes long. */
struct told {
    char text[4096];
    size_t length;
};

static void on_output(void *user, int stream, const char *bytes, size_t n)
{
    struct told *t = user;
    size_t room = sizeof t->text - 1 - t->length;

    (void)stream;
    n = n < room ? n : room;
    memcpy(t->text + t->length, bytes, n);
    t->length += n;
}

static frun_status open_engine(struct heap *h, struct told *told,
                               frun_engine **e)
{
    frun_engine_options o = { .allocate = allocate, .free = release,
                              .allocator_user = h, .output = on_output,
                              .output_user = told };

    h->pid = getpid();
    return frun_engine_open(&o, e);
}

static frun_status twice(frun_task *task, const frun_value *n,
                         frun_value **result)
{
    (void)task;
    own++; /* the host's values are the host's own matter */
    *result = frun_value_int(2 * frun_value_as_int(n));
    own--;
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

static bool is_shortage(frun_status status)
{
    return status == FRUN_ENOMEM || status == FRUN_ERESOURCE;
}

/* One script as the main program and one as a task of each kind of pool. */
struct run {
    frun_engine *engine;
    struct told told;
    const char *script;
    bool all;  /* with all that a script can do */
    int ended; /* exit status of the main program, -1: it was not begun */
    int tasks; /* that gave what they should */
};

static void run_main(struct run *r)
{
    char word[] = "all";
    char *words[] = { word };
    frun_status status;

    r->ended = -1;
    status = frun_engine_run_script(r->engine, r->script, r->all, words,
                                    &r->ended);
    if (status != FRUN_OK && !is_shortage(status))
        fail("run_script", frun_engine_message(r->engine));
}

static void note(struct run *r, frun_future *f)
{
    const frun_error *e = f ? frun_future_error(f) : NULL;
    const char *text = e ? e->message : frun_engine_message(r->engine);

    on_output(&r->told, 2, text, strlen(text));
    on_output(&r->told, 2, "\n", 1);
}

static void run_task(struct run *r, frun_kind kind)
{
    frun_pool_options o = { .workers = 2 };
    frun_policy p = { .memory = 100 << 20 };
    frun_pool *pool = NULL;
    frun_future *f = NULL;
    const frun_value *value;
    frun_value *n;
    frun_status status = frun_pool_open(r->engine, kind, &o, &pool);

    own++;
    n = frun_value_int(21);
    own--;
    if (status == FRUN_OK)
        status = frun_pool_script(pool, r->script, n, &p, &f);
    if (status == FRUN_OK && frun_future_wait(f, 60) != FRUN_OK)
        fail("task", "it never ends");
    if (status == FRUN_OK)
        status = frun_future_result(f, 0, &value);
    if (status == FRUN_OK)
        r->tasks += frun_value_as_int(value) == 42;
    else
        note(r, f);
    frun_value_free(n);
    frun_future_free(f);
    frun_pool_close(pool);
}

static bool run_all(struct run *r)
{
    r->tasks = 0;
    r->told.length = 0;
    run_main(r);
    run_task(r, FRUN_THREADS);
    if (r->all)
        run_task(r, FRUN_FORKS);
    r->told.text[r->told.length] = '\0';
    return r->ended == 0 && r->tasks == 1 + r->all;
}

static void must_run(struct run *r)
{
    if (!run_all(r)) {
        printf("exit %d, %d tasks, %s\n", r->ended, r->tasks,
               frun_engine_message(r->engine));
        fail("run", r->told.text);
    }
}

/* LuaJIT loses the tables of its ffi where memory runs out as it makes them. */
static bool may_keep(const struct heap *h)
{
    return dlsym(RTLD_DEFAULT, "luaJIT_setmode")
           && h->bytes <= 8 * (472 + 3072);
}

static void must_be_empty(struct heap *h)
{
    if (h->blocks != 0 || h->bytes != 0) {
        printf("%ld blocks, %ld bytes\n", (long)h->blocks, (long)h->bytes);
        fail("engine", "it has kept memory");
    }
}

/* ---- counts ----------------------------------------------------------- */

static void counts(const char *script)
{
    struct heap heap = { .blocks = 0 };
    struct run r = { .script = script, .all = true };

    for (int i = 0; i < 2; i++) { /* libraries keep what they make once */
        atomic_store(&watching, i > 0);
        if (open_engine(&heap, &r.told, &r.engine) != FRUN_OK
            || frun_engine_register(r.engine, "twice", twice, NULL) != FRUN_OK)
            fail("engine", "it does not open");
        must_run(&r);
        frun_engine_close(r.engine);
        atomic_store(&watching, false);
        must_be_empty(&heap);
    }
    if (heap.made < 1000)
        fail("allocator", "Lua does not use it");
    if (from_libraries > 0)
        fail("engine", "it calls malloc");
    printf("counts\n");
}

/* ---- starves ---------------------------------------------------------- */

/* True: nothing was refused. */
static bool starve(const char *script, long from, long last, bool all)
{
    struct heap heap = { .blocks = 0 };
    struct run r = { .script = script, .all = all };
    bool enough;

    at = heap.from = from;
    heap.last = last;
    if (open_engine(&heap, &r.told, &r.engine) == FRUN_OK
        && frun_engine_register(r.engine, "twice", twice, NULL) == FRUN_OK)
        run_all(&r);
    enough = atomic_load(&heap.made) < from;
    atomic_store(&heap.from, 0);
    if (!r.engine && open_engine(&heap, &r.told, &r.engine) != FRUN_OK)
        fail("engine", "it does not open");
    (void)!frun_engine_register(r.engine, "twice", twice, NULL);
    must_run(&r);
    frun_engine_close(r.engine);
    if (!may_keep(&heap))
        must_be_empty(&heap);
    return enough;
}

/* Each of so many, which a prime spreads over the whole run. */
static void starves(const char *script, long step, bool all)
{
    long n;

    for (n = 1; !starve(script, n, n, all); n += step)
        ;
    for (n = 1 + step / 2; !starve(script, n, 1L << 40, all); n += step)
        ;
}

/* One of `odds` fails, all the time, and tasks are tried again. */
static void unlucky_run(const char *script, unsigned long seed,
                        unsigned long odds)
{
    struct heap heap = { .blocks = 0 };
    struct run r = { .script = script };

    if (open_engine(&heap, &r.told, &r.engine) != FRUN_OK)
        fail("engine", "it does not open");
    heap.seed = seed;
    heap.odds = odds;
    for (int i = 0; i < 10; i++)
        run_all(&r);
    heap.odds = 0;
    must_run(&r);
    frun_engine_close(r.engine);
    if (!may_keep(&heap))
        must_be_empty(&heap);
}

/* ---- two -------------------------------------------------------------- */

static void *one_of_two(void *user)
{
    struct heap heap = { .blocks = 0 };
    struct run r = { .script = user, .all = true };

    if (open_engine(&heap, &r.told, &r.engine) != FRUN_OK)
        fail("engine", "it does not open");
    for (int i = 0; i < 3; i++)
        must_run(&r);
    frun_engine_close(r.engine);
    must_be_empty(&heap);
    return NULL;
}

/* Interleaved on one thread; one is closed while the other has tasks. */
static void two(const char *script)
{
    struct heap heaps[2] = { { .blocks = 0 }, { .blocks = 0 } };
    struct run r[2] = { { .script = script }, { .script = script } };

    for (int i = 0; i < 2; i++)
        if (open_engine(&heaps[i], &r[i].told, &r[i].engine) != FRUN_OK)
            fail("engine", "it does not open");
    for (int i = 0; i < 4; i++)
        must_run(&r[i % 2]);
    frun_engine_close(r[0].engine);
    must_be_empty(&heaps[0]);
    must_run(&r[1]);
    frun_engine_close(r[1].engine);
    must_be_empty(&heaps[1]);
}

static void two_at_once(const char *script)
{
    pthread_t threads[2];

    for (int i = 0; i < 2; i++)
        if (pthread_create(&threads[i], NULL, one_of_two,
                           (void *)(uintptr_t)script))
            fail("thread", "none");
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    const char *what = argc > 2 ? argv[1] : "", *script = argv[argc - 1];
    long step = argc > 3 ? atol(argv[2]) : 997;

    setvbuf(stdout, NULL, _IONBF, 0);
    host = getpid();
#ifdef SANITIZED
    /* What LuaJIT loses would be found. */
    if (dlsym(RTLD_DEFAULT, "luaJIT_setmode") && strcmp(what, "two") != 0)
        return 0;
#endif
    if (strcmp(what, "counts") == 0) {
        counts(script);
    } else if (strcmp(what, "starves") == 0) {
        starves(script, step, false);
        starves(script, 3 * step, true);
    } else if (strcmp(what, "unlucky") == 0) {
        for (unsigned long seed = 1; seed <= 3; seed++)
            unlucky_run(script, seed, 50 * seed * seed * seed);
    } else if (strcmp(what, "two") == 0) {
        two(script);
        two_at_once(script);
    }
    printf("%s: done\n", what);
    return 0;
}
