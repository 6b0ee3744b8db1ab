/*
 * vars.c - what a command finds in its environment: whose it is.
 */
#include "pools/commands/exec.h"

#include "core/engine.h"

#include <ctype.h>

enum { MOST = 64 }; /* of seats' names, and the others */

/* The text of each ends in a zero byte. */
static void end_one(struct fri_buffer *b, unsigned *count)
{
    fri_buffer_byte(b, 0);
    ++*count;
}

/* Letters and digits, capitals; all else is _. */
static void put_limit_name(struct fri_buffer *b, const char *name)
{
    for (; *name; name++) {
        unsigned char c = (unsigned char)*name;

        fri_buffer_byte(b, c < 128 && isalnum(c) ? (uint8_t)toupper(c) : '_');
    }
}

static void put_seats(struct fri_buffer *b, const struct fri_limit *limit,
                      const struct frun_future *task)
{
    const char *between = "=";

    for (unsigned i = 0; i < limit->places; i++) {
        if (limit->seats[i] != task)
            continue;
        fri_buffer_printf(b, "%s%u", between, i + 1);
        between = ",";
    }
    if (*between == '=')
        fri_buffer_byte(b, '=');
}

static void put_limits(struct fri_buffer *b, const struct frun_future *task,
                       unsigned *count)
{
    const struct fri_spec *spec = task->spec;

    for (size_t i = 0; i < spec->need_count && *count < MOST; i++) {
        const struct fri_limit *limit = spec->needs[i].limit;

        if (!limit->name)
            continue;
        fri_buffer_text(b, "FLOWRUN_SEAT_");
        put_limit_name(b, limit->name);
        put_seats(b, limit, task);
        end_one(b, count);
    }
}

static void put_task(struct fri_buffer *b, const struct frun_future *task,
                     unsigned *count)
{
    unsigned attempts = atomic_load(&task->attempts);
    char name[32];

    fri_buffer_printf(b, "FLOWRUN_TASK=%llu", (unsigned long long)task->id);
    end_one(b, count);
    fri_buffer_printf(b, "FLOWRUN_ATTEMPT=%u", attempts ? attempts : 1);
    end_one(b, count);
    fri_buffer_text(b, "FLOWRUN_NAME=");
    fri_buffer_text(b, fri_task_name(task, name));
    end_one(b, count);
    put_limits(b, task, count);
}

const char **fri_exec_vars(const struct fri_exec *x, struct fri_buffer *b)
{
    const char **list = fri_alloc(&x->engine->memory,
                                  (MOST + 1) * sizeof *list);
    unsigned count = 0;
    const char *at;

    fri_buffer_printf(b, "FLOWRUN_SEED=%llu",
                      (unsigned long long)x->engine->seed);
    end_one(b, &count);
    if (x->tied.task)
        put_task(b, x->tied.task, &count);
    if (!list || b->failed) {
        fri_free(&x->engine->memory, list);
        return NULL;
    }
    at = (const char *)b->data;
    for (unsigned i = 0; i < count; i++, at += strlen(at) + 1)
        list[i] = at;
    list[count] = NULL;
    return list;
}
