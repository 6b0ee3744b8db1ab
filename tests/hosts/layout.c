/*
 * layout.c - prints where each field of each public struct lies, and the
 * numbers of the enums: what a host was compiled with, and the library must
 * keep.  ../hosts.sh compares it with engine/flowrun.layout, which says so for
 * 64-bit Linux.  A field may be added at the end of a struct that begins with
 * its size, and a number at the end of an enum; nothing else may change.
 */
#include <flowrun.h>
#include <stdio.h>

#define S(s) printf("%s %zu\n", #s, sizeof(s));
#define F(s, field)                                                           \
    printf("%s.%s %zu %zu\n", #s, #field, offsetof(s, field),                 \
           sizeof(((s *)0)->field));
#define E(name) printf("%s %d\n", #name, (int)name);

int main(void)
{
    S(frun_error)
    F(frun_error, status) F(frun_error, kind) F(frun_error, attempts)
    F(frun_error, exit_status) F(frun_error, signal) F(frun_error, message)
    F(frun_error, traceback) F(frun_error, task) F(frun_error, cause)
    F(frun_error, result)
    S(frun_info)
    F(frun_info, size) F(frun_info, name) F(frun_info, pool)
    F(frun_info, worker) F(frun_info, attempts) F(frun_info, submitted)
    F(frun_info, started) F(frun_info, finished) F(frun_info, seconds)
    F(frun_info, cpu) F(frun_info, memory) F(frun_info, from_journal)
    S(frun_stats)
    F(frun_stats, size) F(frun_stats, workers) F(frun_stats, queued)
    F(frun_stats, running) F(frun_stats, done) F(frun_stats, failed)
    F(frun_stats, cancelled) F(frun_stats, retried) F(frun_stats, crashed)
    F(frun_stats, lost)
    S(frun_engine_options)
    F(frun_engine_options, size) F(frun_engine_options, allocate)
    F(frun_engine_options, free) F(frun_engine_options, allocator_user)
    F(frun_engine_options, log) F(frun_engine_options, log_user)
    F(frun_engine_options, output) F(frun_engine_options, output_user)
    F(frun_engine_options, seed) F(frun_engine_options, worker_path)
    F(frun_engine_options, interrupt_signal)
    S(frun_pool_options)
    F(frun_pool_options, size) F(frun_pool_options, workers)
    F(frun_pool_options, name) F(frun_pool_options, max_tasks)
    S(frun_file)
    F(frun_file, name) F(frun_file, text) F(frun_file, length)
    F(frun_file, path)
    S(frun_command)
    F(frun_command, size) F(frun_command, argv) F(frun_command, cwd)
    F(frun_command, keep) F(frun_command, files) F(frun_command, file_count)
    F(frun_command, collect) F(frun_command, env) F(frun_command, stdin)
    F(frun_command, stdin_length) F(frun_command, stdin_path)
    F(frun_command, stdout) F(frun_command, stderr)
    F(frun_command, ok_status) F(frun_command, ok_count)
    F(frun_command, capture) F(frun_command, shell)
    S(frun_policy)
    F(frun_policy, size) F(frun_policy, timeout) F(frun_policy, memory)
    F(frun_policy, backoff) F(frun_policy, retries) F(frun_policy, retry_on)
    F(frun_policy, priority) F(frun_policy, limits)
    F(frun_policy, limit_needs) F(frun_policy, limit_count)
    F(frun_policy, after) F(frun_policy, after_count) F(frun_policy, halt)
    F(frun_policy, chunk) F(frun_policy, name) F(frun_policy, user)
    F(frun_policy, journal) F(frun_policy, version) F(frun_policy, durable)

    E(FRUN_OK) E(FRUN_ENOMEM) E(FRUN_EINVAL) E(FRUN_ERROR) E(FRUN_EEXIT)
    E(FRUN_ECRASHED) E(FRUN_ETIMEOUT) E(FRUN_ECANCELLED) E(FRUN_EUNSENDABLE)
    E(FRUN_EDEPENDENCY) E(FRUN_ERESOURCE) E(FRUN_EUNFINISHED)
    E(FRUN_ECLOSED) E(FRUN_EDEADLOCK) E(FRUN_EJOURNAL)
    E(FRUN_THREADS) E(FRUN_FORKS) E(FRUN_COMMANDS)
    E(FRUN_PENDING) E(FRUN_RUNNING) E(FRUN_DONE) E(FRUN_FAILED)
    E(FRUN_CANCELLED)
    E(FRUN_ALL) E(FRUN_FIRST) E(FRUN_FIRST_FAILED)
    E(FRUN_NULL) E(FRUN_BOOL) E(FRUN_INT) E(FRUN_NUM) E(FRUN_STR)
    E(FRUN_LIST) E(FRUN_MAP)
    return 0;
}
