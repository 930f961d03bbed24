/* eval_data.c - reads data sets in BEIR's layout (corpus.jsonl and queries.jsonl with _id, title, text; qrels as
 * tab-separated values) and pairs of sentences with scores. Every line that cannot be read is an error that names it. */
#include "eval_data.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/json_reader.h"
#include "../base/memory.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void sx_eval_clear(sx_eval_set *set)
{
    sx_cli_clear_texts(&set->document_ids);
    sx_cli_clear_texts(&set->documents);
    sx_cli_clear_texts(&set->query_ids);
    sx_cli_clear_texts(&set->queries);
    free(set->judgements);
    free(set->gold);
    *set = (sx_eval_set){0};
}

/* ---- Lines ---- */

typedef struct file_lines {
    sx_file_map map;
    size_t at;
    uint64_t number; /* of the line last given, from 1 */
} file_lines;

/* The next line that is not blank, without its end; false at the end. */
static bool next_line(file_lines *lines, sx_text *line)
{
    while (lines->at < lines->map.length) {
        const char *start = (const char *)lines->map.data + lines->at;
        const char *end = memchr(start, '\n', lines->map.length - lines->at);
        size_t length = end ? (size_t)(end - start) : lines->map.length - lines->at;
        lines->at += length + 1;
        lines->number++;
        while (length && (start[length - 1] == '\r' || start[length - 1] == ' '))
            length--;
        *line = (sx_text){start, length};
        if (length)
            return true;
    }
    return false;
}

/* ---- Records of corpus and queries ---- */

typedef struct record {
    sx_buffer key, id, title, text;
} record;

static void clear_record(record *record_)
{
    sx_buffer_clear(&record_->key);
    sx_buffer_clear(&record_->id);
    sx_buffer_clear(&record_->title);
    sx_buffer_clear(&record_->text);
}

static void take(sx_json *json, sx_buffer *scratch, sx_buffer *into)
{
    sx_text value;
    if (sx_json_string(json, scratch, &value))
        sx_buffer_append(into, value.data, value.length);
}

static sx_status read_record(sx_text line, const char *name, record *out, sx_error *error)
{
    sx_json json;
    sx_text key;
    sx_buffer scratch = {0};
    sx_buffer_reset(&out->id);
    sx_buffer_reset(&out->title);
    sx_buffer_reset(&out->text);
    bool has_id = false, has_text = false;
    sx_json_begin(&json, line.data, line.length, name);
    sx_json_object(&json);
    while (sx_json_member(&json, &out->key, &key)) {
        if (sx_text_is(key, "_id")) {
            take(&json, &scratch, &out->id);
            has_id = true;
        } else if (sx_text_is(key, "title")) {
            take(&json, &scratch, &out->title);
        } else if (sx_text_is(key, "text")) {
            take(&json, &scratch, &out->text);
            has_text = true;
        } else {
            sx_json_skip(&json);
        }
    }
    sx_json_end(&json);
    sx_buffer_clear(&scratch);
    if (json.problem)
        return sx_json_fail(&json, SX_E_FORMAT, error);
    if (!has_id || !has_text)
        return sx_fail(error, SX_E_FORMAT, "%s: _id or text is missing", name);
    return out->id.failed || out->title.failed || out->text.failed ? sx_fail_nomem(error, line.length) : SX_OK;
}

static sx_status read_records(const char *folder, const char *file, bool titles, sx_cli_texts *ids, sx_cli_texts *texts,
                              sx_error *error)
{
    char *path = sx_path_join(folder, file), name[512];
    file_lines lines = {0};
    sx_text line;
    record one = {0};
    sx_status status = path ? sx_file_map_open(path, &lines.map, error) : sx_fail_nomem(error, strlen(folder));
    while (!status && next_line(&lines, &line)) {
        snprintf(name, sizeof name, "%.400s: line %llu", path, (unsigned long long)lines.number);
        status = read_record(line, name, &one, error);
        /* BEIR's models are given the title, a space, and the text. */
        if (!status && titles && one.title.length) {
            sx_buffer_append_byte(&one.title, ' ');
            sx_buffer_append(&one.title, one.text.data ? one.text.data : "", one.text.length);
        }
        const sx_buffer *text = titles && one.title.length ? &one.title : &one.text;
        if (!status && (one.id.failed || text->failed))
            status = sx_fail_nomem(error, line.length);
        if (!status)
            status = sx_cli_add_text(ids, one.id.data ? one.id.data : "", one.id.length, error);
        if (!status)
            status = sx_cli_add_text(texts, text->data ? text->data : "", text->length, error);
    }
    if (!status && !ids->count)
        status = sx_fail(error, SX_E_FORMAT, "%s: holds nothing", path);
    sx_file_map_close(&lines.map);
    clear_record(&one);
    free(path);
    return status;
}

/* ---- Finding by id ---- */

typedef struct named {
    sx_text id;
    uint32_t index;
} named;

static int compare_texts(sx_text a, sx_text b)
{
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter ? memcmp(a.data, b.data, shorter) : 0;
    return order ? order : (a.length > b.length) - (a.length < b.length);
}

static int by_id(const void *a, const void *b)
{
    return compare_texts(((const named *)a)->id, ((const named *)b)->id);
}

static sx_status sort_ids(const sx_cli_texts *ids, const char *what, named **sorted, sx_error *error)
{
    if (ids->count > UINT32_MAX)
        return sx_fail(error, SX_E_LIMIT, "%s: %zu records, more than 4294967295", what, ids->count);
    *sorted = sx_calloc(ids->count, sizeof **sorted);
    if (!*sorted)
        return sx_fail_nomem(error, ids->count * sizeof **sorted);
    for (size_t i = 0; i < ids->count; i++)
        (*sorted)[i] = (named){ids->texts[i], (uint32_t)i};
    qsort(*sorted, ids->count, sizeof **sorted, by_id);
    for (size_t i = 1; i < ids->count; i++)
        if (!compare_texts((*sorted)[i - 1].id, (*sorted)[i].id))
            return sx_fail(error, SX_E_FORMAT, "%s: the id %.200s stands there twice", what, (*sorted)[i].id.data);
    return SX_OK;
}

static const named *find_id(const named *sorted, size_t count, sx_text id)
{
    named wanted = {id, 0};
    return bsearch(&wanted, sorted, count, sizeof *sorted, by_id);
}

/* ---- Tab-separated lines ---- */

/* Cuts a line into exactly `count` fields; more at the end are left out. */
static bool cut_fields(sx_text line, sx_text *fields, size_t count)
{
    const char *at = line.data, *end = line.data + line.length;
    for (size_t i = 0; i < count; i++) {
        const char *tab = at <= end ? memchr(at, '\t', (size_t)(end - at)) : NULL;
        if (at > end || (!tab && i + 1 < count))
            return false;
        const char *stop = tab ? tab : end;
        fields[i] = (sx_text){at, (size_t)(stop - at)};
        at = stop + 1;
    }
    return true;
}

static bool number_of(sx_text field, double *number)
{
    char text[64], *end;
    if (!field.length || field.length >= sizeof text)
        return false;
    memcpy(text, field.data, field.length);
    text[field.length] = '\0';
    *number = strtod(text, &end);
    return *end == '\0' && isfinite(*number);
}

static int by_query(const void *a, const void *b)
{
    const sx_eval_judgement *first = a, *second = b;
    if (first->query != second->query)
        return first->query < second->query ? -1 : 1;
    return (first->document > second->document) - (first->document < second->document);
}

static sx_status read_judgements(const char *path, bool without_corpus, sx_eval_set *set, sx_error *error)
{
    file_lines lines = {0};
    sx_text line, fields[3];
    named *queries = NULL, *documents = NULL;
    sx_status status = sort_ids(&set->query_ids, "queries.jsonl", &queries, error);
    if (!status && !without_corpus)
        status = sort_ids(&set->document_ids, "corpus.jsonl", &documents, error);
    if (!status)
        status = sx_file_map_open(path, &lines.map, error);
    while (!status && next_line(&lines, &line)) {
        double grade;
        bool cut = cut_fields(line, fields, 3), number = cut && number_of(fields[2], &grade);
        if (lines.number == 1 && cut && !number)
            continue; /* the names of the columns */
        if (!number || grade < 0) {
            status = sx_fail(error, SX_E_FORMAT, "%s: line %llu: not query, tab, document, tab, grade", path,
                             (unsigned long long)lines.number);
            break;
        }
        const named *query = find_id(queries, set->query_ids.count, fields[0]);
        const named *document = without_corpus ? NULL : find_id(documents, set->document_ids.count, fields[1]);
        int64_t place = without_corpus ? (int64_t)set->document_ids.count : document ? (int64_t)document->index : -1;
        if (!query) {
            status = sx_fail(error, SX_E_FORMAT, "%s: line %llu: there is no query %.*s", path, (unsigned long long)lines.number,
                             (int)(fields[0].length < 200 ? fields[0].length : 200), fields[0].data);
        } else if (!sx_reserve((void **)&set->judgements, &set->judgement_capacity, set->judgement_count + 1,
                               sizeof *set->judgements)) {
            status = sx_fail_nomem(error, sizeof *set->judgements);
        } else {
            set->judgements[set->judgement_count++] = (sx_eval_judgement){query->index, place, grade};
            if (without_corpus)
                status = sx_cli_add_text(&set->document_ids, fields[1].data, fields[1].length, error);
        }
    }
    if (!status && !set->judgement_count)
        status = sx_fail(error, SX_E_FORMAT, "%s: holds no judgement", path);
    if (!status)
        qsort(set->judgements, set->judgement_count, sizeof *set->judgements, by_query);
    sx_file_map_close(&lines.map);
    free(queries);
    free(documents);
    return status;
}

static sx_status read_pairs(const char *path, sx_eval_set *set, sx_error *error)
{
    file_lines lines = {0};
    sx_text line, fields[3];
    sx_status status = sx_file_map_open(path, &lines.map, error);
    while (!status && next_line(&lines, &line)) {
        double score;
        bool cut = cut_fields(line, fields, 3), number = cut && number_of(fields[0], &score);
        if (lines.number == 1 && cut && !number)
            continue;
        if (!number) {
            status = sx_fail(error, SX_E_FORMAT, "%s: line %llu: not score, tab, text, tab, text", path,
                             (unsigned long long)lines.number);
            break;
        }
        if (!sx_reserve((void **)&set->gold, &set->pair_capacity, set->pair_count + 1, sizeof *set->gold))
            status = sx_fail_nomem(error, sizeof *set->gold);
        else
            set->gold[set->pair_count++] = score;
        for (size_t i = 1; !status && i < 3; i++)
            status = sx_cli_add_text(&set->documents, fields[i].data, fields[i].length, error);
    }
    if (!status && set->pair_count < 2)
        status = sx_fail(error, SX_E_FORMAT, "%s: %zu pairs; a correlation needs two", path, set->pair_count);
    sx_file_map_close(&lines.map);
    return status;
}

static bool is_there(const char *folder, const char *file)
{
    char *path = sx_path_join(folder, file);
    bool there = path && sx_file_exists(path);
    free(path);
    return there;
}

sx_status sx_eval_read(const char *path, const char *split, bool without_corpus, sx_eval_set *set, sx_error *error)
{
    struct stat state;
    char *judgements = NULL;
    if (stat(path, &state))
        return sx_fail_errno(error, errno, "%s", path);
    if (!S_ISDIR(state.st_mode))
        return read_pairs(path, set, error);
    if (strchr(split, '/') || asprintf(&judgements, "%s/qrels/%s.tsv", path, split) < 0)
        return sx_fail(error, SX_E_INVALID, "--split: '%s' is no name of a part", split);
    sx_status status = SX_OK;
    if (without_corpus || is_there(path, "corpus.jsonl")) {
        if (!without_corpus)
            status = read_records(path, "corpus.jsonl", true, &set->document_ids, &set->documents, error);
        if (!status)
            status = read_records(path, "queries.jsonl", false, &set->query_ids, &set->queries, error);
        if (!status)
            status = read_judgements(judgements, without_corpus, set, error);
    } else if (is_there(path, "corpus.jsonl.gz")) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s: corpus.jsonl.gz is compressed", path);
        sx_hint(error, "unpack it first: gunzip -k corpus.jsonl.gz");
    } else {
        free(judgements);
        if (asprintf(&judgements, "%s/%s.tsv", path, split) < 0)
            return sx_fail_nomem(error, strlen(path));
        if (!sx_file_exists(judgements)) {
            status = sx_fail(error, SX_E_NOT_FOUND, "%s: neither corpus.jsonl nor %s.tsv is there", path, split);
            sx_hint(error, "BEIR: corpus.jsonl, queries.jsonl, qrels/%s.tsv; sentence pairs: a .tsv with score and two texts",
                split);
        } else {
            status = read_pairs(judgements, set, error);
        }
    }
    free(judgements);
    return status;
}
