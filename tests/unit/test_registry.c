/* test_registry.c - which folder a model reference means, what import takes and refuses, and that nothing is left behind. */
#include "model/registry.h"

#include "base/file.h"

#include <dirent.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char scratch[64], models[96], hub[96];
static sx_places places;
static const char bert[] = SX_FIXTURES "/families/bert";

static int drop(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    return remove(path);
}

static int begin(void **state)
{
    strcpy(scratch, "/tmp/sx-registry-XXXXXX");
    if (!mkdtemp(scratch))
        return -1;
    snprintf(models, sizeof models, "%s/models", scratch);
    snprintf(hub, sizeof hub, "%s/hub", scratch);
    places = (sx_places){.size = sizeof places, .models_folder = models, .hub_cache = hub};
    return 0;
}

static int end(void **state)
{
    return nftw(scratch, drop, 16, FTW_DEPTH | FTW_PHYS);
}

/* A file below the scratch folder. */
static void put(const char *name, const char *text)
{
    sx_error error = {0};
    char *path = sx_path_join(scratch, name), *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(sx_make_folders(path, &error), SX_OK);
    *slash = '/';
    assert_int_equal(sx_file_write_atomic(path, text, strlen(text), &error), SX_OK);
    free(path);
}

static void assert_resolves(const char *reference, const char *below)
{
    sx_error error = {0};
    char *folder = NULL, *want = sx_path_join(scratch, below);
    if (sx_models_resolve(&places, reference, &folder, &error))
        fail_msg("%s: %s", reference, error.message);
    assert_string_equal(folder, want);
    sx_free(folder);
    free(want);
}

static void assert_refused(const char *reference, sx_status status, const char *says)
{
    sx_error error = {0};
    char *folder = (char *)1;
    assert_int_equal(sx_models_resolve(&places, reference, &folder, &error), status);
    assert_null(folder);
    if (!strstr(error.message, says))
        fail_msg("%s: '%s' does not say '%s'", reference, error.message, says);
}

/* Names in a folder, hidden ones too. */
static size_t entries(const char *folder)
{
    DIR *directory = opendir(folder);
    size_t count = 0;
    for (struct dirent *entry; directory && (entry = readdir(directory));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (directory)
        closedir(directory);
    return count;
}

static void test_names(void **state)
{
    static const char *const good[] = {"minilm", "all-MiniLM-L6-v2", "a", "A_b.c+1"};
    static const char *const bad[] = {"", ".", "..", ".hidden", "-x", "a/b", "a b", "a\nb", "a:b", "\xc3\xa9"};
    char longest[130];
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(sx_model_name_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(sx_model_name_is_valid(bad[i]));
    memset(longest, 'a', sizeof longest - 1);
    longest[129] = '\0';
    assert_false(sx_model_name_is_valid(longest));
    longest[128] = '\0';
    assert_true(sx_model_name_is_valid(longest));
    /* No name stands for two models. */
    const sx_known_model *known;
    for (size_t i = 0; (known = sx_models_known(i)); i++) {
        assert_ptr_equal(sx_known_model_find(known->name), known);
        assert_ptr_equal(sx_known_model_find(known->hub), known);
        if (known->alias)
            assert_ptr_equal(sx_known_model_find(known->alias), known);
    }
    assert_null(sx_known_model_find("frob"));
}

static void test_arguments(void **state)
{
    sx_error error;
    char *folder;
    sx_model_list *list;
    assert_int_equal(sx_models_resolve(&places, NULL, &folder, &error), SX_E_INVALID);
    assert_int_equal(sx_models_resolve(&places, "", &folder, &error), SX_E_INVALID);
    assert_int_equal(sx_models_resolve(&places, "x", NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_models_resolve(NULL, "x", &folder, &error), SX_E_NOT_FOUND);
    assert_int_equal(sx_models_list(&places, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_models_list(NULL, &list, &error), SX_OK);
    assert_int_equal(list->count, 0);
    sx_model_list_free(list);
    sx_model_list_free(NULL);
    assert_int_equal(sx_models_import(&places, NULL, "x", NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_models_import(&places, bert, NULL, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_models_import(NULL, bert, "x", NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_models_remove(&places, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_models_remove(&places, "..", &error), SX_E_INVALID);
}

static void test_paths(void **state)
{
    char path[160];
    put("plain/config.json", "{}");
    put("parts/modules.json", "[]");
    put("empty/readme.txt", "");
    put("model.gguf", "GGUF");
    put("other.bin", "x");
    snprintf(path, sizeof path, "%s/plain", scratch);
    assert_resolves(path, "plain");
    snprintf(path, sizeof path, "%s/parts", scratch);
    assert_resolves(path, "parts");
    snprintf(path, sizeof path, "%s/empty", scratch);
    assert_refused(path, SX_E_NOT_FOUND, "config.json is missing");
    snprintf(path, sizeof path, "%s/model.gguf", scratch);
    assert_resolves(path, "model.gguf"); /* opened as a model by itself */
    snprintf(path, sizeof path, "%s/other.bin", scratch);
    assert_refused(path, SX_E_FORMAT, "is a file");
    assert_refused("./nowhere/at/all", SX_E_NOT_FOUND, "./nowhere/at/all");
    assert_refused("a b", SX_E_INVALID, "neither a name");
    assert_refused("a/b/c", SX_E_INVALID, "neither a name");
}

static void test_imported_names(void **state)
{
    assert_refused("minilm", SX_E_NOT_FOUND, "/models/all-MiniLM-L6-v2");
    assert_refused("minilm", SX_E_NOT_FOUND, "/hub/models--sentence-transformers--all-MiniLM-L6-v2");
    put("models/all-MiniLM-L6-v2/config.json", "{}");
    assert_resolves("minilm", "models/all-MiniLM-L6-v2");
    assert_resolves("all-MiniLM-L6-v2", "models/all-MiniLM-L6-v2");
    assert_resolves("sentence-transformers/all-MiniLM-L6-v2", "models/all-MiniLM-L6-v2");
    put("models/minilm-l12/config.json", "{}");
    assert_resolves("all-MiniLM-L12-v2", "models/minilm-l12");
    put("models/mine/config.json", "{}");
    put("models/mine/model.json", "{\"name\":\"mine\",\"aliases\":[\"ours\",5,\"theirs\"]}");
    assert_resolves("mine", "models/mine");
    assert_resolves("theirs", "models/mine");
    put("models/broken/model.json", "{");
    assert_refused("broken", SX_E_NOT_FOUND, "config.json is missing");
    assert_refused("yours", SX_E_NOT_FOUND, "not found; tried");
}

static void test_hub_cache(void **state)
{
    put("hub/models--org--one/refs/main", "abc\n");
    put("hub/models--org--one/snapshots/abc/config.json", "{}");
    put("hub/models--org--one/snapshots/old/config.json", "{}");
    assert_resolves("org/one", "hub/models--org--one/snapshots/abc");
    put("hub/models--org--two/snapshots/only/config.json", "{}");
    assert_resolves("org/two", "hub/models--org--two/snapshots/only");
    put("hub/models--org--three/snapshots/x/config.json", "{}");
    put("hub/models--org--three/snapshots/y/config.json", "{}");
    assert_refused("org/three", SX_E_NOT_FOUND, "not found");
    /* A revision is a name, never a way out of the folder. */
    put("hub/models--org--four/refs/main", "../../models--org--one/snapshots/abc");
    assert_refused("org/four", SX_E_NOT_FOUND, "not found");
    put("hub/models--org--five/refs/main", "abc");
    put("hub/models--org--five/snapshots/abc/README.md", "");
    assert_refused("org/five", SX_E_NOT_FOUND, "config.json is missing");
    put("hub/models--sentence-transformers--all-MiniLM-L6-v2/refs/main", "c0");
    put("hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/c0/config.json", "{}");
    assert_resolves("minilm", "hub/models--sentence-transformers--all-MiniLM-L6-v2/snapshots/c0");
    /* What was imported comes first. */
    put("models/minilm/config.json", "{}");
    assert_resolves("minilm", "models/minilm");
}

static void test_list(void **state)
{
    sx_model_list *list;
    sx_error error;
    put("models/b/config.json", "{\"model_type\":\"bert\",\"hidden_size\":48,\"max_position_embeddings\":512}");
    put("models/b/sentence_bert_config.json", "{\"max_seq_length\":96}");
    put("models/b/model.safetensors", "12345");
    put("models/b/README.md", "---\nlanguage: en\nlicense: apache-2.0\n---\ntext\nlicense: not this\n");
    put("models/a/config.json", "{\"hidden_size\":-1,\"max_position_embeddings\":64}");
    put("models/a/tokenizer_config.json", "{\"model_max_length\":1000000000000}");
    put("models/a/model.safetensors", "1");
    put("models/a/modules.json",
        "[{\"type\":\"x.Dense\",\"path\":\"2_Dense\"},{\"type\":\"x.Dense\",\"path\":\"../b\"},{\"type\":5}]");
    put("models/a/2_Dense/config.json", "{\"out_features\":7}");
    put("models/without-weights/config.json", "{}");
    put("models/.import-x-1/config.json", "{}");
    put("hub/models--org--one/snapshots/abc/config.json", "{\"model_type\":\"mpnet\",\"hidden_size\":4}");
    put("hub/models--org--one/snapshots/abc/model.safetensors", "123");
    put("hub/datasets--org--x/refs/main", "abc");
    assert_int_equal(sx_models_list(&places, &list, &error), SX_OK);
    assert_int_equal(list->count, 3);
    assert_string_equal(list->entries[0].name, "a");
    assert_int_equal(list->entries[0].dimensions, 7);
    assert_int_equal(list->entries[0].max_length, 64);
    assert_string_equal(list->entries[1].name, "b");
    assert_int_equal(list->entries[1].dimensions, 48);
    assert_int_equal(list->entries[1].max_length, 96);
    assert_int_equal(list->entries[1].bytes, 5);
    assert_string_equal(list->entries[1].family, "bert");
    assert_string_equal(list->entries[1].licence, "apache-2.0");
    assert_string_equal(list->entries[1].source, "imported");
    assert_string_equal(list->entries[2].name, "org/one");
    assert_string_equal(list->entries[2].source, "hub cache");
    sx_model_list_free(list);
}

static void test_import(void **state)
{
    sx_error error;
    sx_model_list *list;
    char path[192];
    assert_int_equal(sx_models_import(&places, bert, "tiny", NULL, &error), SX_OK);
    assert_int_equal(entries(models), 1);
    assert_resolves("tiny", "models/tiny");
    snprintf(path, sizeof path, "%s/tiny/1_Pooling/config.json", models);
    assert_true(sx_file_exists(path));
    snprintf(path, sizeof path, "%s/tiny/expected.npy", models);
    assert_false(sx_file_exists(path));
    assert_int_equal(sx_models_list(&places, &list, &error), SX_OK);
    assert_int_equal(list->count, 1);
    char hash[65], upper[65];
    snprintf(hash, sizeof hash, "%s", list->entries[0].sha256);
    sx_model_list_free(list);
    assert_int_equal(strlen(hash), 64);
    assert_int_equal(sx_models_import(&places, bert, "tiny", NULL, &error), SX_E_EXISTS);
    for (size_t i = 0; i <= 64; i++)
        upper[i] = (char)(hash[i] >= 'a' ? hash[i] - 32 : hash[i]);
    assert_int_equal(sx_models_import(&places, bert, "two", hash, &error), SX_OK);
    assert_int_equal(sx_models_import(&places, bert, "three", upper, &error), SX_OK);
    hash[0] = hash[0] == '0' ? '1' : '0';
    assert_int_equal(sx_models_import(&places, bert, "four", hash, &error), SX_E_MISMATCH);
    assert_int_equal(sx_models_import(&places, bert, "four", "12", &error), SX_E_INVALID);
    assert_int_equal(sx_models_import(&places, bert, "../four", NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_models_import(&places, "/nowhere/at/all", "four", NULL, &error), SX_E_NOT_FOUND);
    put("half/config.json", "{\"model_type\":\"bert\"}");
    snprintf(path, sizeof path, "%s/half", scratch);
    assert_int_not_equal(sx_models_import(&places, path, "half", NULL, &error), SX_OK);
    assert_int_equal(entries(models), 3);
    assert_int_equal(sx_models_remove(&places, "two", &error), SX_OK);
    assert_int_equal(sx_models_remove(&places, "two", &error), SX_E_NOT_FOUND);
    assert_int_equal(entries(models), 2);
}

static void test_leftovers(void **state)
{
    sx_error error;
    char own[192];
    /* Process 4194305 cannot be: it is above the largest process id. A living process's folder stays. */
    put("models/.import-dead-4194305/model.safetensors", "x");
    put("models/.remove-dead-4194305/deep/er/file", "x");
    snprintf(own, sizeof own, "models/.import-living-%ld/config.json", (long)getpid());
    put(own, "x");
    assert_int_equal(sx_models_import(&places, bert, "tiny", NULL, &error), SX_OK);
    assert_int_equal(entries(models), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, begin, end),
        cmocka_unit_test_setup_teardown(test_arguments, begin, end),
        cmocka_unit_test_setup_teardown(test_paths, begin, end),
        cmocka_unit_test_setup_teardown(test_imported_names, begin, end),
        cmocka_unit_test_setup_teardown(test_hub_cache, begin, end),
        cmocka_unit_test_setup_teardown(test_list, begin, end),
        cmocka_unit_test_setup_teardown(test_import, begin, end),
        cmocka_unit_test_setup_teardown(test_leftovers, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
