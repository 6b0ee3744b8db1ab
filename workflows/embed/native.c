/*
 * native.c - a host that gives its Lua workflow a C function: native.lua calls
 * it in every pool.
 *
 *     cc -o native native.c $(pkg-config --cflags --libs flowrun-lua5.4)
 *     ./native native.lua 1.5
 */
#include <flowrun.h>
#include <stdio.h>

struct steel {
    double modulus;
};

/* The energy of a spring of this steel; `user` is what was registered. */
static frun_status energy(frun_task *task, const frun_value *argument,
                          frun_value **result)
{
    const struct steel *steel = frun_task_user(task);
    double strain = frun_value_as_num(frun_value_get(argument, "strain"));

    if (strain < 0)
        return frun_task_fail(task, "strain %g is below 0", strain);
    *result = frun_value_num(steel->modulus * strain * strain / 2);
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

int main(int argc, char **argv)
{
    static struct steel steel = { 210e9 };
    frun_engine *engine = NULL;
    frun_status status;
    int ended = 1;

    if (argc < 2) {
        fprintf(stderr, "usage: native SCRIPT [WORDS]\n");
        return 2;
    }
    status = frun_engine_open(NULL, &engine);
    if (status == FRUN_OK)
        status = frun_engine_register(engine, "energy", energy, &steel);
    if (status == FRUN_OK)
        status = frun_engine_run_script(engine, argv[1], argc - 2, argv + 2,
                                        &ended);
    if (status != FRUN_OK)
        fprintf(stderr, "native: %s\n", engine ? frun_engine_message(engine)
                                               : frun_status_text(status));
    frun_engine_close(engine);
    return ended;
}
