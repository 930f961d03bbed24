/* run_classify.c - `sextant classify`: labels of texts, told by examples. */
#include "model_choice.h"
#include "money.h"
#include "open_model.h"
#include "input_choice.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

typedef struct label_list {
    char **names;
    size_t count, capacity;
} label_list;

static void clear_labels(label_list *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        free(labels->names[i]);
    free(labels->names);
}

/* The member as text, malloc'ed; NULL: it is not there or empty. */
static char *label_of(const char *members, const char *column)
{
    sx_buffer object = {0};
    sx_buffer_printf(&object, "{%s}", members ? members : "");
    json_t *json = object.failed ? NULL : json_loads(object.data, 0, NULL);
    const json_t *value = json_object_get(json, column);
    char *label = NULL;
    if (json_is_string(value) && *json_string_value(value))
        label = sx_strdup(json_string_value(value));
    else if (json_is_number(value) || json_is_boolean(value))
        label = json_dumps(value, JSON_ENCODE_ANY);
    json_decref(json);
    sx_buffer_clear(&object);
    return label;
}

static sx_status read_examples(sx_cli *cli, sx_cli_texts *texts, label_list *labels, sx_error *error)
{
    const char *path = sx_cli_text(cli, "examples"), *column = sx_cli_text(cli, "label");
    sx_records_input input = {.path = path,
                              .fallback = "jsonl",
                              .text_column = sx_cli_text(cli, "text-column"),
                              .id_column = "id",
                              .columns = true};
    sx_records *reader = NULL;
    sx_record item = {0};
    bool more = true;
    sx_status status = sx_records_open(&input, &reader, error);
    while (!status && !(status = sx_records_next(reader, &item, &more, error)) && more) {
        char *label = item.status ? NULL : label_of(item.members, column);
        if (item.status)
            status = sx_fail(error, item.status, "%s: example %zu: %s", path, texts->count + 1,
                             item.problem ? item.problem : "damaged");
        else if (!label)
            status = sx_fail(error, SX_E_FORMAT, "%s: example %zu has no \"%s\"", path, texts->count + 1, column);
        else if (!sx_reserve((void **)&labels->names, &labels->capacity, labels->count + 1, sizeof *labels->names))
            status = sx_fail_nomem(error, 64);
        if (status) {
            free(label);
            break;
        }
        labels->names[labels->count++] = label;
        status = sx_cli_add_text(texts, item.text, item.length, error);
    }
    if (!status && !texts->count)
        status = sx_fail(error, SX_E_INVALID, "%s: holds no examples", path);
    sx_record_clear(&item);
    sx_records_close(reader);
    return status;
}

static sx_status make_examples(sx_cli *cli, sx_database *database, sx_embedder *embedder, sx_examples **out, sx_error *error)
{
    sx_cli_texts texts = {0};
    label_list labels = {0};
    float *vectors = NULL;
    if (!sx_cli_text(cli, "examples"))
        return sx_examples_of_collection(database, sx_cli_text(cli, "collection"), sx_cli_text(cli, "label"), out, error);
    sx_status status = read_examples(cli, &texts, &labels, error);
    if (!status)
        status = sx_cli_embed_texts(cli, embedder, texts.texts, texts.count, "example", &vectors, NULL, error);
    if (!status)
        status = sx_examples_make(vectors, (const char *const *)labels.names, labels.count,
                                  sx_embedder_describe(embedder)->dimensions, out, error);
    free(vectors);
    clear_labels(&labels);
    sx_cli_clear_texts(&texts);
    return status;
}

static void print_text(const sx_cli_texts *texts, const sx_label *labels)
{
    for (size_t i = 0; i < texts->count; i++) {
        size_t length = texts->texts[i].length < 100 ? texts->texts[i].length : 100;
        while (length && length < texts->texts[i].length && ((unsigned char)texts->texts[i].data[length] & 0xc0) == 0x80)
            length--;
        sx_cli_say("%s\t%.2f\t%.3f\t%.*s\n", labels[i].label ? labels[i].label : "(none)", labels[i].confidence,
                   labels[i].similarity, (int)length, texts->texts[i].data);
    }
}

static int print_json(sx_cli *cli, const sx_cli_texts *texts, const sx_label *labels, const sx_classify_judgement *judged)
{
    sx_buffer json = {0};
    sx_buffer_append_string(&json, "{\"labels\":[");
    for (size_t i = 0; i < texts->count; i++) {
        sx_buffer_append_string(&json, i ? ",{" : "{");
        sx_cli_member_integer(&json, "index", i);
        sx_cli_member_text(&json, "label", labels[i].label);
        sx_cli_member_number(&json, "confidence", labels[i].confidence);
        sx_cli_member_number(&json, "similarity", labels[i].similarity);
        sx_buffer_append_byte(&json, '}');
    }
    sx_buffer_append_byte(&json, ']');
    sx_cli_key(&json, "leave_one_out");
    sx_buffer_append_byte(&json, '{');
    sx_cli_member_integer(&json, "examples", judged->examples);
    sx_cli_member_integer(&json, "right", judged->right);
    sx_cli_member_integer(&json, "none", judged->none);
    sx_cli_member_number(&json, "accuracy", judged->accuracy);
    sx_cli_member_number(&json, "commonest_label", judged->commonest);
    sx_buffer_append_string(&json, "}}");
    return sx_cli_print_json(cli, &json);
}

int sx_cli_classify(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_embedder *embedder = NULL;
    sx_examples *examples = NULL;
    sx_cli_texts texts = {0};
    sx_label *labels = NULL;
    float *vectors = NULL;
    sx_classify_judgement judged = {0};
    const char *input = sx_cli_text(cli, "input"), *file = sx_cli_text(cli, "examples");
    sx_classify_options options = {.size = sizeof options,
                                   .neighbours = (uint32_t)sx_cli_count(cli, "neighbours"),
                                   .threshold = sx_cli_get(cli, "threshold")->number,
                                   .confidence = sx_cli_get(cli, "confidence")->number};
    sx_status status = sx_cli_open_database(cli, cli->db_path, file != NULL, &database, &error);
    if (!status && !file)
        status = sx_cli_require_collection(database, sx_cli_text(cli, "collection"), &error);
    if (!status && (input || file))
        status = sx_cli_open_collection_embedder(cli, database, "document", &embedder, &error);
    if (!status)
        status = make_examples(cli, database, embedder, &examples, &error);
    if (!status)
        status = sx_classify_judge(examples, &options, &judged, &error);
    if (!status && input)
        status = sx_cli_read_texts(input, &texts, &error);
    if (!status && texts.count)
        status = sx_cli_embed_texts(cli, embedder, texts.texts, texts.count, "text", &vectors, NULL, &error);
    if (!status) {
        labels = sx_calloc(texts.count + 1, sizeof *labels);
        status = labels ? sx_classify(examples, &options, vectors, texts.count, labels, &error)
                        : sx_fail_nomem(&error, texts.count * sizeof *labels);
    }
    int code = status ? sx_cli_limit_code(cli, status, sx_cli_fail(cli, &error)) : SX_EXIT_DONE;
    if (!status && cli->json)
        code = print_json(cli, &texts, labels, &judged);
    if (!status && !cli->json) {
        print_text(&texts, labels);
        sx_cli_note(cli, "each of %llu examples by the others: %.1f %% right (always the commonest label: %.1f %%)",
                    (unsigned long long)judged.examples, judged.accuracy * 100, judged.commonest * 100);
    }
    free(vectors);
    free(labels);
    sx_cli_clear_texts(&texts);
    sx_examples_free(examples);
    sx_embedder_close(embedder);
    sx_database_close(database);
    return code;
}
