/* test_architecture.c - what config.json says in each family, with its defaults, and which ones are refused. */
#include "model/architecture.h"

#include "base/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char scratch[64];

static void put(const char *text)
{
    sx_error error = {0};
    char *path = sx_path_join(scratch, "config.json");
    assert_non_null(path);
    assert_int_equal(sx_file_write_atomic(path, text, strlen(text), &error), SX_OK);
    free(path);
}

static void drop(void)
{
    char *path = sx_path_join(scratch, "config.json");
    unlink(path);
    free(path);
}

static int begin(void **state)
{
    strcpy(scratch, "/tmp/sx-architecture-XXXXXX");
    return mkdtemp(scratch) ? 0 : -1;
}

static int end(void **state)
{
    drop();
    return rmdir(scratch);
}

/* The architecture of a config; its arrays live in the arena. */
static sx_architecture read_good(const char *config, sx_arena *arena)
{
    sx_architecture architecture;
    sx_error error = {0};
    put(config);
    if (sx_architecture_read(scratch, arena, &architecture, &error))
        fail_msg("%s: %s", config, error.message);
    return architecture;
}

/* The config is refused with this status, and the message holds the word. */
static void refuse(const char *config, sx_status expected, const char *word)
{
    sx_architecture architecture;
    sx_arena arena = {0};
    sx_error error = {0};
    if (config)
        put(config);
    sx_status status = sx_architecture_read(scratch, &arena, &architecture, &error);
    if (status != expected || !strstr(error.message, word))
        fail_msg("%s: expected %d and \"%s\", got %d: %s", config ? config : "nothing", expected, word, status, error.message);
    sx_arena_clear(&arena);
}

static void test_refused(void **state)
{
    static const struct {
        const char *config;
        sx_status status;
        const char *word;
    } cases[] = {
        {"", SX_E_FORMAT, "config.json"},
        {"[]", SX_E_FORMAT, "object"},
        {"{}", SX_E_FORMAT, "model_type"},
        {"{\"model_type\":\"gpt2\"}", SX_E_UNSUPPORTED, "gpt2"},
        {"{\"model_type\":\"bert\",\"hidden_size\":\"8\"}", SX_E_FORMAT, "hidden_size"},
        {"{\"model_type\":\"bert\",\"hidden_size\":0}", SX_E_FORMAT, "hidden_size"},
        {"{\"model_type\":\"bert\",\"hidden_size\":99999999999}", SX_E_FORMAT, "99999999999"},
        {"{\"model_type\":\"bert\",\"num_hidden_layers\":-1}", SX_E_FORMAT, "-1"},
        {"{\"model_type\":\"bert\",\"hidden_size\":10,\"num_attention_heads\":3}", SX_E_FORMAT, "10 is no multiple"},
        {"{\"model_type\":\"bert\",\"hidden_act\":\"mish\"}", SX_E_UNSUPPORTED, "mish"},
        {"{\"model_type\":\"bert\",\"layer_norm_eps\":-1}", SX_E_FORMAT, "layer_norm_eps"},
        {"{\"model_type\":\"bert\",\"position_embedding_type\":\"relative_key\"}", SX_E_UNSUPPORTED, "relative_key"},
        {"{\"model_type\":\"bert\",\"is_decoder\":true}", SX_E_UNSUPPORTED, "is_decoder"},
        {"{\"model_type\":\"bert\",\"model_type\":\"bert\"}", SX_E_FORMAT, "config.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i].config, cases[i].status, cases[i].word);
    drop();
    refuse(NULL, SX_E_NOT_FOUND, "config.json");
}

static void test_activations(void **state)
{
    static const struct {
        const char *name;
        sx_activation activation;
    } cases[] = {{"gelu", SX_ACTIVATION_GELU},
                 {"gelu_new", SX_ACTIVATION_GELU_TANH},
                 {"gelu_pytorch_tanh", SX_ACTIVATION_GELU_TANH},
                 {"relu", SX_ACTIVATION_RELU}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char config[128];
        sx_arena arena = {0};
        snprintf(config, sizeof config, "{\"model_type\":\"bert\",\"hidden_act\":\"%s\"}", cases[i].name);
        sx_architecture architecture = read_good(config, &arena);
        assert_int_equal(architecture.activation, cases[i].activation);
        assert_int_equal(architecture.hidden_size, 768); /* BertConfig's default */
        assert_true(architecture.norm_epsilon == 1e-12f);
        sx_arena_clear(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_refused, begin, end),
        cmocka_unit_test_setup_teardown(test_activations, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
