/* test_bpe.c - byte pair encoding against Hugging Face tokenizers' (a generated file), against the plainest possible algorithm on
 * random merges, and on words made to be slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/file.h"
#include "tok/bpe.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct tokens {
    uint32_t *ids, *starts, *ends;
    size_t count, capacity;
} tokens;

static void collect(void *user, uint32_t id, uint32_t start, uint32_t end)
{
    tokens *list = user;
    if (list->count == list->capacity) {
        list->capacity = list->capacity * 2 + 64;
        list->ids = realloc(list->ids, list->capacity * sizeof(uint32_t));
        list->starts = realloc(list->starts, list->capacity * sizeof(uint32_t));
        list->ends = realloc(list->ends, list->capacity * sizeof(uint32_t));
    }
    list->ids[list->count] = id;
    list->starts[list->count] = start;
    list->ends[list->count++] = end;
}

static void clear(tokens *list)
{
    free(list->ids);
    free(list->starts);
    free(list->ends);
    *list = (tokens){0};
}

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((random_state >> 33) % limit);
}

static sx_text text_of(const json_t *string)
{
    return (sx_text){json_string_value(string), json_string_length(string)};
}

static bool flag(const json_t *options, const char *name)
{
    json_t *value = json_object_get(options, name);
    assert_true(json_is_boolean(value));
    return json_is_true(value);
}

static unsigned char digit(char character)
{
    return (unsigned char)(character <= '9' ? character - '0' : character - 'a' + 10);
}

static sx_bpe *open_case(const json_t *line, sx_vocabulary *vocabulary)
{
    json_t *options = json_object_get(line, "options"), *merges = json_object_get(line, "merges"), *value;
    const char *key;
    json_object_foreach(json_object_get(line, "vocabulary"), key, value)
        assert_int_equal(sx_vocabulary_add(vocabulary, (sx_text){key, strlen(key)}, (uint32_t)json_integer_value(value)),
                         SX_VOCABULARY_OK);
    sx_bpe_options settings = {.byte_level = flag(options, "byte_level"), .byte_fallback = flag(options, "byte_fallback"),
                               .fuse_unknown = flag(options, "fuse_unknown"), .ignore_merges = flag(options, "ignore_merges"),
                               .continuing_prefix = text_of(json_object_get(options, "prefix")),
                               .end_suffix = text_of(json_object_get(options, "suffix"))};
    json_t *unknown = json_object_get(options, "unknown");
    if (json_is_string(unknown)) {
        settings.has_unknown = true;
        assert_true(sx_vocabulary_find(vocabulary, text_of(unknown), &settings.unknown_id));
    }
    sx_bpe *bpe;
    sx_error error = {0};
    assert_int_equal(sx_bpe_open(vocabulary, &settings, &bpe, &error), SX_OK);
    for (size_t i = 0; i < json_array_size(merges); i++) {
        json_t *pair = json_array_get(merges, i);
        if (sx_bpe_add_merge(bpe, text_of(json_array_get(pair, 0)), text_of(json_array_get(pair, 1)), (uint32_t)i, "case", &error))
            fail_msg("%s", error.message);
    }
    assert_int_equal(sx_bpe_finish(bpe, &error), SX_OK);
    return bpe;
}

static void check_word(const sx_bpe *bpe, sx_bpe_memory *memory, const json_t *word, size_t number)
{
    const char *hex = json_string_value(json_object_get(word, "bytes"));
    json_t *ids = json_object_get(word, "ids"), *ends = json_object_get(word, "ends");
    size_t length = strlen(hex) / 2;
    char *bytes = malloc(length + 1);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (char)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
    tokens got = {0};
    assert_true(sx_bpe_split(bpe, memory, bytes, length, collect, &got));
    bool same = got.count == json_array_size(ids);
    for (size_t i = 0; i < got.count && same; i++)
        same = got.ids[i] == json_integer_value(json_array_get(ids, i)) && got.starts[i] == (i ? got.ends[i - 1] : 0) &&
               (json_is_null(ends) ? got.ends[i] <= length : got.ends[i] == json_integer_value(json_array_get(ends, i)));
    if (!same)
        fail_msg("case %zu, word %s: %zu tokens where the reference has %zu, or others", number, hex, got.count,
                 json_array_size(ids));
    clear(&got);
    free(bytes);
}

static void as_the_reference(void **state)
{
    (void)state;
    char *data;
    size_t length, number = 0;
    sx_error error = {0};
    assert_int_equal(sx_file_read(SX_FIXTURES "/bpe/cases.jsonl", (size_t)8 << 20, &data, &length, NULL, &error), SX_OK);
    for (char *line = data, *end; (end = strchr(line, '\n')); line = end + 1, number++) {
        json_t *entry = json_loadb(line, (size_t)(end - line), 0, NULL);
        assert_non_null(entry);
        sx_vocabulary vocabulary = {0};
        sx_bpe *bpe = open_case(entry, &vocabulary);
        sx_bpe_memory *memory = sx_bpe_memory_open();
        assert_non_null(memory);
        json_t *words = json_object_get(entry, "words");
        for (size_t i = 0; i < 2 * json_array_size(words); i++) /* the second time they are remembered */
            check_word(bpe, memory, json_array_get(words, i % json_array_size(words)), number);
        sx_bpe_memory_close(memory);
        sx_bpe_close(bpe);
        sx_vocabulary_clear(&vocabulary);
        json_decref(entry);
    }
    assert_int_equal(number, 60);
    free(data);
}

/* ---- The plainest algorithm ------------------------------------------------------------------------------------------ */

enum { MOST_MERGES = 60, MOST_WORD = 600, LONGEST_PIECE = 24 };

typedef struct random_model {
    sx_vocabulary vocabulary;
    uint32_t left[MOST_MERGES], right[MOST_MERGES], joined[MOST_MERGES];
    size_t merges;
    bool by_rank;
    sx_bpe *bpe;
} random_model;

static void add_piece(random_model *model, const char *bytes, size_t length, uint32_t *id)
{
    if (!sx_vocabulary_find(&model->vocabulary, (sx_text){bytes, length}, id)) {
        *id = model->vocabulary.count;
        assert_int_equal(sx_vocabulary_add(&model->vocabulary, (sx_text){bytes, length}, *id), SX_VOCABULARY_OK);
    }
}

/* Letters a to c and random merges of what is there; by_rank: all 256 bytes first. */
static void make_model(random_model *model, bool by_rank)
{
    *model = (random_model){.by_rank = by_rank};
    uint32_t id;
    for (int byte = by_rank ? 0 : 'a'; byte < (by_rank ? 256 : 'd'); byte++)
        add_piece(model, &(char){(char)byte}, 1, &id);
    uint32_t letters = by_rank ? 'a' : 0;
    for (size_t wanted = 1 + random_below(MOST_MERGES - 1); model->merges < wanted;) {
        uint32_t sides[2];
        for (int i = 0; i < 2; i++) {
            uint32_t made = model->vocabulary.count - (by_rank ? 256 : 3), choice = random_below(made + 3);
            sides[i] = choice < 3 ? letters + choice : (by_rank ? 256 : 3) + choice - 3;
        }
        sx_text left = sx_vocabulary_piece_text(&model->vocabulary, sides[0]);
        sx_text right = sx_vocabulary_piece_text(&model->vocabulary, sides[1]);
        char joined[2 * LONGEST_PIECE];
        bool known = left.length + right.length > LONGEST_PIECE;
        for (size_t i = 0; i < model->merges; i++)
            known = known || (model->left[i] == sides[0] && model->right[i] == sides[1]);
        if (known) {
            wanted--;
            continue;
        }
        memcpy(joined, left.data, left.length);
        memcpy(joined + left.length, right.data, right.length);
        add_piece(model, joined, left.length + right.length, &id);
        model->left[model->merges] = sides[0];
        model->right[model->merges] = sides[1];
        model->joined[model->merges++] = id;
    }
    sx_error error = {0};
    assert_int_equal(sx_bpe_open(&model->vocabulary, &(sx_bpe_options){0}, &model->bpe, &error), SX_OK);
    for (size_t i = 0; i < model->merges && !by_rank; i++)
        assert_int_equal(sx_bpe_add_merge(model->bpe, sx_vocabulary_piece_text(&model->vocabulary, model->left[i]),
                                          sx_vocabulary_piece_text(&model->vocabulary, model->right[i]), (uint32_t)i, "random",
                                          &error), SX_OK);
    if (by_rank)
        assert_int_equal(sx_bpe_merge_by_rank(model->bpe, &error), SX_OK);
    assert_int_equal(sx_bpe_finish(model->bpe, &error), SX_OK);
}

static void free_model(random_model *model)
{
    sx_bpe_close(model->bpe);
    sx_vocabulary_clear(&model->vocabulary);
}

static size_t pair_rank(const random_model *model, uint32_t left, uint32_t right, uint32_t *joined)
{
    if (!model->by_rank) {
        for (size_t i = 0; i < model->merges; i++)
            if (model->left[i] == left && model->right[i] == right) {
                *joined = model->joined[i];
                return i;
            }
        return SIZE_MAX;
    }
    sx_text first = sx_vocabulary_piece_text(&model->vocabulary, left), second = sx_vocabulary_piece_text(&model->vocabulary, right);
    char bytes[2 * LONGEST_PIECE];
    memcpy(bytes, first.data, first.length);
    memcpy(bytes + first.length, second.data, second.length);
    return sx_vocabulary_find(&model->vocabulary, (sx_text){bytes, first.length + second.length}, joined) ? *joined : SIZE_MAX;
}

static size_t split_plainly(const random_model *model, const char *word, size_t length, uint32_t *ids)
{
    uint32_t id;
    if (model->by_rank && sx_vocabulary_find(&model->vocabulary, (sx_text){word, length}, &ids[0]))
        return 1;
    size_t count = 0;
    for (size_t i = 0; i < length; i++)
        assert_true(sx_vocabulary_find(&model->vocabulary, (sx_text){word + i, 1}, &ids[count++]));
    for (;;) {
        size_t best = SIZE_MAX, place = 0;
        uint32_t whole = 0;
        for (size_t i = 0; i + 1 < count; i++) {
            size_t rank = pair_rank(model, ids[i], ids[i + 1], &id);
            if (rank < best) {
                best = rank;
                place = i;
                whole = id;
            }
        }
        if (best == SIZE_MAX)
            return count;
        ids[place] = whole;
        memmove(ids + place + 1, ids + place + 2, (--count - place - 1) * sizeof *ids);
    }
}

static void as_the_plainest(void **state)
{
    (void)state;
    random_state = 7;
    for (int round = 0; round < 400; round++) {
        random_model model;
        make_model(&model, round % 2);
        sx_bpe_memory *memory = sx_bpe_memory_open();
        for (int i = 0; i < 12; i++) {
            char word[MOST_WORD];
            uint32_t ids[MOST_WORD];
            size_t length = 1 + random_below(i % 4 == 0 ? 150 : i % 4 == 1 ? 70 : 12);
            uint32_t letters = 1 + random_below(3);
            for (size_t j = 0; j < length; j++)
                word[j] = (char)('a' + random_below(letters));
            size_t count = split_plainly(&model, word, length, ids);
            tokens got = {0};
            assert_true(sx_bpe_split(model.bpe, memory, word, length, collect, &got));
            if (got.count != count || memcmp(got.ids, ids, count * sizeof *ids) != 0)
                fail_msg("round %d, word %.*s: %zu tokens, plainly %zu, or others", round, (int)length, word, got.count, count);
            uint32_t end = 0;
            for (size_t j = 0; j < count; j++) {
                assert_int_equal(got.starts[j], end);
                end += (uint32_t)sx_vocabulary_piece_text(&model.vocabulary, ids[j]).length;
                assert_int_equal(got.ends[j], end);
            }
            clear(&got);
        }
        sx_bpe_memory_close(memory);
        free_model(&model);
    }
}

/* More different words than the memory holds: each still gets its own ids. */
static void forgetting(void **state)
{
    (void)state;
    random_model model;
    random_state = 11;
    make_model(&model, false);
    sx_bpe_memory *memory = sx_bpe_memory_open();
    for (uint32_t i = 0; i < 80000; i++) {
        char word[12];
        uint32_t ids[12];
        size_t length = 0;
        for (uint32_t rest = i % 50000 + 1; rest; rest /= 3)
            word[length++] = (char)('a' + rest % 3);
        size_t count = split_plainly(&model, word, length, ids);
        tokens got = {0};
        assert_true(sx_bpe_split(model.bpe, memory, word, length, collect, &got));
        assert_int_equal(got.count, count);
        assert_memory_equal(got.ids, ids, count * sizeof *ids);
        clear(&got);
    }
    sx_bpe_memory_close(memory);
    free_model(&model);
}

/* A megabyte without a space. What is quadratic takes hours for it. */
static void one_long_word(void **state)
{
    (void)state;
    enum { LENGTH = 1 << 20 };
    char *word = malloc(LENGTH);
    random_state = 3;
    for (int round = 0; round < 4; round++) {
        random_model model;
        make_model(&model, round % 2);
        for (size_t i = 0; i < LENGTH; i++)
            word[i] = round < 2 ? 'a' : (char)('a' + random_below(3));
        sx_bpe_memory *memory = sx_bpe_memory_open();
        tokens got = {0};
        int64_t start = sx_system_clock.monotonic_ns(NULL);
        assert_true(sx_bpe_split(model.bpe, memory, word, LENGTH, collect, &got));
        assert_true(sx_system_clock.monotonic_ns(NULL) - start < 20 * INT64_C(1000000000));
        assert_true(got.count > 0);
        assert_int_equal(got.ends[got.count - 1], LENGTH);
        clear(&got);
        sx_bpe_memory_close(memory);
        free_model(&model);
    }
    free(word);
}

static void byte_characters(void **state)
{
    (void)state;
    int found = 0;
    for (uint32_t code = 0; code < 0x1000; code++) {
        int byte = sx_character_byte(code);
        if (byte >= 0) {
            assert_int_equal(sx_byte_character((unsigned char)byte), code);
            found++;
        }
    }
    assert_int_equal(found, 256);
    assert_int_equal(sx_byte_character(' '), 0x120);
    assert_int_equal(sx_byte_character('\n'), 0x10a);
    assert_int_equal(sx_byte_character('a'), 'a');
    assert_int_equal(sx_byte_character(0xff), 0xff);
    assert_int_equal(sx_byte_character(0xad), 0x143);
}

static void refusals(void **state)
{
    (void)state;
    sx_vocabulary vocabulary = {0};
    static const char *const pieces[] = {"a", "b", "ab", "##b", "c"};
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(sx_vocabulary_add(&vocabulary, (sx_text){pieces[i], strlen(pieces[i])}, i), SX_VOCABULARY_OK);
    sx_bpe *bpe;
    sx_error error = {0};
    sx_text a = {"a", 1}, b = {"b", 1}, c = {"c", 1}, none = {"z", 1};
    assert_int_equal(sx_bpe_open(&vocabulary, &(sx_bpe_options){0}, &bpe, &error), SX_OK);
    assert_int_equal(sx_bpe_add_merge(bpe, none, b, 4, "merges.txt", &error), SX_E_FORMAT);
    assert_string_equal(error.message, "merges.txt: merge 4: the left side \"z\" is not in the vocabulary");
    assert_int_equal(sx_bpe_add_merge(bpe, a, none, 4, "merges.txt", &error), SX_E_FORMAT);
    assert_string_equal(error.message, "merges.txt: merge 4: the right side \"z\" is not in the vocabulary");
    assert_int_equal(sx_bpe_add_merge(bpe, a, c, 5, "merges.txt", &error), SX_E_FORMAT);
    assert_string_equal(error.message, "merges.txt: merge 5: the whole \"ac\" is not in the vocabulary");
    assert_int_equal(sx_bpe_add_merge(bpe, a, b, 6, "merges.txt", &error), SX_OK);
    assert_int_equal(sx_bpe_merge_by_rank(bpe, &error), SX_E_INVALID);
    sx_bpe_close(bpe);

    assert_int_equal(sx_bpe_open(&vocabulary, &(sx_bpe_options){.continuing_prefix = {"##", 2}}, &bpe, &error), SX_OK);
    assert_int_equal(sx_bpe_add_merge(bpe, a, b, 0, "merges.txt", &error), SX_E_FORMAT); /* shorter than the prefix */
    assert_int_equal(sx_bpe_add_merge(bpe, a, (sx_text){"##b", 3}, 0, "merges.txt", &error), SX_OK);
    sx_bpe_close(bpe);

    assert_int_equal(sx_bpe_open(&vocabulary, &(sx_bpe_options){.has_unknown = true, .unknown_id = 5}, &bpe, &error), SX_OK);
    assert_int_equal(sx_bpe_finish(bpe, &error), SX_E_FORMAT);
    sx_bpe_close(bpe);
    assert_int_equal(sx_bpe_open(&vocabulary, &(sx_bpe_options){0}, &bpe, &error), SX_OK);
    assert_int_equal(sx_bpe_merge_by_rank(bpe, &error), SX_OK);
    assert_int_equal(sx_bpe_finish(bpe, &error), SX_E_FORMAT); /* not every byte has a rank */
    sx_bpe_close(bpe);
    sx_vocabulary_clear(&vocabulary);
}

/* Same merges, same description; another order, another description; numbers of ranks do not count. */
static void description(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "ab", "ba"};
    sx_buffer buffers[4] = {0};
    sx_vocabulary vocabulary = {0};
    for (uint32_t i = 0; i < 4; i++)
        assert_int_equal(sx_vocabulary_add(&vocabulary, (sx_text){pieces[i], strlen(pieces[i])}, i), SX_VOCABULARY_OK);
    sx_text a = {"a", 1}, b = {"b", 1};
    sx_error error = {0};
    for (int i = 0; i < 4; i++) {
        sx_bpe *bpe;
        assert_int_equal(sx_bpe_open(&vocabulary, &(sx_bpe_options){.ignore_merges = i == 3}, &bpe, &error), SX_OK);
        if (i == 1) /* listed twice: the later place counts */
            assert_int_equal(sx_bpe_add_merge(bpe, b, a, 0, "", &error), SX_OK);
        assert_int_equal(sx_bpe_add_merge(bpe, i == 2 ? b : a, i == 2 ? a : b, 1, "", &error), SX_OK);
        assert_int_equal(sx_bpe_add_merge(bpe, i == 2 ? a : b, i == 2 ? b : a, 2, "", &error), SX_OK);
        assert_int_equal(sx_bpe_finish(bpe, &error), SX_OK);
        sx_bpe_describe(bpe, &buffers[i]);
        assert_false(buffers[i].failed);
        sx_bpe_close(bpe);
    }
    assert_int_equal(buffers[0].length, buffers[1].length);
    assert_memory_equal(buffers[0].data, buffers[1].data, buffers[0].length);
    assert_int_equal(buffers[0].length, buffers[2].length);
    assert_memory_not_equal(buffers[0].data, buffers[2].data, buffers[0].length);
    assert_memory_not_equal(buffers[0].data, buffers[3].data, buffers[0].length);
    for (int i = 0; i < 4; i++)
        sx_buffer_clear(&buffers[i]);
    sx_vocabulary_clear(&vocabulary);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(as_the_reference), cmocka_unit_test(as_the_plainest), cmocka_unit_test(forgetting),
        cmocka_unit_test(one_long_word),    cmocka_unit_test(byte_characters), cmocka_unit_test(refusals),
        cmocka_unit_test(description),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
