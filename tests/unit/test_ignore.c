/* test_ignore.c - glob patterns, gitignore rules (checked against git when the table was made) and names of secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "doc/glob.h"
#include "doc/ignore.h"
#include "doc/secrets.h"

#include <string.h>
#include <time.h>

/* A path ending in '/' is a folder. expected: 'x' left out, '+' kept by a negation, '.' no rule. */
static const struct {
    const char *rules, *path;
    char expected;
} rows[] = {
    {"foo", "foo", 'x'},
    {"foo", "a/foo", 'x'},
    {"foo", "a/foo/", 'x'},
    {"foo", "foobar", '.'},
    {"foo", "Foo", '.'},
    {"/foo", "foo", 'x'},
    {"/foo", "a/foo", '.'},
    {"foo/", "foo", '.'},
    {"foo/", "foo/", 'x'},
    {"foo/", "a/foo/", 'x'},
    {"/foo/", "a/foo/", '.'},
    {"doc/frotz/", "doc/frotz/", 'x'},
    {"doc/frotz/", "a/doc/frotz/", '.'},
    {"doc/*.txt", "doc/a.txt", 'x'},
    {"doc/*.txt", "doc/server/a.txt", '.'},
    {"doc/*.txt", "x/doc/a.txt", '.'},
    {"*.log", "a.log", 'x'},
    {"*.log", "deep/er/a.log", 'x'},
    {"*.log", ".log", 'x'},
    {"*.log", "a.logs", '.'},
    {"*", "anything", 'x'},
    {"*\n!keep", "keep", '+'},
    {"*\n!keep", "other", 'x'},
    {"!keep\n*", "keep", 'x'},
    {"!foo", "foo", '+'},
    {"!!foo", "!foo", '+'},
    {"\\!foo", "!foo", 'x'},
    {"\\#foo", "#foo", 'x'},
    {"#foo", "#foo", '.'},
    {"", "foo", '.'},
    {"\n\n", "foo", '.'},
    {"/", "foo", '.'},
    {"!", "foo", '.'},
    {"foo   ", "foo", 'x'},
    {"foo\\ ", "foo ", 'x'},
    {"foo\\ ", "foo", '.'},
    {"foo\r\nbar\r\n", "foo", 'x'},
    {"foo\r\nbar\r\n", "bar", 'x'},
    {"\xef\xbb\xbf"
     "foo",
     "foo", 'x'},
    {"**/foo", "foo", 'x'},
    {"**/foo", "a/b/foo", 'x'},
    {"**/foo/bar", "a/foo/bar", 'x'},
    {"**/foo/bar", "foo/a/bar", '.'},
    {"abc/**", "abc/x", 'x'},
    {"abc/**", "abc/x/y", 'x'},
    {"abc/**", "abc/", '.'},
    {"a/**/b", "a/b", 'x'},
    {"a/**/b", "a/x/b", 'x'},
    {"a/**/b", "a/x/y/b", 'x'},
    {"a/**/b", "a/x/y/c", '.'},
    {"a/**/b", "z/a/b", '.'},
    {"a/**/b/**/c", "a/b/x/b/y/c", 'x'},
    {"**", "any/where", 'x'},
    {"a**b", "axxb", 'x'},
    {"a**b/c", "ax/xb/c", '.'},
    {"f?o", "fxo", 'x'},
    {"f?o", "f/o", '.'},
    {"f?o", "fo", '.'},
    {"[abc]x", "bx", 'x'},
    {"[a-c]x", "dx", '.'},
    {"[!a-c]x", "dx", 'x'},
    {"[^a-c]x", "ax", '.'},
    {"[]x]y", "]y", 'x'},
    {"[a-]y", "-y", 'x'},
    {"[\\]]y", "]y", 'x'},
    {"[[:digit:]]", "7", 'x'},
    {"[[:digit:]]", "d", '.'},
    {"[[:alpha:]_]x", "_x", 'x'},
    {"a[b", "a[b", '.'},
    {"a\\*b", "a*b", 'x'},
    {"a\\*b", "axb", '.'},
    {"a\\", "a\\", '.'},
    {"x[a/b]y", "xay", 'x'},
    {"x[a/b]y", "x/y", '.'},
    {"build/\n!build/keep.txt", "build/", 'x'},
    {"*.o\n!lib.o\nlib.o", "lib.o", 'x'},
    {"\xc3\xbc*",
     "\xc3\xbc"
     "ber",
     'x'},
    {"caf\xe9", "caf\xe9", 'x'},
};

static void test_rules(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        sx_ignore_rules rules = {0};
        char path[64];
        size_t length = strlen(rows[i].path);
        bool folder = rows[i].path[length - 1] == '/';
        memcpy(path, rows[i].path, length + 1);
        path[length - folder] = '\0';
        assert_true(sx_ignore_add(&rules, rows[i].rules, strlen(rows[i].rules)));
        sx_ignore_verdict verdict = sx_ignore_check(&rules, path, folder);
        char got = verdict == SX_IGNORE_LEFT_OUT ? 'x' : verdict == SX_IGNORE_KEPT ? '+' : '.';
        if (got != rows[i].expected)
            fail_msg("row %zu: rules \"%s\", path \"%s\": %c, expected %c", i, rows[i].rules, rows[i].path, got,
                     rows[i].expected);
        sx_ignore_clear(&rules);
    }
}

static void test_later_files_override(void **state)
{
    sx_ignore_rules rules = {0};
    assert_true(sx_ignore_add(&rules, "*.md", 4));
    assert_true(sx_ignore_add(&rules, "!notes.md", 9));
    assert_int_equal(sx_ignore_check(&rules, "a.md", false), SX_IGNORE_LEFT_OUT);
    assert_int_equal(sx_ignore_check(&rules, "notes.md", false), SX_IGNORE_KEPT);
    sx_ignore_clear(&rules);
}

static void test_selecting_globs(void **state)
{
    static const struct {
        const char *glob, *path;
        bool expected;
    } selects[] = {
        {"*.md", "a.md", true},
        {"*.md", "x/y/a.md", true},
        {"*.md", "a.mdx", false},
        {"docs/*.md", "docs/a.md", true},
        {"docs/*.md", "x/docs/a.md", false},
        {"docs/**", "docs/x/a.md", true},
        {"docs", "docs/x/a.md", true},
        {"docs/", "x/docs/a.md", true},
        {"./docs", "x/docs/a.md", false},
        {"/docs", "docs/a.md", true},
        {"**/t/*.py", "a/t/b.py", true},
        {"", "a", false},
        {"/", "a", false},
    };
    for (size_t i = 0; i < sizeof selects / sizeof selects[0]; i++)
        if (sx_glob_selects(selects[i].glob, selects[i].path) != selects[i].expected)
            fail_msg("glob \"%s\", path \"%s\"", selects[i].glob, selects[i].path);
}

static void test_hostile_patterns_take_no_time(void **state)
{
    char pattern[4001], path[4001];
    for (size_t i = 0; i < 4000; i++) {
        pattern[i] = i % 2 ? 'a' : '*';
        path[i] = 'a';
    }
    pattern[3999] = 'b';
    clock_t begin = clock();
    assert_false(sx_glob_match(pattern, 4000, path, 4000));
    for (size_t i = 0; i < 4000; i++) {
        pattern[i] = "**/a/"[i % 5];
        path[i] = i % 2 ? '/' : 'a';
    }
    pattern[3999] = 'b';
    assert_false(sx_glob_match(pattern, 4000, path, 4000));
    assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 2.0);
}

static void test_secrets(void **state)
{
    static const char *const yes[] = {
        ".env",   ".ENV",   ".env.local", "prod.env",    "server.pem",       "tls.key",   "id_rsa",     "id_ed25519_work",
        ".netrc", ".npmrc", ".pypirc",    "credentials", "credentials.json", "store.p12", "vault.kdbx", ".git-credentials"};
    static const char *const no[] = {".env.example",   ".env.sample", ".env.template", "id_rsa.pub",
                                     "environment.md", "keys.txt",    "README.md",     "credentials.md",
                                     "credentials.py", "keyboard",    "pem.txt",       "env"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++)
        if (!sx_secret_rule(yes[i]))
            fail_msg("%s is a secret", yes[i]);
    for (size_t i = 0; i < sizeof no / sizeof no[0]; i++)
        if (sx_secret_rule(no[i]))
            fail_msg("%s is no secret", no[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules),           cmocka_unit_test(test_later_files_override),
        cmocka_unit_test(test_selecting_globs), cmocka_unit_test(test_hostile_patterns_take_no_time),
        cmocka_unit_test(test_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
