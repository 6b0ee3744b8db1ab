/* command.c - commands as values: their form, their files, what they left. */
#define _GNU_SOURCE
#include "pools/commands/command.h"

#include "pools/commands/inside.h"
#include "pools/commands/scratch.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };
static char home[400]; /* the run's directory: each test is a process */

/* ---- kit -------------------------------------------------------------- */

static const char *in(const char *dir, const char *name)
{
    static char path[4][512];
    static unsigned next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof path[0], "%s/%s", dir, name);
    return p;
}

static void enter_home(void)
{
    const char *tmp = getenv("TMPDIR");

    snprintf(home, sizeof home, "%s/command-XXXXXX", tmp ? tmp : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(home));
    ck_assert_int_eq(chdir(home), 0);
    ck_assert_int_eq(mkdir("tmp", 0777), 0);
    ck_assert_int_eq(setenv("TMPDIR", in(home, "tmp"), 1), 0);
    umask(022);
}

static void leave_home(void)
{
    ck_assert_int_eq(chdir("/"), 0);
    fri_tree_remove(home);
    ck_assert_int_ne(access(home, F_OK), 0);
    ck_assert_int_eq(heap.blocks, 0);
}

static frun_value *str(const char *text)
{
    return frun_value_str(text, strlen(text));
}

/* Texts, closed by NULL. */
static frun_value *list(const char *first, ...)
{
    frun_value *l = frun_value_list();
    va_list args;

    va_start(args, first);
    for (const char *s = first; s; s = va_arg(args, const char *))
        ck_assert_int_eq(frun_value_push(l, str(s)), FRUN_OK);
    va_end(args);
    return l;
}

static frun_value *with(frun_value *map, const char *key, frun_value *item)
{
    ck_assert_int_eq(frun_value_put(map, key, item), FRUN_OK);
    return map;
}

static frun_value *map_of(const char *key, frun_value *item)
{
    return with(frun_value_map(), key, item);
}

static frun_value *command(void)
{
    return map_of("argv", list("/opt/bin/solve", "-i", "job", NULL));
}

static frun_value *files_of(const char *name, const char *text)
{
    return map_of(name, str(text));
}

static void put(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static void holds(const char *path, const char *text)
{
    char bytes[256] = "";
    FILE *f = fopen(path, "r");

    ck_assert_msg(f != NULL, "%s is not there", path);
    bytes[fread(bytes, 1, sizeof bytes - 1, f)] = '\0';
    fclose(f);
    ck_assert_str_eq(bytes, text);
}

static bool is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0;
}

static size_t entries_of(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    size_t n = 0;

    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)) != NULL)
        n += strcmp(entry->d_name, ".") != 0
             && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

static void refused(struct fri_error *error, frun_status status,
                    const char *what)
{
    ck_assert_ptr_nonnull(error);
    ck_assert_msg(strstr(error->public.message, what) != NULL,
                  "\"%s\" does not say \"%s\"", error->public.message, what);
    ck_assert_int_eq(error->public.status, status);
    fri_error_free(error);
}

/* ---- the form --------------------------------------------------------- */

static void is_fine(frun_value *c)
{
    struct fri_error *error;

    if (!fri_command_check(c, &memory, &error))
        ck_abort_msg("%s", error->public.message);
    frun_value_free(c);
}

static void is_bad(frun_value *c, const char *what)
{
    struct fri_error *error;

    ck_assert(!fri_command_check(c, &memory, &error));
    refused(error, FRUN_EINVAL, what);
    frun_value_free(c);
}

static void is_bad_field(const char *field, frun_value *v, const char *what)
{
    char wanted[128];

    snprintf(wanted, sizeof wanted, "field '%s': %s", field, what);
    is_bad(with(command(), field, v), wanted);
}

START_TEST(every_field_is_known)
{
    frun_value *statuses = frun_value_list();

    ck_assert_int_eq(frun_value_push(statuses, frun_value_int(0)), FRUN_OK);
    ck_assert_int_eq(frun_value_push(statuses, frun_value_int(255)), FRUN_OK);
    is_fine(command());
    is_fine(with(command(), "shell", frun_value_bool(true)));
    is_fine(with(command(), "cwd", str("runs/1")));
    is_fine(with(command(), "temp", frun_value_bool(true)));
    is_fine(with(command(), "keep", str("failed")));
    is_fine(with(command(), "keep", str("always")));
    is_fine(with(command(), "files", files_of("a", "text")));
    is_fine(with(command(), "files",
                 map_of("a", map_of("path", str("/etc/hosts")))));
    is_fine(with(command(), "collect", list("a", "*.dat", NULL)));
    is_fine(with(with(command(), "env", files_of("A", "")), "stdin",
                 str("")));
    is_fine(with(command(), "env", map_of("A", frun_value_bool(false))));
    is_fine(with(command(), "stdin", map_of("path", str("in.txt"))));
    is_fine(with(with(command(), "stdout", str("o")), "stderr", str("e")));
    is_fine(with(command(), "ok_status", statuses));
    is_fine(with(command(), "capture", frun_value_int(0)));
    is_fine(map_of("argv", list("true", "", NULL)));
}
END_TEST

START_TEST(the_field_that_is_wrong_is_named)
{
    frun_value *nul = frun_value_list();

    is_bad(frun_value_map(), "field 'argv': it has no words");
    is_bad(frun_value_list(), "field 'argv': it has no words");
    is_bad_field("argv", frun_value_list(), "it has no words");
    is_bad_field("argv", list("", "x", NULL), "the program's name is empty");
    ck_assert_int_eq(frun_value_push(nul, frun_value_str("a\0b", 3)),
                     FRUN_OK);
    is_bad_field("argv", nul, "a word has a NUL in it");
    is_bad_field("argv", map_of("1", str("true")), "it has no words");
    is_bad_field("shell", str("yes"), "true or false");
    is_bad_field("cwd", str(""), "a path");
    is_bad_field("cwd", frun_value_str("a\0b", 3), "it has a NUL");
    is_bad_field("keep", str("sometimes"), "'failed' or 'always'");
    is_bad_field("files", list("a", NULL), "a map");
    is_bad_field("files", map_of("a", frun_value_int(3)), "text or { path");
    is_bad_field("files", map_of("a", map_of("file", str("x"))),
                 "text or { path");
    is_bad_field("collect", str("a"), "a list");
    is_bad_field("env", list("A=1", NULL), "a map");
    is_bad_field("env", files_of("", "1"), "that is no name");
    is_bad_field("env", files_of("A=B", "1"), "that is no name");
    is_bad_field("env", map_of("A", frun_value_str("x\0y", 3)), "a value has");
    is_bad_field("env", map_of("A", frun_value_bool(true)), "text or false");
    is_bad_field("stdin", frun_value_int(1), "text or { path");
    is_bad_field("stdout", frun_value_bool(false), "a path");
    is_bad_field("ok_status", list("0", NULL), "a status is a number");
    is_bad_field("capture", frun_value_num(1.5), "a number of bytes");
    is_bad_field("capture", frun_value_int(-1), "a number of bytes");
    is_bad_field("colect", list("a", NULL), "there is no such field");
    is_bad(with(with(command(), "cwd", str("x")), "temp",
                frun_value_bool(true)), "field 'temp': there is a cwd");
}
END_TEST

START_TEST(a_command_has_a_name)
{
    frun_value *c = command();

    ck_assert_str_eq(fri_command_name(c), "solve");
    ck_assert(!fri_command_has_files(c));
    c = with(c, "shell", frun_value_bool(true));
    ck_assert_str_eq(fri_command_name(c), "sh");
    c = with(c, "collect", frun_value_list());
    ck_assert(fri_command_has_files(c));
    frun_value_free(c);
}
END_TEST

/* ---- preparing -------------------------------------------------------- */

static char *dir;
static struct fri_scratch *scratch;

static void prepared(const frun_value *c)
{
    struct fri_error *error;

    if (!scratch)
        scratch = fri_scratch_new(&memory, NULL, NULL);
    if (!fri_command_prepare(c, scratch, "case 1", &memory, &dir, &error))
        ck_abort_msg("%s", error->public.message);
}

static void not_prepared(frun_value *c, const char *what)
{
    struct fri_error *error;

    ck_assert(!fri_command_prepare(c, scratch, "case 1", &memory, &dir,
                                   &error));
    ck_assert_ptr_null(dir);
    refused(error, FRUN_ERROR, what);
    frun_value_free(c);
}

static void done(frun_value *c, bool failed)
{
    fri_command_leave(c, "case 1", &dir, failed, &memory, NULL);
    ck_assert_ptr_null(dir);
    frun_value_free(c);
}

static void close_scratch(void)
{
    fri_scratch_free(scratch);
    scratch = NULL;
}

START_TEST(files_are_written_before_the_start)
{
    frun_value *c = with(command(), "cwd", str("runs/a/b"));
    frun_value *files = files_of("job.inp", "*NODE\n");
    char full[512];
    struct stat st;

    put("tool.sh", "#!/bin/sh\n");
    ck_assert_int_eq(chmod("tool.sh", 0755), 0);
    files = with(files, "deep/er/x", frun_value_str("a\0b", 3));
    files = with(files, "./same//x", str(""));
    files = with(files, "copy", map_of("path", str("tool.sh")));
    c = with(c, "files", files);
    prepared(c);
    snprintf(full, sizeof full, "%s/runs/a/b", home);
    ck_assert_str_eq(dir, full);
    holds("runs/a/b/job.inp", "*NODE\n");
    ck_assert_int_eq(stat("runs/a/b/deep/er/x", &st), 0);
    ck_assert_int_eq(st.st_size, 3);
    holds("runs/a/b/same/x", "");
    holds("runs/a/b/copy", "#!/bin/sh\n");
    ck_assert_int_eq(stat("runs/a/b/copy", &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0755);
    done(c, true);
    ck_assert(is_there("runs/a/b/job.inp")); /* it is not ours to remove */
    close_scratch();
}
END_TEST

START_TEST(without_a_directory_files_are_beside_the_run)
{
    frun_value *c = with(command(), "files", files_of("in", "x"));

    prepared(c);
    ck_assert_ptr_null(dir);
    holds("in", "x");
    done(c, false);
    close_scratch();
}
END_TEST

START_TEST(a_large_file_is_copied_whole)
{
    enum { SIZE = 3 << 20 };
    static int numbers[SIZE / sizeof(int)], copied[SIZE / sizeof(int)];
    frun_value *c = with(with(command(), "temp", frun_value_bool(true)),
                         "files", map_of("in", map_of("path", str("big"))));
    struct stat st;
    FILE *f = fopen("big", "w");

    for (int i = 0; i < (int)COUNT(numbers); i++)
        numbers[i] = i;
    ck_assert_uint_eq(fwrite(numbers, SIZE, 1, f), 1);
    fclose(f);
    prepared(c);
    ck_assert_int_eq(stat(in(dir, "in"), &st), 0);
    ck_assert_int_eq(st.st_size, SIZE);
    f = fopen(in(dir, "in"), "r");
    ck_assert_uint_eq(fread(copied, SIZE, 1, f), 1);
    fclose(f);
    ck_assert_mem_eq(copied, numbers, SIZE);
    done(c, false);
    close_scratch();
}
END_TEST

/* A good name beside it, which must not have been written. */
static void name_is_bad(const char *name, size_t length, const char *what)
{
    frun_value *c = with(command(), "cwd", str("runs"));
    frun_value *files = files_of("a-good-one", "x");
    char key[64] = "";

    if (strlen(name) == length) {
        snprintf(key, sizeof key, "%s", name);
        files = with(files, key, str("x"));
        not_prepared(with(c, "files", files), what);
    } else {
        ck_assert_str_eq(fri_inside_fault(name, length), what);
        frun_value_free(files);
        frun_value_free(c);
    }
    ck_assert(!is_there("runs/a-good-one"));
}

START_TEST(a_name_that_leaves_the_directory_fails_with_nothing_written)
{
    name_is_bad("/etc/passwd", 11, "not within the directory");
    name_is_bad("..", 2, "it leads out of");
    name_is_bad("../x", 4, "it leads out of");
    name_is_bad("a/../../x", 9, "it leads out of");
    name_is_bad("a/..", 4, "it leads out of");
    name_is_bad("", 0, "it names no file");
    name_is_bad(".", 1, "it names no file");
    name_is_bad("./", 2, "it names no file");
    name_is_bad("a/", 2, "it names a directory");
    name_is_bad("a/.", 3, "it names a directory");
    name_is_bad("x\0y", 3, "it has a NUL in it");
    ck_assert(!is_there("runs"));
    ck_assert(!is_there("x"));
    ck_assert_ptr_null(fri_inside_fault("..a/b../...", 11));
    not_prepared(with(with(command(), "temp", frun_value_bool(true)),
                      "collect", list("ok", "../*", NULL)),
                 "collect: \"../*\": it leads out of");
}
END_TEST

START_TEST(a_link_leads_nowhere)
{
    frun_value *files = files_of("a-good-one", "x");
    frun_value *c = with(command(), "cwd", str("runs"));

    scratch = fri_scratch_new(&memory, NULL, NULL);
    ck_assert_int_eq(mkdir("runs", 0777), 0);
    ck_assert_int_eq(mkdir("other", 0777), 0);
    ck_assert_int_eq(symlink("../other", "runs/out"), 0);
    not_prepared(with(c, "files", with(files, "out/x", str("x"))),
                 "files: \"out/x\": there is a link");
    ck_assert_uint_eq(entries_of("runs"), 1);
    put("other/kept.dat", "mine");
    c = with(with(command(), "cwd", str("runs")), "collect",
             list("out/*.dat", "*/*.dat", NULL));
    prepared(c);
    holds("other/kept.dat", "mine");
    done(c, false);
    close_scratch();
}
END_TEST

START_TEST(what_has_the_name_is_replaced_not_written_through)
{
    frun_value *c = with(with(command(), "cwd", str("runs")), "files",
                         files_of("a", "new"));

    ck_assert_int_eq(mkdir("runs", 0777), 0);
    put("mine", "old");
    ck_assert_int_eq(symlink("../mine", "runs/a"), 0);
    prepared(c);
    holds("runs/a", "new");
    holds("mine", "old");
    fri_free(&memory, dir);
    ck_assert_int_eq(unlink("runs/a"), 0);
    ck_assert_int_eq(link("mine", "runs/a"), 0);
    prepared(c);
    holds("mine", "old");
    done(c, false);
    close_scratch();
}
END_TEST

START_TEST(what_cannot_be_made_is_said)
{
    scratch = fri_scratch_new(&memory, NULL, NULL);
    put("file", "");
    not_prepared(with(command(), "cwd", str("file/x")), "cwd: \"file/x\": ");
    ck_assert_int_eq(symlink("nowhere", "link"), 0);
    not_prepared(with(command(), "cwd", str("link/x")),
                 "cwd: \"link/x\": File exists");
    not_prepared(with(with(command(), "files", files_of("good", "")),
                      "cwd", str("file")), "cwd: \"file\": ");
    not_prepared(with(command(), "files",
                      with(files_of("good", ""), "x",
                           map_of("path", str("none")))),
                 "files: \"none\": No such file");
    not_prepared(with(command(), "files",
                      map_of("x", map_of("path", str("tmp")))),
                 "files: \"tmp\": Is a directory");
    ck_assert_int_eq(mkfifo("fifo", 0666), 0);
    not_prepared(with(command(), "files",
                      map_of("x", map_of("path", str("fifo")))),
                 "files: \"fifo\": ");
    not_prepared(with(command(), "files",
                      with(files_of("good", ""), "tmp", str(""))),
                 "files: \"tmp\": Is a directory");
    ck_assert(!is_there("good"));
    close_scratch();
}
END_TEST

START_TEST(what_is_to_be_collected_is_removed_first)
{
    frun_value *c = with(command(), "cwd", str("runs"));

    ck_assert_int_eq(mkdir("runs", 0777), 0);
    ck_assert_int_eq(mkdir("runs/sub", 0777), 0);
    ck_assert_int_eq(mkdir("runs/dir.dat", 0777), 0);
    put("runs/job.dat", "old");
    put("runs/job.frd", "old");
    put("runs/x1", "old");
    put("runs/x2", "old");
    put("runs/sub/y.sta", "old");
    put("runs/sub/.y.sta", "old");
    put("runs/stays", "old");
    c = with(c, "collect", list("job.frd", "*.dat", "x[12]", "sub/?.sta",
                                "none", "no/thing", NULL));
    prepared(c);
    ck_assert_uint_eq(entries_of("runs"), 3);
    ck_assert(is_there("runs/stays") && is_there("runs/dir.dat"));
    ck_assert_uint_eq(entries_of("runs/sub"), 1);
    done(c, false);
    close_scratch();
}
END_TEST

/* ---- temporary directories -------------------------------------------- */

static frun_value *temporary(const char *keep)
{
    frun_value *c = with(command(), "temp", frun_value_bool(true));

    return keep ? with(c, "keep", str(keep)) : c;
}

static bool stays(const char *keep, bool failed)
{
    frun_value *c = temporary(keep);
    char *kept = NULL;
    struct stat st;
    bool there;

    prepared(c);
    ck_assert_int_eq(stat(dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0700);
    ck_assert_ptr_nonnull(strstr(dir, "/tmp/flowrun-"));
    ck_assert_ptr_nonnull(strstr(dir, "-case_1-"));
    put(in(dir, "x"), "of the command");
    fri_command_leave(c, "case 1", &dir, failed, &memory, &kept);
    frun_value_free(c);
    there = kept != NULL;
    if (there) {
        holds(in(kept, "x"), "of the command");
        ck_assert_int_eq(stat(kept, &st), 0);
        ck_assert_int_eq(st.st_mode & 0777, 0700);
        ck_assert_ptr_nonnull(strstr(kept, "/tmp/flowrun-kept-case_1"));
        fri_tree_remove(kept);
    }
    fri_free(&memory, kept);
    return there;
}

START_TEST(a_temporary_directory_goes_unless_it_is_kept)
{
    ck_assert(!stays(NULL, false));
    ck_assert(!stays(NULL, true));
    ck_assert(!stays("failed", false));
    ck_assert(stays("failed", true));
    ck_assert(stays("always", false));
    ck_assert(stays("always", true));
    ck_assert_uint_eq(entries_of("tmp"), 1); /* the root */
    close_scratch();
    ck_assert_uint_eq(entries_of("tmp"), 0);
}
END_TEST

START_TEST(the_root_goes_with_what_is_in_it)
{
    frun_value *c = temporary(NULL);

    prepared(c);
    put(in(dir, "x"), "");
    close_scratch();
    ck_assert_uint_eq(entries_of("tmp"), 0);
    fri_free(&memory, dir);
    frun_value_free(c);
}
END_TEST

START_TEST(kept_directories_outlive_the_root)
{
    frun_value *c = temporary("always");

    prepared(c);
    done(c, false);
    close_scratch();
    ck_assert_uint_eq(entries_of("tmp"), 1);
}
END_TEST

static char told[256];

static void tell(void *user, const char *root)
{
    ck_assert_ptr_eq(user, &heap);
    ck_assert_str_eq(told, "");
    strcpy(told, root);
}

/* A run that dies with a directory in use; the path of its root. */
static pid_t start_run(int lives[2])
{
    struct fri_error *error;
    pid_t child;

    ck_assert_int_eq(pipe(lives), 0);
    child = fork();
    if (child == 0) {
        struct fri_scratch *s = fri_scratch_new(NULL, NULL, NULL);
        char *path = fri_scratch_dir(s, "x", NULL, &error);

        put(in(path, "big"), "text");
        mkdir(in(path, "sub"), 0777);
        put(in(path, "sub/x"), "text");
        (void)!write(lives[1], path, strlen(path) + 1);
        pause();
    }
    return child;
}

START_TEST(what_crashed_runs_left_is_removed_by_the_next)
{
    struct fri_scratch *s = fri_scratch_new(&memory, tell, &heap);
    struct fri_error *error;
    struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 1 } };
    char dead[256], live[256];
    int a[2], b[2];
    pid_t one = start_run(a), two = start_run(b);

    ck_assert_int_gt(read(a[0], dead, sizeof dead), 0);
    ck_assert_int_gt(read(b[0], live, sizeof live), 0);
    kill(one, SIGKILL);
    ck_assert_int_eq(waitpid(one, NULL, 0), one);
    ck_assert_int_eq(mkdir("tmp/flowrun-emptyX", 0700), 0);
    ck_assert_int_eq(utimensat(AT_FDCWD, "tmp/flowrun-emptyX", old, 0), 0);
    /* These are nobody's, whatever their names. */
    ck_assert_int_eq(mkdir("tmp/flowrun-abcdef", 0777), 0);
    ck_assert_int_eq(mkdir("tmp/flowrun-kept-x-abcdef", 0777), 0);
    put("tmp/flowrun-kept-x-abcdef/.lock", "");
    ck_assert_int_eq(mkdir("tmp/flowrunabcdefg", 0777), 0);
    put("tmp/flowrunabcdefg/.lock", "");
    ck_assert_int_eq(mkdir("elsewhere", 0777), 0);
    put("elsewhere/.lock", "");
    ck_assert_int_eq(symlink("../elsewhere", "tmp/flowrun-linked"), 0);
    ck_assert_ptr_nonnull(fri_scratch_root(s, &error));
    ck_assert_str_eq(told, fri_scratch_root(s, &error));
    ck_assert(!is_there(dead));
    ck_assert(is_there(live));
    ck_assert(is_there("elsewhere/.lock"));
    ck_assert_uint_eq(entries_of("tmp"), 6);
    fri_scratch_free(s);
    ck_assert_uint_eq(entries_of("tmp"), 5);
    kill(two, SIGKILL);
    ck_assert_int_eq(waitpid(two, NULL, 0), two);
}
END_TEST

START_TEST(the_roots_of_others_stay)
{
    struct fri_scratch *s = fri_scratch_new(&memory, NULL, NULL);
    struct fri_error *error;

    if (geteuid() != 0)
        return; /* only root can make files that are not its own */
    ck_assert_int_eq(mkdir("tmp/flowrun-abcdef", 0777), 0);
    put("tmp/flowrun-abcdef/.lock", "");
    ck_assert_int_eq(chown("tmp/flowrun-abcdef", 12345, 12345), 0);
    ck_assert_ptr_nonnull(fri_scratch_root(s, &error));
    ck_assert(is_there("tmp/flowrun-abcdef/.lock"));
    fri_scratch_free(s);
}
END_TEST

START_TEST(a_worker_uses_the_root_and_leaves_it)
{
    struct fri_scratch *s = fri_scratch_new(&memory, NULL, NULL);
    struct fri_scratch *worker = fri_scratch_new(&memory, NULL, NULL);
    struct fri_error *error;
    const char *root = fri_scratch_root(s, &error);
    char *path;

    ck_assert(fri_scratch_adopt(worker, root));
    ck_assert_str_eq(fri_scratch_root(worker, &error), root);
    path = fri_scratch_dir(worker, "../x y", &memory, &error);
    ck_assert_int_eq(strncmp(path, root, strlen(root)), 0);
    fri_scratch_free(worker);
    ck_assert(is_there(path));
    fri_free(&memory, path);
    fri_scratch_free(s);
    fri_scratch_free(NULL);
}
END_TEST

/* A container has left something there that is not ours. */
START_TEST(what_a_link_leads_to_keeps_its_mode)
{
    struct stat st;

    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chmod(home, 0755), 0);
    put("mine", "mine");
    ck_assert_int_eq(chown("mine", 12345, 12345), 0);
    ck_assert_int_eq(mkdir("tree", 0777), 0);
    ck_assert_int_eq(chown("tree", 12345, 12345), 0);
    ck_assert_int_eq(mkdir("tree/theirs", 0755), 0);
    ck_assert_int_eq(symlink("../../mine", "tree/theirs/link"), 0);
    ck_assert_int_eq(seteuid(12345), 0);
    fri_tree_remove("tree");
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert(is_there("tree/theirs"));
    ck_assert_int_eq(stat("mine", &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0644);
}
END_TEST

START_TEST(no_place_for_temporary_directories_is_said)
{
    frun_value *c = temporary(NULL);

    setenv("TMPDIR", "/nowhere", 1);
    scratch = fri_scratch_new(&memory, NULL, NULL);
    not_prepared(c, "no temporary directory in /nowhere: No such file");
    close_scratch();
}
END_TEST

START_TEST(any_depth_is_removed_and_no_link_is_followed)
{
    struct rlimit few = { 32, 32 };
    int wrong = 0;

    put("mine", "mine");
    ck_assert_int_eq(mkdir("tree", 0700), 0);
    ck_assert_int_eq(chdir("tree"), 0);
    ck_assert_int_eq(symlink(home, "link"), 0);
    for (int i = 0; i < 300; i++)
        wrong += mkdir("d", 0700) + mkdir("e", 0700) + symlink("/", ".1")
                 + symlink("/", "e/link") + chdir("d");
    ck_assert_int_eq(wrong, 0);
    ck_assert_int_eq(mkdir("locked", 0), 0);
    ck_assert_int_eq(chdir(home), 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
    fri_tree_remove("tree");
    ck_assert(!is_there("tree"));
    holds("mine", "mine");
    fri_tree_remove("none");
    fri_tree_remove("mine");
    holds("mine", "mine");
}
END_TEST

/* ---- finishing -------------------------------------------------------- */

static struct fri_command_end end;

static struct fri_command_end ended(int status, const char *out,
                                    const char *err)
{
    return (struct fri_command_end){
        .exit_status = status, .seconds = 1.5, .cpu = 0.25, .memory = 4096,
        .out = out, .err = err, .out_length = out ? strlen(out) : 0,
        .err_length = err ? strlen(err) : 0,
    };
}

static frun_value *finished(const frun_value *c)
{
    struct fri_error *error;
    frun_value *result;

    if (!fri_command_finish(c, "case 1", &dir, &end, &memory, &result, &error))
        ck_abort_msg("%s", error->public.message);
    ck_assert_ptr_null(error);
    return result;
}

static struct fri_error *failed(const frun_value *c)
{
    struct fri_error *error;
    frun_value *result;

    ck_assert(!fri_command_finish(c, "case 1", &dir, &end, &memory, &result,
                                  &error));
    ck_assert_ptr_null(result);
    ck_assert_ptr_nonnull(error);
    return error;
}

static const char *text(const frun_value *map, const char *key)
{
    ck_assert_int_eq(frun_value_kind(frun_value_get(map, key)), FRUN_STR);
    return frun_value_as_str(frun_value_get(map, key));
}

START_TEST(a_result_has_every_field)
{
    frun_value *c = command(), *r;

    end = ended(0, "out\n", NULL);
    r = finished(c);
    ck_assert_int_eq(frun_value_as_int(frun_value_get(r, "status")), 0);
    ck_assert_str_eq(text(r, "out"), "out\n");
    ck_assert_str_eq(text(r, "err"), "");
    ck_assert(frun_value_as_num(frun_value_get(r, "seconds")) == 1.5);
    ck_assert(frun_value_as_num(frun_value_get(r, "cpu")) == 0.25);
    ck_assert_int_eq(frun_value_as_int(frun_value_get(r, "memory")), 4096);
    ck_assert_int_eq(frun_value_kind(frun_value_get(r, "files")), FRUN_MAP);
    ck_assert_ptr_null(frun_value_get(r, "dir"));
    frun_value_free(r);
    c = with(with(c, "stdout", str("o")), "stderr", str("e"));
    r = finished(c);
    ck_assert_ptr_null(frun_value_get(r, "out"));
    ck_assert_ptr_null(frun_value_get(r, "err"));
    frun_value_free(r);
    frun_value_free(c);
}
END_TEST

START_TEST(the_map_of_an_exec_says_the_same)
{
    frun_value *map = with(map_of("status", frun_value_int(126)), "message",
                           str("why"));
    struct fri_command_end e;

    map = with(with(map, "out", frun_value_str("a\0b", 3)), "cpu",
               frun_value_num(2));
    map = with(with(map, "memory", frun_value_int(1)), "seconds",
               frun_value_int(3));
    map = with(with(map, "kind", frun_value_int(FRUN_OK)), "error",
               frun_value_int(ENOEXEC));
    fri_command_end_of(map, &e);
    ck_assert_int_eq(e.exit_status, 126);
    ck_assert_int_eq(e.error, ENOEXEC);
    ck_assert_str_eq(e.message, "why");
    ck_assert_uint_eq(e.out_length, 3);
    ck_assert_ptr_null(e.err);
    ck_assert(e.cpu == 2 && e.seconds == 3 && e.memory == 1);
    frun_value_free(map);
}
END_TEST

static void says(frun_value *c, frun_status status, const char *message)
{
    struct fri_error *error = failed(c);

    ck_assert_str_eq(error->public.message, message);
    ck_assert_int_eq(error->public.status, status);
    ck_assert_ptr_nonnull(error->public.result);
    fri_error_free(error);
    frun_value_free(c);
}

START_TEST(a_status_is_told_with_the_last_lines_of_stderr)
{
    frun_value *with_shell = with(command(), "shell", frun_value_bool(true));
    struct fri_error *error;
    char long_line[2000];

    memset(long_line, 'x', sizeof long_line - 1);
    long_line[sizeof long_line - 1] = '\0';
    end = ended(3, "", "");
    says(command(), FRUN_EEXIT, "solve: exit status 3");
    end = ended(3, "not this", "one\ntwo\r\n\n  three\nfour\n\n");
    says(command(), FRUN_EEXIT, "solve: exit status 3: two | three | four");
    end = ended(201, " *ERROR in calinput: 'x'\n", " \n");
    says(command(), FRUN_EEXIT,
         "solve: exit status 201: *ERROR in calinput: 'x'");
    end = ended(1, NULL, "a\033[1mb\tc\n");
    says(command(), FRUN_EEXIT, "solve: exit status 1: a [1mb c");
    end = ended(1, NULL, long_line);
    error = failed(with_shell);
    ck_assert_uint_eq(strlen(error->public.message),
                      strlen("sh: exit status 1: ") + 400);
    fri_error_free(error);
    frun_value_free(with_shell);
}
END_TEST

START_TEST(a_failure_has_the_fields_of_a_result)
{
    frun_value *c = command();
    struct fri_error *error;

    end = ended(3, "some\n", "more\n");
    error = failed(c);
    ck_assert_int_eq(error->public.exit_status, 3);
    ck_assert_int_eq(error->public.signal, 0);
    ck_assert_str_eq(text(error->public.result, "out"), "some\n");
    ck_assert_str_eq(text(error->public.result, "err"), "more\n");
    ck_assert_int_eq(frun_value_as_int(frun_value_get(error->public.result,
                                                      "status")), 3);
    fri_error_free(error);
    frun_value_free(c);
}
END_TEST

START_TEST(statuses_that_are_no_failure)
{
    frun_value *ok = frun_value_list(), *c, *r;

    ck_assert_int_eq(frun_value_push(ok, frun_value_int(1)), FRUN_OK);
    c = with(command(), "ok_status", ok);
    end = ended(1, "", "");
    r = finished(c);
    ck_assert_int_eq(frun_value_as_int(frun_value_get(r, "status")), 1);
    frun_value_free(r);
    end = ended(0, "", "");
    says(c, FRUN_EEXIT, "solve: exit status 0");
}
END_TEST

START_TEST(signals_and_other_ends)
{
    struct fri_error *error;
    frun_value *c = command();
    char room[24];

    end = ended(-1, "", "last words\n");
    end.status = FRUN_ECRASHED;
    end.signal = SIGSEGV;
    error = failed(c);
    ck_assert_int_eq(error->public.signal, SIGSEGV);
    ck_assert_int_eq(error->public.exit_status, -1);
    ck_assert_ptr_null(frun_value_get(error->public.result, "status"));
    refused(error, FRUN_ECRASHED,
            "solve: killed by signal 11 (SIGSEGV): last words");
    end.signal = 9;
    end.err_length = 0;
    refused(failed(c), FRUN_ECRASHED, "solve: killed by signal 9 (SIGKILL)");
    end.status = FRUN_ETIMEOUT;
    refused(failed(c), FRUN_ETIMEOUT, "solve: the time ran out");
    end.status = FRUN_ERESOURCE;
    end.message = "no more processes";
    refused(failed(c), FRUN_ERESOURCE, "solve: no more processes");
    ck_assert_str_eq(fri_signal_name(99, room), "signal 99");
    frun_value_free(c);
}
END_TEST

/* ---- collecting ------------------------------------------------------- */

static frun_value *collecting(frun_value *c)
{
    return with(c, "collect", list("job.dat", "*.frd", "sub/[ab]?", "x*y",
                                   NULL));
}

static void make_results(const char *where)
{
    put(in(where, "job.dat"), "force 1\n");
    put(in(where, "a.frd"), "A");
    put(in(where, "b.frd"), "B");
    put(in(where, ".c.frd"), "hidden");
    ck_assert_int_eq(mkdir(in(where, "sub"), 0777), 0);
    put(in(where, "sub/a1"), "1");
    put(in(where, "sub/c1"), "2");
    ck_assert_int_eq(mkdir(in(where, "d.frd"), 0777), 0);
    ck_assert_int_eq(mkfifo(in(where, "f.frd"), 0666), 0);
}

START_TEST(files_of_a_temporary_directory_are_read)
{
    frun_value *c = collecting(temporary(NULL)), *r;
    const frun_value *files;

    prepared(c);
    make_results(dir);
    end = ended(0, "", "");
    r = finished(c);
    files = frun_value_get(r, "files");
    ck_assert_uint_eq(frun_value_length(files), 4);
    ck_assert_str_eq(text(files, "job.dat"), "force 1\n");
    ck_assert_str_eq(text(files, "a.frd"), "A");
    ck_assert_str_eq(text(files, "b.frd"), "B");
    ck_assert_str_eq(text(files, "sub/a1"), "1");
    ck_assert_str_eq(text(r, "dir"), dir);
    frun_value_free(r);
    done(c, false);
    close_scratch();
}
END_TEST

START_TEST(of_a_directory_that_stays_their_paths_are_given)
{
    frun_value *c = collecting(with(command(), "cwd", str("runs/1"))), *r;
    const frun_value *files;

    prepared(c);
    make_results(dir);
    end = ended(0, "", "");
    r = finished(c);
    files = frun_value_get(r, "files");
    ck_assert_str_eq(text(files, "job.dat"), "runs/1/job.dat");
    ck_assert_str_eq(text(files, "sub/a1"), "runs/1/sub/a1");
    ck_assert_uint_eq(frun_value_length(files), 4);
    ck_assert_str_eq(text(r, "dir"), "runs/1");
    frun_value_free(r);
    done(c, false);
    close_scratch();
}
END_TEST

START_TEST(a_name_that_was_not_made_is_a_failure)
{
    frun_value *c = with(temporary("failed"), "collect",
                         list("./job.dat", "none/job.sta", NULL));
    struct fri_error *error;
    char *kept;

    prepared(c);
    put(in(dir, "job.dat"), "some");
    end = ended(0, " *ERROR in openfile\n", "");
    error = failed(c);
    ck_assert(fri_scratch_is_kept(dir));
    ck_assert_str_eq(text(error->public.result, "dir"), dir);
    ck_assert_str_eq(text(frun_value_get(error->public.result, "files"),
                          "./job.dat"), "some");
    refused(error, FRUN_ERROR, "solve: it did not make \"none/job.sta\": "
                               "*ERROR in openfile");
    kept = fri_strdup(NULL, dir);
    done(c, true);
    ck_assert(is_there(kept));
    fri_free(NULL, kept);
    close_scratch();
}
END_TEST

START_TEST(a_command_that_failed_gives_what_is_there)
{
    frun_value *c = collecting(temporary(NULL));
    struct fri_error *error;

    prepared(c);
    put(in(dir, "a.frd"), "A");
    end = ended(2, "", "");
    error = failed(c);
    ck_assert_str_eq(text(frun_value_get(error->public.result, "files"),
                          "a.frd"), "A");
    refused(error, FRUN_EEXIT, "solve: exit status 2");
    done(c, true);
    close_scratch();
}
END_TEST

/* Neither can be opened at all. */
START_TEST(a_pattern_passes_over_sockets_and_endless_links)
{
    frun_value *c = with(temporary(NULL), "collect", list("*", NULL)), *r;

    prepared(c);
    ck_assert_int_eq(mknod(in(dir, "socket"), S_IFSOCK | 0666, 0), 0);
    ck_assert_int_eq(symlink("endless", in(dir, "endless")), 0);
    put(in(dir, "file"), "F");
    end = ended(0, "", "");
    r = finished(c);
    ck_assert_uint_eq(frun_value_length(frun_value_get(r, "files")), 1);
    ck_assert_str_eq(text(frun_value_get(r, "files"), "file"), "F");
    frun_value_free(r);
    done(c, false);
    close_scratch();
}
END_TEST

START_TEST(what_is_no_file_is_not_read)
{
    frun_value *c = with(temporary(NULL), "collect",
                         list("fifo", NULL));

    prepared(c);
    ck_assert_int_eq(mkfifo(in(dir, "fifo"), 0666), 0);
    end = ended(0, "", "");
    refused(failed(c), FRUN_ERROR, "collect: \"fifo\": it is no file");
    done(c, true);
    close_scratch();
}
END_TEST

/* ---- not executable --------------------------------------------------- */

static void not_run(frun_value *c, int status, int error, const char *message)
{
    end = ended(status, "", "");
    end.message = "of the helper";
    end.error = error;
    refused(failed(c), FRUN_EEXIT, message);
    frun_value_free(c);
}

static frun_value *program(const char *name)
{
    return map_of("argv", list(name, NULL));
}

START_TEST(why_it_could_not_be_executed)
{
    frun_value *c;

    setenv("PATH", home, 1);
    not_run(program("solve"), 127, ENOENT, "solve: command not found");
    not_run(program("./solve"), 127, ENOENT,
            "./solve: command not found: there is no such file");
    put("solve", "#!/opt/no/sh -x\n");
    not_run(program("./solve"), 126, EACCES,
            "./solve: not executable: ./solve has no permission to be "
            "executed (chmod +x)");
    not_run(program("solve"), 126, EACCES, "/solve has no permission");
    not_run(with(program("solve"), "env", files_of("PATH", "/bin")), 127,
            ENOENT, "solve: command not found; there is a file of that name "
            "in the current directory: say \"./solve\", and make it "
            "executable");
    ck_assert_int_eq(chmod("solve", 0755), 0);
    not_run(program("./solve"), 127, ENOENT,
            "the first line of ./solve asks for \"/opt/no/sh\", which is not "
            "there");
    c = with(program("solve"), "env", files_of("PATH", "/bin:/usr/bin"));
    end = ended(127, "", "");
    end.message = "";
    refused(failed(c), FRUN_EEXIT, "directory: say \"./solve\"");
    frun_value_free(c);
    put("solve", "what is this\n");
    not_run(program("./solve"), 126, ENOEXEC,
            "./solve: not executable: ./solve is no program of this machine");
    not_run(program("./tmp"), 126, EACCES, "./tmp is a directory");
    not_run(program("./solve"), 126, E2BIG, "too long");
    not_run(program("./solve"), 126, ETXTBSY, "Text file busy");
    ck_assert_int_eq(mkdir("at", 0777), 0);
    c = with(program("./solve"), "cwd", str("at"));
    prepared(c);
    end = ended(127, "", "");
    end.message = "";
    refused(failed(c), FRUN_EEXIT, "there is no such file");
    done(c, true);
    close_scratch();
}
END_TEST

START_TEST(a_text_that_is_no_failure_of_the_start_is_the_programs_own)
{
    end = ended(127, "", "sh: 1: solve: not found\n");
    says(with(command(), "shell", frun_value_bool(true)), FRUN_EEXIT,
         "sh: exit status 127: sh: 1: solve: not found");
}
END_TEST

/* ---- memory ----------------------------------------------------------- */

static bool try_all(const frun_value *c, struct fri_scratch *s)
{
    struct fri_error *error = NULL;
    frun_value *result = NULL;
    bool ok = fri_command_prepare(c, s, "x", &memory, &dir, &error);

    if (ok) {
        put(in(dir, "out"), "y");
        ok = fri_command_finish(c, "x", &dir, &end, &memory, &result, &error);
        fri_command_leave(c, "x", &dir, !ok, &memory, NULL);
    }
    fri_error_free(error);
    frun_value_free(result);
    return ok;
}

START_TEST(out_of_memory_leaves_nothing)
{
    frun_value *c = with(with(temporary(NULL), "files", files_of("in", "x")),
                         "collect", list("out", NULL));
    struct fri_scratch *s = fri_scratch_new(&memory, NULL, NULL);
    struct fri_error *error;
    long blocks;
    bool ok = false;

    ck_assert_ptr_nonnull(fri_scratch_root(s, &error));
    blocks = heap.blocks;
    end = ended(0, "", "");
    for (long n = 0; n < 100 && !ok; n++) {
        heap.allowed = n;
        ok = try_all(c, s);
        heap.allowed = -1;
        ck_assert_int_eq(heap.blocks, blocks);
        ck_assert_uint_eq(entries_of(fri_scratch_root(s, &error)), 1);
    }
    ck_assert(ok);
    fri_scratch_free(s);
    frun_value_free(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        every_field_is_known, the_field_that_is_wrong_is_named,
        a_command_has_a_name, files_are_written_before_the_start,
        without_a_directory_files_are_beside_the_run,
        a_large_file_is_copied_whole,
        a_name_that_leaves_the_directory_fails_with_nothing_written,
        a_link_leads_nowhere,
        what_has_the_name_is_replaced_not_written_through,
        what_cannot_be_made_is_said, what_is_to_be_collected_is_removed_first,
        a_temporary_directory_goes_unless_it_is_kept,
        the_root_goes_with_what_is_in_it, kept_directories_outlive_the_root,
        what_crashed_runs_left_is_removed_by_the_next,
        the_roots_of_others_stay, a_worker_uses_the_root_and_leaves_it,
        no_place_for_temporary_directories_is_said,
        any_depth_is_removed_and_no_link_is_followed,
        what_a_link_leads_to_keeps_its_mode,
        a_result_has_every_field, the_map_of_an_exec_says_the_same,
        a_status_is_told_with_the_last_lines_of_stderr,
        a_failure_has_the_fields_of_a_result, statuses_that_are_no_failure,
        signals_and_other_ends, files_of_a_temporary_directory_are_read,
        of_a_directory_that_stays_their_paths_are_given,
        a_name_that_was_not_made_is_a_failure,
        a_command_that_failed_gives_what_is_there,
        a_pattern_passes_over_sockets_and_endless_links,
        what_is_no_file_is_not_read, why_it_could_not_be_executed,
        a_text_that_is_no_failure_of_the_start_is_the_programs_own,
        out_of_memory_leaves_nothing,
    };

    return unit_run_in("command", tests, COUNT(tests), enter_home, leave_home);
}
