/* test_wire.c - requests to remote services: equal to those of the vendors' own clients (recorded in fixtures/wire), references,
 * addresses, keys, roles, space and recipe, prices and limits. Replies are in test_wire_replies.c. */
#include "wire_support.h"

#include <stdio.h>
#include <unistd.h>

static const char key[] = "sk-test-0123456789abcdef";

static void open_target(const char *reference, uint32_t dimensions, sx_wire_target *target)
{
    sx_remote_options options = {.size = sizeof options,
                                 .api_key = key,
                                 .base_url = strncmp(reference, "azure", 5) == 0 ? "https://name.openai.azure.com/" : NULL};
    sx_error error = {0};
    if (sx_wire_target_open(reference, &options, target, &error))
        fail_msg("%s: %s", reference, error.message);
    target->dimensions = dimensions;
}

/* ---- Requests ---- */

static const struct {
    const char *fixture, *reference, *role;
    uint32_t dimensions;
    const char *host;    /* the URL in front of the recorded path */
    const char *changes; /* what differs from the recording, and why it may: see the comments; null takes a member away */
} recorded[] = {
    {"openai", "openai:minilm", "none", 0, "https://api.openai.com", "{}"},
    {"openai", "openai@HTTP://LocalHost:1/v1/#minilm", "query", 0, "http://localhost:1", "{\"encoding_format\":\"float\"}"},
    {"openai-dimensions", "openai@https://h/v1#minilm", "none", 8, "https://h", "{\"user\":null}"},
    {"compatible", "openai@https://h/v1/embeddings#minilm", "document", 0, "https://h", "{\"input\":[\"a\"]}"},
    {"azure", "azure:minilm", "none", 0, "https://name.openai.azure.com", "{}"},
    /* A text too long is refused instead of being cut without a word: truncate, truncation. */
    {"cohere", "cohere:minilm", "document", 0, "https://api.cohere.com",
     "{\"embedding_types\":[\"float\"],\"truncate\":\"NONE\"}"},
    {"voyage", "voyage:minilm", "document", 0, "https://api.voyageai.com",
     "{\"truncation\":false,\"output_dtype\":null,\"output_dimension\":null}"},
    {"ollama", "ollama:minilm", "none", 0, "http://127.0.0.1:11434", "{\"truncate\":false}"},
    {"tei", "tei@http://h:80", "none", 0, "http://h:80", "{\"truncate\":false,\"normalize\":true}"},
};

static void requests_equal_those_of_the_clients(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof recorded / sizeof *recorded; i++) {
        json_t *fixture = load_fixture(recorded[i].fixture);
        json_t *wanted = json_object_get(fixture, "body"), *changes = json_loads(recorded[i].changes, 0, NULL);
        assert_non_null(changes);
        json_object_update(wanted, changes);
        const char *member;
        json_t *value;
        void *next;
        json_object_foreach_safe(wanted, next, member, value) if (json_is_null(value)) json_object_del(wanted, member);
        json_t *inputs = json_object_get(wanted, "input");
        inputs = inputs ? inputs : json_object_get(wanted, "inputs");
        inputs = inputs ? inputs : json_object_get(wanted, "texts");
        sx_text texts[4];
        for (size_t t = 0; t < json_array_size(inputs); t++)
            texts[t] = text_of(json_string_value(json_array_get(inputs, t)));

        sx_wire_target target;
        sx_wire_request request = {0};
        sx_error error = {0};
        open_target(recorded[i].reference, recorded[i].dimensions, &target);
        assert_ok(target.form->build(&target, recorded[i].role, texts, json_array_size(inputs), &request, &error));
        char url[512];
        snprintf(url, sizeof url, "%s%s", recorded[i].host, json_string_value(json_object_get(fixture, "path")));
        assert_string_equal(request.url.data, url);
        assert_string_equal(request.method, json_string_value(json_object_get(fixture, "method")));
        json_t *sent = json_loadb(request.body.data, request.body.length, JSON_REJECT_DUPLICATES, NULL);
        if (!json_equal(sent, wanted))
            fail_msg("%s: sent %s", recorded[i].fixture, request.body.data);
        check_headers(&request, json_object_get(fixture, "headers"), key);
        sx_wire_request_clear(&request);
        sx_wire_target_close(&target);
        json_decref(sent);
        json_decref(changes);
        json_decref(fixture);
    }
}

/* Services without a recording, as their references describe them. */
static const struct {
    const char *reference, *role;
    uint32_t dimensions;
    const char *url, *body;
} described[] = {
    {"jina:jina-embeddings-v3", "query", 256, "https://api.jina.ai/v1/embeddings",
     "{\"model\":\"jina-embeddings-v3\",\"input\":[\"a\",\"b\"],\"task\":\"retrieval.query\",\"dimensions\":256,\"embedding_"
     "type\":\"float\"}"},
    {"jina:jina-embeddings-v2-base-en", "query", 0, "https://api.jina.ai/v1/embeddings",
     "{\"model\":\"jina-embeddings-v2-base-en\",\"input\":[\"a\",\"b\"],\"embedding_type\":\"float\"}"},
    {"gemini:models/gemini-embedding-001", "document", 768,
     "https://generativelanguage.googleapis.com/v1beta/models/gemini-embedding-001:batchEmbedContents",
     "{\"requests\":[{\"model\":\"models/gemini-embedding-001\",\"content\":{\"parts\":[{\"text\":\"a\"}]},"
     "\"taskType\":\"RETRIEVAL_DOCUMENT\",\"outputDimensionality\":768},{\"model\":\"models/gemini-embedding-001\","
     "\"content\":{\"parts\":[{\"text\":\"b\"}]},\"taskType\":\"RETRIEVAL_DOCUMENT\",\"outputDimensionality\":768}]}"},
    {"mistral:codestral-embed", "query", 1024, "https://api.mistral.ai/v1/embeddings",
     "{\"model\":\"codestral-embed\",\"input\":[\"a\",\"b\"],\"output_dimension\":1024,\"encoding_format\":\"float\"}"},
    {"remote@http://h:8000/", "query", 0, "http://h:8000/embed", "{\"texts\":[\"a\",\"b\"],\"batch_size\":64}"},
    {"remote@http://h:8000/#bge", "none", 64, "http://h:8000/embed", "{\"texts\":[\"a\",\"b\"],\"batch_size\":64}"},
    {"tei@http://h", "query", 0, "http://h/embed",
     "{\"inputs\":[\"a\",\"b\"],\"normalize\":true,\"truncate\":false,\"prompt_name\":\"query\"}"},
    {"cohere:embed-v4.0", "query", 512, "https://api.cohere.com/v2/embed",
     "{\"model\":\"embed-v4.0\",\"texts\":[\"a\",\"b\"],\"input_type\":\"search_query\",\"embedding_types\":[\"float\"],"
     "\"truncate\":\"NONE\",\"output_dimension\":512}"},
    {"cohere:embed-english-v3.0", NULL, 512, "https://api.cohere.com/v2/embed", /* has no dimensions: cut here */
     "{\"model\":\"embed-english-v3.0\",\"texts\":[\"a\",\"b\"],\"input_type\":\"search_document\","
     "\"embedding_types\":[\"float\"],\"truncate\":\"NONE\"}"},
    {"voyage:voyage-3.5", "none", 512, "https://api.voyageai.com/v1/embeddings",
     "{\"model\":\"voyage-3.5\",\"input\":[\"a\",\"b\"],\"truncation\":false,\"output_dimension\":512,\"encoding_format\":"
     "\"base64\"}"},
    {"openai@http://h", "none", 0, "http://h/embeddings", "{\"input\":[\"a\",\"b\"],\"encoding_format\":\"float\"}"},
};

static void requests_are_as_described(void **state)
{
    (void)state;
    const sx_text texts[] = {{"a", 1}, {"b", 1}};
    for (size_t i = 0; i < sizeof described / sizeof *described; i++) {
        sx_wire_target target;
        sx_wire_request request = {0};
        sx_error error = {0};
        open_target(described[i].reference, described[i].dimensions, &target);
        assert_ok(target.form->build(&target, described[i].role, texts, 2, &request, &error));
        assert_string_equal(request.url.data, described[i].url);
        json_t *wanted = json_loads(described[i].body, 0, NULL),
               *sent = json_loads(request.body.data, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(wanted);
        if (!json_equal(sent, wanted))
            fail_msg("%s: sent %s", described[i].reference, request.body.data);
        assert_null(strstr(request.url.data, key));
        assert_null(strstr(request.body.data, key));
        json_decref(sent);
        json_decref(wanted);
        sx_wire_request_clear(&request);
        sx_wire_target_close(&target);
    }
}

static void a_target_can_lose_fields(void **state)
{
    (void)state;
    const sx_text text = {"a", 1};
    sx_wire_target target;
    sx_wire_request request = {0};
    sx_error error = {0};
    open_target("tei@http://h", 64, &target);
    target.no_dimensions = target.no_role = true;
    assert_ok(target.form->build(&target, "query", &text, 1, &request, &error));
    assert_null(strstr(request.body.data, "prompt_name"));
    assert_null(strstr(request.body.data, "dimensions"));
    assert_int_equal(target.form->build(&target, "title", &text, 1, &request, &error), SX_E_NOT_FOUND);
    sx_wire_request_clear(&request);
    sx_wire_target_close(&target);
}

static void unusual_texts_are_sent_whole_or_refused(void **state)
{
    (void)state;
    sx_wire_target target;
    sx_wire_request request = {0};
    sx_error error = {0};
    open_target("openai:text-embedding-3-small", 0, &target);
    const sx_text odd[] = {{"\"\\\n\0\xe2\x80\xa8z", 8}, {"\xff\xc3", 2}};
    assert_ok(target.form->build(&target, "none", odd, 2, &request, &error));
    json_t *sent = json_loadb(request.body.data, request.body.length, JSON_ALLOW_NUL, NULL);
    json_t *input = json_object_get(sent, "input");
    assert_int_equal(json_string_length(json_array_get(input, 0)), 8);
    assert_memory_equal(json_string_value(json_array_get(input, 0)), odd[0].data, 8);
    assert_string_equal(json_string_value(json_array_get(input, 1)), "\xef\xbf\xbd\xef\xbf\xbd");
    json_decref(sent);
    const sx_text blanks[] = {{"", 0}, {NULL, 0}, {" \t\n", 3}, {"\xc2\xa0\xe3\x80\x80", 5}};
    for (size_t i = 0; i < 4; i++) {
        const sx_text two[] = {{"a", 1}, blanks[i]};
        assert_int_equal(target.form->build(&target, "none", two, 2, &request, &error), SX_E_INVALID);
        assert_non_null(strstr(error.message, "text 2 of 2"));
        assert_non_null(sx_wire_text_problem(blanks[i]));
    }
    assert_null(sx_wire_text_problem(odd[0]));
    sx_wire_request_clear(&request);
    sx_wire_target_close(&target);
}

/* ---- References ---- */

static const struct {
    const char *reference, *base_url, *api_key;
    sx_status status;
    const char *says; /* in message or hint; or the base URL when it is fine */
} references[] = {
    {"openai:x", NULL, "k", SX_OK, "https://api.openai.com/v1"},
    {"openai:x", "https://proxy/v1/", NULL, SX_OK, "https://proxy/v1"},
    {"openai@http://h:1/v1#a/b:c#d", "https://not-this", NULL, SX_OK, "http://h:1/v1"},
    {"ollama:x", NULL, NULL, SX_OK, "http://127.0.0.1:11434"},
    {"ollama:x", "0.0.0.0", NULL, SX_OK, "http://127.0.0.1:11434"},
    {"ollama:x", "gpu:1234", NULL, SX_OK, "http://gpu:1234"},
    {"ollama:x", "https://Ollama.Example/api/", NULL, SX_OK, "https://ollama.example"},
    {"remote:", "http://10.1.2.3:8000", NULL, SX_OK, "http://10.1.2.3:8000"},
    {"cohere:x", "https://h/v2", "k", SX_OK, "https://h"},
    {"openai:", NULL, "k", SX_E_INVALID, "which model?"},
    {"cohere@http://h", NULL, "k", SX_E_INVALID, "which model?"},
    {"openai:x", NULL, NULL, SX_E_DENIED, "OPENAI_API_KEY"},
    {"openai:x", NULL, " \n", SX_E_DENIED, "OPENAI_API_KEY"},
    {"azure:x", "https://h", NULL, SX_E_DENIED, "AZURE_OPENAI_API_KEY"},
    {"azure:x", NULL, "k", SX_E_INVALID, "AZURE_OPENAI_ENDPOINT"},
    {"voyage:x", NULL, NULL, SX_E_DENIED, "VOYAGE_API_KEY"},
    {"gemini:x", NULL, NULL, SX_E_DENIED, "GEMINI_API_KEY"},
    {"remote:", NULL, NULL, SX_E_INVALID, "EMBEDDING_SERVICE_URL"},
    {"tei:x", NULL, NULL, SX_E_INVALID, "tei@URL"},
    {"openai@ftp://h#x", NULL, NULL, SX_E_INVALID, "http"},
    {"openai@h:80/v1#x", NULL, NULL, SX_E_INVALID, "http"},
    {"openai@http://#x", NULL, NULL, SX_E_INVALID, "usable"},
    {"openai@http://h/v1?a=b#x", NULL, NULL, SX_E_INVALID, "byte 11"},
    {"openai@http://h/\x01#x", NULL, NULL, SX_E_INVALID, "usable"},
    {"openai@http://user:sk-secret-in-url@h/v1#x", NULL, NULL, SX_E_INVALID, "password"},
    {"openai@user:secret@h/v1#x", NULL, NULL, SX_E_INVALID, "password"},
    {"openai@http://h/v1?key=secret#x", NULL, NULL, SX_E_INVALID, "usable"},
    {"openai:a\nb", NULL, "k", SX_E_INVALID, "control"},
    {"minilm", NULL, NULL, SX_E_INVALID, "no remote model"},
    {"openai:x", NULL, "sk-se cret-with-space", SX_E_INVALID, "character"},
    {"openai:x", NULL, "sk-secret\r\nX-Header: y", SX_E_INVALID, "character"},
};

static void references_are_read_or_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof references / sizeof *references; i++) {
        sx_wire_target target;
        sx_error error = {0};
        sx_remote_options options = {
            .size = sizeof options, .base_url = references[i].base_url, .api_key = references[i].api_key};
        sx_status status = sx_wire_target_open(references[i].reference, &options, &target, &error);
        if (status != references[i].status)
            fail_msg("%s: %s: %s", references[i].reference, sx_status_name(status), error.message);
        if (!status)
            assert_string_equal(target.base_url, references[i].says);
        else if (!strstr(error.message, references[i].says) && !strstr(error.hint, references[i].says))
            fail_msg("%s: %s (%s)", references[i].reference, error.message, error.hint);
        assert_null(strstr(error.message, "secret"));
        assert_null(strstr(error.hint, "secret"));
        sx_wire_target_close(&target);
    }
    sx_wire_target target;
    assert_ok(sx_wire_target_open("openai@http://h:1/v1#a/b:c#d", NULL, &target, NULL));
    assert_string_equal(target.model, "a/b:c#d");
    sx_wire_target_close(&target);
    assert_true(sx_wire_is_remote("tei@http://h"));
    assert_int_equal(sx_models_is_remote("tei@http://h"), 1);
    assert_int_equal(sx_models_is_remote(NULL), 0);
    assert_true(sx_wire_is_remote("ollama:nomic-embed-text:v1.5"));
    assert_false(sx_wire_is_remote("openai/clip"));
    assert_false(sx_wire_is_remote("openai"));
    assert_false(sx_wire_is_remote("fake:x"));
    assert_false(sx_wire_is_remote(NULL));
}

static void roles_that_are_not_there_are_named(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {{"openai:x", "title"},
                                           {"cohere:x", "title"},
                                           {"voyage:x", "clustering"},
                                           {"jina:jina-embeddings-v2-base-en", "separation"},
                                           {"gemini:gemini-embedding-2", "code"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        sx_wire_target target;
        sx_error error = {0};
        char *space, *recipe;
        open_target(wrong[i][0], 0, &target);
        assert_int_equal(sx_wire_describe(&target, wrong[i][1], "", 8, &space, &recipe, &error), SX_E_NOT_FOUND);
        assert_non_null(strstr(error.message, wrong[i][1]));
        assert_non_null(strstr(error.hint, "query"));
        assert_null(space);
        sx_wire_target_close(&target);
    }
}

/* ---- Space and recipe ---- */

static void describe(const char *reference, const char *role, const char *prompt, uint32_t dimensions, char **space,
                     char **recipe)
{
    sx_wire_target target;
    sx_error error = {0};
    open_target(reference, 0, &target);
    assert_ok(sx_wire_describe(&target, role, prompt, dimensions, space, recipe, &error));
    json_t *parsed = json_loads(*space, JSON_REJECT_DUPLICATES, NULL);
    char *sorted = json_dumps(parsed, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(*space, sorted);
    free(sorted);
    json_decref(parsed);
    parsed = json_loads(*recipe, JSON_REJECT_DUPLICATES, NULL);
    sorted = json_dumps(parsed, JSON_SORT_KEYS | JSON_COMPACT);
    assert_string_equal(*recipe, sorted);
    free(sorted);
    json_decref(parsed);
    assert_null(strstr(*space, key));
    assert_null(strstr(*recipe, key));
    sx_wire_target_close(&target);
}

static const struct {
    const char *first, *first_role, *first_prompt, *second, *second_role, *second_prompt;
    uint32_t second_dimensions; /* of the first: 8 */
    bool same_space, same_recipe;
} pairs[] = {
    {"openai:a", "query", "", "openai:a", "document", "", 8, true, true}, /* roles are all the same to it */
    {"cohere:a", "query", "", "cohere:a", "document", "", 8, true, false},
    {"openai:a", "none", "", "openai:a", "none", "q: ", 8, true, false},
    {"openai:a", "none", "", "openai:b", "none", "", 8, false, false},
    {"openai:a", "none", "", "openai:a", "none", "", 9, false, false},
    {"openai:a", "none", "", "openai@https://api.openai.com/v1/#a", "none", "", 8, true, true},
    {"openai:a", "none", "", "openai@https://other/v1#a", "none", "", 8, false, false},
    {"openai@https://h/v1#a", "none", "", "openai@https://H/v1/#a", "none", "", 8, true, true},
    {"openai@https://h/v1#a", "none", "", "tei@https://h/v1#a", "none", "", 8, false, false},
    {"cohere:a", "none", "", "mistral:a", "none", "", 8, false, false},
};

static void spaces_differ_where_vectors_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char *space[2], *recipe[2];
        describe(pairs[i].first, pairs[i].first_role, pairs[i].first_prompt, 8, &space[0], &recipe[0]);
        describe(pairs[i].second, pairs[i].second_role, pairs[i].second_prompt, pairs[i].second_dimensions, &space[1],
                 &recipe[1]);
        if ((strcmp(space[0], space[1]) == 0) != pairs[i].same_space ||
            (strcmp(recipe[0], recipe[1]) == 0) != pairs[i].same_recipe)
            fail_msg("%s, %s: %s %s, %s %s", pairs[i].first, pairs[i].second, space[0], recipe[0], space[1], recipe[1]);
        for (size_t j = 0; j < 2; j++) {
            free(space[j]);
            free(recipe[j]);
        }
    }
}

/* ---- Prices and limits ---- */

static void prices_are_known_or_said_to_be_unknown(void **state)
{
    (void)state;
    static const struct {
        const char *reference;
        double price;
        uint32_t dimensions, max_texts;
        bool known;
    } rows[] = {
        {"openai:text-embedding-3-small", 0.02, 1536, 2048, true},
        {"openai:text-embedding-3-large", 0.13, 3072, 2048, true},
        {"openai:text-embedding-ada-002", 0.10, 1536, 2048, true},
        {"openai:tomorrow", -1, 0, 2048, false},
        {"openai@https://proxy/v1#text-embedding-3-small", -1, 0, 0, false},
        {"azure:text-embedding-3-small", -1, 0, 2048, false},
        {"cohere:embed-v4.0", 0.12, 1536, 96, true},
        {"gemini:gemini-embedding-001", 0.15, 3072, 100, true},
        {"ollama:anything", 0, 0, 0, false},
        {"tei@http://h", 0, 0, 32, false},
        {"remote@http://h", 0, 0, 64, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sx_wire_target target;
        sx_wire_limits limits;
        uint32_t dimensions;
        open_target(rows[i].reference, 0, &target);
        if (sx_wire_known_limits(&target, &limits, &dimensions) != rows[i].known || dimensions != rows[i].dimensions ||
            limits.max_texts != rows[i].max_texts || !near_number(sx_wire_price(&target), rows[i].price))
            fail_msg("%s: %u dimensions, %u texts, $%g", rows[i].reference, dimensions, limits.max_texts, sx_wire_price(&target));
        target.dimensions = 256;
        sx_wire_known_limits(&target, &limits, &dimensions);
        assert_int_equal(dimensions, rows[i].dimensions ? 256 : 0);
        sx_wire_target_close(&target);
    }
}

static void a_model_gives_no_more_dimensions_than_it_has(void **state)
{
    (void)state;
    const sx_text text = {"a", 1};
    sx_wire_target target;
    sx_wire_request request = {0};
    sx_error error = {0};
    open_target("openai:text-embedding-3-small", 2000, &target);
    assert_int_equal(target.form->build(&target, "none", &text, 1, &request, &error), SX_E_INVALID);
    assert_non_null(strstr(error.message, "1536"));
    sx_wire_request_clear(&request);
    sx_wire_target_close(&target);
}

static const struct {
    const char *file, *reference;
    sx_status status;
    const char *says;
    double price;
    uint32_t max_texts, per_minute;
} overrides[] = {
    {"{\"models\":{\"openai:text-embedding-3-small\":{\"price_per_million\":0.5,\"max_texts\":7},"
     "\"openai:*\":{\"max_texts\":9,\"requests_per_minute\":60}}}",
     "openai:text-embedding-3-small", SX_OK, NULL, 0.5, 7, 60},
    {"{\"models\":{\"openai:*\":{\"max_texts\":9}}}", "openai:new", SX_OK, NULL, -1, 9, 0},
    {"{\"models\":{\"azure:mine\":{\"price_per_million\":0.02}}}", "azure:mine", SX_OK, NULL, 0.02, 2048, 0},
    {"{\"models\":{\"openai@http://h/v1#m\":{\"price_per_million\":0,\"requests_per_minute\":5}}}", "openai@http://h/v1/#m",
     SX_OK, NULL, 0, 0, 5},
    {"{\"models\":{\"tei@http://h\":{\"max_texts\":64}}}", "tei@http://h", SX_OK, NULL, 0, 64, 0},
    {"{\"models\":{\"openai:a\":{\"max_text\":9}}}", "openai:a", SX_E_FORMAT, "unknown member \"max_text\"", 0, 0, 0},
    {"{\"models\":{\"openai:a\":{\"max_texts\":1.5}}}", "openai:a", SX_E_FORMAT, "whole number", 0, 0, 0},
    {"{\"models\":{\"openai:a\":{\"price_per_million\":-1}}}", "openai:a", SX_E_FORMAT, "at least 0", 0, 0, 0},
    {"{\"models\":{\"openai:a\":{\"price_per_million\":\"1\"}}}", "openai:a", SX_E_FORMAT, "expected a number", 0, 0, 0},
    {"{\"models\":{\"openai:a\":1}}", "openai:a", SX_E_FORMAT, "expected an object", 0, 0, 0},
    {"{\"models\":[]}", "openai:a", SX_E_FORMAT, "\"models\"", 0, 0, 0},
    {"{\"models\":\n{,}}", "openai:a", SX_E_FORMAT, "line 2", 0, 0, 0},
};

static void a_file_overrides_prices_and_limits(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof overrides / sizeof *overrides; i++) {
        char path[] = "/tmp/sx_wire_XXXXXX";
        int descriptor = mkstemp(path);
        assert_true(descriptor >= 0);
        assert_int_equal(write(descriptor, overrides[i].file, strlen(overrides[i].file)), (ssize_t)strlen(overrides[i].file));
        close(descriptor);
        sx_wire_target target;
        sx_error error = {0};
        sx_remote_options options = {.size = sizeof options,
                                     .api_key = key,
                                     .overrides = path,
                                     .base_url = strncmp(overrides[i].reference, "azure", 5) == 0 ? "https://h" : NULL};
        sx_status status = sx_wire_target_open(overrides[i].reference, &options, &target, &error);
        unlink(path);
        if (status != overrides[i].status || (status && !strstr(error.message, overrides[i].says)))
            fail_msg("%zu: %s: %s", i, sx_status_name(status), error.message);
        if (!status) {
            assert_true(near_number(sx_wire_price(&target), overrides[i].price));
            assert_int_equal(target.limits.max_texts, overrides[i].max_texts);
            assert_int_equal(target.limits.requests_per_minute, overrides[i].per_minute);
            assert_true(target.known);
        }
        sx_wire_target_close(&target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_equal_those_of_the_clients),
        cmocka_unit_test(requests_are_as_described),
        cmocka_unit_test(a_target_can_lose_fields),
        cmocka_unit_test(unusual_texts_are_sent_whole_or_refused),
        cmocka_unit_test(references_are_read_or_refused),
        cmocka_unit_test(roles_that_are_not_there_are_named),
        cmocka_unit_test(spaces_differ_where_vectors_do),
        cmocka_unit_test(prices_are_known_or_said_to_be_unknown),
        cmocka_unit_test(a_model_gives_no_more_dimensions_than_it_has),
        cmocka_unit_test(a_file_overrides_prices_and_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
