#define _GNU_SOURCE
#include "core/engine.h"

#include <sched.h>
#include <stdio.h>

static unsigned by_affinity(void)
{
    cpu_set_t set;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        return (unsigned)CPU_COUNT(&set);
    return 1;
}

/* The quota of this process's cgroup (version 2), rounded up; 0: none. */
static unsigned by_cgroup(void)
{
    char path[512], line[512];
    long long quota = 0, period = 0;
    FILE *f = fopen("/proc/self/cgroup", "re");
    bool found = false;

    while (f && !found && fgets(line, sizeof line, f)) {
        char group[400];

        if (sscanf(line, "0::%399[^\n]", group) != 1)
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/cpu.max", group);
        found = true;
    }
    if (f)
        fclose(f);
    f = found ? fopen(path, "re") : NULL;
    if (!f)
        return 0;
    if (fscanf(f, "%lld %lld", &quota, &period) != 2 || period <= 0)
        quota = 0;
    fclose(f);
    return quota > 0 ? (unsigned)((quota + period - 1) / period) : 0;
}

unsigned fri_usable_cpus(void)
{
    unsigned cpus = by_affinity(), quota = by_cgroup();

    if (quota > 0 && quota < cpus)
        cpus = quota;
    return cpus > 0 ? cpus : 1;
}
