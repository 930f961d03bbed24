/* embed_parts.c - a long list of chunks embedded part by part.
 *
 * A part holds what one batch gave, in the form of the whole, and appears when it is complete. FILE.parts has a line for each:
 * the SHA-256 of what went in (recipe, texts, members), that of the file, and counts. A run that was killed is gone on with
 * where the first part is that does not agree with both, so a changed input, another model or a damaged part are embedded, and
 * nothing else is. */
#include "embed_parts.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/hash.h"
#include "../base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t longest_list = (size_t)64 << 20, longest_part = (size_t)4 << 30;

typedef struct part_row {
    char input[SX_SHA256_HEX], file[SX_SHA256_HEX];
    sx_cli_part_counts counts;
} part_row;

struct sx_cli_parts {
    char *target, *recipe, *list_path;
    part_row *rows; /* of the earlier run, then of this one */
    size_t count, capacity, next;
    char input[SX_SHA256_HEX]; /* of the part in hand */
};

static char *part_path(const sx_cli_parts *parts, size_t number)
{
    char *path = NULL;
    return asprintf(&path, "%s.part%zu", parts->target, number + 1) < 0 ? NULL : path;
}

/* A list that cannot be read is as good as none. */
static sx_status read_list(sx_cli_parts *parts, sx_error *error)
{
    char *text = NULL;
    size_t length;
    if (!sx_file_exists(parts->list_path) || sx_file_read(parts->list_path, longest_list, &text, &length, NULL, NULL))
        return SX_OK;
    char *rest = NULL;
    sx_status status = SX_OK;
    for (char *line = strtok_r(text, "\n", &rest); line && !status; line = strtok_r(NULL, "\n", &rest)) {
        part_row row = {0};
        sx_cli_part_counts *counts = &row.counts;
        if (sscanf(line, "%64s %64s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, row.input, row.file,
                   &counts->items, &counts->rows, &counts->failed, &counts->tokens, &counts->truncated, &counts->invalid) != 8)
            break;
        if (!sx_reserve((void **)&parts->rows, &parts->capacity, parts->count + 1, sizeof row))
            status = sx_fail_nomem(error, sizeof row);
        else
            parts->rows[parts->count++] = row;
    }
    free(text);
    return status;
}

sx_status sx_cli_parts_open(const char *target, const char *recipe, sx_cli_parts **out, sx_error *error)
{
    *out = NULL;
    sx_cli_parts *parts = sx_calloc(1, sizeof *parts);
    if (!parts)
        return sx_fail_nomem(error, sizeof *parts);
    parts->target = sx_strdup(target);
    parts->recipe = sx_strdup(recipe);
    if (asprintf(&parts->list_path, "%s.parts", target) < 0)
        parts->list_path = NULL;
    sx_status status = parts->target && parts->recipe && parts->list_path ? read_list(parts, error)
                                                                          : sx_fail_nomem(error, strlen(target));
    if (status)
        sx_cli_parts_close(parts);
    else
        *out = parts;
    return status;
}

void sx_cli_parts_close(sx_cli_parts *parts)
{
    if (!parts)
        return;
    free(parts->target);
    free(parts->recipe);
    free(parts->list_path);
    free(parts->rows);
    free(parts);
}

/* Lengths stand before what they measure, so that no two lists of items give the same bytes. */
static void add_piece(sx_buffer *buffer, const char *text, size_t length)
{
    sx_buffer_printf(buffer, "%zu:", text ? length : 0);
    sx_buffer_append(buffer, text ? text : "", text ? length : 0);
}

static sx_status hash_items(sx_cli_parts *parts, const sx_record *items, size_t count, sx_error *error)
{
    sx_buffer buffer = {.maximum = longest_part};
    sx_sha256 hash;
    add_piece(&buffer, parts->recipe, strlen(parts->recipe));
    for (size_t i = 0; i < count; i++) {
        add_piece(&buffer, items[i].text, items[i].length);
        add_piece(&buffer, items[i].members, items[i].members ? strlen(items[i].members) : 0);
        add_piece(&buffer, items[i].problem, items[i].problem ? strlen(items[i].problem) : 0);
    }
    if (buffer.failed) {
        sx_buffer_clear(&buffer);
        return sx_fail_nomem(error, longest_part);
    }
    sx_sha256_of(buffer.data, buffer.length, &hash);
    sx_sha256_hex(&hash, parts->input);
    sx_buffer_clear(&buffer);
    return SX_OK;
}

static bool is_sound(const part_row *row, const char *path, const char *input)
{
    sx_sha256 hash;
    char hex[SX_SHA256_HEX];
    if (row->counts.failed || strcmp(row->input, input) != 0 || !sx_file_exists(path) || sx_file_sha256(path, NULL, &hash, NULL))
        return false;
    sx_sha256_hex(&hash, hex);
    return strcmp(hex, row->file) == 0;
}

sx_status sx_cli_parts_next(sx_cli_parts *parts, const sx_record *items, size_t count, bool *there, sx_cli_part_counts *counts,
                            sx_cli_output *output, sx_error *error)
{
    *there = false;
    sx_status status = hash_items(parts, items, count, error);
    char *path = status ? NULL : part_path(parts, parts->next);
    if (!status && !path)
        status = sx_fail_nomem(error, strlen(parts->target));
    if (!status && parts->next < parts->count && is_sound(&parts->rows[parts->next], path, parts->input)) {
        *there = true;
        *counts = parts->rows[parts->next++].counts;
    } else if (!status) {
        status = sx_cli_output_open(output, path, true, error);
    }
    free(path);
    return status;
}

static sx_status write_list(const sx_cli_parts *parts, sx_error *error)
{
    sx_buffer text = {.maximum = longest_list};
    for (size_t i = 0; i < parts->count; i++) {
        const part_row *row = &parts->rows[i];
        const sx_cli_part_counts *counts = &row->counts;
        sx_buffer_printf(&text, "%s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", row->input,
                         row->file, counts->items, counts->rows, counts->failed, counts->tokens, counts->truncated,
                         counts->invalid);
    }
    sx_status status = text.failed ? sx_fail_nomem(error, text.length)
                                   : sx_file_write_atomic(parts->list_path, text.data, text.length, error);
    sx_buffer_clear(&text);
    return status;
}

sx_status sx_cli_parts_keep(sx_cli_parts *parts, const sx_cli_part_counts *counts, sx_cli_output *output, sx_error *error)
{
    part_row row = {.counts = *counts};
    sx_sha256 hash;
    char *path = part_path(parts, parts->next);
    sx_status status = path ? sx_cli_output_commit(output, error) : sx_fail_nomem(error, strlen(parts->target));
    if (!status)
        status = sx_file_sha256(path, NULL, &hash, error);
    if (!status && !sx_reserve((void **)&parts->rows, &parts->capacity, parts->next + 1, sizeof row))
        status = sx_fail_nomem(error, sizeof row);
    if (!status) {
        memcpy(row.input, parts->input, sizeof row.input);
        sx_sha256_hex(&hash, row.file);
        parts->rows[parts->next++] = row;
        if (parts->count < parts->next) /* those behind may still be sound */
            parts->count = parts->next;
        status = write_list(parts, error);
    }
    free(path);
    return status;
}

sx_status sx_cli_parts_join(sx_cli_parts *parts, bool lines, sx_cli_output *output, sx_error *error)
{
    sx_status status = lines ? SX_OK : sx_cli_output_write(output, "[", 1, error);
    bool any = false;
    for (size_t i = 0; i < parts->next && !status; i++) {
        char *path = part_path(parts, i), *text = NULL;
        size_t length = 0;
        status = path ? sx_file_read(path, longest_part, &text, &length, NULL, error) : sx_fail_nomem(error, 256);
        free(path);
        if (!status && length && any && !lines)
            status = sx_cli_output_write(output, ",\n", 2, error);
        if (!status)
            status = sx_cli_output_write(output, text, length, error);
        any = any || length;
        free(text);
    }
    return status || lines ? status : sx_cli_output_write(output, "]\n", 2, error);
}

void sx_cli_parts_remove(sx_cli_parts *parts)
{
    for (size_t i = 0; i < parts->count || i < parts->next; i++) {
        char *path = part_path(parts, i);
        if (path)
            (void)unlink(path);
        free(path);
    }
    (void)unlink(parts->list_path);
}
