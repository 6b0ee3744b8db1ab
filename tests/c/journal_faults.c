/*
 * journal_faults.c - whatever happens to a journal's file: it resumes with
 * what it has, or is refused as it is; it never gives a wrong result.
 *
 * kit_look asserts for each result that is given that it is the right one.
 */
#include "journal_kit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

enum { ROWS = 60 };

static uint64_t random_state = 1;

static uint64_t random_next(void)
{
    return fri_mix(random_state++);
}

/* ---- files ------------------------------------------------------------ */

struct bytes {
    unsigned char *data;
    size_t n;
};

static struct bytes read_all(const char *end)
{
    char name[200];
    struct stat st;
    struct bytes b = { NULL, 0 };
    int fd;

    snprintf(name, sizeof name, "%s%s", kit_path, end);
    fd = open(name, O_RDONLY);
    if (fd < 0)
        return b;
    ck_assert_int_eq(fstat(fd, &st), 0);
    b.n = (size_t)st.st_size;
    b.data = malloc(b.n + 1);
    ck_assert_int_eq(read(fd, b.data, b.n), (ssize_t)b.n);
    close(fd);
    return b;
}

static void write_all(const char *end, const void *data, size_t n)
{
    char name[200];
    int fd;

    snprintf(name, sizeof name, "%s%s", kit_path, end);
    fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, data, n), (ssize_t)n);
    close(fd);
}

static void remove_all(void)
{
    static const char *const ends[] = { "", "-wal", "-shm", ".lock",
                                        "-journal", ".new" };
    char name[200];

    for (size_t i = 0; i < COUNT(ends); i++) {
        snprintf(name, sizeof name, "%s%s", kit_path, ends[i]);
        unlink(name);
    }
}

/* What stands at the path is used, or refused and left as it is: how many
 * results it has, < 0: refused. */
static int64_t check_file(void)
{
    struct bytes before = read_all(""), log = read_all("-wal"), after;
    char why[FRI_WHY];
    int64_t count = kit_count(ROWS, why, sizeof why);

    if (count < 0) {
        ck_assert_ptr_nonnull(strstr(why, kit_path));
        after = read_all("");
        ck_assert_uint_eq(after.n, before.n);
        ck_assert_int_eq(memcmp(after.data, before.data, after.n), 0);
        free(after.data);
        after = read_all("-wal");
        ck_assert_uint_eq(after.n, log.n);
        ck_assert(log.n == 0 || memcmp(after.data, log.data, log.n) == 0);
        free(after.data);
        ck_assert(!kit_is_there(".lock") && !kit_is_there(".new"));
    }
    free(before.data);
    free(log.data);
    return count;
}

/* A run that was killed: its file, and its log with the last rows. */
static void write_and_die(void)
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        frun_engine *e = kit_logged_engine();
        frun_pool *pool = kit_pool(e, 2);
        frun_journal *j;

        ok(frun_journal_open(e, kit_path, &j));
        kit_cases(pool, j, 1, ROWS / 2);
        ok(frun_journal_flush(e));
        kit_cases(pool, j, ROWS / 2 + 1, ROWS);
        ok(frun_journal_flush(e));
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
}

/* ---- killed ----------------------------------------------------------- */

/* Goes on from what the journal has, telling after each flush how far it is. */
static void work_until_killed(int to)
{
    frun_engine *e = kit_logged_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_journal *j;
    const char *what;
    int64_t n = 1;

    if (frun_journal_open(e, kit_path, &j) != FRUN_OK)
        _exit(1);
    while (kit_look(j, n, 1, &what) == FRI_JOURNAL_HAS)
        n++;
    for (;; n += 10) {
        int64_t last = n + 9;

        kit_cases(pool, j, n, last);
        if (frun_journal_flush(e) != FRUN_OK
            || write(to, &last, sizeof last) != sizeof last)
            _exit(2);
    }
}

static int64_t run_and_kill(unsigned microseconds)
{
    struct timespec t = { .tv_nsec = (long)microseconds * 1000 };
    int64_t last, told = 0;
    int p[2], status;
    pid_t child;

    ck_assert_int_eq(pipe(p), 0);
    child = fork();
    if (child == 0) {
        close(p[0]);
        work_until_killed(p[1]);
    }
    close(p[1]);
    nanosleep(&t, NULL);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    while (read(p[0], &last, sizeof last) == sizeof last)
        told = last;
    close(p[0]);
    return told;
}

/* What it takes until something is there differs from machine to machine. */
START_TEST(killed_at_any_moment_it_has_what_it_acknowledged)
{
    int64_t most = 0;
    unsigned span = 8000;

    kit_journal_dir();
    for (int i = 0; i < 150 || (most == 0 && i < 1000); i++) {
        int64_t told = run_and_kill((unsigned)(random_next() % span));

        if (told == 0 && span < 1000000)
            span += span / 16;
        most = told > most ? told : most;
        if (i % 10 == 9 && kit_is_there("")) {
            ck_assert_int_ge(kit_count(most, NULL, 0), most);
            ck_assert_int_eq(kit_sql("SELECT count(*) = ifnull(max(id), 0) "
                                     "FROM task"),
                             1);
        }
    }
    ck_assert_int_gt(most, 0);
    kit_journal_drop();
}
END_TEST

static void work_durably(int to)
{
    frun_engine *e = kit_logged_engine();
    frun_pool *pool = kit_pool(e, 2);
    struct kit_ask ask = { .version = 1, .durable = true };
    frun_journal *j;
    const char *what;
    int64_t n = 1;

    if (frun_journal_open(e, kit_path, &j) != FRUN_OK)
        _exit(1);
    while (kit_look(j, n, 1, &what) == FRI_JOURNAL_HAS)
        n++;
    for (;; n++) {
        frun_future *f = kit_kept(pool, j, n, &ask);

        if (frun_future_result(f, -1, NULL) != FRUN_OK
            || write(to, &n, sizeof n) != sizeof n)
            _exit(2);
        frun_future_free(f);
    }
}

START_TEST(a_durable_result_that_came_is_never_lost)
{
    int64_t most = 0;

    kit_journal_dir();
    for (int i = 0; i < 40; i++) {
        struct timespec t = { .tv_nsec = (long)(random_next() % 20000000) };
        int64_t n;
        int p[2];
        pid_t child;

        ck_assert_int_eq(pipe(p), 0);
        child = fork();
        if (child == 0)
            work_durably(p[1]);
        close(p[1]);
        nanosleep(&t, NULL);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        while (read(p[0], &n, sizeof n) == sizeof n)
            most = n > most ? n : most;
        close(p[0]);
    }
    ck_assert_int_ge(kit_count(most, NULL, 0), most);
    kit_journal_drop();
}
END_TEST

/* ---- cut, flipped, zeroed --------------------------------------------- */

START_TEST(cut_at_any_byte)
{
    struct bytes whole;
    int64_t refused = 0;

    kit_journal_in(true);
    kit_write(1, ROWS);
    whole = read_all("");
    for (size_t n = 0; n < whole.n; n += n < 200 ? 1 : 97) {
        remove_all();
        write_all("", whole.data, n);
        refused += check_file() < 0;
    }
    ck_assert_int_gt(refused, 0);
    write_all("", whole.data, whole.n);
    ck_assert_int_eq(check_file(), ROWS);
    free(whole.data);
    kit_journal_drop();
}
END_TEST

START_TEST(its_log_cut_at_any_byte)
{
    struct bytes file, log;
    int64_t last = -1;

    kit_journal_in(true);
    write_and_die();
    file = read_all("");
    log = read_all("-wal");
    ck_assert_uint_gt(log.n, 0);
    for (size_t n = 0; n <= log.n; n += n < 100 || n + 131 > log.n ? 1 : 131) {
        int64_t count;

        remove_all();
        write_all("", file.data, file.n);
        write_all("-wal", log.data, n);
        count = check_file();
        ck_assert_int_ge(count, last); /* a prefix, never less than before */
        last = count;
    }
    ck_assert_int_eq(last, ROWS);
    free(file.data);
    free(log.data);
    kit_journal_drop();
}
END_TEST

static void flip_and_check(const struct bytes *file, const struct bytes *log,
                           struct bytes *which, size_t at)
{
    unsigned char bit = (unsigned char)(1u << random_next() % 8);

    which->data[at] ^= bit;
    remove_all();
    write_all("", file->data, file->n);
    if (log->n)
        write_all("-wal", log->data, log->n);
    check_file();
    which->data[at] ^= bit;
}

START_TEST(one_bit_flipped_anywhere)
{
    struct bytes file, none = { NULL, 0 };

    kit_journal_in(true);
    kit_write(1, ROWS);
    file = read_all("");
    for (size_t at = 0; at < file.n; at += at < 300 ? 1 : 41)
        flip_and_check(&file, &none, &file, at);
    free(file.data);
    kit_journal_drop();
}
END_TEST

START_TEST(one_bit_of_the_log_flipped_anywhere)
{
    struct bytes file, log;

    kit_journal_in(true);
    write_and_die();
    file = read_all("");
    log = read_all("-wal");
    for (size_t at = 0; at < log.n; at += at < 100 ? 1 : 89)
        flip_and_check(&file, &log, &log, at);
    free(file.data);
    free(log.data);
    kit_journal_drop();
}
END_TEST

START_TEST(pages_of_zeros_and_of_garbage)
{
    struct bytes file, bad;

    kit_journal_in(true);
    kit_write(1, ROWS);
    file = read_all("");
    bad.n = file.n;
    bad.data = malloc(file.n + 10000);
    for (size_t page = 0; page + 4096 <= file.n; page += 4096)
        for (int garbage = 0; garbage < 2; garbage++) {
            memcpy(bad.data, file.data, file.n);
            for (size_t i = 0; i < 4096; i++)
                bad.data[page + i]
                    = garbage ? (unsigned char)random_next() : 0;
            remove_all();
            write_all("", bad.data, bad.n);
            ck_assert(check_file() < ROWS || page > 0);
        }
    memset(bad.data, 0, bad.n);
    remove_all();
    write_all("", bad.data, bad.n);
    ck_assert_int_lt(check_file(), 0);
    memcpy(bad.data, file.data, file.n); /* garbage behind it */
    for (size_t i = 0; i < 10000; i++)
        bad.data[file.n + i] = (unsigned char)random_next();
    remove_all();
    write_all("", bad.data, file.n + 10000);
    ck_assert_int_ne(check_file(), 0);
    free(bad.data);
    free(file.data);
    kit_journal_drop();
}
END_TEST

/* ---- changed by others ------------------------------------------------ */

START_TEST(a_row_that_was_changed_is_said_and_runs_again)
{
    static const char *const changes[] = {
        "UPDATE task SET result = (SELECT result FROM task WHERE id=2)"
        " WHERE id=1",
        "UPDATE task SET digest = (SELECT digest FROM task WHERE id=2)"
        " WHERE id=1",
        "UPDATE task SET result = x'000105' WHERE id=1",
        "UPDATE task SET state = 'done ' WHERE id=1",
        "UPDATE task SET finished = finished + 1 WHERE id=1",
        "UPDATE task SET sum = sum + 1 WHERE id=1",
        "UPDATE task SET identity = NULL WHERE id=1",
        "UPDATE task SET name = 'case ' WHERE id=1",
        "DELETE FROM task WHERE id=1",
    };

    kit_journal_in(true);
    for (size_t i = 0; i < COUNT(changes); i++) {
        remove_all();
        kit_write(1, ROWS);
        kit_sql(changes[i]);
        ck_assert_int_eq(check_file(), ROWS - 1);
        if (i < 8)
            ck_assert_msg(strstr(kit_said, "damaged") != NULL, "%s",
                          changes[i]);
    }
    kit_journal_drop();
}
END_TEST

START_TEST(a_row_that_stands_twice_does_no_harm)
{
    kit_journal_dir();
    kit_write(1, ROWS);
    kit_sql("INSERT INTO task(id,run,task,name,key,state,digest,identity,"
            "result_sum,sum,result) SELECT id+1000,run,task,name,key,state,"
            "digest,identity,result_sum,sum,result FROM task");
    ck_assert_int_eq(check_file(), ROWS);
    ck_assert_ptr_nonnull(strstr(kit_said, "60 damaged rows"));
    kit_journal_drop();
}
END_TEST

/* ---- what is no journal ----------------------------------------------- */

static void refused(const char *wanted)
{
    char why[FRI_WHY];

    ck_assert_int_lt(kit_count(1, why, sizeof why), 0);
    ck_assert_msg(strstr(why, wanted) != NULL, "%s: no %s", why, wanted);
    ck_assert(!kit_is_there(".lock") && !kit_is_there(".new")
              && !kit_is_there("-wal") && !kit_is_there("-shm"));
}

START_TEST(what_is_no_journal_is_refused_as_it_is)
{
    char text[5000];

    kit_journal_dir();
    memset(text, 'x', sizeof text);
    write_all("", text, sizeof text);
    refused("not a journal");
    check_file();
    write_all("", "SQLite format 3", 10);
    refused("not a journal");
    remove_all();
    kit_sql("CREATE TABLE task(id)");
    refused("another program");
    check_file();
    remove_all();
    kit_write(1, 3);
    kit_sql("PRAGMA user_version=7");
    refused("version 7");
    check_file();
    remove_all();
    kit_write(1, 3);
    kit_sql("DROP TABLE task");
    refused("damaged");
    check_file();
    remove_all();
    write_all("", "", 0); /* an empty file becomes one */
    ck_assert_int_eq(kit_count(1, NULL, 0), 0);
    kit_journal_drop();
}
END_TEST

START_TEST(only_a_file_of_ours_is_one)
{
    char other[160], path[160];

    kit_journal_dir();
    ck_assert_int_eq(mkdir(kit_path, 0700), 0);
    refused("a directory");
    rmdir(kit_path);
    ck_assert_int_eq(mkfifo(kit_path, 0600), 0);
    refused("a named pipe");
    unlink(kit_path);
    snprintf(other, sizeof other, "%s/other", kit_dir);
    ck_assert_int_eq(symlink(other, kit_path), 0);
    refused("a symbolic link to nothing");
    ck_assert_int_ne(access(other, F_OK), 0);
    unlink(kit_path);
    kit_write(1, 3);
    ck_assert_int_eq(link(kit_path, other), 0);
    refused("2 names");
    ck_assert_int_eq(unlink(kit_path), 0);
    ck_assert_int_eq(symlink("other", kit_path), 0); /* ours is followed */
    ck_assert_int_eq(kit_count(3, NULL, 0), 3);
    if (geteuid() == 0) {
        ck_assert_int_eq(lchown(kit_path, 12345, 12345), 0);
        refused("of somebody else");
    }
    snprintf(path, sizeof path, "%s", kit_path);
    snprintf(kit_path, sizeof kit_path, "/dev/full");
    refused("a device");
    snprintf(kit_path, sizeof kit_path, "%s/no/run.journal", kit_dir);
    refused("No such file");
    snprintf(kit_path, sizeof kit_path, "%s/..", kit_dir);
    refused("directory");
    memcpy(kit_path, path, sizeof kit_path);
    kit_journal_drop();
}
END_TEST

START_TEST(where_nothing_may_be_written_it_is_refused)
{
    /* The tests' own directory is closed to others. */
    kit_journal_in(geteuid() == 0);
    if (geteuid() == 0) {
        ck_assert_int_eq(chown(kit_dir, 65534, 65534), 0);
        ck_assert_int_eq(setegid(65534) + seteuid(65534), 0);
    }
    kit_write(1, 3);
    ck_assert_int_eq(chmod(kit_path, 0400), 0);
    refused("Permission denied");
    check_file();
    ck_assert_int_eq(chmod(kit_path, 0600) + chmod(kit_dir, 0500), 0);
    refused("Permission denied");
    check_file();
    remove_all();
    refused("Permission denied");
    ck_assert_int_eq(chmod(kit_dir, 0700), 0);
    if (getuid() == 0) /* a leak checker needs it */
        ck_assert_int_eq(seteuid(0) + setegid(0), 0);
    kit_journal_drop();
}
END_TEST

START_TEST(nobody_else_may_read_it)
{
    static const char *const ends[] = { "", "-wal", "-shm", ".lock" };
    frun_engine *e;
    frun_pool *pool;
    frun_journal *j;

    kit_journal_dir();
    umask(0);
    e = kit_logged_engine();
    pool = kit_pool(e, 1);
    ok(frun_journal_open(e, kit_path, &j));
    kit_cases(pool, j, 1, 2);
    ok(frun_journal_flush(e));
    for (size_t i = 0; i < COUNT(ends); i++) {
        char name[200];
        struct stat st;

        snprintf(name, sizeof name, "%s%s", kit_path, ends[i]);
        ck_assert_msg(stat(name, &st) == 0, "%s", name);
        ck_assert_uint_eq(st.st_mode & 07777, 0600);
    }
    frun_pool_close(pool);
    frun_journal_close(j);
    frun_engine_close(e);
    kit_journal_drop();
}
END_TEST

/* ---- two runs --------------------------------------------------------- */

START_TEST(a_second_run_is_refused_and_told_of_the_first)
{
    frun_engine *e, *second;
    frun_journal *j, *other;
    char wanted[32];
    pid_t child;
    int p[2], status;
    char c;

    kit_journal_dir();
    e = kit_logged_engine();
    ok(frun_journal_open(e, kit_path, &j));
    second = kit_engine();
    status_is(FRUN_EJOURNAL, frun_journal_open(second, kit_path, &other));
    snprintf(wanted, sizeof wanted, "in use by pid %ld", (long)getpid());
    ck_assert_ptr_nonnull(strstr(frun_engine_message(second), wanted));
    frun_journal_close(j);
    frun_engine_close(e);
    ok(frun_journal_open(second, kit_path, &other));
    frun_journal_close(other);
    frun_engine_close(second);
    ck_assert_int_eq(pipe(p), 0); /* and in another process, which dies */
    child = fork();
    if (child == 0) {
        e = kit_logged_engine();
        ok(frun_journal_open(e, kit_path, &j));
        ck_assert_int_eq(write(p[1], "x", 1), 1);
        pause();
    }
    ck_assert_int_eq(read(p[0], &c, 1), 1);
    second = kit_engine();
    status_is(FRUN_EJOURNAL, frun_journal_open(second, kit_path, &other));
    snprintf(wanted, sizeof wanted, "in use by pid %ld", (long)child);
    ck_assert_ptr_nonnull(strstr(frun_engine_message(second), wanted));
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ok(frun_journal_open(second, kit_path, &other));
    frun_journal_close(other);
    frun_engine_close(second);
    kit_journal_drop();
}
END_TEST

START_TEST(who_reads_does_not_stop_the_run)
{
    frun_engine *e;
    frun_pool *pool;
    frun_journal *j;
    sqlite3 *db;

    kit_journal_dir();
    kit_write(1, 5);
    e = kit_logged_engine();
    pool = kit_pool(e, 1);
    ok(frun_journal_open(e, kit_path, &j));
    ck_assert_int_eq(sqlite3_open(kit_path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM task", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    kit_cases(pool, j, 6, 50);
    ok(frun_journal_flush(e));
    frun_pool_close(pool);
    frun_journal_close(j);
    frun_engine_close(e);
    sqlite3_close(db);
    ck_assert_str_eq(kit_said, "");
    ck_assert_int_eq(kit_count(50, NULL, 0), 50);
    kit_journal_drop();
}
END_TEST

/* ---- disks that fail -------------------------------------------------- */

/* A layer below SQLite: the methods of its files, changed. */
static struct {
    sqlite3_vfs vfs, *below;
    struct methods { /* of one kind of files */
        sqlite3_io_methods ours;
        const sqlite3_io_methods *real;
    } kinds[4];
    atomic_bool full, no_sync, no_write;
    bool no_log;
    atomic_int syncs;
} disk;

static const sqlite3_io_methods *real_of(const sqlite3_file *f)
{
    return ((const struct methods *)(const void *)f->pMethods)->real;
}

static int disk_write(sqlite3_file *f, const void *bytes, int n,
                      sqlite3_int64 at)
{
    if (disk.full)
        return SQLITE_FULL;
    return disk.no_write ? SQLITE_IOERR_WRITE
                         : real_of(f)->xWrite(f, bytes, n, at);
}

static int disk_sync(sqlite3_file *f, int flags)
{
    disk.syncs++;
    return disk.no_sync ? SQLITE_IOERR_FSYNC : real_of(f)->xSync(f, flags);
}

static int disk_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f,
                     int flags, int *out)
{
    int status = disk.below->xOpen(disk.below, name, f, flags, out);
    struct methods *kind = disk.kinds;

    (void)vfs;
    if (status != SQLITE_OK || !f->pMethods)
        return status;
    while (kind->real && kind->real != f->pMethods)
        kind++;
    if (!kind->real) {
        kind->ours = *f->pMethods;
        kind->ours.xWrite = disk_write;
        kind->ours.xSync = disk_sync;
        if (disk.no_log)
            kind->ours.iVersion = 1;
        kind->real = f->pMethods;
    }
    f->pMethods = &kind->ours;
    return status;
}

static void install_disk(void)
{
    disk.below = sqlite3_vfs_find(NULL);
    disk.vfs = *disk.below;
    disk.vfs.zName = "disk";
    disk.vfs.xOpen = disk_open;
    ck_assert_int_eq(sqlite3_vfs_register(&disk.vfs, 1), SQLITE_OK);
}

static frun_engine *engine;
static frun_pool *pool;
static frun_journal *journal;

static void begin(void)
{
    kit_journal_dir();
    install_disk();
    engine = kit_logged_engine();
    pool = kit_pool(engine, 2);
    ok(frun_journal_open(engine, kit_path, &journal));
}

static void end(void)
{
    frun_pool_close(pool);
    frun_journal_close(journal);
    frun_engine_close(engine);
}

static void failed_with(const char *words)
{
    status_is(FRUN_EJOURNAL, frun_journal_flush(engine));
    ck_assert_ptr_nonnull(strstr(frun_engine_message(engine), kit_path));
    ck_assert_msg(strstr(frun_engine_message(engine), words) != NULL, "%s",
                  frun_engine_message(engine));
    ck_assert_ptr_nonnull(strstr(kit_said, kit_path));
}

START_TEST(a_full_disk_is_said_and_what_was_there_stays)
{
    begin();
    kit_cases(pool, journal, 1, 10);
    ok(frun_journal_flush(engine));
    disk.full = true;
    kit_cases(pool, journal, 11, 20);
    failed_with("No space left");
    end();
    disk.full = false;
    ck_assert_int_eq(kit_count(20, NULL, 0), 10);
    kit_journal_drop();
}
END_TEST

START_TEST(once_there_is_space_again_nothing_is_lost)
{
    begin();
    disk.full = true;
    kit_cases(pool, journal, 1, 10);
    failed_with("No space left");
    disk.full = false;
    kit_cases(pool, journal, 11, 20);
    ok(frun_journal_flush(engine));
    ck_assert_ptr_nonnull(strstr(kit_said, "written again"));
    end();
    ck_assert_int_eq(kit_count(20, NULL, 0), 20);
    kit_journal_drop();
}
END_TEST

START_TEST(a_sync_that_fails_is_never_trusted_again)
{
    begin();
    kit_cases(pool, journal, 1, 10);
    ok(frun_journal_flush(engine));
    disk.no_sync = true;
    kit_cases(pool, journal, 11, 20);
    failed_with("written");
    disk.no_sync = false;
    kit_cases(pool, journal, 21, 30);
    failed_with("not kept");
    end();
    ck_assert_int_ge(kit_count(20, NULL, 0), 10);
    kit_journal_drop();
}
END_TEST

START_TEST(a_durable_task_fails_when_its_sync_does)
{
    struct kit_ask ask = { .version = 1, .durable = true };
    frun_future *f, *after;

    begin();
    disk.no_sync = true;
    f = kit_kept(pool, journal, 1, &ask);
    ask.policy.after = &f;
    ask.policy.after_count = 1;
    after = kit_kept(pool, journal, 2, &ask);
    status_is(FRUN_EJOURNAL, frun_future_result(f, -1, NULL));
    ck_assert_str_eq(frun_future_error(f)->kind, "journal");
    ck_assert_ptr_nonnull(strstr(frun_future_error(f)->message, kit_path));
    status_is(FRUN_EDEPENDENCY, frun_future_result(after, -1, NULL));
    frun_future_free(f);
    frun_future_free(after);
    f = kit_kept(pool, journal, 3, NULL); /* others give their results */
    ok(frun_future_result(f, -1, NULL));
    frun_future_free(f);
    end();
    kit_journal_drop();
}
END_TEST

START_TEST(a_durable_task_does_not_wait_for_a_full_disk)
{
    struct kit_ask ask = { .version = 1, .durable = true };
    frun_future *f;

    begin();
    disk.full = true;
    f = kit_kept(pool, journal, 1, &ask);
    status_is(FRUN_EJOURNAL, frun_future_result(f, -1, NULL));
    frun_future_free(f);
    disk.full = false;
    f = kit_kept(pool, journal, 2, &ask);
    ok(frun_future_result(f, -1, NULL));
    frun_future_free(f);
    end();
    ck_assert_int_eq(kit_count(2, NULL, 0), 1);
    kit_journal_drop();
}
END_TEST

START_TEST(a_durable_task_is_synced)
{
    struct kit_ask ask = { .version = 1, .durable = true };

    begin();
    kit_cases(pool, journal, 1, 3);
    ok(frun_journal_flush(engine));
    for (int i = 10; i < 15; i++) {
        int before = disk.syncs;
        frun_future *f = kit_kept(pool, journal, i, &ask);

        ok(frun_future_result(f, -1, NULL));
        ck_assert_int_gt(disk.syncs, before);
        frun_future_free(f);
    }
    end();
    kit_journal_drop();
}
END_TEST

START_TEST(writes_that_fail_end_in_an_error)
{
    begin();
    kit_cases(pool, journal, 1, 10);
    ok(frun_journal_flush(engine));
    disk.no_write = true;
    kit_cases(pool, journal, 11, 20);
    failed_with("cannot be written");
    end();
    disk.no_write = false;
    ck_assert_int_eq(kit_count(20, NULL, 0), 10);
    kit_journal_drop();
}
END_TEST

START_TEST(without_a_log_it_works_as_well)
{
    sqlite3 *db;

    disk.no_log = true;
    begin();
    kit_cases(pool, journal, 1, 10);
    ok(frun_journal_flush(engine));
    ck_assert(!kit_is_there("-wal"));
    ck_assert_int_eq(sqlite3_open(kit_path, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "BEGIN; SELECT count(*) FROM task", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    kit_cases(pool, journal, 11, 20); /* waits for who reads */
    sqlite3_close(db);
    ok(frun_journal_flush(engine));
    end();
    ck_assert_str_eq(kit_said, "");
    for (int i = 0; i < 10; i++)
        run_and_kill((unsigned)(random_next() % 20000));
    ck_assert_int_ge(kit_count(20, NULL, 0), 20);
    kit_journal_drop();
}
END_TEST

/* ---- limits of the process -------------------------------------------- */

/* libcheck, too, writes to a file: what is limited asserts nothing. */
static void limit_files(rlim_t size)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = size;
    setrlimit(RLIMIT_FSIZE, &limit);
}

START_TEST(a_limit_of_file_sizes_is_a_full_disk)
{
    frun_status status = FRUN_OK;

    begin();
    limit_files(10000);
    for (int i = 1; i <= 20; i++) {
        frun_future *f = kit_kept(pool, journal, i, NULL);

        if (frun_future_wait(f, -1) != FRUN_OK)
            status = FRUN_EUNFINISHED;
        frun_future_free(f);
    }
    if (status == FRUN_OK)
        status = frun_journal_flush(engine);
    limit_files(RLIM_INFINITY);
    ck_assert_int_eq(status, FRUN_EJOURNAL);
    ck_assert_ptr_nonnull(strstr(kit_said, "File too large"));
    ok(frun_journal_flush(engine));
    end();
    ck_assert_int_eq(kit_count(20, NULL, 0), 20);
    kit_journal_drop();
}
END_TEST

START_TEST(a_journal_that_cannot_be_made_leaves_nothing)
{
    kit_journal_dir();
    for (rlim_t size = 0; size < 20000; size += 4000) {
        frun_engine *e = kit_engine();
        frun_journal *j;
        frun_status status;

        limit_files(size);
        status = frun_journal_open(e, kit_path, &j);
        limit_files(RLIM_INFINITY);
        ck_assert_int_eq(status, FRUN_EJOURNAL);
        ck_assert(!kit_is_there("") && !kit_is_there(".lock")
                  && !kit_is_there(".new"));
        frun_engine_close(e);
    }
    ck_assert_int_eq(kit_count(1, NULL, 0), 0);
    kit_journal_drop();
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    struct unit_heap heap = { 0, -1 };
    frun_engine_options o = { .allocate = unit_allocate, .free = unit_free,
                              .allocator_user = &heap };
    frun_status status = FRUN_ENOMEM;

    kit_journal_in(true);
    kit_write(1, 100);
    for (long n = 0; status != FRUN_OK; n++) {
        frun_engine *e;
        frun_journal *j;

        heap.allowed = -1;
        ok(frun_engine_open(&o, &e));
        heap.allowed = n;
        status = frun_journal_open(e, kit_path, &j);
        ck_assert(status == FRUN_OK || status == FRUN_ENOMEM
                  || status == FRUN_EJOURNAL);
        heap.allowed = -1;
        frun_journal_close(j);
        frun_engine_close(e);
        ck_assert_int_eq(heap.blocks, 0);
    }
    ck_assert_int_eq(kit_count(100, NULL, 0), 100);
    kit_journal_drop();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        killed_at_any_moment_it_has_what_it_acknowledged,
        a_durable_result_that_came_is_never_lost,
        cut_at_any_byte,
        its_log_cut_at_any_byte,
        one_bit_flipped_anywhere,
        one_bit_of_the_log_flipped_anywhere,
        pages_of_zeros_and_of_garbage,
        a_row_that_was_changed_is_said_and_runs_again,
        a_row_that_stands_twice_does_no_harm,
        what_is_no_journal_is_refused_as_it_is,
        only_a_file_of_ours_is_one,
        where_nothing_may_be_written_it_is_refused,
        nobody_else_may_read_it,
        a_second_run_is_refused_and_told_of_the_first,
        who_reads_does_not_stop_the_run,
        a_full_disk_is_said_and_what_was_there_stays,
        once_there_is_space_again_nothing_is_lost,
        a_sync_that_fails_is_never_trusted_again,
        a_durable_task_fails_when_its_sync_does,
        a_durable_task_does_not_wait_for_a_full_disk,
        a_durable_task_is_synced,
        writes_that_fail_end_in_an_error,
        without_a_log_it_works_as_well,
        a_limit_of_file_sizes_is_a_full_disk,
        a_journal_that_cannot_be_made_leaves_nothing,
        each_allocation_may_fail,
    };

    return unit_run("journal_faults", tests, COUNT(tests));
}
