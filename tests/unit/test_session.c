/* test_session.c - sessions: the same bits however texts are batched, receipts, failures, no allocation; and thread pools, plans
 * and recipes, which serve them. Uses the tiny models among the fixtures.
 */
#include "base/process_limits.h"
#include "model/model.h"
#include "model/recipe.h"
#include "model/session_plan.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTS_ALLOCATIONS 0 /* the sanitizer has malloc to itself */
#else
#define COUNTS_ALLOCATIONS 1
#endif

/* ---- Counting allocations, of all threads ---- */

static _Atomic size_t allocations;

#if COUNTS_ALLOCATIONS
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(count, size);
}

void *realloc(void *memory, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(memory, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    atomic_fetch_add(&allocations, 1);
    return __libc_memalign(alignment, size);
}
#endif

/* ---- Texts ---- */

enum { TEXTS = 60, TEXT_BYTES = 512 };
static char storage[TEXTS][TEXT_BYTES];
static sx_text texts[TEXTS];

/* Lengths from nothing to more than the models take. */
static void make_texts(void)
{
    static const char *const words[] = {"harbour ", "a ", "vector ", "the ", "is ", "honest ", "boats, ", "quiet. ", "42 ", "x"};
    uint32_t state = 7;
    for (size_t i = 0; i < TEXTS; i++) {
        size_t used = 0, count = i * i / 50;
        for (size_t w = 0; w < count && used + 16 < TEXT_BYTES; w++) {
            state = state * 1664525u + 1013904223u;
            used += (size_t)snprintf(storage[i] + used, 16, "%s", words[state >> 16 & 7]);
        }
        texts[i] = (sx_text){storage[i], used};
    }
}

static sx_model *open_model(const char *name, const sx_model_options *options)
{
    char path[4096];
    sx_model *model;
    sx_error error = {0};
    snprintf(path, sizeof path, "%s/families/%s", SX_FIXTURES, name);
    if (sx_model_open(path, options, &model, &error))
        fail_msg("%s", error.message);
    return model;
}

static sx_session *open_session(const sx_model *model, unsigned threads)
{
    sx_session_options options = {.size = sizeof options, .threads = threads};
    sx_session *session;
    sx_error error = {0};
    if (sx_session_open(model, &options, &session, &error))
        fail_msg("%s", error.message);
    return session;
}

/* ---- The same bits ---- */

static void check_bits(uint64_t level)
{
    if (!(sx_cpu_detect() & level))
        return;
    sx_model_options options = {.size = sizeof options, .cpu_mask = level};
    sx_model *model = open_model("bert", &options);
    size_t width = sx_model_describe(model)->dimensions;
    float *alone = calloc(TEXTS * width, sizeof *alone), *vectors = calloc(TEXTS * width, sizeof *vectors);
    assert_non_null(alone);
    assert_non_null(vectors);
    sx_error error = {0};
    sx_session *one = open_session(model, 1);
    for (size_t i = 0; i < TEXTS; i++)
        assert_int_equal(sx_session_embed(one, &texts[i], 1, NULL, alone + i * width, NULL, &error), SX_OK);
    sx_session_close(one);
    for (unsigned threads = 1; threads <= 5; threads++) {
        sx_session *session = open_session(model, threads);
        for (size_t count = 1; count <= TEXTS; count += 1 + count / 3) { /* batches of every kind, shuffled by a stride */
            sx_text shuffled[TEXTS];
            for (size_t i = 0; i < count; i++)
                shuffled[i] = texts[(i * 37 + count) % TEXTS];
            assert_int_equal(sx_session_embed(session, shuffled, count, NULL, vectors, NULL, &error), SX_OK);
            for (size_t i = 0; i < count; i++)
                assert_memory_equal(vectors + i * width, alone + (i * 37 + count) % TEXTS * width, width * sizeof(float));
        }
        sx_session_close(session);
    }
    free(alone);
    free(vectors);
    sx_model_close(model);
}

static void test_same_bits(void **state)
{
    check_bits(SX_CPU_C);
    check_bits(SX_CPU_AVX2);
    check_bits(SX_CPU_AVX512);
    check_bits(SX_CPU_NEON);
}

/* More texts than a window holds. */
static void test_windows(void **state)
{
    enum { MANY = 2500 };
    sx_model *model = open_model("bert-concat-pooling", NULL);
    size_t width = sx_model_describe(model)->dimensions;
    sx_text *many = calloc(MANY, sizeof *many);
    sx_receipt *receipts = calloc(MANY, sizeof *receipts);
    float *vectors = calloc(MANY * width, sizeof *vectors);
    assert_true(many && receipts && vectors);
    for (size_t i = 0; i < MANY; i++)
        many[i] = texts[i % TEXTS];
    sx_session *session = open_session(model, 2);
    sx_error error = {0};
    assert_int_equal(sx_session_embed(session, many, MANY, NULL, vectors, receipts, &error), SX_OK);
    for (size_t i = TEXTS; i < MANY; i++) {
        assert_memory_equal(vectors + i * width, vectors + i % TEXTS * width, width * sizeof(float));
        assert_int_equal(receipts[i].tokens, receipts[i % TEXTS].tokens);
    }
    assert_int_equal(sx_session_embed(session, NULL, 0, NULL, NULL, NULL, &error), SX_OK);
    sx_session_close(session);
    free(many);
    free(receipts);
    free(vectors);
    sx_model_close(model);
}

/* ---- Receipts and failures ---- */

static void test_receipts(void **state)
{
    sx_model_options options = {.size = sizeof options, .max_length = 10};
    sx_model *model = open_model("bert", &options);
    size_t width = sx_model_describe(model)->dimensions;
    sx_session *session = open_session(model, 2);
    sx_text four[4] = {{"the harbour is quiet and the boats are in and nobody asks", 57}, {NULL, 0}, {" \n\t", 3}, {"a", 1}};
    sx_receipt receipts[4];
    float vectors[4 * 48];
    sx_error error = {0};
    assert_int_equal(width, 48);
    assert_int_equal(sx_session_embed(session, four, 4, NULL, vectors, receipts, &error), SX_OK);
    assert_int_equal(receipts[0].tokens, 10);
    assert_true(receipts[0].truncated && receipts[0].dropped_tokens > 0 && !receipts[0].empty);
    assert_int_equal(receipts[1].tokens, 2);
    assert_true(receipts[1].empty && receipts[2].empty && !receipts[3].empty);
    assert_memory_equal(vectors + width, vectors + 2 * width, width * sizeof(float));
    uint32_t dropped = receipts[0].dropped_tokens;

    sx_embed_options strict = {.size = sizeof strict, .strict = 1};
    assert_int_equal(sx_session_embed(session, four, 4, &strict, vectors, receipts, &error), SX_OK);
    assert_int_equal(receipts[0].status, SX_E_LIMIT);
    assert_int_equal(receipts[0].dropped_tokens, dropped);
    assert_non_null(receipts[0].message);
    for (size_t i = 0; i < width; i++)
        assert_true(isnan(vectors[i]));
    assert_int_equal(receipts[3].status, SX_OK);
    assert_true(isfinite(vectors[3 * width]));

    assert_int_equal(sx_session_embed(session, four, 4, &strict, vectors, NULL, &error), SX_E_LIMIT);
    assert_true(strstr(error.message, "text 0") != NULL);

    four[1].length = 3; /* at NULL */
    assert_int_equal(sx_session_embed(session, four, 4, NULL, vectors, receipts, &error), SX_OK);
    assert_int_equal(receipts[1].status, SX_E_INVALID);
    sx_session_close(session);
    sx_model_close(model);
}

static void test_invalid_calls(void **state)
{
    sx_error error = {0};
    sx_model *model = NULL;
    sx_session *session = NULL;
    float vector[48];
    assert_int_equal(sx_model_open(NULL, NULL, &model, &error), SX_E_INVALID);
    assert_int_equal(sx_model_open("x", NULL, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_model_open("/tmp/sx-no-such-folder", NULL, &model, NULL), SX_E_NOT_FOUND);
    assert_int_equal(sx_session_open(NULL, NULL, &session, &error), SX_E_INVALID);
    assert_null(sx_model_describe(NULL));
    assert_null(sx_model_tokenizer(NULL));
    sx_model_close(NULL);
    sx_session_close(NULL);
    const struct {
        sx_model_options options;
        const char *word;
    } cases[] = {
        {{.size = sizeof(sx_model_options), .pooling = "median"}, "median"},
        {{.size = sizeof(sx_model_options), .max_length = 129}, "129"},
        {{.size = sizeof(sx_model_options), .max_length = 2}, "2"},
        {{.size = sizeof(sx_model_options), .dimensions = 49}, "49"},
        {{.size = 3}, "size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(sx_model_open(SX_FIXTURES "/families/bert", &cases[i].options, &model, &error), SX_E_INVALID);
        assert_null(model);
        assert_true(strstr(error.message, cases[i].word) != NULL);
    }
    model = open_model("bert", NULL);
    session = open_session(model, 1);
    assert_int_equal(sx_session_embed(NULL, texts, 1, NULL, vector, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_session_embed(session, NULL, 1, NULL, vector, NULL, &error), SX_E_INVALID);
    assert_int_equal(sx_session_embed(session, texts, 1, NULL, NULL, NULL, &error), SX_E_INVALID);
    const char *prompt;
    assert_int_equal(sx_model_prompt(model, "query", &prompt, &error), SX_OK);
    assert_string_equal(prompt, "");
    assert_int_equal(sx_model_prompt(model, NULL, &prompt, &error), SX_E_INVALID);
    assert_int_equal(sx_model_prompt(model, "nobody's", &prompt, &error), SX_E_NOT_FOUND);
    sx_session_close(session);
    sx_model_close(model);
}

/* Matryoshka: the first numbers, then normalised; and not normalised at all. */
static void test_dimensions(void **state)
{
    sx_model_options raw = {.size = sizeof raw, .no_normalize = 1}, cut = {.size = sizeof cut, .dimensions = 20};
    sx_model *first = open_model("bert", &raw), *second = open_model("bert", &cut);
    sx_session *a = open_session(first, 1), *b = open_session(second, 1);
    float whole[48], part[20];
    double length = 0.0, before = 0.0;
    sx_error error = {0};
    assert_int_equal(sx_session_embed(a, &texts[40], 1, NULL, whole, NULL, &error), SX_OK);
    assert_int_equal(sx_session_embed(b, &texts[40], 1, NULL, part, NULL, &error), SX_OK);
    assert_int_equal(sx_model_describe(second)->dimensions, 20);
    for (int i = 0; i < 20; i++)
        before += (double)whole[i] * whole[i];
    for (int i = 0; i < 20; i++) {
        length += (double)part[i] * part[i];
        assert_true(fabs(whole[i] / sqrt(before) - part[i]) < 1e-6);
    }
    assert_true(fabs(length - 1.0) < 1e-6);
    sx_session_close(a);
    sx_session_close(b);
    sx_model_close(first);
    sx_model_close(second);
}

/* The prompt is part of the text that is stripped. */
static void test_prompt(void **state)
{
    sx_model *model = open_model("bert", NULL);
    sx_session *session = open_session(model, 1);
    sx_text joined = {"boats: quiet", 12}, text = {" quiet \n", 8};
    sx_embed_options options = {.size = sizeof options, .prompt = "  boats:"};
    float a[48], b[48];
    sx_error error = {0};
    assert_int_equal(sx_session_embed(session, &joined, 1, NULL, a, NULL, &error), SX_OK);
    assert_int_equal(sx_session_embed(session, &text, 1, &options, b, NULL, &error), SX_OK);
    assert_memory_equal(a, b, sizeof a);
    sx_session_close(session);
    sx_model_close(model);
}

/* ---- No allocation ---- */

static void test_no_allocation(void **state)
{
    sx_model *model = open_model("bert", NULL);
    float *vectors = calloc(TEXTS * 48, sizeof *vectors);
    sx_receipt receipts[TEXTS];
    assert_non_null(vectors);
    for (unsigned threads = 1; threads <= 2; threads++) {
        static const size_t counts[] = {1, 3, TEXTS};
        for (size_t c = 0; c < 3; c++) {
            sx_session *session = open_session(model, threads);
            sx_embed_options options = {.size = sizeof options, .prompt = "query: "};
            sx_error error = {0};
            /* which thread takes which text varies, so each needs some calls to have met the longest */
            for (int i = 0; i < 50; i++)
                assert_int_equal(
                    sx_session_embed(session, texts + TEXTS - counts[c], counts[c], &options, vectors, receipts, &error),
                    SX_OK);
            size_t fewest = SIZE_MAX;
            for (int i = 0; i < 5; i++) {
                size_t before = atomic_load(&allocations);
                sx_session_embed(session, texts + TEXTS - counts[c], counts[c], &options, vectors, receipts, &error);
                size_t made = atomic_load(&allocations) - before;
                fewest = made < fewest ? made : fewest;
                if (threads == 1)
                    assert_int_equal(made, 0);
            }
            assert_int_equal(fewest, 0);
            sx_session_close(session);
        }
    }
#if COUNTS_ALLOCATIONS
    assert_true(atomic_load(&allocations) > 0);
#endif
    free(vectors);
    sx_model_close(model);
}

/* ---- Recipes ---- */

static void test_recipes(void **state)
{
    sx_model_options short_options = {.size = sizeof short_options, .max_length = 32};
    sx_model_options raw_options = {.size = sizeof raw_options, .no_normalize = 1};
    sx_model_options c_options = {.size = sizeof c_options, .cpu_mask = SX_CPU_C};
    sx_model *model = open_model("bert", NULL), *again = open_model("bert", &c_options),
             *shorter = open_model("bert", &short_options);
    sx_model *raw = open_model("bert", &raw_options);
    char *space[6], *recipe[6];
    sx_error error = {0};
    assert_int_equal(sx_recipe_describe(model, NULL, &space[0], &recipe[0], &error), SX_OK);
    assert_int_equal(sx_recipe_describe(again, "", &space[1], &recipe[1], &error), SX_OK);
    assert_int_equal(sx_recipe_describe(model, "say \"x\": ", &space[2], &recipe[2], &error), SX_OK);
    assert_int_equal(sx_recipe_describe(shorter, "", &space[3], &recipe[3], &error), SX_OK);
    assert_int_equal(sx_recipe_describe(raw, "", &space[4], &recipe[4], &error), SX_OK);
    assert_string_equal(space[0], space[1]); /* the instruction set is no part of it */
    assert_string_equal(recipe[0], recipe[1]);
    assert_string_equal(space[0], space[2]);
    assert_string_not_equal(recipe[0], recipe[2]);
    assert_true(strstr(recipe[2], "\"prompt\":\"say \\\"x\\\": \"") != NULL);
    assert_string_equal(space[0], space[3]);
    assert_string_not_equal(recipe[0], recipe[3]);
    assert_string_not_equal(space[0], space[4]);
    assert_true(strstr(space[0], sx_model_describe(model)->weights_sha256) != NULL);
    assert_null(strstr(space[0], "modules")); /* what there was before modules keeps its name */
    sx_model *dense = open_model("sentence-t5", NULL);
    assert_int_equal(sx_recipe_describe(dense, NULL, &space[5], &recipe[5], &error), SX_OK);
    assert_non_null(strstr(space[5], "\"modules\":\"dense(identity)\"")); /* and its weights count */
    assert_null(strstr(space[5], sx_model_describe(dense)->weights_sha256));
    free(space[5]);
    free(recipe[5]);
    sx_model_close(dense);
    for (int i = 0; i < 5; i++) {
        free(space[i]);
        free(recipe[i]);
    }
    sx_model_close(model);
    sx_model_close(again);
    sx_model_close(shorter);
    sx_model_close(raw);
}

/* ---- Plans ---- */

static void test_plans(void **state)
{
    enum { COUNT = 300, LONGEST = 200, GROUP = 256 };
    uint32_t lengths[COUNT], random = 3;
    const uint32_t *ids[COUNT];
    for (unsigned threads = 1; threads <= 8; threads++) {
        sx_plan plan;
        sx_error error = {0};
        assert_int_equal(sx_plan_open(COUNT, LONGEST, GROUP, threads, 384, &plan, &error), SX_OK);
        for (size_t count = 0; count <= COUNT; count += 1 + count / 2) {
            bool seen[COUNT] = {false};
            size_t expected = 0, found = 0;
            for (size_t i = 0; i < count; i++) {
                random = random * 1664525u + 1013904223u;
                lengths[i] = (random >> 16) % (LONGEST + 1);
                ids[i] = lengths + i;
                expected += lengths[i] > 0;
            }
            sx_plan_make(&plan, lengths, ids, count);
            for (size_t g = 0; g < plan.group_count; g++) {
                size_t row = 0;
                assert_int_equal(plan.groups[g].first, found);
                for (size_t i = 0; i < plan.groups[g].count; i++, found++) {
                    const sx_sequence *sequence = &plan.sequences[found];
                    size_t index = plan.order[found];
                    assert_true(index < count && !seen[index]);
                    seen[index] = true;
                    assert_int_equal(sequence->length, lengths[index]);
                    assert_ptr_equal(sequence->ids, ids[index]);
                    assert_int_equal(sequence->row, row);
                    row += sequence->length;
                }
                assert_in_range(row, 1, GROUP);
            }
            assert_int_equal(found, expected);
            assert_true(!plan.shared || threads > 1);
            if (expected == 1)
                assert_int_equal(plan.shared, threads > 1);
        }
        /* Few even texts are dealt out, none waits for another; uneven ones are shared, and when sharing does not pay dealt. */
        for (size_t i = 0; i < 4 * threads; i++) {
            lengths[i] = 20 + (uint32_t)i % 3;
            ids[i] = lengths + i;
        }
        sx_plan_make(&plan, lengths, ids, 4 * threads);
        assert_false(plan.shared);
        lengths[0] = LONGEST;
        lengths[1] = 10;
        for (unsigned busy = 0; busy < 2 && threads == 2; busy++) {
            plan.alone_left = busy;
            sx_plan_make(&plan, lengths, ids, 2);
            assert_int_equal(plan.shared, !busy);
            assert_int_equal(plan.group_count, busy ? 2 : 1);
            assert_int_equal(plan.alone_left, 0);
        }
        sx_plan_close(&plan);
    }
}

/* ---- Thread pool ---- */

typedef struct pool_job {
    sx_thread_pool *pool;
    _Atomic unsigned steps;
    _Atomic unsigned wrong;
    unsigned char ran[64];
} pool_job;

enum { STEPS = 200 };

static void pool_work(void *user, unsigned worker)
{
    pool_job *job = user;
    unsigned size = sx_thread_pool_size(job->pool);
    job->ran[worker]++;
    for (unsigned step = 0; step < STEPS; step++) {
        atomic_fetch_add(&job->steps, 1);
        sx_thread_pool_barrier(job->pool);
        if (atomic_load(&job->steps) != (step + 1) * size)
            atomic_fetch_add(&job->wrong, 1);
        sx_thread_pool_barrier(job->pool);
    }
}

static void test_thread_pool(void **state)
{
    sx_error error = {0};
    sx_thread_pool *pool;
    assert_true(sx_core_count() >= 1);
    assert_int_equal(sx_thread_pool_open(5000, &pool, &error), SX_E_INVALID);
    sx_thread_pool_close(NULL);
    for (unsigned threads = 0; threads <= 5; threads++) {
        assert_int_equal(sx_thread_pool_open(threads, &pool, &error), SX_OK);
        unsigned size = sx_thread_pool_size(pool);
        assert_int_equal(size, threads ? threads : sx_core_count());
        for (int round = 0; round < 20; round++) {
            pool_job job = {.pool = pool};
            sx_thread_pool_run(pool, pool_work, &job);
            assert_int_equal(atomic_load(&job.wrong), 0);
            for (unsigned i = 0; i < size; i++)
                assert_int_equal(job.ran[i], 1);
        }
        sx_thread_pool_close(pool);
    }
    for (size_t total = 0; total < 40; total++) {
        for (unsigned workers = 1; workers < 9; workers++) {
            size_t next = 0, begin, end;
            for (unsigned w = 0; w < workers; w++) {
                sx_share(total, w, workers, &begin, &end);
                assert_int_equal(begin, next);
                assert_in_range(end - begin, total / workers, total / workers + 1);
                next = end;
            }
            assert_int_equal(next, total);
        }
    }
}

int main(void)
{
    make_texts();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_thread_pool), cmocka_unit_test(test_plans),         cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_windows),     cmocka_unit_test(test_receipts),      cmocka_unit_test(test_invalid_calls),
        cmocka_unit_test(test_dimensions),  cmocka_unit_test(test_prompt),        cmocka_unit_test(test_no_allocation),
        cmocka_unit_test(test_recipes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
