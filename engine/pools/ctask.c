#include "pools/ctask.h"

#include <stdarg.h>
#include <stdio.h>

/* A status that tasks do not end with is an error like another. */
static struct fri_error *failure(struct frun_task *task, frun_status status)
{
    bool own = task->message[0] != '\0';

    if (fri_status_kind(status) == NULL)
        status = FRUN_ERROR;
    return fri_error_new(task->memory, status, own ? task->message : NULL,
                         NULL, NULL);
}

frun_status fri_ctask_call(struct frun_task *task, frun_function *fn,
                           const frun_value *argument, frun_value **result,
                           struct fri_error **error)
{
    frun_status status;

    task->message[0] = '\0';
    *result = NULL;
    status = fn(task, argument, result);
    if (status == FRUN_OK)
        return status;
    *error = failure(task, status);
    frun_value_free(*result);
    *result = NULL;
    return status;
}

static void run_items(struct frun_task *task, struct fri_slice *slice,
                      struct fri_ran *ran)
{
    frun_function *fn = slice->task->spec->function;
    struct fri_range *r = slice->task->data.range;
    uint64_t i;

    for (i = slice->first; i < slice->end; i++) {
        uint64_t at = i - r->origin;

        if (atomic_load_explicit(&r->stop, memory_order_relaxed))
            break;
        if (fri_ctask_call(task, fn, frun_value_at(r->list, at),
                           &r->results[at], &ran->failure)
            == FRUN_OK)
            continue;
        ran->failed = true;
        if (ran->failure) {
            ran->failure->number_key = true;
            ran->failure->key_number = (int64_t)i;
        }
        break;
    }
    slice->end = i;
}

static const frun_value *argument_of(const struct frun_future *task)
{
    return task->holds == FRI_VALUE ? task->data.value : NULL;
}

void fri_ctask_run(struct fri_worker *worker, struct fri_slice *slice,
                   struct fri_ran *ran)
{
    const struct fri_spec *spec = slice->task->spec;
    const frun_value *argument = argument_of(slice->task);
    struct frun_task task;
    frun_value *result;
    struct fri_error *error = NULL;

    fri_worker_enter(worker);
    task.future = slice->task;
    task.memory = slice->task->spec->lane->sched->memory;
    task.user = spec->user;
    if (slice->task->counted) {
        run_items(&task, slice, ran);
    } else if (fri_ctask_call(&task, spec->function, argument, &result,
                              &error)
               == FRUN_OK) {
        ran->outcome.holds = result ? FRI_VALUE : FRI_NOTHING;
        ran->outcome.value = result;
    } else {
        ran->outcome.holds = FRI_ERROR;
        ran->outcome.error = error;
    }
}

/* ---- what a task may ask ---------------------------------------------- */

frun_status frun_task_fail(frun_task *task, const char *format, ...)
{
    va_list args;

    if (!task || !format)
        return FRUN_ERROR;
    va_start(args, format);
    vsnprintf(task->message, sizeof task->message, format, args);
    va_end(args);
    return FRUN_ERROR;
}

bool frun_task_cancelled(const frun_task *task)
{
    struct frun_future *f = task ? task->future : NULL;

    if (!f)
        return false;
    return atomic_load(&f->stopping)
           || (f->counted && atomic_load(&f->data.range->stop));
}

int frun_task_attempt(const frun_task *task)
{
    return task && task->future ? task->future->attempts : 1;
}

void *frun_task_user(const frun_task *task)
{
    return task ? task->user : NULL;
}
