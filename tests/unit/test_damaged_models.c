/* test_damaged_models.c - folders of every family with something wrong in one file: refused by a message that names the file, or
 * opened and used; never a crash, a hang, or gigabytes for a number somebody wrote into a configuration.
 *
 * Each field of each small JSON file is removed and given absurd values; bytes of every file are changed and files cut short, by
 * a generator with a fixed seed. SX_TEST_ROUNDS sets how many random changes a file gets; above 12 every field gets every value. */
#include "sextant.h"

#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { PATHS = 512, MOST_FILES = 32, MOST_MEMBERS = 64, MOST_ELEMENTS = 12, HANG_SECONDS = 60, SMALL = 64 << 10, HEADER = 4096 };

#if defined(__SANITIZE_ADDRESS__)
static const rlim_t most_memory = 0; /* its shadow alone is more */
#else
static const rlim_t most_memory = (rlim_t)3 << 30;
#endif

static const char *const absurd[] = {"null",       "true",  "-1",    "0",     "1",  "3",        "2147483647", "4294967297",
                                     "1000000007", "1e300", "0.001", "\"\"",  "[]", "\"other\"", "{}",         "[1,[2,[3]]]"};
enum { ABSURD = sizeof absurd / sizeof *absurd };

typedef struct model_copy {
    const char *family;
    char folder[64];              /* the damaged copy: links but for one file */
    char files[MOST_FILES][96];   /* below it */
    size_t count;
    unsigned opened, refused;
} model_copy;

static char now[PATHS]; /* what is being tried, for the handler */
static uint64_t generator = 0x9e3779b97f4a7c15u;
static unsigned rounds = 6;

static uint32_t below(uint32_t bound)
{
    generator ^= generator << 13;
    generator ^= generator >> 7;
    generator ^= generator << 17;
    return (uint32_t)(generator >> 32) % bound;
}

static void say_and_die(int number)
{
    static const char died[] = "\ndied or hung at: ";
    ssize_t ignored = write(2, died, sizeof died - 1);
    ignored = write(2, now, strlen(now));
    ignored = write(2, "\n", 1);
    (void)ignored;
    signal(number, SIG_DFL);
    raise(number == SIGALRM ? SIGABRT : number);
}

/* ---- Folders ---- */

static void source_path(const model_copy *copy, const char *file, char path[PATHS])
{
    snprintf(path, PATHS, SX_FIXTURES "/families/%s/%s", copy->family, file);
}

static void target_path(const model_copy *copy, const char *file, char path[PATHS])
{
    snprintf(path, PATHS, "%s/%s", copy->folder, file);
}

static void link_file(const model_copy *copy, const char *file)
{
    char from[PATHS], to[PATHS];
    source_path(copy, file, from);
    target_path(copy, file, to);
    unlink(to);
    assert_int_equal(symlink(from, to), 0);
}

static void link_tree(model_copy *copy, const char *below_it)
{
    char path[PATHS];
    source_path(copy, below_it, path);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char file[96];
        struct stat status;
        if (entry->d_name[0] == '.' || strncmp(entry->d_name, "expected", 8) == 0 ||
            snprintf(file, sizeof file, "%s%s%s", below_it, *below_it ? "/" : "", entry->d_name) >= (int)sizeof file)
            continue;
        source_path(copy, file, path);
        assert_int_equal(stat(path, &status), 0);
        if (S_ISDIR(status.st_mode)) {
            target_path(copy, file, path);
            assert_int_equal(mkdir(path, 0700), 0);
            link_tree(copy, file);
        } else {
            assert_true(copy->count < MOST_FILES);
            strcpy(copy->files[copy->count++], file);
            link_file(copy, file);
        }
    }
    closedir(directory);
}

static void make_copy(model_copy *copy, const char *family)
{
    *copy = (model_copy){.family = family};
    strcpy(copy->folder, "/tmp/sextant-damaged-XXXXXX");
    assert_non_null(mkdtemp(copy->folder));
    link_tree(copy, "");
}

static void remove_copy(model_copy *copy)
{
    char path[PATHS];
    for (size_t i = 0; i < copy->count; i++) {
        target_path(copy, copy->files[i], path);
        unlink(path);
        char *slash = strrchr(path, '/');
        *slash = '\0';
        rmdir(path); /* succeeds with a module's last file, at the end with the folder itself */
    }
    rmdir(copy->folder);
}

static char *read_source(const model_copy *copy, const char *file, size_t *length)
{
    char path[PATHS];
    source_path(copy, file, path);
    FILE *opened = fopen(path, "rb");
    assert_non_null(opened);
    fseek(opened, 0, SEEK_END);
    *length = (size_t)ftell(opened);
    rewind(opened);
    char *data = malloc(*length + 1);
    assert_non_null(data);
    assert_int_equal(fread(data, 1, *length, opened), *length);
    fclose(opened);
    return data;
}

static void write_target(const model_copy *copy, const char *file, const void *data, size_t length)
{
    char path[PATHS];
    target_path(copy, file, path);
    unlink(path);
    FILE *opened = fopen(path, "wb");
    assert_non_null(opened);
    assert_int_equal(fwrite(data, 1, length, opened), length);
    assert_int_equal(fclose(opened), 0);
}

/* ---- One try ---- */

static sx_status use(sx_model *model, sx_error *error)
{
    sx_session *session;
    sx_session_options options = {.size = sizeof options, .threads = 1};
    const sx_model_info *info = sx_model_describe(model);
    sx_text text = {"A text, with 3 words: Z\xc3\xbcrich <s> [MASK] \xf0\x9f\x98\x80.", 44};
    sx_receipt receipt;
    size_t width = info->dimensions > info->labels ? info->dimensions : info->labels;
    sx_status status = sx_session_open(model, &options, &session, error);
    if (status)
        return status;
    float *row = calloc(width + 1, sizeof *row);
    assert_non_null(row);
    if (info->outputs & SX_OUTPUT_SCORES)
        status = sx_session_score(session, text, &text, 1, NULL, row, NULL, &receipt, error);
    else
        status = sx_session_embed(session, &text, 1, NULL, row, &receipt, error);
    free(row);
    sx_session_close(session);
    return status;
}

static void try_model(model_copy *copy)
{
    sx_error error = {0};
    sx_model *model = NULL;
    alarm(HANG_SECONDS);
    sx_status status = sx_model_open(copy->folder, NULL, &model, &error);
    if (status && !strstr(error.message, copy->folder))
        fail_msg("%s: the message names no file: %s", now, error.message);
    if (status == SX_E_NOMEM || status == SX_E_INTERNAL)
        fail_msg("%s: %s", now, error.message);
    if (status) {
        copy->refused++;
    } else {
        copy->opened++;
        status = use(model, &error);
        if (status == SX_E_NOMEM || status == SX_E_INTERNAL)
            fail_msg("%s: used: %s", now, error.message);
    }
    alarm(0);
    sx_model_close(model);
}

/* ---- Structured damage ---- */

static void try_value(model_copy *copy, const char *file, const json_t *root)
{
    char *text = json_dumps(root, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_non_null(text);
    write_target(copy, file, text, strlen(text));
    free(text);
    try_model(copy);
}

/* Every value below `place` in turn, up to `values` of the absurd ones each; big tables (vocabularies) only as a whole. */
static void damage(model_copy *copy, const char *file, json_t *root, json_t *place, const char *name, unsigned values, int depth)
{
    size_t members = json_is_object(place) ? json_object_size(place) : 0;
    size_t elements = json_is_array(place) ? json_array_size(place) : 0;
    if (depth > 6 || members > MOST_MEMBERS)
        return;
    const char *keys[MOST_MEMBERS];
    size_t count = 0;
    for (void *at = members ? json_object_iter(place) : NULL; at; at = json_object_iter_next(place, at))
        keys[count++] = json_object_iter_key(at);
    if (elements)
        count = elements < MOST_ELEMENTS ? elements : 2;
    for (size_t i = 0; i < count; i++) {
        char path[160];
        json_t *old = json_incref(members ? json_object_get(place, keys[i]) : json_array_get(place, i));
        snprintf(path, sizeof path, "%s/%.60s", name, members ? keys[i] : "[]");
        for (unsigned v = 0; v < values; v++) {
            const char *value = absurd[values == ABSURD ? v : below(ABSURD)];
            json_t *made = json_loads(value, JSON_DECODE_ANY, NULL);
            snprintf(now, sizeof now, "%s/%s: %s = %s", copy->family, file, path, value);
            if (members)
                json_object_set_new(place, keys[i], made);
            else
                json_array_set_new(place, i, made);
            try_value(copy, file, root);
        }
        if (members) {
            snprintf(now, sizeof now, "%s/%s: %s removed", copy->family, file, path);
            char *key = strdup(keys[i]);
            json_object_del(place, key);
            try_value(copy, file, root);
            json_object_set(place, key, old);
            /* the key's memory is the object's */
            for (void *at = json_object_iter(place); at; at = json_object_iter_next(place, at))
                if (strcmp(json_object_iter_key(at), key) == 0)
                    keys[i] = json_object_iter_key(at);
            free(key);
        } else {
            json_array_set(place, i, old);
        }
        damage(copy, file, root, old, path, values, depth + 1);
        json_decref(old);
    }
}

static bool ends_with(const char *name, const char *ending)
{
    size_t length = strlen(name), part = strlen(ending);
    return length >= part && strcmp(name + length - part, ending) == 0;
}

static void damage_fields(model_copy *copy)
{
    for (size_t i = 0; i < copy->count; i++) {
        const char *file = copy->files[i];
        char path[PATHS];
        struct stat status;
        source_path(copy, file, path);
        assert_int_equal(stat(path, &status), 0);
        if (!ends_with(file, ".json"))
            continue;
        size_t length;
        char *text = read_source(copy, file, &length);
        text[length] = '\0';
        for (char *nul = text; (nul = strstr(nul, "\\u0000"));) /* a piece of a vocabulary, which jansson takes for no key */
            memcpy(nul, "\\ue000", 6);
        json_t *root = json_loads(text, 0, NULL);
        assert_non_null(root);
        free(text);
        bool large = status.st_size > 5000; /* tokenizer.json */
        damage(copy, file, root, root, "", rounds > 12 ? ABSURD : large ? 1 : 4, 0);
        json_decref(root);
        link_file(copy, file);
    }
}

/* ---- Random damage ---- */

static void damage_bytes(model_copy *copy)
{
    for (size_t i = 0; i < copy->count; i++) {
        const char *file = copy->files[i];
        size_t length;
        char *data = read_source(copy, file, &length), *changed = malloc(length + 1);
        assert_non_null(changed);
        for (unsigned round = 0; round < rounds; round++) {
            size_t reach = length < SMALL ? length : HEADER, kept = length;
            memcpy(changed, data, length);
            if (round % 6 == 0) {
                kept = length ? below((uint32_t)length) : 0;
                snprintf(now, sizeof now, "%s/%s: cut to %zu bytes", copy->family, file, kept);
            } else {
                unsigned count = 1 + below(3);
                size_t first = below((uint32_t)reach + 1);
                for (unsigned c = 0; c < count && reach; c++)
                    changed[below((uint32_t)reach)] = (char)(below(2) ? "0123456789\"{}[],:-"[below(18)] : (char)below(256));
                snprintf(now, sizeof now, "%s/%s: round %u, near %zu", copy->family, file, round, first);
            }
            write_target(copy, file, changed, kept);
            try_model(copy);
        }
        free(changed);
        free(data);
        link_file(copy, file);
    }
}

static void damaged_folders(void **state)
{
    (void)state;
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGFPE, SIGABRT, SIGALRM};
    for (size_t i = 0; most_memory && i < sizeof numbers / sizeof *numbers; i++)
        signal(numbers[i], say_and_die);
    struct rlimit limit;
    if (most_memory && getrlimit(RLIMIT_AS, &limit) == 0) {
        limit.rlim_cur = most_memory;
        setrlimit(RLIMIT_AS, &limit);
    }
    const char *asked = getenv("SX_TEST_ROUNDS"), *only = getenv("SX_TEST_FAMILY");
    if (asked)
        rounds = (unsigned)atoi(asked);
    DIR *directory = opendir(SX_FIXTURES "/families");
    assert_non_null(directory);
    size_t families = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        model_copy copy;
        if (entry->d_name[0] == '.' || (only && strcmp(only, entry->d_name) != 0))
            continue;
        generator = 0x9e3779b97f4a7c15u; /* the same whatever comes before */
        make_copy(&copy, entry->d_name);
        strcpy(now, entry->d_name);
        try_model(&copy);
        assert_int_equal(copy.opened, 1);
        damage_fields(&copy);
        damage_bytes(&copy);
        print_message("%s: %u opened, %u refused\n", entry->d_name, copy.opened, copy.refused);
        assert_true(copy.opened > 10 && copy.refused > 10);
        remove_copy(&copy);
        families++;
    }
    closedir(directory);
    assert_true(families >= (only ? 1 : 18));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
