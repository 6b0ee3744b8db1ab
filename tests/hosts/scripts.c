/*
 * scripts.c - scripts of a host, as programs and as tasks, in every way they
 * end; prints what came of each.  ../hosts.sh knows what that must be.
 */
#include <flowrun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static frun_engine *engine;

static void must(frun_status status)
{
    if (status == FRUN_OK)
        return;
    printf("failed: %s\n", frun_engine_message(engine));
    exit(1);
}

static const char *file(const char *text)
{
    static char path[] = "script.lua";
    FILE *f = fopen(path, "w");

    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        exit(1);
    return path;
}

static frun_status twice(frun_task *task, const frun_value *n,
                         frun_value **result)
{
    (void)task;
    *result = frun_value_int(2 * frun_value_as_int(n));
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

/* ---- as programs ------------------------------------------------------ */

static void program(const char *what, const char *text)
{
    char *words[] = { (char[]){ "a word" }, (char[]){ "" } };
    int status = -1;

    must(frun_engine_run_script(engine, file(text), 2, words, &status));
    printf("%s: %d\n", what, status);
    fflush(stdout);
}

/* A script may run another, and may not close the engine under both. */
static frun_status another(frun_task *task, const frun_value *text,
                           frun_value **result)
{
    (void)task;
    program("inner", frun_value_as_str(text));
    frun_engine_close(engine);
    *result = NULL;
    return FRUN_OK;
}

static void programs(void)
{
    static const char all[]
        = "local flow = require('flowrun')\n"
          "local twice = flow.native('twice')\n"
          "local words = ...\n"
          "assert(words == 'a word' and select('#', ...) == 2)\n"
          "local parsed = flow.commands(1):submit(function()\n"
          "   return { 'echo', '5', parse = function(r)\n"
          "      return twice(tonumber(r.out))\n"
          "   end }\n"
          "end):result()\n"
          "print(twice(4), flow.threads(2):map(twice, { 1, 2 })[2],\n"
          "   flow.forks(1):map(twice, { 1, 2, 3 })[3], parsed)\n";

    program("all pools", all);
    program("again", all);
    program("os.exit", "os.exit(5)");
    program("os.exit, tasks pending",
            "local flow = require('flowrun')\n"
            "flow.threads(1):submit(flow.sleep, 1000)\n"
            "os.exit(6, true)");
    program("in a coroutine", "coroutine.wrap(function() os.exit(7) end)()");
    program("error", "error('bad', 0)");
    program("false", "return false");
    program("syntax", "x = = 1");
    program("nobody looked",
            "require('flowrun').threads(1):submit(error, 'x')");
    program("outer", "require('flowrun').native('another')('return false')");
    program("again", all);
}

/* ---- as tasks --------------------------------------------------------- */

static void tell(frun_status status, frun_future *f, const frun_value *v)
{
    const frun_error *error = frun_future_error(f);

    if (error)
        printf("%s: %s\n", error->kind, error->message);
    else if (status != FRUN_OK)
        printf("%s\n", frun_engine_message(engine));
    else if (frun_value_kind(v) == FRUN_STR)
        printf("%s\n", frun_value_as_str(v));
    else
        printf("%g\n", frun_value_as_num(v));
    fflush(stdout);
}

static void task(frun_pool *pool, const char *what, const char *text,
                 const frun_policy *policy)
{
    frun_value *n = frun_value_num(21);
    const frun_value *v = NULL;
    frun_future *f = NULL;
    frun_status status = frun_pool_script(pool, file(text), n, policy, &f);

    if (status == FRUN_OK)
        status = frun_future_result(f, -1, &v);
    printf("%s: ", what);
    tell(status, f, v);
    frun_future_free(f);
    frun_value_free(n);
}

static void tasks(frun_kind kind)
{
    frun_pool_options options = { .workers = 2 };
    frun_policy hard = { .timeout = 0.2, .memory = 64 << 20 };
    frun_pool *pool;

    must(frun_pool_open(engine, kind, &options, &pool));
    task(pool, "native", "return require('flowrun').native('twice')(...)",
         NULL);
    task(pool, "nested",
         "local flow = require('flowrun')\n"
         "return flow.threads(2):map(flow.native('twice'), { 1, 2, 3 })[3]",
         NULL);
    task(pool, "its own pool",
         "return require('flowrun').pool():submit(function() return 7 end)"
         ":result()",
         NULL);
    task(pool, "for ever", "while true do end", &hard);
    task(pool, "too large", "return #('x'):rep(1e9)", &hard);
    task(pool, "raises", "error('no ' .. ..., 0)", NULL);
    task(pool, "no value of C", "return print", NULL);
    task(pool, "syntax", "return = 1", NULL);
    task(pool, "bytecode", "\033Lua", NULL);
    frun_pool_close(pool);
}

static void commands(void)
{
    frun_pool *pool;

    must(frun_pool_open(engine, FRUN_COMMANDS, NULL, &pool));
    task(pool, "command",
         "return { 'echo', ..., parse = function(r)\n"
         "   return require('flowrun').native('twice')(tonumber(r.out))\n"
         "end }",
         NULL);
    frun_pool_close(pool);
}

/* ---- kept ------------------------------------------------------------- */

static const char *kept(frun_pool *pool, const char *text, frun_policy *p)
{
    frun_value *n = frun_value_num(21);
    frun_future *f;
    frun_info info = { .size = 0 };

    must(frun_pool_script(pool, file(text), n, p, &f));
    must(frun_future_result(f, -1, NULL));
    must(frun_future_info(f, &info));
    frun_future_free(f);
    frun_value_free(n);
    return info.from_journal ? "from the journal" : "run";
}

/* As in another run. */
static void keep(const char *what, const char *text, const char *version)
{
    frun_policy p = { .version = version };
    frun_pool *pool;

    must(frun_engine_open(NULL, &engine));
    must(frun_journal_open(engine, "kept.journal", &p.journal));
    must(frun_pool_open(engine, FRUN_THREADS, NULL, &pool));
    printf("%s: %s\n", what, kept(pool, text, &p));
    frun_pool_close(pool);
    frun_journal_close(p.journal);
    frun_engine_close(engine);
}

int main(void)
{
    must(frun_engine_open(NULL, &engine));
    must(frun_engine_register(engine, "twice", twice, NULL));
    must(frun_engine_register(engine, "another", another, NULL));
    programs();
    tasks(FRUN_THREADS);
    tasks(FRUN_FORKS);
    commands();
    frun_engine_close(engine);
    keep("first", "return ... + 1", NULL);
    keep("second", "return ... + 1 -- the same", NULL);
    keep("another text", "return ... + 2", NULL);
    keep("a version", "return ... + 1", "1");
    keep("of another text", "return ... + 2", "1");
    return 0;
}
