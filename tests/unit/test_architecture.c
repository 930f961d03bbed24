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

/* Model type and the fields behind it. */
#define CONFIG(TYPE, FIELDS) "{\"model_type\":\"" TYPE "\"," FIELDS "}"
#define NOMIC(FIELDS)                                                                                                         \
    CONFIG("nomic_bert", "\"n_embd\":64,\"n_head\":4,\"rotary_emb_fraction\":1,\"activation_function\":\"swiglu\"," FIELDS)

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
        {CONFIG("bert", "\"hidden_size\":\"8\""), SX_E_FORMAT, "hidden_size"},
        {CONFIG("bert", "\"hidden_size\":0"), SX_E_FORMAT, "hidden_size"},
        {CONFIG("bert", "\"hidden_size\":99999999999"), SX_E_FORMAT, "99999999999"},
        {CONFIG("bert", "\"num_hidden_layers\":-1"), SX_E_FORMAT, "-1"},
        {CONFIG("bert", "\"hidden_size\":10,\"num_attention_heads\":3"), SX_E_FORMAT, "10 is no multiple"},
        {CONFIG("bert", "\"hidden_act\":\"mish\""), SX_E_UNSUPPORTED, "hidden_act: \"mish\""},
        {CONFIG("bert", "\"layer_norm_eps\":-1"), SX_E_FORMAT, "layer_norm_eps"},
        {CONFIG("bert", "\"position_embedding_type\":\"relative_key\""), SX_E_UNSUPPORTED, "relative_key"},
        {CONFIG("bert", "\"is_decoder\":true"), SX_E_UNSUPPORTED, "is_decoder: true"},
        {CONFIG("bert", "\"model_type\":\"bert\""), SX_E_FORMAT, "config.json"},
        {CONFIG("roberta", "\"pad_token_id\":600"), SX_E_FORMAT, "max_position_embeddings: 512"},
        {CONFIG("roberta", "\"pad_token_id\":-1"), SX_E_FORMAT, "pad_token_id"},
        {CONFIG("electra", "\"embedding_size\":0"), SX_E_FORMAT, "embedding_size"},
        {CONFIG("distilbert", "\"dim\":10,\"n_heads\":3"), SX_E_FORMAT, "dim 10 is no multiple of n_heads 3"},
        {CONFIG("distilbert", "\"activation\":\"quick_gelu\""), SX_E_UNSUPPORTED, "activation: \"quick_gelu\""},
        {CONFIG("mpnet", "\"relative_attention_num_buckets\":64"), SX_E_UNSUPPORTED, "relative_attention_num_buckets: 64"},
        {CONFIG("albert", "\"inner_group_num\":2"), SX_E_UNSUPPORTED, "inner_group_num: 2"},
        {CONFIG("albert", "\"num_hidden_groups\":13"), SX_E_FORMAT, "num_hidden_groups: 13"},
        {CONFIG("t5", "\"feed_forward_proj\":\"gated-mish\""), SX_E_UNSUPPORTED, "\"mish\""},
        {CONFIG("t5", "\"is_decoder\":true"), SX_E_UNSUPPORTED, "is_decoder"},
        {CONFIG("t5", "\"relative_attention_num_buckets\":1"), SX_E_FORMAT, "1 relative position buckets"},
        {CONFIG("modernbert", "\"global_attn_every_n_layers\":0"), SX_E_FORMAT, "global_attn_every_n_layers"},
        {CONFIG("modernbert", "\"layer_types\":[\"full_attention\"]"), SX_E_FORMAT, "1 entries, but num_hidden_layers is 22"},
        {CONFIG("modernbert", "\"num_hidden_layers\":1,\"layer_types\":[\"chunked_attention\"]"), SX_E_UNSUPPORTED,
         "chunked_attention"},
        {CONFIG("modernbert", "\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":2}"), SX_E_UNSUPPORTED, "rope_scaling"},
        {CONFIG("modernbert", "\"rope_parameters\":{\"sliding_attention\":{\"rope_type\":\"yarn\"}}"), SX_E_UNSUPPORTED,
         "sliding_attention: rope_type: \"yarn\""},
        {CONFIG("qwen3", "\"rope_scaling\":{\"type\":\"yarn\",\"factor\":4}"), SX_E_UNSUPPORTED,
         "rope_scaling: rope_type: \"yarn\""},
        {CONFIG("qwen3", "\"rope_scaling\":7"), SX_E_FORMAT, "rope_scaling"},
        {CONFIG("qwen3", "\"head_dim\":33"), SX_E_FORMAT, "33"},
        {CONFIG("qwen3", "\"num_key_value_heads\":3"), SX_E_FORMAT, "32 heads are no multiple of 3"},
        {CONFIG("qwen3", "\"partial_rotary_factor\":0.5"), SX_E_UNSUPPORTED, "partial_rotary_factor: 0.5"},
        {CONFIG("qwen3", "\"num_hidden_layers\":1,\"layer_types\":[\"sliding_attention\"]"), SX_E_FORMAT, "use_sliding_window"},
        {CONFIG("llama", "\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":8}"), SX_E_UNSUPPORTED, "llama3"},
        {CONFIG("mistral", "\"sliding_window\":0"), SX_E_FORMAT, "sliding_window"},
        {CONFIG("gemma3_text", "\"attn_logit_softcapping\":50.0"), SX_E_UNSUPPORTED, "attn_logit_softcapping: 50"},
        {CONFIG("gemma3_text", "\"query_pre_attn_scalar\":0"), SX_E_FORMAT, "query_pre_attn_scalar"},
        {NOMIC("\"rotary_scaling_factor\":2"), SX_E_UNSUPPORTED, "rotary_scaling_factor: 2"},
        {NOMIC("\"moe_every_n_layers\":2"), SX_E_UNSUPPORTED, "moe_every_n_layers: 2"},
        {NOMIC("\"prenorm\":true"), SX_E_UNSUPPORTED, "prenorm: true"},
        {NOMIC("\"mlp_fc1_bias\":false"), SX_E_UNSUPPORTED, "mlp_fc2_bias"},
        {NOMIC("\"hidden_size\":32"), SX_E_FORMAT, "n_embd is 64, but hidden_size is 32"},
        {CONFIG("nomic_bert", "\"n_embd\":64,\"n_head\":4,\"rotary_emb_fraction\":0.5"), SX_E_UNSUPPORTED,
         "rotary_emb_fraction: 0.5"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        refuse(cases[i].config, cases[i].status, cases[i].word);
    drop();
    refuse(NULL, SX_E_NOT_FOUND, "config.json");
}

/* Every family's defaults make a whole architecture. */
static void test_defaults(void **state)
{
    static const struct {
        const char *family;
        uint32_t hidden_size, heads, vocabulary_size, longest;
    } cases[] = {
        {"albert", 4096, 64, 30000, 512},       {"bert", 768, 12, 30522, 512},        {"camembert", 768, 12, 30522, 510},
        {"distilbert", 768, 12, 30522, 512},    {"electra", 256, 4, 30522, 512},      {"gemma3_text", 2304, 8, 262208, 131072},
        {"llama", 4096, 32, 32000, 2048},       {"mistral", 4096, 32, 32000, 131072}, {"modernbert", 768, 12, 50368, 8192},
        {"mpnet", 768, 12, 30527, 510},         {"nomic_bert", 768, 12, 30528, 2048}, {"qwen2", 4096, 32, 151936, 32768},
        {"qwen3", 4096, 32, 151936, 32768},     {"roberta", 768, 12, 50265, 510},     {"t5", 512, 8, 32128, SX_LONGEST_TEXT},
        {"xlm-roberta", 768, 12, 30522, 510},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char config[64];
        sx_arena arena = {0};
        snprintf(config, sizeof config, "{\"model_type\":\"%s\"}", cases[i].family);
        sx_architecture a = read_good(config, &arena);
        assert_string_equal(a.family, cases[i].family);
        assert_int_equal(a.hidden_size, cases[i].hidden_size);
        assert_int_equal(a.heads, cases[i].heads);
        assert_int_equal(a.vocabulary_size, cases[i].vocabulary_size);
        assert_int_equal(a.longest, cases[i].longest);
        sx_arena_clear(&arena);
    }
}

/* Windows: which layers, how far, and both ways of writing rotary positions. */
static void test_windows(void **state)
{
    sx_arena arena = {0};
    sx_architecture a = read_good(CONFIG("modernbert", "\"num_hidden_layers\":4,\"local_attention\":16"), &arena);
    assert_false(a.windowed[0]);
    assert_true(a.windowed[1] && a.windowed[2]);
    assert_false(a.windowed[3]);
    assert_int_equal(a.window, 8);
    assert_false(a.causal || a.first_attention_norm);
    assert_true(a.rope_theta == 160000.0f && a.rope_local_theta == 10000.0f);
    a = read_good(CONFIG("modernbert", "\"rope_parameters\":{\"full_attention\":{\"rope_theta\":5},"
                                       "\"sliding_attention\":{\"rope_theta\":7}}"), &arena);
    assert_true(a.rope_theta == 5.0f && a.rope_local_theta == 7.0f);
    a = read_good(CONFIG("gemma3_text", "\"sliding_window\":16,\"use_bidirectional_attention\":true,"
                                        "\"sliding_window_pattern\":3"), &arena);
    assert_true(a.windowed[0] && a.windowed[1] && !a.windowed[2] && !a.causal);
    assert_int_equal(a.window, 8);
    a = read_good(CONFIG("gemma3_text", "\"sliding_window\":16,\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8}"),
                  &arena);
    assert_true(a.causal && a.rope_scale == 8.0f);
    assert_int_equal(a.window, 15);
    a = read_good(CONFIG("mistral", "\"sliding_window\":null"), &arena);
    assert_null(a.windowed);
    a = read_good(CONFIG("qwen3", "\"sliding_window\":9"), &arena);
    assert_null(a.windowed); /* use_sliding_window is false */
    sx_arena_clear(&arena);
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
        cmocka_unit_test_setup_teardown(test_defaults, begin, end),
        cmocka_unit_test_setup_teardown(test_windows, begin, end),
        cmocka_unit_test_setup_teardown(test_activations, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
