/*
 * server_uv.c - the engine in a libuv loop: one uv_poll_t at its descriptor.
 * Lines on stdin are names of Lua scripts; what each returns goes to stdout.
 *
 *     cc -o server_uv server_uv.c \
 *         $(pkg-config --cflags --libs libuv flowrun-lua5.4)
 *     echo hello.lua | ./server_uv
 */
#include <flowrun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

static frun_engine *engine;
static frun_pool *pool;
static uv_pipe_t input;
static uv_poll_t wakes;
static unsigned waiting;

static frun_status greeting(frun_task *task, const frun_value *name,
                            frun_value **result)
{
    const char *text = frun_value_as_str(name);

    (void)task;
    *result = frun_value_str(text, strlen(text));
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

/* The loop ends when nothing is read and nothing is waited for. */
static void leave_if_over(void)
{
    if (waiting == 0 && uv_is_closing((uv_handle_t *)&input)
        && !uv_is_closing((uv_handle_t *)&wakes))
        uv_close((uv_handle_t *)&wakes, NULL);
}

static void answer(frun_future *future, void *user)
{
    char *script = user;
    const frun_value *value;

    if (frun_future_result(future, 0, &value) == FRUN_OK)
        printf("%s: %s\n", script, frun_value_as_str(value));
    else
        printf("%s: failed: %s\n", script, frun_future_error(future)->kind);
    fflush(stdout);
    waiting--;
    frun_future_free(future);
    free(script);
}

static void on_wake(uv_poll_t *handle, int status, int events)
{
    (void)handle;
    (void)status;
    (void)events;
    while (frun_engine_step(engine, 0) == FRUN_OK)
        ;
    leave_if_over();
}

static void submit(const char *script)
{
    static const frun_policy policy = { .timeout = 1, .memory = 64 << 20 };
    frun_value *name = frun_value_str("libuv", 5);
    char *own = strdup(script);
    frun_future *future = NULL;

    if (own
        && frun_pool_script(pool, script, name, &policy, &future) == FRUN_OK
        && frun_future_on_done(future, answer, own) == FRUN_OK) {
        waiting++;
    } else {
        printf("%s: refused: %s\n", script, frun_engine_message(engine));
        fflush(stdout);
        frun_future_free(future);
        free(own);
    }
    frun_value_free(name);
}

static void make_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    static char bytes[65536];

    (void)handle;
    (void)wanted;
    *room = uv_buf_init(bytes, sizeof bytes);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    static char line[4096];
    static size_t length;

    for (ssize_t i = 0; i < n; i++) {
        if (bytes->base[i] != '\n' && length < sizeof line - 1) {
            line[length++] = bytes->base[i];
            continue;
        }
        line[length] = '\0';
        length = 0;
        submit(line);
    }
    if (n < 0) {
        uv_close((uv_handle_t *)stream, NULL);
        leave_if_over();
    }
}

static int serve(uv_loop_t *loop)
{
    uv_pipe_init(loop, &input, 0);
    if (uv_pipe_open(&input, 0) < 0
        || uv_read_start((uv_stream_t *)&input, make_room, on_read) < 0
        || uv_poll_init(loop, &wakes, frun_engine_fd(engine)) < 0
        || uv_poll_start(&wakes, UV_READABLE, on_wake) < 0)
        return 1;
    uv_run(loop, UV_RUN_DEFAULT);
    return uv_loop_close(loop) < 0;
}

int main(void)
{
    frun_pool_options options = { .workers = 2 };
    frun_status status = frun_engine_open(NULL, &engine);
    int failed;

    if (status == FRUN_OK)
        status = frun_engine_register(engine, "greeting", greeting, NULL);
    if (status == FRUN_OK)
        status = frun_pool_open(engine, FRUN_THREADS, &options, &pool);
    failed = status != FRUN_OK || serve(uv_default_loop());
    if (failed)
        fprintf(stderr, "server_uv: %s\n",
                status == FRUN_OK ? "no loop" : frun_status_text(status));
    frun_pool_close(pool);
    frun_engine_close(engine);
    return failed;
}
