/* print_hits.c - hits for people and for machines: prose as running text, code as numbered lines, the query's words marked. */
#include "print_hits.h"
#include "legs.h"

#include "../base/error.h"
#include "../server/hits_json.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PASSAGE_LINES = 4, CODE_LINES = 5, MARGIN = 6, SHORTEST_MARKED = 3 };

int sx_cli_print_hits_json(sx_cli *cli, const char *query, const sx_embedder *embedder, const sx_hits *hits)
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

/* ---- Code ---- */

/* Whether the hit's document is in a programming language. Two letters are the code of a human one, but for Go. */
static bool is_code(const sx_hit *hit)
{
    static const char key[] = "\"language\":\"";
    const char *at = hit->metadata ? strstr(hit->metadata, key) : NULL;
    if (!at)
        return false;
    at += sizeof key - 1;
    size_t length = strcspn(at, "\"");
    return length && (length != 2 || !strncmp(at, "go", 2));
}

typedef struct text_line {
    const char *text;
    size_t length;
    unsigned words; /* of the query */
} text_line;

static unsigned count_words(const char *query, const char *text, size_t length)
{
    unsigned words = 0;
    for (size_t at = 0; at < length;) {
        size_t run = 0;
        while (at + run < length && is_word((unsigned char)text[at + run]))
            run++;
        words += run >= SHORTEST_MARKED && is_in_query(query, text + at, run);
        at += run ? run : 1;
    }
    return words;
}

/* One line as it stands, cut at the terminal's edge. */
static void print_code_line(const sx_cli *cli, const char *query, const text_line *line, unsigned number, bool best)
{
    size_t most = cli->width > MARGIN + 30 ? cli->width - MARGIN - 4 : 30, column = 0;
    printf("%c%*u  ", best ? '>' : ' ', MARGIN - 1, number);
    for (size_t at = 0; at < line->length && column < most;) {
        size_t run = 0;
        while (at + run < line->length && is_word((unsigned char)line->text[at + run]))
            run++;
        bool marked = cli->color && run >= SHORTEST_MARKED && is_in_query(query, line->text + at, run);
        size_t step = run ? run : character(line->text + at, line->length - at);
        if (column + step > most && run) { /* not through the middle of a character */
            step = most - column;
            while (step && ((unsigned char)line->text[at + step] & 0xc0) == 0x80)
                step--;
            if (!step)
                break;
        }
        if (marked)
            fputs("\033[1;33m", stdout);
        if (line->text[at] == '\t')
            sx_cli_say("    ");
        else
            sx_cli_say("%.*s", (int)step, line->text + at);
        if (marked)
            fputs("\033[0m", stdout);
        column += line->text[at] == '\t' ? 4 : step;
        at += step;
    }
    putchar('\n');
}

/* The signature, which is the first line with something on it, and the lines around the one with most of the query's words. */
static void print_code(const sx_cli *cli, const char *query, const sx_hit *hit)
{
    text_line lines[512];
    size_t count = 0, best = 0, first = 0;
    for (const char *at = hit->text, *end = hit->text + hit->text_length; at < end && count < sizeof lines / sizeof *lines;
         count++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        size_t length = newline ? (size_t)(newline - at) : (size_t)(end - at);
        lines[count] = (text_line){at, length, count_words(query, at, length)};
        if (lines[count].words > lines[best].words)
            best = count;
        at += length + 1;
    }
    while (first + 1 < count && strspn(lines[first].text, " \t\r") >= lines[first].length)
        first++;
    size_t from = best > first + CODE_LINES / 2 ? best - CODE_LINES / 2 : first;
    size_t to = from + CODE_LINES < count ? from + CODE_LINES : count;
    if (from > first && count)
        print_code_line(cli, query, &lines[first], hit->start_line + (unsigned)first, false);
    if (from > first + 1)
        printf("%*s\n", MARGIN + 3, "...");
    for (size_t i = from; i < to; i++)
        print_code_line(cli, query, &lines[i], hit->start_line + (unsigned)i, lines[best].words && i == best);
    if (to < count)
        printf("%*s\n", MARGIN + 3, "...");
}

/* ---- All ---- */

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

void sx_cli_print_hits(const sx_cli *cli, const char *query, const sx_hits *hits)
{
    if (!hits->count)
        sx_cli_say("Nothing found in %s.\n", hits->collection);
    for (size_t i = 0; i < hits->count; i++) {
        const sx_hit *hit = &hits->hits[i];
        printf("%s%3u  %.3f  ", i ? "\n" : "", hit->rank, hit->score);
        if (cli->color)
            fputs("\033[1m", stdout);
        unsigned long page = sx_cli_hit_number(hit, "page");
        if (page)
            sx_cli_say("%s, page %lu", hit->document, page);
        else
            sx_cli_say("%s:%lu", hit->document, sx_cli_hit_line(hit));
        if (cli->color)
            fputs("\033[0m", stdout);
        for (uint32_t j = 0; j < hit->heading_count; j++)
            sx_cli_say("%s%s", j ? " > " : "  ", hit->headings[j]);
        if (cli->verbose)
            print_reason(hit);
        putchar('\n');
        if (hit->why)
            sx_cli_say("%*s%s\n", MARGIN, "", hit->why);
        if (is_code(hit))
            print_code(cli, query, hit);
        else
            print_passage(cli, query, hit);
    }
}
