/* run_similar.c - `sextant similar`: passages like the one at a line of an indexed file, like a whole file, or like a text. */
#include "legs.h"
#include "model_choice.h"
#include "print_hits.h"

#include "../base/buffer.h"
#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_TEXT = 1024 * 1024 };

/* "FILE:12" or "FILE:12:5", as compilers and editors write places; a file that is really called so is a file. */
static sx_status read_place(char *argument, sx_place *place, sx_error *error)
{
    *place = (sx_place){.size = sizeof *place, .path = argument};
    for (int parts = 0; parts < 2 && !sx_file_exists(argument); parts++) {
        char *colon = strrchr(argument, ':'), *end;
        if (!colon || colon[1] < '0' || colon[1] > '9')
            break;
        errno = 0;
        unsigned long line = strtoul(colon + 1, &end, 10);
        if (*end || errno || !line || line > UINT32_MAX)
            return sx_fail(error, SX_E_INVALID, "%s: '%s' is no line", argument, colon + 1);
        *colon = '\0';
        place->line = (uint32_t)line;
    }
    return SX_OK;
}

static sx_status read_input(sx_buffer *text, sx_error *error)
{
    text->maximum = LONGEST_TEXT;
    for (;;) {
        char *room = sx_buffer_room(text, 4096);
        if (!room)
            return sx_fail(error, SX_E_LIMIT, "standard input: is longer than %d bytes", LONGEST_TEXT);
        ssize_t got = read(STDIN_FILENO, room, 4096);
        if (got < 0 && errno != EINTR)
            return sx_fail_errno(error, errno, "standard input");
        if (got == 0)
            return SX_OK;
        text->length += got > 0 ? (size_t)got : 0;
    }
}

static sx_status find_like_text(sx_cli *cli, sx_database *database, sx_search_options *options, sx_hits **hits, sx_error *error)
{
    sx_buffer text = {0};
    sx_embedder *embedder = NULL;
    options->mode = "semantic";
    sx_status status = read_input(&text, error);
    while (text.length && strchr(" \t\r\n", text.data[text.length - 1])) /* as passages end */
        text.length--;
    if (!status)
        status = sx_cli_require_collection(database, options->collection, error);
    if (!status) /* compared with passages, so embedded as they were */
        status = sx_cli_open_collection_embedder(cli, database, "document", &embedder, error);
    if (!status)
        status = sx_search(database, embedder, (sx_text){text.data, text.length}, options, hits, error);
    sx_embedder_close(embedder);
    sx_buffer_clear(&text);
    return status;
}

int sx_cli_similar(sx_cli *cli)
{
    sx_error error = {0};
    sx_database *database = NULL;
    sx_hits *hits = NULL;
    sx_place place;
    const sx_cli_value *threshold = sx_cli_get(cli, "threshold"), *filter = sx_cli_get(cli, "filter");
    sx_search_options options = {
        .size = sizeof options,
        .collection = sx_cli_text(cli, "collection"),
        .count = (uint32_t)sx_cli_count(cli, "count"),
        .threshold = threshold->number,
        .has_threshold = threshold->text != NULL,
        .filters = filter->all,
        .filter_count = filter->all_count,
        .ef_search = (uint32_t)sx_cli_count(cli, "ef-search"),
        .exact = sx_cli_flag(cli, "exact"),
        .keep_duplicates = sx_cli_flag(cli, "keep-duplicates"),
        .join_neighbours = sx_cli_flag(cli, "join"),
    };
    if (sx_cli_count(cli, "open") && cli->json)
        return sx_cli_usage(cli, NULL, "--open does not go with --json");
    bool is_text = strcmp(cli->arguments[0], "-") == 0;
    char *argument = sx_strdup(cli->arguments[0]);
    sx_status status = argument ? SX_OK : sx_fail_nomem(&error, 256);
    if (!status && !is_text)
        status = read_place(argument, &place, &error);
    if (!status)
        status = sx_cli_open_database(cli, cli->db_path, false, &database, &error);
    if (!status)
        status = is_text ? find_like_text(cli, database, &options, &hits, &error)
                         : sx_similar(database, &place, &options, &hits, &error);
    int code = SX_EXIT_DONE;
    if (status)
        code = sx_cli_fail(cli, &error);
    else if (sx_cli_count(cli, "open"))
        code = sx_cli_open_hit(cli, hits, sx_cli_count(cli, "open"));
    else if (cli->json)
        code = sx_cli_print_hits_json(cli, "", NULL, hits);
    else
        sx_cli_print_hits(cli, "", hits);
    sx_hits_free(hits);
    free(argument);
    sx_database_close(database);
    return code;
}
