/* test_wire_replies.c - replies of remote services: recorded ones give the client's vectors, damaged ones are never believed,
 * refusals mean what they must, and no message ever holds a key. */
#include "wire_support.h"

#include <float.h>

enum { DIMENSIONS = 8, ROOM = 12, MOST_TEXTS = 3 };
static const char key[] = "sk-test-0123456789abcdef";
static const float expected[2][DIMENSIONS] = {
    {-0.5f, -0.227273f, 0.045455f, 0.318182f, -0.409091f, -0.136364f, 0.136364f, 0.409091f},
    {0.136364f, 0.409091f, -0.318182f, -0.045455f, 0.227273f, -0.5f, -0.227273f, 0.045455f},
};

static void open_target(const char *reference, sx_wire_target *target)
{
    sx_error error = {0};
    sx_remote_options options = {.size = sizeof options, .api_key = key};
    if (sx_wire_target_open(reference, &options, target, &error))
        fail_msg("%s: %s", reference, error.message);
}

/* The body lies in memory of just its size, so that a sanitizer sees every byte read beyond. */
static void read_reply(const sx_wire_target *target, const char *body, size_t length, size_t count, uint32_t dimensions,
                       float *vectors, sx_wire_reply *reply)
{
    char *exact = malloc(length ? length : 1);
    assert_non_null(exact);
    memcpy(exact, body, length);
    for (size_t i = 0; i < MOST_TEXTS * ROOM; i++)
        vectors[i] = FLT_MAX;
    target->form->read(target, exact, length, count, dimensions, vectors, ROOM, reply);
    free(exact);
    for (size_t i = count * ROOM; i < MOST_TEXTS * ROOM; i++)
        assert_true(vectors[i] == FLT_MAX);
}

static const struct {
    const char *fixture, *reference;
    size_t count;
    uint64_t tokens;
} recorded[] = {
    {"openai", "openai:minilm", 2, 6},
    {"openai-dimensions", "openai:minilm", 1, 3},
    {"compatible", "openai@http://h#minilm", 1, 3},
    {"openai", "openai@http://h#minilm", 2, 6}, /* base64 unasked */
    {"azure", "azure@https://h#minilm", 1, 3},
    {"cohere", "cohere:minilm", 2, 2},
    {"voyage", "voyage:minilm", 2, 6},
    {"ollama", "ollama:minilm", 2, 6},
    {"tei", "tei@http://h", 2, 0},
    {"openai", "jina:minilm", 2, 6},
    {"openai", "mistral:minilm", 2, 6},
    {"ollama", "remote@http://h", 2, 6},
};

static void recorded_replies_give_the_clients_vectors(void **state)
{
    (void)state;
    float vectors[MOST_TEXTS * ROOM];
    for (size_t i = 0; i < sizeof recorded / sizeof *recorded; i++) {
        json_t *fixture = load_fixture(recorded[i].fixture);
        char *body = json_dumps(json_object_get(fixture, "response"), 0);
        for (uint32_t known = 0; known <= DIMENSIONS; known += DIMENSIONS) {
            sx_wire_target target;
            sx_wire_reply reply;
            open_target(recorded[i].reference, &target);
            read_reply(&target, body, strlen(body), recorded[i].count, known, vectors, &reply);
            if (reply.verdict != SX_WIRE_OK)
                fail_msg("%s: %s", recorded[i].reference, reply.message);
            assert_int_equal(reply.dimensions, DIMENSIONS);
            assert_int_equal(reply.tokens, recorded[i].tokens);
            for (size_t row = 0; row < recorded[i].count; row++)
                for (size_t d = 0; d < DIMENSIONS; d++)
                    assert_true(fabsf(vectors[row * ROOM + d] - expected[row][d]) < 1e-6f);
            sx_wire_target_close(&target);
        }
        free(body);
        json_decref(fixture);
    }
}

/* ---- Replies to two texts, of two dimensions ---- */

#define LIST "openai@http://h#m"
#define GOOD "{\"data\":["
static const struct {
    const char *reference, *body;
    const char *fault; /* part of the message; NULL: the reply is good, and gives 1 2 and 3 4 */
} replies[] = {
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]}]}", NULL},
    {LIST, GOOD "{\"index\":1,\"embedding\":[3,4]},{\"index\":0,\"embedding\":[1,2]}]}", NULL},
    {LIST, GOOD "{\"embedding\":[3.0,4e0],\"index\":1},{\"embedding\":[1,2],\"index\":0}]}", NULL},
    {LIST, GOOD "{\"embedding\":[1,2]},{\"embedding\":[3,4]}]}", NULL}, /* no index at all: in order */
    {LIST, GOOD "{\"index\":0,\"embedding\":\"AACAPwAAAEA=\"},{\"index\":1,\"embedding\":[3,4]}]}", NULL}, /* both forms */
    {LIST, GOOD "{\"index\":0,\"embedding\":\"AACAPwAAAEA\"},{\"index\":1,\"embedding\":\"AABAQAAA\\u0067EA=\"}]}", NULL},
    {LIST,
     "{\"error\":null,\"usage\":{\"total_tokens\":\"many\"},\"data\":[{\"index\":0,\"embedding\":[1,2]},"
     "{\"index\":1,\"embedding\":[3,4]}]}",
     NULL},
    {"gemini:m", "{\"embeddings\":[{\"values\":[1,2]},{\"values\":[3,4],\"shape\":[2]}]}", NULL},
    {"cohere:m", "{\"embeddings\":[[1,2],[3,4]]}", NULL},
    {"remote@http://h", "{\"embeddings\":[[1,2],[3,4]],\"model\":\"m\",\"dimension\":2}", NULL},
    {"tei@http://h", " [[1,2],[3,4]]\n", NULL},

    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]}]}", "1 vectors for 2 texts"},
    {LIST, GOOD "]}", "0 vectors for 2 texts"},
    {LIST, "{}", "0 vectors for 2 texts"},
    {LIST, "[]", "expected an object"},
    {LIST, "", "empty"},
    {LIST, " \n", "empty"},
    {LIST, "OK", "JSON, byte 0"},
    {LIST, "<html><head><title>502 Bad Gateway</title></head><body>long long</body></html>",
     "HTML page instead of JSON (502 Bad Gateway)"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,", "ends"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]}]} x", "follows"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":0,\"embedding\":[3,4]}]}", "text 1 of 2 came twice"},
    {LIST, GOOD "{\"embedding\":[1,2],\"index\":1},{\"embedding\":[3,4],\"index\":1}]}", "text 2 of 2 came twice"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":2,\"embedding\":[3,4]}]}", "index 2 for 2 texts"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":99999999999999999999,\"embedding\":[3,4]}]}", "64 bits"},
    {LIST, GOOD "{\"index\":-1,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]}]}", "at least 0"},
    {LIST, GOOD "{\"index\":\"0\",\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]}]}", "expected a number"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"embedding\":[3,4]}]}", "some have none"},
    {LIST, GOOD "{\"index\":0,\"index\":1,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]}]}", "two indices"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2],\"embedding\":[3,4]},{\"index\":1,\"embedding\":[3,4]}]}", "two vectors"},
    {LIST, GOOD "{\"index\":0},{\"index\":1,\"embedding\":[3,4]}]}", "entry 0 has no vector"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]},{\"index\":2,\"embedding\":[5,6]}]}",
     "index 2"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3]}]}", "1 dimensions instead of 2"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4,5]}]}", "more than 2 dimensions"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[]},{\"index\":1,\"embedding\":[]}]}", "empty"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,null]},{\"index\":1,\"embedding\":[3,4]}]}", "text 1 of 2: value 1 is null"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,\"2\"]},{\"index\":1,\"embedding\":[3,4]}]}", "value 1 is a string"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[[1,2]]},{\"index\":1,\"embedding\":[3,4]}]}", "value 0 is an array"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,NaN]},{\"index\":1,\"embedding\":[3,4]}]}", "JSON"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,1e39]},{\"index\":1,\"embedding\":[3,4]}]}", "not finite"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[1,1e999]},{\"index\":1,\"embedding\":[3,4]}]}", "JSON"},
    {LIST, GOOD "{\"index\":0,\"embedding\":null},{\"index\":1,\"embedding\":[3,4]}]}", "the vector is null"},
    {LIST, GOOD "{\"index\":0,\"embedding\":[0,-0.0]},{\"index\":1,\"embedding\":[3,4]}]}", "all zeros"},
    {LIST, GOOD "{\"index\":0,\"embedding\":\"AAAAAAAAAAA=\"},{\"index\":1,\"embedding\":[3,4]}]}", "all zeros"},
    {LIST, GOOD "{\"index\":0,\"embedding\":\"AADAfwAAAEA=\"},{\"index\":1,\"embedding\":[3,4]}]}", "not finite"},
    {LIST, GOOD "{\"index\":0,\"embedding\":\"AACAPwAAAE\"},{\"index\":1,\"embedding\":[3,4]}]}", "no float32 values"},
    {LIST, GOOD "{\"index\":0,\"embedding\":\"AACAPw\"},{\"index\":1,\"embedding\":[3,4]}]}", "1 dimensions instead of 2"},
    {LIST, GOOD "{\"index\":0,\"embedding\":\"AACAPwAA!EA=\"},{\"index\":1,\"embedding\":[3,4]}]}", "damaged base64"},
    {LIST, GOOD "{\"index\":0,\"embedding\":\"=\"},{\"index\":1,\"embedding\":[3,4]}]}", "damaged base64"},
    {LIST, GOOD "{\"index\":0,\"embedding\":\"\"},{\"index\":1,\"embedding\":[3,4]}]}", "empty"},
    {LIST, "{\"error\":{\"message\":\"overloaded\"}}", "it says: overloaded"},
    {LIST, "{\"data\":null}", "expected an array"},
    {"gemini:m", "{\"embeddings\":[{\"values\":[1,2]},{}]}", "entry 1 has no vector"},
    {"gemini:m", "{\"embeddings\":[{\"values\":[1,2]}]}", "1 vectors for 2 texts"},
    {"gemini:m", "{\"embeddings\":[{\"values\":[1,2]},{\"values\":[3,4]},{\"values\":[3,4]}]}", "more vectors"},
    {"cohere:m", "{\"embeddings\":{\"int8\":[[1,2],[3,4]]}}", "0 vectors for 2 texts"},
    {"cohere:m", "{\"embeddings\":{\"float\":[[1,2],[3,4]],\"float\":[[1,2],[3,4]]}}", "came twice"},
    {"tei@http://h", "[[1,2]]", "1 vectors for 2 texts"},
    {"tei@http://h", "[1,2]", "the vector is a number"},
    {"tei@http://h", "{\"error\":\"busy\",\"error_type\":\"Overloaded\"}", "it says: busy"},
    {"ollama:m", "{\"error\":\"model is loading\"}", "model is loading"},
    {"remote@http://h", "{\"embeddings\":[[1,2],[3,4],[5,6]]}", "more vectors"},
    {"remote@http://h", "{\"embeddings\":{}}", "an object instead of an array"},
};

static void check_reply(const char *reference, const char *body, const char *fault, uint32_t known)
{
    float vectors[MOST_TEXTS * ROOM];
    sx_wire_target target;
    sx_wire_reply reply;
    open_target(reference, &target);
    read_reply(&target, body, strlen(body), 2, known, vectors, &reply);
    if (fault ? reply.verdict != SX_WIRE_RETRY || !strstr(reply.message, fault) : reply.verdict != SX_WIRE_OK)
        fail_msg("%s, %u known: verdict %d: %s", body, known, reply.verdict, reply.message);
    if (!fault)
        for (size_t i = 0; i < 4; i++)
            assert_true(vectors[i / 2 * ROOM + i % 2] == (float)(i + 1));
    sx_wire_target_close(&target);
}

static void replies_are_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof replies / sizeof *replies; i++)
        check_reply(replies[i].reference, replies[i].body, replies[i].fault, 2);
    check_reply(LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4]}]}", NULL, 0);
    check_reply(LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3,4,5]}]}", "more than 2", 0);
    check_reply(LIST, GOOD "{\"index\":0,\"embedding\":[1,2]},{\"index\":1,\"embedding\":[3]}]}", "instead of 2", 0);
    check_reply("tei@http://h", "[[1,2,3,4,5,6,7,8,9,10,11,12,13],[1]]", "more than 12 dimensions", 0);
}

static void every_beginning_of_a_reply_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[][2] = {
        {LIST, GOOD
         "{\"index\":0,\"embedding\":[1,2.5e-1]},{\"embedding\":\"AACAPwAAAEA=\",\"index\":1}],\"usage\":{\"total_tokens\":3}}"},
        {"cohere:m", "{\"embeddings\":{\"float\":[[1,2],[3,4]]},\"meta\":{\"billed_units\":{\"input_tokens\":2}}}"},
        {"gemini:m", "{\"embeddings\":[{\"values\":[1,2]},{\"values\":[3,4]}]}"},
        {"tei@http://h", "[[1,2],[3,4]]"},
        {"ollama:m", "{\"model\":\"m\",\"embeddings\":[[1,2],[3,4]],\"prompt_eval_count\":4}"},
    };
    float vectors[MOST_TEXTS * ROOM];
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        sx_wire_target target;
        sx_wire_reply reply;
        open_target(bodies[i][0], &target);
        for (size_t length = 0; length <= strlen(bodies[i][1]); length++) {
            read_reply(&target, bodies[i][1], length, 2, 2, vectors, &reply);
            assert_int_equal(reply.verdict, length == strlen(bodies[i][1]) ? SX_WIRE_OK : SX_WIRE_RETRY);
            assert_true(reply.verdict == SX_WIRE_OK || strlen(reply.message) > 10);
        }
        sx_wire_target_close(&target);
    }
}

static void vectors_are_cut_where_the_service_cannot(void **state)
{
    (void)state;
    float vectors[MOST_TEXTS * ROOM];
    sx_wire_target target;
    sx_wire_reply reply;
    open_target("tei@http://h", &target);
    target.dimensions = 2;
    target.no_dimensions = true;
    const char *body = "[[3,4,12,1,1,1,1,1,1,1,1,1,1,1,1]]";
    read_reply(&target, body, strlen(body), 1, 2, vectors, &reply);
    assert_int_equal(reply.verdict, SX_WIRE_OK);
    assert_int_equal(reply.dimensions, 2);
    assert_true(fabsf(vectors[0] - 0.6f) < 1e-7f && fabsf(vectors[1] - 0.8f) < 1e-7f);
    assert_true(vectors[2] == FLT_MAX);
    read_reply(&target, "[[3,4,12],[3,4]]", 16, 2, 2, vectors, &reply); /* two sizes */
    assert_int_equal(reply.verdict, SX_WIRE_RETRY);
    read_reply(&target, "[[0,0,12]]", 10, 1, 2, vectors, &reply);
    assert_non_null(strstr(reply.message, "all zeros"));
    read_reply(&target, "[[3]]", 5, 1, 2, vectors, &reply); /* fewer than asked for: no repetition mends that */
    assert_int_equal(reply.verdict, SX_WIRE_FATAL);
    sx_wire_target_close(&target);
}

/* ---- Refusals ---- */

static const struct {
    const char *reference;
    long status;
    const char *body;
    sx_wire_verdict verdict;
    const char *says, *hint; /* parts */
} refusals[] = {
    {LIST, 400,
     "{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens, however you requested 9001\","
     "\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}",
     SX_WIRE_SPLIT, "maximum context length", ""},
    {LIST, 400,
     "{\"error\":{\"message\":\"Requested 309209 tokens, max 300000 tokens per request\","
     "\"code\":\"max_tokens_per_request\"}}",
     SX_WIRE_SPLIT, "max_tokens_per_request", ""},
    {LIST, 400, "{\"error\":{\"message\":\"input contains something we refuse\",\"code\":\"bad_input\"}}", SX_WIRE_SPLIT,
     "HTTP 400: input contains something we refuse (bad_input)", ""},
    {LIST, 413, "{\"error\":{\"message\":\"too many inputs\"}}", SX_WIRE_SPLIT, "too many inputs", ""},
    {LIST, 413, "<html><head><title>413 Request Entity Too Large</title></head></html>", SX_WIRE_SPLIT, "HTML page", ""},
    {LIST, 422, "{\"detail\":[{\"loc\":[\"body\",\"input\",3],\"msg\":\"field required\"}]}", SX_WIRE_SPLIT, "field required",
     ""},
    {LIST, 401,
     "{\"error\":{\"message\":\"Incorrect API key provided: sk-test-********cdef. You can find "
     "it\",\"code\":\"invalid_api_key\"}}",
     SX_WIRE_FATAL, "[key]", "OPENAI_API_KEY"},
    {LIST, 403, "", SX_WIRE_FATAL, "HTTP 403", "OPENAI_API_KEY"},
    {LIST, 402, "{\"detail\":\"Payment required\"}", SX_WIRE_FATAL, "Payment required", "paid"},
    {LIST, 404, "{\"detail\":\"Not Found\"}", SX_WIRE_FATAL, "Not Found", "/v1"},
    {"openai:m", 404, "{\"error\":{\"message\":\"The model `m` does not exist\",\"code\":\"model_not_found\"}}", SX_WIRE_FATAL,
     "does not exist", "model's name"},
    {"azure@http://h#m", 404, "{\"error\":{\"code\":\"DeploymentNotFound\",\"message\":\"The API deployment does not exist.\"}}",
     SX_WIRE_FATAL, "DeploymentNotFound", "deployment"},
    {"ollama:m", 404, "{\"error\":\"model \\\"m\\\" not found, try pulling it first\"}", SX_WIRE_FATAL, "not found",
     "ollama pull m"},
    {LIST, 400, "{\"error\":{\"message\":\"m is not a known model: model not found\"}}", SX_WIRE_FATAL, "not found", "name"},
    {"jina:m", 400, "{\"detail\":\"Model 'x' not found\"}", SX_WIRE_FATAL, "not found", "name"},
    {LIST, 429,
     "{\"error\":{\"message\":\"Rate limit reached for m on requests per "
     "min\",\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}",
     SX_WIRE_RETRY, "Rate limit", ""},
    {LIST, 429,
     "{\"error\":{\"message\":\"You exceeded your current quota, please check your plan and billing details.\","
     "\"type\":\"insufficient_quota\",\"param\":null,\"code\":\"insufficient_quota\"}}",
     SX_WIRE_FATAL, "quota", "billing"},
    {LIST, 429,
     "{\"error\":{\"message\":\"Request too large for m on tokens per min (TPM): Limit 40000, Requested "
     "60000\",\"type\":\"tokens\"}}",
     SX_WIRE_SPLIT, "too large", ""},
    {LIST, 429, "", SX_WIRE_RETRY, "HTTP 429", ""},
    {"cohere:m", 429, "{\"message\":\"You are using a Trial key, which is limited to 1000 API calls / month.\"}", SX_WIRE_FATAL,
     "month", "quota"},
    {"gemini:m", 429,
     "{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota\",\"status\":\"RESOURCE_EXHAUSTED\","
     "\"details\":[{\"violations\":[{\"quotaId\":\"EmbedContentRequestsPerMinutePerProject\"}]}]}}",
     SX_WIRE_RETRY, "quota", ""},
    {"gemini:m", 429,
     "[{\"error\":{\"code\":429,\"message\":\"You exceeded your current quota\",\"details\":[{\"violations\":"
     "[{\"quotaId\":\"EmbedContentRequestsPerDayPerProject\"}]}]}}]",
     SX_WIRE_FATAL, "quota", "used up"},
    {"gemini:m", 400,
     "{\"error\":{\"code\":400,\"message\":\"API key not valid. Please pass a valid API key.\",\"status\":"
     "\"INVALID_ARGUMENT\",\"details\":[{\"reason\":\"API_KEY_INVALID\"}]}}",
     SX_WIRE_FATAL, "not valid", "GEMINI_API_KEY"},
    {"jina:m", 403, "{\"code\":\"AUTHZ_INSUFFICIENT_BALANCE\",\"message\":\"Insufficient account balance\"}", SX_WIRE_FATAL,
     "balance", "balance"},
    {"cohere:m", 400, "{\"message\":\"invalid request: total number of texts must be at most 96\"}", SX_WIRE_SPLIT, "96", ""},
    {"voyage:m", 401, "{\"detail\":\"Provided API key is invalid.\"}", SX_WIRE_FATAL, "invalid", "VOYAGE_API_KEY"},
    {"tei@http://h", 422,
     "{\"error\":\"Input validation error: `inputs` must have less than 512 tokens. Given: 600\",\"error_type\":"
     "\"Validation\"}",
     SX_WIRE_SPLIT, "512 tokens", ""},
    {"tei@http://h", 422, "{\"error\":\"`prompt_name` not found in the configuration prompts\",\"error_type\":\"Validation\"}",
     SX_WIRE_WITHOUT_ROLE, "prompt", ""},
    {"tei@http://h", 424, "{\"error\":\"inference failed\",\"error_type\":\"Backend\"}", SX_WIRE_SPLIT, "inference", ""},
    {"tei@http://h", 429, "{\"error\":\"Model is overloaded\",\"error_type\":\"Overloaded\"}", SX_WIRE_RETRY, "overloaded", ""},
    {"ollama:m", 400, "{\"error\":\"the input length exceeds the context length\"}", SX_WIRE_SPLIT, "input length", ""},
    {"ollama:m", 500, "{\"error\":\"input length exceeds maximum context length\"}", SX_WIRE_SPLIT, "input length", ""},
    {"ollama:m", 500, "{\"error\":\"this model does not support embeddings\"}", SX_WIRE_FATAL, "embeddings",
     "no embedding model"},
    {LIST, 500, "<html>Internal Server Error</html>", SX_WIRE_RETRY, "HTTP 500: an HTML page instead of JSON", ""},
    {LIST, 502, "<HTML><TITLE>\n Bad Gateway</TITLE>", SX_WIRE_RETRY, "(Bad Gateway)", ""},
    {LIST, 503, "{\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":null}}", SX_WIRE_RETRY, "overloaded",
     ""},
    {LIST, 529, "", SX_WIRE_RETRY, "HTTP 529", ""},
    {LIST, 408, "", SX_WIRE_RETRY, "HTTP 408", ""},
    {LIST, 501, "", SX_WIRE_FATAL, "HTTP 501", ""},
    {LIST, 405, "Method Not Allowed", SX_WIRE_FATAL, "Method Not Allowed", ""},
    {LIST, 301, "", SX_WIRE_FATAL, "HTTP 301", "moved"},
    {LIST, 500, "\x80\xff\x01 plain text\n of two lines", SX_WIRE_RETRY, "plain text  of two lines", ""},
};

static void refusals_mean_what_they_must(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        sx_wire_target target;
        sx_wire_reply reply;
        open_target(refusals[i].reference, &target);
        target.form->refuse(&target, refusals[i].status, refusals[i].body, strlen(refusals[i].body), &reply);
        if (reply.verdict != refusals[i].verdict || !strstr(reply.message, refusals[i].says) ||
            !strstr(reply.hint, refusals[i].hint))
            fail_msg("%ld %s: verdict %d: %s (%s)", refusals[i].status, refusals[i].body, reply.verdict, reply.message,
                     reply.hint);
        assert_null(strchr(reply.message, '\n'));
        sx_wire_target_close(&target);
    }
}

static void refused_dimensions_are_asked_for_once(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "{\"error\":{\"message\":\"This model does not support specifying "
        "dimensions.\",\"type\":\"invalid_request_error\",\"param\":null}}",
        "{\"error\":{\"message\":\"Unknown request argument supplied\",\"param\":\"dimensions\"}}",
        "{\"detail\":[{\"loc\":[\"body\",\"dimensions\"],\"msg\":\"extra fields not permitted\"}]}",
        "{\"object\":\"error\",\"message\":\"Model \\\"m\\\" does not support matryoshka representation\",\"code\":400}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        sx_wire_target target;
        sx_wire_reply reply;
        open_target(LIST, &target);
        target.form->refuse(&target, 400, bodies[i], strlen(bodies[i]), &reply);
        assert_int_equal(reply.verdict, SX_WIRE_SPLIT); /* none were asked for */
        target.dimensions = 64;
        target.form->refuse(&target, 400, bodies[i], strlen(bodies[i]), &reply);
        assert_int_equal(reply.verdict, SX_WIRE_WITHOUT_DIMENSIONS);
        target.no_dimensions = true;
        target.form->refuse(&target, 400, bodies[i], strlen(bodies[i]), &reply);
        assert_int_equal(reply.verdict, SX_WIRE_SPLIT);
        sx_wire_target_close(&target);
    }
}

static void keys_are_never_repeated(void **state)
{
    (void)state;
    static const char *const formats[] = {
        "{\"error\":{\"message\":\"bad key %s here\"}}",
        "{\"error\":\"%s\"}",
        "{\"detail\":\"Bearer:%s\"}",
        "%s",
        "<title>%s</title>",
        "{\"error\":{\"message\":\"x\",\"code\":\"%s\"}}",
        "{\"error\":{\"message\":\"(%s),%s\"}}",
        "{\"message\":\"'%s'\"}",
        "{\"error\":{\"message\":\"Authorization=Bearer %s\"}}",
        "\"%s\"",
        "{\"detail\":[{\"loc\":[\"%s\"],\"msg\":\"no\"}]}",
    };
    static const char *const secrets[] = {"sk-test-0123456789abcdef", "sk-test-********cdef",     "sk-test-0123...cdef",
                                          "sk-test-0123456789",       "sk-other-key-of-somebody", "jina_0123456789abcdef0123"};
    static const char *const leaks[] = {"sk-", "0123", "cdef", "jina_0"};
    static const char *const others[] = {"openai:m", "cohere:m", "gemini:m", "tei@http://h"};
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (size_t s = 0; s < sizeof secrets / sizeof *secrets; s++)
            for (size_t o = 0; o < sizeof others / sizeof *others; o++) {
                char body[512];
                float vectors[MOST_TEXTS * ROOM];
                sx_wire_target target;
                sx_wire_reply refused, read;
                open_target(others[o], &target);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(body, sizeof body, formats[f], secrets[s], secrets[s]);
#pragma GCC diagnostic pop
                target.form->refuse(&target, 401, body, strlen(body), &refused);
                read_reply(&target, body, strlen(body), 1, 2, vectors, &read);
                for (size_t l = 0; l < sizeof leaks / sizeof *leaks; l++)
                    if (strstr(refused.message, leaks[l]) || strstr(read.message, leaks[l]) || strstr(refused.hint, leaks[l]))
                        fail_msg("%s: %s, %s", body, refused.message, read.message);
                sx_wire_target_close(&target);
            }
}

static void messages_are_cut_at_a_character(void **state)
{
    (void)state;
    sx_wire_target target;
    sx_wire_reply reply;
    open_target(LIST, &target);
    for (size_t shift = 0; shift < 4; shift++) {
        char body[2048] = "{\"message\":\"";
        for (size_t i = 0; i < shift; i++)
            strcat(body, "x");
        for (size_t i = 0; i < 300; i++)
            strcat(body, "\xe2\x82\xac");
        strcat(body, "\"}");
        target.form->refuse(&target, 400, body, strlen(body), &reply);
        assert_true(strlen(reply.message) > 150);
        json_t *string = json_string(reply.message); /* NULL for invalid UTF-8 */
        assert_non_null(string);
        json_decref(string);
    }
    sx_wire_target_close(&target);
}

/* ---- What services say of themselves ---- */

static void services_describe_their_model(void **state)
{
    (void)state;
    sx_wire_target target;
    sx_wire_request request = {0};
    sx_wire_limits limits = {0};
    uint32_t dimensions = 0;
    open_target("tei@http://h/", &target);
    assert_ok(target.form->build_info(&target, &request, NULL));
    assert_string_equal(request.method, "GET");
    assert_string_equal(request.url.data, "http://h/info");
    const char *info =
        "{\"model_id\":\"BAAI/bge-m3\",\"model_sha\":\"5617\",\"max_input_length\":8192,\"max_batch_tokens\":16384,"
        "\"max_client_batch_size\":48}";
    target.form->read_info(&target, info, strlen(info), &limits, &dimensions);
    assert_string_equal(target.model, "BAAI/bge-m3@5617");
    assert_int_equal(limits.max_tokens_of_text, 8192);
    assert_int_equal(limits.max_tokens_of_request, 16384);
    assert_int_equal(limits.max_texts, 48);
    assert_int_equal(dimensions, 0);
    sx_wire_target_close(&target);

    open_target("remote@http://h", &target);
    assert_ok(target.form->build_info(&target, &request, NULL));
    assert_string_equal(request.url.data, "http://h/health");
    info = "{\"status\":\"healthy\",\"model\":\"bge-base-en-v1.5\",\"device\":\"cpu\"}";
    target.form->read_info(&target, info, strlen(info), &limits, &dimensions);
    assert_string_equal(target.model, "bge-base-en-v1.5");
    sx_wire_target_close(&target);

    limits = (sx_wire_limits){0};
    open_target("ollama:nomic-embed-text:v1.5", &target);
    assert_ok(target.form->build_info(&target, &request, NULL));
    assert_string_equal(request.url.data, "http://127.0.0.1:11434/api/show");
    assert_string_equal(request.body.data, "{\"model\":\"nomic-embed-text:v1.5\"}");
    info = "{\"model_info\":{\"general.architecture\":\"nomic-bert\",\"nomic-bert.context_length\":2048}}";
    target.form->read_info(&target, info, strlen(info), &limits, &dimensions);
    assert_int_equal(limits.max_tokens_of_text, 2048);
    static const char *const odd[] = {"", "[]", "{\"model_info\":3}", "{\"model_info\":{\"x.context_length\":-1}}", "<html>"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        target.form->read_info(&target, odd[i], strlen(odd[i]), &limits, &dimensions);
    assert_int_equal(limits.max_tokens_of_text, 2048);
    sx_wire_request_clear(&request);
    sx_wire_target_close(&target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_replies_give_the_clients_vectors),
        cmocka_unit_test(replies_are_checked),
        cmocka_unit_test(every_beginning_of_a_reply_is_refused),
        cmocka_unit_test(vectors_are_cut_where_the_service_cannot),
        cmocka_unit_test(refusals_mean_what_they_must),
        cmocka_unit_test(refused_dimensions_are_asked_for_once),
        cmocka_unit_test(keys_are_never_repeated),
        cmocka_unit_test(messages_are_cut_at_a_character),
        cmocka_unit_test(services_describe_their_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
