/*
 * program.h - a script as the main program of its process.
 *
 * What `flowrun script.lua` does with Lua, so that the command needs to know
 * nothing of it: the state, what is different in it from a stock one (print
 * by lines, text only, os.exit), the script's words, how it ended.
 */
#ifndef FRI_PROGRAM_H
#define FRI_PROGRAM_H

#include "core/output.h"
#include "script/script.h"

struct fri_program_hooks {
    /* os.exit was called: does not return.  NULL: the script ends where it
     * stands, `exited`. */
    void (*leave)(void *user, int status, bool close);
    /* The script has asked for the module flowrun, which is there now. */
    void (*module)(void *user);
    void *user;
};

struct fri_program {
    lua_State *L;
    lua_State *running; /* the coroutine that has called os.exit, or L */
    struct fri_script *script;
    struct fri_program_hooks hooks;
    const struct fri_run_options *options;
    char **argv;
    int argc, at;     /* argv[at] is the script */
    atomic_bool stoppable;
    struct fri_lines lines, *current;
    bool exited;
    int exit_status;
    struct fri_buffer text;  /* the script ... */
    struct fri_buffer chunk; /* ... and what Lua calls it */
    struct fri_buffer why;   /* how it failed, control characters escaped */
    struct fri_buffer trace; /* where in the script */
};

/* What becomes the exit status of flowrun. */
enum fri_ended {
    FRI_ENDED_WELL = 0,
    FRI_ENDED_BADLY = 1,  /* raised, or returned false */
    FRI_ENDED_UNREAD = 2, /* not read or not compiled; nothing was run */
    FRI_ENDED_SHORT = 3,  /* memory, or what the engine needs, ran out */
    FRI_ENDED_UNKEPT = 4, /* a journal was refused, or not written */
};

/* False when memory ran out.  Everything given must outlive the program. */
bool fri_program_open(struct fri_program *p, const struct fri_run_options *o,
                      const struct fri_program_hooks *hooks, int argc,
                      char **argv, int at);

/* Each returns an enum fri_ended; `why` is empty when there is nothing to say
 * (it returned false), else one line, after a run with lines of traceback. */
int fri_program_load(struct fri_program *p);
int fri_program_run(struct fri_program *p);

/* load.c: adds to `why`, control characters escaped; all that is left to read,
 * 0 or the errno. */
void fri_program_say(struct fri_program *p, const char *text, size_t length,
                     bool lines);
int fri_read_all(int fd, struct fri_buffer *bytes);

/* In a signal handler on the main thread: the script raises "interrupted" at
 * its next instruction, if it runs. */
void fri_program_stop(struct fri_program *p);

/* From another thread: waits of the script end, nothing new is started; what
 * runs goes on, or is stopped. */
void fri_program_interrupt(struct fri_program *p, bool stop);

/* fri_script_pause, fri_script_abandon. */
void fri_program_pause(struct fri_program *p, bool pause);
void fri_program_abandon(struct fri_program *p);

/* The program as the parent of worker processes; the exit status. */
int fri_program_helper(int argc, char **argv);

/* fri_script_finish. */
int fri_program_finish(struct fri_program *p, bool cancel, fri_time patience);

/* The last words: fri_script_words, fri_script_failures, fri_script_files. */
void fri_program_words(struct fri_program *p, bool badly, const char *cause);
void fri_program_failures(struct fri_program *p, bool badly);
bool fri_program_files(struct fri_program *p);
/* What is in journals is on the disk; else false, and `why` is one line. */
bool fri_program_flush(struct fri_program *p);

/* Ends the pools; then, with `state`, closes the Lua state. */
void fri_program_close(struct fri_program *p, bool state);

/* "Lua 5.4.4", "LuaJIT 2.1.0-beta3", and libyaml's. */
const char *fri_program_lua(void);
const char *fri_program_yaml(void);

#endif
