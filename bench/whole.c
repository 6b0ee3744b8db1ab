/*
 * whole.c - whole programs in turns: their milliseconds, from before the start
 * to after the end.
 *
 *    whole TURNS NAME COMMAND... [, NAME COMMAND...]...
 *
 * prints a line for each: its name, a tab, the median.  What the commands
 * print on stdout is dropped.  A command that fails ends it, with status 1.
 */
#include "kit.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

enum { MOST = 16, MOST_TURNS = 1000 };

extern char **environ;

struct command {
    char *name, **words;
    double times[MOST_TURNS];
};

/* Splits the words at the commas, in place. */
static int parse(char **words, struct command *commands)
{
    int n = 0;

    while (*words && n < MOST) {
        commands[n].name = *words++;
        commands[n++].words = words;
        while (*words && strcmp(*words, ","))
            words++;
        if (*words)
            *words++ = NULL;
    }
    return n;
}

static double run(const struct command *c,
                  const posix_spawn_file_actions_t *actions)
{
    double started = seconds_now();
    int status = 0;
    pid_t pid;

    if (posix_spawnp(&pid, c->words[0], actions, NULL, c->words, environ) ||
        waitpid(pid, &status, 0) < 0 || status) {
        fprintf(stderr, "whole: %s (%s) failed\n", c->name, c->words[0]);
        exit(1);
    }
    return (seconds_now() - started) * 1000;
}

int main(int argc, char **argv)
{
    static struct command commands[MOST];
    int turns = argc > 3 ? atoi(argv[1]) : 0;
    int n = turns > 0 && turns <= MOST_TURNS ? parse(argv + 2, commands) : 0;
    posix_spawn_file_actions_t actions;

    if (!n) {
        fprintf(stderr, "usage: whole TURNS NAME COMMAND... [, ...]\n");
        return 1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    for (int turn = 0; turn < turns; turn++)
        for (int i = 0; i < n; i++)
            commands[i].times[turn] = run(&commands[i], &actions);
    for (int i = 0; i < n; i++)
        report(commands[i].name,
               quantile(commands[i].times, (size_t)turns, 0.5));
    posix_spawn_file_actions_destroy(&actions);
    return 0;
}
