/* test_chunk_budgets.c - what is embedded for a chunk never has more tokens than asked for or than the model takes, with the
 * tokenizer of every family.
 *
 * Byte-level BPE, Unigram, SentencePiece BPE and WordPiece count a part otherwise than the whole, and a prompt or header may
 * merge with what follows it. So nothing is taken from the chunker here: header, text and prompt are put together again and
 * embedded strictly, and what the session says it saw has to be what the chunk claims. SX_TEST_DOCUMENTS may name a folder
 * whose files are then cut and checked instead (SX_TEST_FAMILY: by one tokenizer only). */
#include "index_support.h"

#include "base/buffer.h"
#include "text/utf8.h"

#include <dirent.h>
#include <jansson.h>

static const char *const folders[] = {
    "albert", "bert", "bert-cased", "bert-concat-pooling", "bert-prompt-excluded", "bge-m3", "distilbert", "distilroberta",
    "electra", "embeddinggemma", "modernbert", "mpnet", "qwen3", "roberta", "sentence-t5", "xlm-roberta", "static-model2vec",
    "static-model2vec-quantised",
};
enum { FOLDERS = sizeof folders / sizeof *folders, MOST_TEXTS = 600, BATCH = 256, SHARE = 3 };

/* size 0: the strategy's own; a model's limit holds for all. */
static const struct {
    const char *strategy, *unit;
    uint32_t size;
    int32_t overlap;
    int no_header;
    const char *prompt;
} settings[] = {
    {"auto", NULL, 0, 0, 0, ""},
    {"auto", NULL, 4096, 0, 0, "query: "},
    {"recursive", NULL, 64, 20, 0, "Represent this sentence for searching relevant passages: "},
    {"recursive", NULL, 32, 0, 0, "passage:"},
    {"recursive", NULL, 16, -1, 1, ""},
    {"recursive", NULL, 8, 2, 0, ""},
    {"tokens", NULL, 16, 5, 0, " "},
    {"tokens", NULL, 8, -1, 1, ""},
    {"chars", NULL, 300, 40, 0, "query: "},
    {"sentences", NULL, 0, 0, 0, ""},
    {"paragraphs", NULL, 0, 0, 0, "search_document: "},
    {"markdown", NULL, 32, 0, 0, "text\n"},
};
enum { SETTINGS = sizeof settings / sizeof *settings };

typedef struct document_set {
    sx_text texts[MOST_TEXTS];
    const char *types[MOST_TEXTS];
    size_t count;
    json_t *lines[MOST_TEXTS];
    size_t line_count;
    sx_buffer plain, markdown, joined;
} document_set;

/* The fixture texts, and three long documents of them: paragraphs, sections, and all without a line end or space. */
static void read_documents(document_set *all)
{
    FILE *file = fopen(SX_FIXTURES "/texts.jsonl", "rb");
    assert_non_null(file);
    for (json_t *line; all->count < MOST_TEXTS - 3 && (line = json_loadf(file, JSON_DISABLE_EOF_CHECK | JSON_ALLOW_NUL, NULL));) {
        const json_t *text = json_object_get(line, "text");
        sx_text found = {json_string_value(text), json_string_length(text)};
        all->lines[all->line_count++] = line;
        all->types[all->count] = "text/plain";
        all->texts[all->count++] = found;
        sx_buffer_append(&all->plain, found.data, found.length);
        sx_buffer_append_string(&all->plain, all->count % 3 ? "\n\n" : "\n");
        if (all->count % 5 == 0 && found.length < 200 && !memchr(found.data, '\n', found.length) &&
            !memchr(found.data, '\0', found.length)) {
            sx_buffer_printf(&all->markdown, "\n%.*s %.*s\n\n", (int)(all->count / 5 % 4) + 1, "####", (int)found.length,
                             found.data);
        } else {
            sx_buffer_append(&all->markdown, found.data, found.length);
            sx_buffer_append_string(&all->markdown, "\n\n");
        }
        for (size_t i = 0; i < found.length; i++)
            if (!strchr(" \t\r\n", found.data[i]))
                sx_buffer_append_byte(&all->joined, found.data[i]);
    }
    fclose(file);
    assert_true(all->count > 400);
    const sx_text large[] = {{all->plain.data, all->plain.length}, {all->markdown.data, all->markdown.length},
                             {all->joined.data, all->joined.length}};
    static const char *const types[] = {"text/plain", "text/markdown", "text/plain"};
    for (size_t i = 0; i < 3; i++) {
        all->types[all->count] = types[i];
        all->texts[all->count++] = large[i];
    }
}

static void free_documents(document_set *all)
{
    for (size_t i = 0; i < all->line_count; i++)
        json_decref(all->lines[i]);
    sx_buffer_clear(&all->plain);
    sx_buffer_clear(&all->markdown);
    sx_buffer_clear(&all->joined);
}

typedef struct budget_check {
    const char *folder;
    size_t setting;
    const char *what; /* the document */
    const sx_model *model;
    sx_session *session;
    uint32_t least, most;
    uint64_t chunks, fullest;
    float *vectors;
} budget_check;

static void wrong(const budget_check *check, const sx_chunks *chunks, size_t i, const char *why, unsigned found, unsigned wanted)
{
    const sx_chunk *chunk = &chunks->chunks[i];
    fail_msg("%s, setting %zu, %s: chunk %zu [%llu, %llu): %s: %u, %u: %.*s", check->folder, check->setting, check->what, i,
             (unsigned long long)chunk->start, (unsigned long long)chunk->end, why, found, wanted,
             (int)(chunk->end - chunk->start < 200 ? chunk->end - chunk->start : 200), chunks->text + chunk->start);
}

/* Ascending, at code points, with nothing but white space between them. */
static void check_ranges(const budget_check *check, const sx_chunks *chunks)
{
    uint64_t done = chunks->length >= 3 && memcmp(chunks->text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    for (size_t i = 0; i < chunks->count; i++) {
        const sx_chunk *chunk = &chunks->chunks[i];
        if (chunk->start >= chunk->end || chunk->end > chunks->length || (i && chunk->start <= chunk[-1].start) ||
            (i && chunk->end <= chunk[-1].end))
            wrong(check, chunks, i, "range", 0, 0);
        if (((unsigned char)chunks->text[chunk->start] & 0xc0) == 0x80)
            wrong(check, chunks, i, "begins inside a character", 0, 0);
        if (chunk->start > done && !sx_text_is_blank(chunks->text + done, (size_t)(chunk->start - done)))
            wrong(check, chunks, i, "text was lost before it", (unsigned)done, (unsigned)chunk->start);
        done = chunk->end;
    }
    if (chunks->length > done && !sx_text_is_blank(chunks->text + done, (size_t)(chunks->length - done)))
        fail_msg("%s, setting %zu, %s: text was lost at the end", check->folder, check->setting, check->what);
}

static void check_batch(budget_check *check, const sx_chunks *chunks, size_t first, size_t count)
{
    sx_error error;
    sx_text texts[BATCH];
    sx_buffer buffers[BATCH] = {{0}};
    sx_receipt receipts[BATCH];
    for (size_t i = 0; i < count; i++) {
        const sx_chunk *chunk = &chunks->chunks[first + i];
        if (*chunk->header)
            sx_buffer_printf(&buffers[i], "%s\n", chunk->header);
        sx_buffer_append(&buffers[i], chunks->text + chunk->start, (size_t)(chunk->end - chunk->start));
        texts[i] = (sx_text){buffers[i].data, buffers[i].length};
    }
    sx_embed_options options = {.size = sizeof options, .prompt = settings[check->setting].prompt};
    assert_ok(sx_session_embed(check->session, texts, count, &options, check->vectors, receipts, &error));
    bool counts_all = strcmp(sx_model_describe(check->model)->kind, "static") != 0; /* those leave unknown tokens out */
    for (size_t i = 0; i < count; i++) {
        const sx_chunk *chunk = &chunks->chunks[first + i];
        bool one = sx_utf8_count(chunks->text + chunk->start, (size_t)(chunk->end - chunk->start)) == 1;
        if (receipts[i].status)
            wrong(check, chunks, first + i, receipts[i].message, 0, 0);
        if (counts_all ? chunk->tokens != receipts[i].tokens + receipts[i].dropped_tokens : chunk->tokens < receipts[i].tokens)
            wrong(check, chunks, first + i, "tokens claimed, embedded", chunk->tokens, receipts[i].tokens);
        if (check->most && chunk->tokens > check->most && !(one && !*chunk->header))
            wrong(check, chunks, first + i, "more tokens than allowed", chunk->tokens, check->most);
        if (receipts[i].truncated && !one)
            wrong(check, chunks, first + i, "cut", receipts[i].tokens, receipts[i].dropped_tokens);
        check->fullest = chunk->tokens > check->fullest ? chunk->tokens : check->fullest;
        sx_buffer_clear(&buffers[i]);
    }
}

static void check_chunks(budget_check *check, const sx_chunks *chunks)
{
    check_ranges(check, chunks);
    for (size_t first = 0; first < chunks->count; first += BATCH)
        check_batch(check, chunks, first, chunks->count - first < BATCH ? chunks->count - first : BATCH);
    check->chunks += chunks->count;
}

/* Sets what holds for this setting; false when prompt and special tokens leave no room, which has to be said. */
static bool begin_setting(budget_check *check, size_t setting, sx_chunk_options *options, uint32_t limit)
{
    sx_error error = {0};
    sx_chunks *chunks = NULL;
    *options = (sx_chunk_options){.size = sizeof *options, .strategy = settings[setting].strategy,
                                  .chunk_size = settings[setting].size, .overlap = settings[setting].overlap,
                                  .unit = settings[setting].unit, .no_header = settings[setting].no_header};
    check->setting = setting;
    bool in_tokens = strcmp(settings[setting].strategy, "chars") && strcmp(settings[setting].strategy, "sentences") &&
                     strcmp(settings[setting].strategy, "paragraphs");
    check->most = in_tokens ? settings[setting].size : 0;
    if (limit && (!check->most || limit < check->most))
        check->most = limit;
    sx_status status = sx_chunk_text((sx_text){"x", 1}, NULL, check->model, settings[setting].prompt, options, &chunks, &error);
    sx_chunks_free(chunks);
    if (!status)
        return true;
    sx_receipt receipt;
    sx_text nothing = {"", 0};
    sx_embed_options embed = {.size = sizeof embed, .prompt = settings[setting].prompt};
    assert_int_equal(status, SX_E_INVALID);
    if (!strstr(error.message, "no room"))
        fail_msg("%s, setting %zu: %s", check->folder, setting, error.message);
    assert_ok(sx_session_embed(check->session, &nothing, 1, &embed, check->vectors, &receipt, &error));
    assert_true(receipt.tokens + 1 >= check->most);
    return false;
}

static void open_check(budget_check *check, const char *folder, uint32_t *limit)
{
    char path[512];
    sx_error error;
    sx_model *model;
    snprintf(path, sizeof path, SX_FIXTURES "/families/%s", folder);
    assert_ok(sx_model_open(path, NULL, &model, &error));
    assert_ok(sx_session_open(model, NULL, &check->session, &error));
    check->model = model;
    check->folder = folder;
    *limit = sx_model_describe(model)->max_length;
    check->vectors = malloc(sizeof(float) * BATCH * sx_model_describe(model)->dimensions);
    assert_non_null(check->vectors);
}

static void close_check(budget_check *check)
{
    sx_session_close(check->session);
    sx_model_close((sx_model *)(uintptr_t)check->model);
    free(check->vectors);
}

/* What the readers refuse. */
static bool is_no_document(sx_text text)
{
    size_t mark = text.length >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    size_t controls = 0;
    for (size_t i = 0; i < text.length; i++)
        controls += text.data[i] == 0x7f || ((unsigned char)text.data[i] < ' ' && !memchr("\t\n\f\r", text.data[i], 4));
    return sx_text_is_blank(text.data + mark, text.length - mark) || controls;
}

static void every_family_keeps_its_budget(void **state)
{
    (void)state;
    static document_set all;
    read_documents(&all);
    for (size_t folder = 0; folder < FOLDERS; folder++) {
        budget_check check = {0};
        uint32_t limit;
        open_check(&check, folders[folder], &limit);
        for (size_t setting = 0; setting < SETTINGS; setting++) {
            sx_chunk_options options;
            if (!begin_setting(&check, setting, &options, limit))
                continue;
            check.fullest = 0;
            for (size_t i = 0; i < all.count; i++) {
                if ((i + setting + folder) % SHARE) /* each document with some settings of each family */
                    continue;
                sx_chunks *chunks;
                sx_error error;
                char what[32];
                snprintf(what, sizeof what, "text %zu", i);
                check.what = what;
                sx_status status = sx_chunk_text(all.texts[i], all.types[i], check.model, settings[setting].prompt, &options,
                                                 &chunks, &error);
                if (status == SX_E_UNSUPPORTED && is_no_document(all.texts[i]))
                    continue;
                if (status)
                    fail_msg("%s, setting %zu, %s: %s", check.folder, setting, what, error.message);
                assert_int_equal(chunks->length, all.texts[i].length);
                assert_memory_equal(chunks->text, all.texts[i].data, chunks->length);
                check_chunks(&check, chunks);
                sx_chunks_free(chunks);
            }
            /* The budget is used, too. */
            if (settings[setting].size && settings[setting].size <= 64 && check.fullest + 1 < check.most)
                fail_msg("%s, setting %zu: the fullest chunk has %llu tokens of %u", check.folder, setting,
                         (unsigned long long)check.fullest, check.most);
        }
        print_message("%s: %llu chunks\n", folders[folder], (unsigned long long)check.chunks);
        close_check(&check);
    }
    free_documents(&all);
}

static void check_file(budget_check *check, const char *path, const sx_chunk_options *options)
{
    sx_chunks *chunks;
    sx_error error;
    check->what = path;
    sx_status status = sx_chunk_file(path, check->model, settings[check->setting].prompt, options, &chunks, &error);
    if (status) /* not a document */
        return;
    check_chunks(check, chunks);
    sx_chunks_free(chunks);
}

static void check_tree(budget_check *check, const char *folder, const sx_chunk_options *options)
{
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[4096];
        struct stat found;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.' || stat(path, &found) != 0)
            continue;
        if (S_ISDIR(found.st_mode))
            check_tree(check, path, options);
        else
            check_file(check, path, options);
    }
    closedir(directory);
}

static void documents_of_a_folder(void **state)
{
    (void)state;
    const char *documents = getenv("SX_TEST_DOCUMENTS");
    for (size_t folder = 0; folder < FOLDERS; folder++) {
        const char *only = getenv("SX_TEST_FAMILY");
        if (only && strcmp(only, folders[folder]) != 0)
            continue;
        budget_check check = {0};
        uint32_t limit;
        open_check(&check, folders[folder], &limit);
        for (size_t setting = 0; setting < SETTINGS; setting++) {
            sx_chunk_options options;
            if (begin_setting(&check, setting, &options, limit))
                check_tree(&check, documents, &options);
        }
        print_message("%s: %llu chunks\n", folders[folder], (unsigned long long)check.chunks);
        close_check(&check);
    }
}

int main(void)
{
    const struct CMUnitTest fixtures[] = {cmocka_unit_test(every_family_keeps_its_budget)};
    const struct CMUnitTest folder[] = {cmocka_unit_test(documents_of_a_folder)};
    return getenv("SX_TEST_DOCUMENTS") ? cmocka_run_group_tests(folder, NULL, NULL) : cmocka_run_group_tests(fixtures, NULL, NULL);
}
