/* run_search.c - `sextant search`: the nearest passages, for people with the query's words marked. */
#include "legs.h"
#include "search_choice.h"
#include "vector_files.h"

#include "../base/error.h"
#include "../server/hits_json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PASSAGE_LINES = 4, MARGIN = 6, SHORTEST_MARKED = 3 };

static int print_hits_json(sx_cli *cli, const char *query, const sx_embedder *embedder, const sx_hits *hits)
{
    sx_buffer json = {0};
    sx_buffer_append_byte(&json, '{');
    sx_hits_write_members(&json, (sx_text){query, strlen(query)}, hits);
    sx_cli_member_legs(&json, embedder);
    sx_buffer_append_byte(&json, '}');
    return sx_cli_print_json(cli, &json);
}

static bool is_word(unsigned char c)
{
    return isalnum(c) || c == '_' || c >= 0x80;
}

static bool is_in_query(const char *query, const char *word, size_t length)
{
    for (const char *at = query; *at;) {
        size_t run = 0;
        while (is_word((unsigned char)at[run]))
            run++;
        if (run == length && strncasecmp(at, word, length) == 0)
            return true;
        at += run ? run : 1;
    }
    return false;
}

/* Bytes of the character at text. */
static size_t character(const char *text, size_t left)
{
    size_t length = 1;
    while (length < left && length < 4 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length++;
    return length;
}

/* The passage as running text, at most PASSAGE_LINES lines of the terminal's width, the query's words marked. */
static void print_passage(const sx_cli *cli, const char *query, const sx_hit *hit)
{
    size_t width = cli->width > MARGIN + 20 ? cli->width - MARGIN : 20, column = 0, lines = 1, at = 0;
    const char *text = hit->text;
    printf("%*s", MARGIN, "");
    while (at < hit->text_length) {
        if (isspace((unsigned char)text[at]) || (unsigned char)text[at] < 0x20 || text[at] == 0x7f) {
            at++;
            continue;
        }
        size_t length = 0, columns = 0;
        while (at + length < hit->text_length && (unsigned char)text[at + length] > 0x20 && text[at + length] != 0x7f &&
               columns < width) {
            /* Nearly all from U+3000 on, where UTF-8 begins with E3, are two columns wide. */
            columns += (unsigned char)text[at + length] >= 0xe3 ? 2 : 1;
            length += character(text + at + length, hit->text_length - at - length);
        }
        if (column && column + 1 + columns > width) {
            if (++lines > PASSAGE_LINES) {
                sx_cli_say(" ...");
                break;
            }
            printf("\n%*s", MARGIN, "");
            column = 0;
        }
        size_t from = at, to = at + length;
        while (from < to && !is_word((unsigned char)text[from]))
            from++;
        while (to > from && !is_word((unsigned char)text[to - 1]))
            to--;
        bool marked = cli->color && to - from >= SHORTEST_MARKED && is_in_query(query, text + from, to - from);
        sx_cli_say("%s%.*s", column ? " " : "", (int)(from - at), text + at);
        if (marked)
            fputs("\033[1;33m", stdout);
        sx_cli_say("%.*s", (int)(to - from), text + from);
        if (marked)
            fputs("\033[0m", stdout);
        sx_cli_say("%.*s", (int)(at + length - to), text + to);
        column += columns + (column > 0);
        at += length;
    }
    putchar('\n');
}

/* Why a hit is there: its places among what was found by meaning and by words, and what else it stands for. */
static void print_reason(const sx_hit *hit)
{
    const char *comma = "";
    printf("  [");
    if (hit->semantic_rank) {
        printf("meaning %u", hit->semantic_rank);
        comma = ", ";
    }
    if (hit->keyword_rank) {
        printf("%swords %u", comma, hit->keyword_rank);
        comma = ", ";
    }
    if (hit->similarity == hit->similarity) /* no NaN */
        printf("%ssimilarity %.3f", comma, hit->similarity);
    if (hit->joined)
        printf("; %u neighbours joined", hit->joined);
    if (hit->folded)
        printf("; %u equal passages elsewhere", hit->folded);
    putchar(']');
}

static void print_hits(const sx_cli *cli, const char *query, const sx_hits *hits)
{
    if (!hits->count)
        sx_cli_say("Nothing found in %s.\n", hits->collection);
    for (size_t i = 0; i < hits->count; i++) {
        const sx_hit *hit = &hits->hits[i];
        printf("%s%3u  %.3f  ", i ? "\n" : "", hit->rank, hit->score);
        if (cli->color)
            fputs("\033[1m", stdout);
        sx_cli_say("%s:%u", hit->document, hit->start_line);
        if (cli->color)
            fputs("\033[0m", stdout);
        for (uint32_t j = 0; j < hit->heading_count; j++)
            sx_cli_say("%s%s", j ? " > " : "  ", hit->headings[j]);
        if (cli->verbose)
            print_reason(hit);
        putchar('\n');
        print_passage(cli, query, hit);
    }
}

int sx_cli_search(sx_cli *cli)
{
    sx_error error = {0};
    sx_buffer query = {0};
    sx_cli_searcher searcher = {0};
    sx_hits *hits = NULL;
    int code;
    const sx_cli_value *files = sx_cli_get(cli, "in");
    sx_status status = sx_cli_join_arguments(cli, &query, &error);
    if (!status)
        status = sx_cli_searcher_choose(cli, &searcher, &error);
    sx_text text = {query.data, query.length};
    if (!status && files->all_count) {
        status = sx_cli_search_files(cli, files->all, files->all_count, text, &searcher.options, &hits, &error);
    } else {
        if (!status)
            status = sx_cli_searcher_open(&searcher, &error);
        if (!status)
            status = sx_cli_searcher_find(&searcher, text, &hits, &error);
    }
    if (status) {
        code = sx_cli_fail(cli, &error);
    } else if (cli->json) {
        code = print_hits_json(cli, query.data, searcher.embedder, hits);
    } else {
        print_hits(cli, query.data, hits);
        code = SX_EXIT_DONE;
    }
    if (!status)
        sx_cli_note_legs(cli, searcher.embedder);
    sx_hits_free(hits);
    sx_cli_searcher_close(&searcher);
    sx_buffer_clear(&query);
    return code;
}
