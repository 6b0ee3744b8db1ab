/*
 * server.c - a server with its own epoll loop that runs its users' Lua scripts
 * as tasks, each with a second and 64 MiB, and lets them call a C function of
 * its own.  Requests are lines on stdin, a name and a script; answers are lines
 * on stdout.  The loop waits for requests and for the engine's one descriptor.
 *
 *     cc -o server server.c $(pkg-config --cflags --libs flowrun-lua5.4)
 *     echo 'ann hello.lua' | ./server
 */
#include <errno.h>
#include <flowrun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

struct server {
    frun_engine *engine;
    frun_pool *pool;
    char line[4096];
    size_t length;
    unsigned waiting; /* scripts that have not ended */
    int ended;        /* no more requests come */
};

struct request {
    struct server *server;
    char name[64];
};

static frun_status greeting(frun_task *task, const frun_value *argument,
                            frun_value **result)
{
    char text[128];

    (void)task;
    snprintf(text, sizeof text, "hello %s",
             frun_value_as_str(argument));
    *result = frun_value_str(text, strlen(text));
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

/* On this thread, inside frun_engine_step. */
static void answer(frun_future *future, void *user)
{
    struct request *r = user;
    const frun_value *value;
    const frun_error *error;

    if (frun_future_result(future, 0, &value) == FRUN_OK) {
        printf("%s: %s\n", r->name, frun_value_as_str(value));
    } else {
        error = frun_future_error(future);
        printf("%s: failed: %s\n", r->name, error->kind);
    }
    fflush(stdout);
    r->server->waiting--;
    frun_future_free(future);
    free(r);
}

static void request(struct server *s, char *line)
{
    static const frun_policy policy = { .timeout = 1, .memory = 64 << 20 };
    char *script = strchr(line, ' ');
    struct request *r = script ? calloc(1, sizeof *r) : NULL;
    frun_future *future = NULL;
    frun_value *name;

    if (!r)
        return; /* no request, or no memory for one */
    *script++ = '\0';
    r->server = s;
    snprintf(r->name, sizeof r->name, "%s", line);
    name = frun_value_str(r->name, strlen(r->name));
    if (frun_pool_script(s->pool, script, name, &policy, &future) != FRUN_OK
        || frun_future_on_done(future, answer, r) != FRUN_OK) {
        printf("%s: refused: %s\n", r->name, frun_engine_message(s->engine));
        fflush(stdout);
        frun_future_free(future);
        free(r);
    } else {
        s->waiting++;
    }
    frun_value_free(name);
}

static void read_requests(struct server *s)
{
    ssize_t n = read(STDIN_FILENO, s->line + s->length,
                     sizeof s->line - 1 - s->length);
    char *end;

    if (n <= 0) {
        s->ended = n == 0 || errno != EINTR;
        return;
    }
    s->length += (size_t)n;
    s->line[s->length] = '\0';
    while ((end = strchr(s->line, '\n')) != NULL) {
        *end++ = '\0';
        request(s, s->line);
        s->length -= (size_t)(end - s->line);
        memmove(s->line, end, s->length + 1);
    }
    if (s->length == sizeof s->line - 1)
        s->length = 0; /* no name is that long */
}

static int watch(int loop, int fd)
{
    struct epoll_event in = { .events = EPOLLIN, .data.fd = fd };

    return epoll_ctl(loop, EPOLL_CTL_ADD, fd, &in);
}

static int wait_and_serve(struct server *s, int loop)
{
    struct epoll_event event;
    int n = epoll_wait(loop, &event, 1, -1);

    if (n < 1)
        return n == 0 || errno == EINTR ? 0 : -1;
    if (event.data.fd == STDIN_FILENO)
        read_requests(s);
    else
        while (frun_engine_step(s->engine, 0) == FRUN_OK)
            ;
    if (s->ended)
        epoll_ctl(loop, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
    return 0;
}

static int serve(struct server *s)
{
    int loop = epoll_create1(EPOLL_CLOEXEC), failed;

    failed = loop < 0 || watch(loop, STDIN_FILENO) < 0
             || watch(loop, frun_engine_fd(s->engine)) < 0;
    while (!failed && (!s->ended || s->waiting > 0))
        failed = wait_and_serve(s, loop) < 0;
    if (failed)
        perror("server");
    if (loop >= 0)
        close(loop);
    return failed;
}

int main(void)
{
    struct server s = { .length = 0 };
    frun_pool_options options = { .workers = 2, .name = "users" };
    frun_status status = frun_engine_open(NULL, &s.engine);

    if (status == FRUN_OK)
        status = frun_engine_register(s.engine, "greeting", greeting, NULL);
    if (status == FRUN_OK)
        status = frun_pool_open(s.engine, FRUN_THREADS, &options, &s.pool);
    if (status == FRUN_OK)
        status = serve(&s) == 0 ? FRUN_OK : FRUN_ERROR;
    else
        fprintf(stderr, "server: %s\n", frun_status_text(status));
    frun_pool_close(s.pool);
    frun_engine_close(s.engine);
    return status != FRUN_OK;
}
