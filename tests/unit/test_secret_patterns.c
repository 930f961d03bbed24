/* test_secret_patterns.c - which texts hold keys, and which only look alike. Keys are put together while the test runs, so that
 * no scanner of repositories takes this file for a leak. */
#include "doc/secret_patterns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static uint64_t seed = 88172645463325252u;

static unsigned next_random(unsigned limit)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (unsigned)(seed >> 33) % limit;
}

static const char alnum[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
static const char dashed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_";
static const char hex[] = "0123456789abcdef";
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void append_random(char *text, const char *characters, size_t count)
{
    size_t length = strlen(text), most = strlen(characters);
    for (size_t i = 0; i < count; i++)
        text[length + i] = characters[next_random((unsigned)most)];
    text[length + count] = '\0';
    /* What nearly every key has, and a short one now and then would not. */
    static const char must[] = "Kq7";
    for (size_t i = 0; i < 3; i++)
        if (strchr(characters, must[i]))
            text[length + 2 + i] = must[i];
}

static const struct {
    const char *first, *second; /* of the prefix */
    const char *characters;
    size_t count;
    const char *end, *kind;
} keys[] = {
    {"AK", "IA", base32, 16, "", "AWS access key id"},
    {"AS", "IA", base32, 16, "", "AWS access key id"},
    {"aws_secret_", "access_key = ", base64, 40, "", "AWS secret access key"},
    {"AWS_SECRET_", "ACCESS_KEY=\"", base64, 40, "\"", "AWS secret access key"},
    {"\"Secret", "AccessKey\": \"", base64, 40, "\"", "AWS secret access key"},
    {"gh", "p_", alnum, 36, "", "GitHub token"},
    {"gh", "s_", alnum, 36, "", "GitHub token"},
    {"github_", "pat_", dashed, 82, "", "GitHub token"},
    {"gl", "pat-", alnum, 20, "", "GitLab token"},
    {"sk-", "ant-api03-", dashed, 95, "", "Anthropic API key"},
    {"sk-", "proj-", dashed, 150, "", "OpenAI API key"},
    {"sk-", "", alnum, 48, "", "API key"},
    {"sk-", "", hex, 32, "", "API key"},
    {"sk-", "or-v1-", hex, 64, "", "OpenRouter API key"},
    {"sk_", "live_", alnum, 24, "", "Stripe key"},
    {"xox", "b-123456789012-1234567890123-", alnum, 24, "", "Slack token"},
    {"https://hooks.slack", ".com/services/T0AB12CD3/B0EF45GH6/", alnum, 24, "", "Slack webhook"},
    {"AI", "za", alnum, 35, "", "Google API key"},
    {"hf", "_", alnum, 34, "", "Hugging Face token"},
    {"npm", "_", alnum, 36, "", "npm token"},
    {"pypi-", "AgEIcHlwaS5vcmc", dashed, 120, "", "PyPI token"},
    {"Account", "Key=", base64, 86, "==", "Azure storage key"},
    {"-----BEGIN ", "PRIVATE KEY-----\n", base64, 64, "\n-----END PRIVATE KEY-----", "private key"},
    {"-----BEGIN RSA ", "PRIVATE KEY-----\r\n", base64, 64, "\r\n", "private key"},
    {"{\"private_key\": \"-----BEGIN ", "PRIVATE KEY-----\\n", base64, 64, "\\n-----END PRIVATE KEY-----\\n\"}", "private key"},
    {"-----BEGIN RSA ", "PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00FF\n\n", base64, 64, "\n",
     "private key"},
    {"ey", "JhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.", dashed, 43, "", "JSON Web Token"},
};

static void test_keys_are_found(void **state)
{
    (void)state;
    static const char *const around[][2] = {{"", ""},    {"key: ", "\nnext"}, {"`", "`"},  {"(\"", "\")"},
                                            {"é", "é"}, {"=", "."},          {"\n", ","}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        for (size_t round = 0; round < 200; round++) {
            char text[1024];
            const char *const *both = around[round % (sizeof around / sizeof *around)];
            snprintf(text, sizeof text, "first line\n%s%s%s", both[0], keys[i].first, keys[i].second);
            append_random(text, keys[i].characters, keys[i].count);
            strcat(text, keys[i].end);
            size_t end = strlen(text);
            strcat(text, both[1]);
            sx_secret found = {0};
            if (!sx_secret_find(text, strlen(text), 0, &found))
                fail_msg("%s is not found in: %s", keys[i].kind, text);
            assert_string_equal(found.kind, keys[i].kind);
            assert_true(found.start >= 11 && found.end > found.start);
            assert_true(found.end <= end || !strcmp(keys[i].kind, "private key")); /* without an end it may take a word more */
            assert_true(found.end - found.start >= keys[i].count);
            assert_false(sx_secret_find(text, strlen(text), found.end, &found)); /* and only once */
        }
    }
}

static void test_nothing_is_found(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "-",
        "s",
        "AKIA" "IOSFODNN7EXAMPLE",
        "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCY" "EXAMPLEKEY",
        "aws_secret_access_key = os.environ[\"AWS_SECRET_ACCESS_KEY\"]",
        "ghp_" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "OPENAI_API_KEY=sk-your-key-here",
        "OPENAI_API_KEY=sk-...",
        "sk-" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "sk-learn-compatible-estimators-and-transformers-in-one-long-name-1234567890",
        "task-" "abcDEF0123456789ghiJKL0123456789mnoPQR0123456789",
        "disk-" "0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "hf_" "hub_download(repo_id=\"sentence-transformers/all-MiniLM-L6-v2\")",
        "hf_" "modelconfigurationandtokenizerfiles",
        "-----BEGIN PRIVATE KEY-----\n...\n-----END PRIVATE KEY-----",
        "A file that begins with -----BEGIN RSA PRIVATE KEY----- holds a private key; these words are none, however long.",
        "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxyzabc0987\n-----END PUBLIC KEY-----",
        "-----BEGIN CERTIFICATE-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAxyzabc0987654321qwertyuiopasdf\n",
        "eyJ",
        "eyJhbGciOiJIUzI1NiJ9",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.",
        "eyJub25lIjoiaGVhZGVyLWhlcmUifQ.eyJzdWIiOiIxMjM0NTY3ODkwIn0.Qx7Tz0aB3dE6gH9jK2mN5pR8sU1vW4yZQx7Tz0aB3dE",
        "AccountKey=<your account key>",
        "sha256:" "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "https://hooks.slack" ".com/services/T00000000/B00000000/" "XXXXXXXXXXXXXXXXXXXXXXXX",
        "AIza",
        "npm_config_registry",
        "xoxb-" "your-token-goes-here-not-a-real-one",
        "pa-" "very-long-hyphenated-class-name-of-some-web-page-1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        sx_secret found;
        if (sx_secret_find(texts[i], strlen(texts[i]), 0, &found))
            fail_msg("'%s' is taken for: %s", texts[i], found.kind);
    }
}

/* Every prefix of every key, in memory of exactly that size: the sanitizers watch the ends. */
static void test_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char text[1024] = "";
        snprintf(text, sizeof text, "%s%s", keys[i].first, keys[i].second);
        append_random(text, keys[i].characters, keys[i].count);
        strcat(text, keys[i].end);
        for (size_t length = 0; length <= strlen(text); length++) {
            char *exact = malloc(length ? length : 1);
            assert_non_null(exact);
            memcpy(exact, text, length);
            sx_secret found;
            if (sx_secret_find(exact, length, 0, &found))
                assert_true(found.start < found.end && found.end <= length);
            free(exact);
        }
    }
}

static void test_lines(void **state)
{
    (void)state;
    assert_int_equal(sx_secret_line("a\nb\nc", 0), 1);
    assert_int_equal(sx_secret_line("a\nb\nc", 1), 1);
    assert_int_equal(sx_secret_line("a\nb\nc", 2), 2);
    assert_int_equal(sx_secret_line("a\nb\nc", 4), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_found),
        cmocka_unit_test(test_nothing_is_found),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
