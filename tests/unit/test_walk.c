/* test_walk.c - walking a temporary tree with everything odd in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "doc/walk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64]; /* the temporary folder; the process works inside it */

static void make_file(const char *path, const char *text)
{
    char folder[512];
    snprintf(folder, sizeof folder, "%s", path);
    for (char *at = folder + 1; *at; at++) {
        if (*at == '/') {
            *at = '\0';
            mkdir(folder, 0755);
            *at = '/';
        }
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    strcpy(base, "/tmp/sx-walk-XXXXXX");
    return mkdtemp(base) && chdir(base) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    char command[sizeof base + 16];
    snprintf(command, sizeof command, "rm -rf '%s'", base); /* copes with paths longer than the system takes */
    return chdir("/") || system(command);
}

static sx_status collect(const sx_walk_entry *entry, void *user, sx_error *error)
{
    sx_buffer *out = user;
    sx_buffer_append_string(out, entry->relative);
    if (entry->skip)
        sx_buffer_printf(out, " (%s%s)", entry->skip, entry->failed ? ", failed" : "");
    else
        assert_true(S_ISREG(entry->status->st_mode) && access(entry->path, F_OK) == 0);
    sx_buffer_append_byte(out, '\n');
    return SX_OK;
}

static void expect_walk(const char *root, const sx_walk_options *options, const char *expected)
{
    sx_buffer out = {0};
    sx_error error = {0};
    if (sx_walk(root, options, collect, &out, &error))
        fail_msg("%s", error.message);
    assert_string_equal(out.data ? out.data : "", expected);
    sx_buffer_clear(&out);
}

static void test_order_is_that_of_whole_paths(void **state)
{
    make_file("t/b/z", "");
    make_file("t/b/a/x", "");
    make_file("t/b.txt", "");
    make_file("t/b-c/x", "");
    make_file("t/B", "");
    make_file("t/\xff\xfe", "");
    make_file("t/\xc3\xbc", "");
    expect_walk("t", NULL, "B\nb-c/x\nb.txt\nb/a/x\nb/z\n\xc3\xbc\n\xff\xfe\n");
    expect_walk("t/", NULL, "B\nb-c/x\nb.txt\nb/a/x\nb/z\n\xc3\xbc\n\xff\xfe\n");
}

static void test_ignore_files(void **state)
{
    make_file("t/.gitignore", "*.log\n/build/\n!keep.log\nsub/deep.txt\n");
    make_file("t/.sextantignore", "private\n");
    make_file("t/a.log", "");
    make_file("t/keep.log", "");
    make_file("t/private/x", "");
    make_file("t/build/x", "");
    make_file("t/sub/build/x", "");
    make_file("t/sub/deep.txt", "");
    make_file("t/sub/b.log", "");
    make_file("t/sub/.ignore", "!b.log\nx\n");
    make_file("t/sub/y", "");
    make_file("t/.git/config", "");
    make_file("t/.hidden/x", "");
    make_file("t/node_modules/m/x.js", "");
    make_file("t/__pycache__/x.txt", "");
    expect_walk(
        "t", NULL,
        ".gitignore (hidden file)\n.sextantignore (hidden file)\nkeep.log\nnode_modules (vendored folder (node_modules))\nsub/.ignore (hidden file)\nsub/b.log\nsub/y\n");
    assert_int_equal(symlink("../a.log", "t/sub/.gitignore"), 0);
    sx_buffer out = {0};
    assert_int_equal(sx_walk("t", NULL, collect, &out, NULL), SX_OK); /* a link as ignore file is not followed */
    sx_buffer_clear(&out);
}

static void test_rules_from_above(void **state)
{
    const sx_walk_options options = {.excludes_file = "excludes"};
    make_file("r/.git/info/exclude", "*.excluded\n");
    make_file("r/.gitignore", "*.log\n/s/t/only-here\n");
    make_file("r/s/.sextantignore", "own\n");
    make_file("excludes", "*.user\nkept\n");
    make_file("r/s/t/.gitignore", "!kept\n");
    make_file("r/s/t/a.log", "");
    make_file("r/s/t/b.excluded", "");
    make_file("r/s/t/c.user", "");
    make_file("r/s/t/d", "");
    make_file("r/s/t/kept", "");
    make_file("r/s/t/only-here", "");
    make_file("r/s/t/own", "");
    make_file("r/s/t/u/only-here", "");
    expect_walk("r/s/t", &options, ".gitignore (hidden file)\nd\nkept\nu/only-here\n");
    make_file("r/s/t/sub/.git", "gitdir: ../../../.git/modules/sub\n"); /* a submodule is part of the tree, and its own top */
    make_file("r/s/t/sub/x.log", "");
    make_file("r/s/t/sub/y", "");
    expect_walk("r/s/t", &options, ".gitignore (hidden file)\nd\nkept\nsub/y\nu/only-here\n");
    make_file("r/.git/modules/sub/info/exclude", "y\n");
    expect_walk("r/s/t/sub", NULL, "x.log\n");
}

static void test_what_nobody_wrote(void **state)
{
    static const char *const by_folder[] = {"vendor/**"}, *const by_kind[] = {"*.js"}, *const minified[] = {"*.min.js"},
                             *const lock[] = {"Cargo.lock"};
    make_file("t/a.js", "");
    make_file("t/a.min.js", "");
    make_file("t/Cargo.lock", "");
    make_file("t/vendor/b.js", "");
    make_file("t/vendor/node_modules/c.js", "");
    make_file("t/api.pb.go", "");
    expect_walk("t", NULL, "Cargo.lock (lock file (Cargo.lock))\na.js\na.min.js (minified (*.min.js))\napi.pb.go (generated (*.pb.go))\n"
                           "vendor (vendored folder (vendor))\n");
    expect_walk("t", &(sx_walk_options){.include = by_folder, .include_count = 1},
                "vendor/b.js\nvendor/node_modules (vendored folder (node_modules))\n");
    expect_walk("t", &(sx_walk_options){.include = by_kind, .include_count = 1},
                "a.js\na.min.js (minified (*.min.js))\nvendor (vendored folder (vendor))\n");
    expect_walk("t", &(sx_walk_options){.include = minified, .include_count = 1}, "a.min.js\nvendor (vendored folder (vendor))\n");
    expect_walk("t", &(sx_walk_options){.include = lock, .include_count = 1}, "Cargo.lock\nvendor (vendored folder (vendor))\n");
    make_file("t/.sextantignore", "!vendor/\n!*.pb.go\n");
    expect_walk("t", NULL, ".sextantignore (hidden file)\nCargo.lock (lock file (Cargo.lock))\na.js\na.min.js (minified (*.min.js))\napi.pb.go\n"
                           "vendor/b.js\nvendor/node_modules (vendored folder (node_modules))\n");
}

static void test_only_some_paths(void **state)
{
    static const char *const only[] = {"a-b", "a/c", "a/d/e", "z"}, *const all[] = {""};
    make_file("t/a-b/x", "");
    make_file("t/a/b", "");
    make_file("t/a/c", "");
    make_file("t/a/d/e/f/g", "");
    make_file("t/a/d/h", "");
    make_file("t/a.c", "");
    make_file("t/z", "");
    make_file("t/zz", "");
    expect_walk("t", &(sx_walk_options){.only = only, .only_count = 4}, "a-b/x\na/c\na/d/e/f/g\nz\n");
    expect_walk("t", &(sx_walk_options){.only = all, .only_count = 1}, "a-b/x\na.c\na/b\na/c\na/d/e/f/g\na/d/h\nz\nzz\n");
    expect_walk("t", &(sx_walk_options){.only = only, .only_count = 0}, "");
}

static void test_include_and_exclude(void **state)
{
    static const char *const include[] = {"*.md", ".hid*", "src"}, *const exclude[] = {"draft*", "src/gen"};
    const sx_walk_options options = {.include = include, .include_count = 3, .exclude = exclude, .exclude_count = 2};
    make_file("t/a.md", "");
    make_file("t/a.txt", "");
    make_file("t/draft.md", "");
    make_file("t/drafts/b.md", "");
    make_file("t/.hidden", "");
    make_file("t/.other.md", "");
    make_file("t/src/x.c", "");
    make_file("t/src/gen/y.c", "");
    make_file("t/x/src/z.c", "");
    expect_walk("t", &options, ".hidden\na.md\nsrc/x.c\nx/src/z.c\n");
}

static void test_links_pipes_and_sizes(void **state)
{
    make_file("t/real.txt", "12345678");
    make_file("t/folder/in.txt", "");
    make_file("t/.env", "KEY=1");
    make_file("outside.txt", "");
    assert_int_equal(symlink("real.txt", "t/inside"), 0);
    assert_int_equal(symlink("../outside.txt", "t/leak"), 0);
    assert_int_equal(symlink("nowhere", "t/dangling"), 0);
    assert_int_equal(symlink("self", "t/self"), 0);
    assert_int_equal(symlink("..", "t/folder/up"), 0);
    assert_int_equal(symlink(".env", "t/public.txt"), 0);
    assert_int_equal(mkfifo("t/pipe", 0600), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "t/socket"};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(symlink("pipe", "t/to-pipe"), 0);
    expect_walk(
        "t", NULL,
        ".env (secret (.env))\ndangling (dangling symbolic link)\nfolder/in.txt\nfolder/up (symbolic link to a folder)\ninside\n"
        "leak (symbolic link leads outside t)\npipe (named pipe)\npublic.txt (symbolic link to a secret (.env))\nreal.txt\n"
        "self (symbolic link loop)\nsocket (socket)\nto-pipe (named pipe)\n");
    const sx_walk_options options = {.allow_secrets = true, .max_file_size = 7};
    assert_int_equal(unlink("t/leak") || unlink("t/dangling") || unlink("t/self") || unlink("t/socket"), 0);
    expect_walk("t", &options,
                ".env\nfolder/in.txt\nfolder/up (symbolic link to a folder)\ninside (larger than 7 bytes)\npipe (named "
                "pipe)\npublic.txt\n"
                "real.txt (larger than 7 bytes)\nto-pipe (named pipe)\n");
    assert_int_equal(symlink("t", "link"), 0);
    expect_walk("link/folder", NULL, "in.txt\nup (symbolic link to a folder)\n");
    close(listener);
}

static void test_root_must_be_a_folder(void **state)
{
    sx_error error = {0};
    sx_buffer out = {0};
    assert_int_equal(sx_walk("missing", NULL, collect, &out, &error), SX_E_NOT_FOUND);
    assert_non_null(strstr(error.message, "missing"));
    make_file("file", "");
    assert_int_equal(sx_walk("file", NULL, collect, &out, &error), SX_E_INVALID);
    assert_int_equal(mkfifo("pipe", 0600), 0);
    assert_int_equal(sx_walk("pipe", NULL, collect, &out, &error), SX_E_INVALID);
    assert_null(out.data);
}

static sx_status stop_at_second(const sx_walk_entry *entry, void *user, sx_error *error)
{
    return ++*(int *)user == 2 ? SX_E_STOPPED : SX_OK;
}

static void test_visitor_stops_the_walk(void **state)
{
    int count = 0;
    make_file("t/a/1", "");
    make_file("t/a/2", "");
    make_file("t/a/3", "");
    assert_int_equal(sx_walk("t", NULL, stop_at_second, &count, NULL), SX_E_STOPPED);
    assert_int_equal(count, 2);
}

/* Deeper than folders are entered, and than descriptors are kept open; then paths longer than the system takes. */
static void test_deep_trees(void **state)
{
    int folder = open(".", O_RDONLY | O_DIRECTORY), kept = folder;
    for (int i = 0; i < 600; i++) {
        assert_int_equal(mkdirat(folder, "d", 0755), 0);
        int next = openat(folder, "d", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        if (i == 3 || i == 500)
            close(openat(next, "z", O_CREAT | O_WRONLY, 0644));
        if (folder != kept)
            close(folder);
        folder = next;
    }
    close(folder);
    sx_buffer out = {0};
    assert_int_equal(sx_walk("d", NULL, collect, &out, NULL), SX_OK);
    const char *deep = strstr(out.data, "d/z\n"), *notice = strstr(out.data, " (folder nested deeper than 512)\n");
    assert_non_null(deep);
    assert_non_null(notice);
    assert_true(out.length > 500 && !strcmp(out.data + out.length - 9, "\nd/d/d/z\n"));
    sx_buffer_clear(&out);

    char name[201];
    memset(name, 'n', 200);
    name[200] = '\0';
    assert_int_equal(mkdirat(kept, "long", 0755), 0);
    folder = openat(kept, "long", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 25; i++) {
        assert_int_equal(mkdirat(folder, name, 0755), 0);
        int next = openat(folder, name, O_RDONLY | O_DIRECTORY);
        close(folder);
        folder = next;
    }
    close(openat(folder, "file", O_CREAT | O_WRONLY, 0644));
    close(folder);
    assert_int_equal(sx_walk("long", NULL, collect, &out, NULL), SX_OK);
    assert_non_null(strstr(out.data, "too long, failed)"));
    sx_buffer_clear(&out);
    close(kept);
}

static void test_unreadable_things_are_failures(void **state)
{
    if (geteuid() != 0) {
        make_file("t/locked.txt", "");
        chmod("t/locked.txt", 0);
        expect_walk("t", NULL, "locked.txt (permission denied, failed)\n");
        return;
    }
    /* root may read everything, so somebody else looks. */
    make_file("t/locked.txt", "");
    make_file("t/folder/x", "");
    make_file("t/open.txt", "");
    assert_int_equal(chmod("t/locked.txt", 0) || chmod("t/folder", 0) || chmod(base, 0755) || chmod("t", 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        sx_buffer out = {0};
        if (setgid(65534) || setuid(65534) || sx_walk("t", NULL, collect, &out, NULL))
            _exit(1);
        _exit(strcmp(out.data, "folder (permission denied, failed)\nlocked.txt (permission denied, failed)\nopen.txt\n") ? 2 : 0);
    }
    int result = 0;
    assert_int_equal(waitpid(child, &result, 0), child);
    chmod("t/folder", 0755);
    assert_int_equal(result, 0);
}

static void expect_file(const char *path, const sx_walk_options *options, const char *expected)
{
    sx_buffer out = {0};
    sx_error error = {0};
    if (sx_walk_file(path, path, options, collect, &out, &error))
        fail_msg("%s", error.message);
    assert_string_equal(out.data, expected);
    sx_buffer_clear(&out);
}

static void test_single_files(void **state)
{
    static const char *const globs[] = {"*.md"};
    make_file(".gitignore", "*");
    make_file("a.txt", "");
    make_file(".hidden", "");
    make_file("key.pem", "");
    expect_file("a.txt", NULL, "a.txt\n");
    expect_file(".hidden", NULL, ".hidden\n");
    expect_file("key.pem", NULL, "key.pem (secret (*.pem))\n");
    expect_file("a.txt", &(sx_walk_options){.include = globs, .include_count = 1}, "a.txt (matches no --include)\n");
    make_file("a.md", "");
    expect_file("a.md", &(sx_walk_options){.exclude = globs, .exclude_count = 1}, "a.md (matches --exclude *.md)\n");
    assert_int_equal(symlink("a.txt", "link") || symlink("key.pem", "alias.txt"), 0);
    expect_file("link", NULL, "link\n");
    expect_file("alias.txt", NULL, "alias.txt (symbolic link to a secret (*.pem))\n");
    assert_int_equal(sx_walk_file("missing", "missing", NULL, collect, NULL, NULL), SX_E_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order_is_that_of_whole_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ignore_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_rules_from_above, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_nobody_wrote, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_some_paths, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_include_and_exclude, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_links_pipes_and_sizes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_root_must_be_a_folder, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_visitor_stops_the_walk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_deep_trees, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unreadable_things_are_failures, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_single_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
