/* run_mcp.c - `sextant mcp`: coding assistants search collections over the Model Context Protocol, on standard input and output.
 *
 * One JSON-RPC message a line comes in, one a line goes out; nothing else is ever written to standard output. The tools read what
 * was indexed and nothing else: no file is opened for an assistant. A collection's model is loaded at the first search that needs
 * it, and kept; another one takes its place when another collection's model is needed. */
#include "cli.h"
#include "model_choice.h"

#include "../base/error.h"
#include "../base/file.h"
#include "../base/memory.h"
#include "../server/hits_json.h"
#include "../server/mcp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_LINE = 8 * 1024 * 1024, READ_BYTES = 65536, LOOK_AT_STOP_MS = 200 };

typedef struct service {
    sx_cli *cli;
    sx_database *database;
    sx_embedder *embedder; /* or NULL */
    char *embedder_of;     /* the collection it was opened for */
} service;

/* ---- Ids of passages: ROOT//DOCUMENT#INDEX ---- */

static void write_id(sx_buffer *to, const sx_hit *hit)
{
    sx_buffer_printf(to, "%s//%s#%u", hit->root, hit->document, hit->index);
}

/* Splits a copy of an id, which the caller frees by freeing *root. */
static sx_status read_id(const char *id, char **root, sx_place *place, sx_error *error)
{
    const char *hash = strrchr(id, '#');
    char *end = NULL;
    errno = 0;
    unsigned long index = hash && hash[1] >= '0' && hash[1] <= '9' ? strtoul(hash + 1, &end, 10) : 0;
    *root = sx_strdup(id);
    if (!*root)
        return sx_fail_nomem(error, strlen(id));
    char *middle = strstr(*root, "//");
    if (!end || *end || errno || index > UINT32_MAX || !middle || middle > *root + (hash - id))
        return sx_fail(error, SX_E_INVALID, "id: '%.200s' is none that search gave", id);
    (*root)[hash - id] = '\0';
    if (middle == *root && middle[2] == '/') { /* the root is "/" */
        *place = (sx_place){.size = sizeof *place, .root = "/", .document = middle + 3, .index = (uint32_t)index};
        return SX_OK;
    }
    *middle = '\0';
    *place = (sx_place){.size = sizeof *place, .root = *root, .document = middle + 2, .index = (uint32_t)index};
    return SX_OK;
}

/* ---- Results ---- */

static void write_hits(const sx_hits *hits, sx_text query, sx_buffer *text, sx_buffer *data)
{
    if (!hits->count)
        sx_buffer_printf(text, "Nothing found in collection %s.", hits->collection);
    for (size_t i = 0; i < hits->count; i++) {
        const sx_hit *hit = &hits->hits[i];
        sx_buffer_printf(text, "%s%u. %s:%u-%u", i ? "\n\n" : "", hit->rank, hit->document, hit->start_line, hit->end_line);
        for (uint32_t j = 0; j < hit->heading_count; j++)
            sx_buffer_printf(text, "%s%s", j ? " > " : "  ", hit->headings[j]);
        if (hit->score == hit->score) /* no NaN */
            sx_buffer_printf(text, "  (%.3f)", hit->score);
        if (hit->why)
            sx_buffer_printf(text, "\n%s", hit->why);
        sx_buffer_append_string(text, "\nid: ");
        write_id(text, hit);
        sx_buffer_append_string(text, "\n");
        sx_buffer_append(text, hit->text, hit->text_length);
    }
    sx_buffer_append_byte(data, '{');
    sx_hits_write_members(data, query, hits);
    sx_buffer_append_byte(data, '}');
}

static sx_status give(sx_hits *hits, sx_text query, sx_buffer *text, sx_buffer *data, sx_error *error)
{
    write_hits(hits, query, text, data);
    sx_hits_free(hits);
    return text->failed || data->failed ? sx_fail_nomem(error, text->length) : SX_OK;
}

/* ---- Tools ---- */

static const char *collection_of(const service *s, const sx_mcp_arguments *arguments)
{
    return arguments->collection ? arguments->collection : sx_cli_text(s->cli, "collection");
}

/* The embedder of a collection for a role. */
static sx_status open_embedder(service *s, const char *collection, const char *role, sx_error *error)
{
    sx_buffer wanted = {0};
    sx_buffer_printf(&wanted, "%s %s", role, collection);
    if (wanted.failed)
        return sx_fail_nomem(error, 256);
    if (s->embedder && s->embedder_of && !strcmp(s->embedder_of, wanted.data)) {
        sx_buffer_clear(&wanted);
        return SX_OK;
    }
    sx_embedder_close(s->embedder);
    free(s->embedder_of);
    s->embedder = NULL;
    s->embedder_of = sx_buffer_take(&wanted);
    return sx_cli_open_embedder_of(s->cli, s->database, collection, role, &s->embedder, error);
}

/* A collection that was moved to another model since its own was opened is asked once more. */
static sx_status find(service *s, const char *collection, const char *role, sx_text query, const sx_search_options *options,
                      sx_hits **hits, sx_error *error)
{
    bool by_words = options->mode && !strcmp(options->mode, "keyword");
    sx_status status = sx_cli_require_collection(s->database, collection, error);
    if (!status && !by_words)
        status = open_embedder(s, collection, role, error);
    if (!status)
        status = sx_search(s->database, by_words ? NULL : s->embedder, query, options, hits, error);
    if (status == SX_E_MISMATCH && !by_words) {
        free(s->embedder_of);
        s->embedder_of = NULL;
        status = open_embedder(s, collection, role, error);
        if (!status)
            status = sx_search(s->database, s->embedder, query, options, hits, error);
    }
    return status;
}

static sx_search_options options_of(const service *s, const sx_mcp_arguments *arguments)
{
    return (sx_search_options){.size = sizeof(sx_search_options),
                               .collection = collection_of(s, arguments),
                               .count = arguments->count,
                               .filters = arguments->filters,
                               .filter_count = arguments->filter_count,
                               .mode = arguments->mode,
                               .type = arguments->type,
                               .prefer = arguments->prefer};
}

static sx_status search(void *user, const sx_mcp_arguments *arguments, sx_buffer *text, sx_buffer *data, sx_error *error)
{
    service *s = user;
    sx_search_options options = options_of(s, arguments);
    sx_text query = {arguments->query, strlen(arguments->query)};
    sx_hits *hits = NULL;
    sx_status status = find(s, options.collection, "query", query, &options, &hits, error);
    return status ? status : give(hits, query, text, data, error);
}

static sx_status similar(void *user, const sx_mcp_arguments *arguments, sx_buffer *text, sx_buffer *data, sx_error *error)
{
    service *s = user;
    sx_search_options options = options_of(s, arguments);
    int ways = !!arguments->text + !!arguments->id + !!arguments->document;
    if (ways != 1)
        return sx_fail(error, SX_E_INVALID, "similar takes exactly one of text, id and document");
    sx_hits *hits = NULL;
    sx_text query = {arguments->text ? arguments->text : "", arguments->text ? strlen(arguments->text) : 0};
    char *root = NULL;
    sx_place place = {.size = sizeof place, .path = arguments->document, .line = arguments->line};
    sx_status status = SX_OK;
    if (arguments->text)
        options.mode = "semantic";
    if (arguments->id)
        status = read_id(arguments->id, &root, &place, error);
    if (!status && arguments->text)
        status = find(s, options.collection, "document", query, &options, &hits, error);
    else if (!status)
        status = sx_similar(s->database, &place, &options, &hits, error);
    free(root);
    return status ? status : give(hits, query, text, data, error);
}

static sx_status passage(void *user, const sx_mcp_arguments *arguments, sx_buffer *text, sx_buffer *data, sx_error *error)
{
    service *s = user;
    sx_hits *hits = NULL;
    sx_place place;
    char *root = NULL;
    sx_status status = read_id(arguments->id, &root, &place, error);
    if (!status)
        status = sx_passages(s->database, collection_of(s, arguments), &place, arguments->before, arguments->after, &hits, error);
    free(root);
    return status ? status : give(hits, (sx_text){"", 0}, text, data, error);
}

static sx_status collections(void *user, const sx_mcp_arguments *arguments, sx_buffer *text, sx_buffer *data, sx_error *error)
{
    service *s = user;
    sx_database_status *there = NULL;
    (void)arguments;
    sx_status status = sx_database_list(s->database, &there, error);
    if (status)
        return status;
    sx_buffer_append_string(data, "{\"collections\":[");
    for (size_t i = 0; i < there->collection_count; i++) {
        const sx_collection_info *info = &there->collections[i];
        sx_buffer_printf(text, "%s%s (%s, %u dimensions)", i ? "\n" : "", info->name, info->model, info->dimensions);
        sx_buffer_append_string(data, i ? ",{" : "{");
        sx_cli_member_text(data, "name", info->name);
        sx_cli_member_text(data, "model", info->model);
        sx_cli_member_integer(data, "dimensions", info->dimensions);
        sx_buffer_append_byte(data, '}');
    }
    if (!there->collection_count)
        sx_buffer_append_string(text, "There are no collections yet.");
    sx_buffer_append_string(data, "]}");
    sx_database_status_free(there);
    return text->failed || data->failed ? sx_fail_nomem(error, 256) : SX_OK;
}

/* ---- Lines ---- */

static sx_status answer(sx_mcp *mcp, const char *line, size_t length, sx_buffer *reply, sx_error *error)
{
    sx_status status = sx_mcp_answer(mcp, line, length, reply, error);
    if (status || !reply->length)
        return status;
    sx_buffer_append_byte(reply, '\n');
    return sx_write_all(STDOUT_FILENO, reply->data, reply->length, "standard output", error);
}

/* Takes whole lines off the front. A line that is too long is answered as what it is not, and passed over. */
static sx_status take_lines(sx_mcp *mcp, sx_buffer *input, bool *passing, bool at_end, sx_buffer *reply, sx_error *error)
{
    sx_status status = SX_OK;
    size_t at = 0;
    while (!status && at < input->length) {
        char *newline = memchr(input->data + at, '\n', input->length - at);
        if (!newline && !at_end && input->length - at <= LONGEST_LINE)
            break;
        size_t end = newline ? (size_t)(newline - input->data) : input->length;
        input->data[end] = '\0';
        if (!*passing && end - at > LONGEST_LINE)
            status = answer(mcp, "(a line of more than 8 MiB)", 27, reply, error);
        else if (!*passing)
            status = answer(mcp, input->data + at, end - at, reply, error);
        *passing = !newline;
        at = newline ? end + 1 : end;
    }
    memmove(input->data, input->data + at, input->length - at);
    input->length -= at;
    return status;
}

static sx_status serve(sx_mcp *mcp, const volatile int *stop, sx_error *error)
{
    sx_buffer input = {.maximum = LONGEST_LINE + 4 * READ_BYTES}, reply = {0};
    sx_status status = SX_OK;
    bool passing = false, open = true;
    while (!status && open && !*stop) {
        struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
        if (poll(&ready, 1, LOOK_AT_STOP_MS) <= 0)
            continue;
        char *room = sx_buffer_room(&input, READ_BYTES + 1);
        ssize_t got = room ? read(STDIN_FILENO, room, READ_BYTES) : -1;
        if (!room)
            status = sx_fail_nomem(error, READ_BYTES);
        else if (got < 0 && errno != EINTR && errno != EAGAIN)
            status = sx_fail_errno(error, errno, "standard input");
        else if (got >= 0) {
            input.length += (size_t)got;
            open = got > 0;
            status = take_lines(mcp, &input, &passing, !open, &reply, error);
        }
    }
    sx_buffer_clear(&input);
    sx_buffer_clear(&reply);
    return status;
}

int sx_cli_mcp(sx_cli *cli)
{
    sx_error error = {0};
    service s = {.cli = cli};
    sx_mcp mcp = {.search = search, .similar = similar, .collections = collections, .passage = passage, .user = &s};
    const volatile int *stop = sx_cli_stop_flag();
    sx_status status = sx_cli_open_database(cli, cli->db_path, false, &s.database, &error);
    if (!status)
        status = serve(&mcp, stop, &error);
    sx_embedder_close(s.embedder);
    free(s.embedder_of);
    sx_database_close(s.database);
    return !status || sx_cli_output_is_closed() ? SX_EXIT_DONE : sx_cli_fail(cli, &error);
}
