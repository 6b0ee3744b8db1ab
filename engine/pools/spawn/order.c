#include "pools/spawn/order.h"
#include "pools/commands/proc.h"

/* One string, its zero byte too. */
static void put(struct fri_buffer *b, const char *text)
{
    fri_buffer_add(b, text, strlen(text) + 1);
}

static void put_string(struct fri_buffer *b, const frun_value *v)
{
    fri_buffer_add(b, frun_value_as_str(v), frun_value_length(v) + 1);
}

static void put_path(struct fri_buffer *b, const frun_value *v)
{
    if (v && frun_value_kind(v) == FRUN_MAP)
        v = frun_value_get(v, "path");
    else if (v && frun_value_kind(v) != FRUN_STR)
        v = NULL;
    put(b, v ? frun_value_as_str(v) : "");
}

/* ---- words ------------------------------------------------------------ */

/* What begins with a dash is no option of the shell. */
static uint32_t put_shell(struct fri_buffer *b)
{
    put(b, "/bin/sh");
    put(b, "-c");
    put(b, "--");
    return 3;
}

static uint32_t put_words(struct fri_buffer *b, const frun_value *command)
{
    const frun_value *argv = frun_value_get(command, "argv");
    bool shell = frun_value_as_bool(frun_value_get(command, "shell"));
    size_t n = frun_value_length(argv);
    uint32_t words = shell ? put_shell(b) : 0;

    for (size_t i = 0; i < n; i++) {
        put_string(b, frun_value_at(argv, i));
        words++;
        if (shell && i == 0) {
            put(b, "sh"); /* its $0 */
            words++;
        }
    }
    return words;
}

/* ---- the environment -------------------------------------------------- */

static bool is_set(const char *const *env, const char *name, size_t length)
{
    for (; env && *env; env++)
        if (strncmp(*env, name, length) == 0 && (*env)[length] == '=')
            return true;
    return false;
}

/* A value is a string, or false. */
static uint32_t put_change(struct fri_buffer *b, const char *const *env,
                           const frun_value *name, const frun_value *value)
{
    const char *text = frun_value_as_str(name);
    size_t length = frun_value_length(name);

    if (is_set(env, text, length))
        return 0;
    fri_buffer_add(b, text, length);
    if (frun_value_kind(value) == FRUN_STR) {
        fri_buffer_byte(b, '=');
        put_string(b, value);
    } else {
        fri_buffer_byte(b, 0);
    }
    return 1;
}

static uint32_t put_changes(struct fri_buffer *b, const frun_value *changes,
                            const char *const *env)
{
    size_t n = changes ? frun_value_length(changes) : 0;
    uint32_t count = 0;

    for (size_t i = 0; i < n; i++)
        count += put_change(b, env, frun_value_key_at(changes, i),
                            frun_value_at(changes, i));
    for (; env && *env; env++) {
        put(b, *env);
        count++;
    }
    return count;
}

/* ---- all of it -------------------------------------------------------- */

void fri_order_write(struct fri_buffer *b, const struct fri_proc_plan *plan)
{
    const frun_value *c = plan->command, *in = frun_value_get(c, "stdin");
    struct fri_order_head head = { .memory = plan->memory };

    b->length = 0;
    b->failed = false;
    fri_buffer_add(b, &head, sizeof head);
    put(b, plan->cwd ? plan->cwd : "");
    put_path(b, in && frun_value_kind(in) == FRUN_MAP ? in : NULL);
    put_path(b, frun_value_get(c, "stdout"));
    put_path(b, frun_value_get(c, "stderr"));
    head.words = put_words(b, c);
    head.changes = put_changes(b, frun_value_get(c, "env"), plan->env);
    if (!b->failed)
        memcpy(b->data, &head, sizeof head);
}
