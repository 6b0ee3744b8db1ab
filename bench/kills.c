/*
 * kills.c - SIGKILL for random children of a process, with random pauses.
 *
 *    kills PARENT COUNT SEED
 *
 * prints how many it has killed: fewer than COUNT if for five seconds there was
 * none to kill, or the parent has ended.
 *
 * A process is killed once: its number stays with the parent's children until
 * the parent has reaped it.  Nine of ten are OLD when they are killed, so they
 * have begun to work: a pool whose workers all die at once gives up, as it has
 * to, and this is not what is measured.
 */
#include "kit.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { MOST = 256, PAUSE_US = 4000, YOUNG = 10, PATIENCE_S = 5 };

static const double OLD = 0.01;

struct process {
    pid_t pid;
    double seen; /* for the first time */
    bool killed;
};

static uint64_t state;
static struct process known[MOST]; /* the last ones, as a ring */
static unsigned count_known;

static unsigned below(unsigned n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state >> 33) % n;
}

static void pause_us(unsigned us)
{
    struct timespec t = {0, (long)us * 1000};

    nanosleep(&t, NULL);
}

static struct process *look_up(pid_t pid)
{
    struct process *p;

    for (int i = 0; i < MOST; i++)
        if (known[i].pid == pid)
            return &known[i];
    p = &known[count_known++ % MOST];
    *p = (struct process){.pid = pid, .seen = seconds_now()};
    return p;
}

/* Those of this age that may be killed; -1: there is no such parent. */
static int candidates(const char *path, double age, struct process **list)
{
    FILE *file = fopen(path, "r");
    int n = 0, pid;

    if (!file)
        return -1;
    while (n < MOST && fscanf(file, "%d", &pid) == 1) {
        struct process *p = look_up(pid);

        if (!p->killed && seconds_now() - p->seen >= age)
            list[n++] = p;
    }
    fclose(file);
    return n;
}

static int kill_all(const char *path, int count)
{
    double last = seconds_now();
    struct process *list[MOST];
    int done = 0;

    while (done < count && seconds_now() - last < PATIENCE_S) {
        int n = candidates(path, below(YOUNG) ? OLD : 0, list);
        struct process *p = n > 0 ? list[below((unsigned)n)] : NULL;

        if (n < 0)
            break;
        if (p && kill(p->pid, SIGKILL) == 0) {
            p->killed = true;
            last = seconds_now();
            done++;
        }
        pause_us(below(PAUSE_US));
    }
    return done;
}

int main(int argc, char **argv)
{
    char path[64];
    int parent = argc == 4 ? atoi(argv[1]) : 0;
    int count = argc == 4 ? atoi(argv[2]) : 0;

    if (parent < 2 || count < 1) {
        fprintf(stderr, "usage: kills PARENT COUNT SEED\n");
        return 1;
    }
    state = strtoull(argv[3], NULL, 10) * 2654435761u + 1;
    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
    printf("%d\n", kill_all(path, count));
    return 0;
}
