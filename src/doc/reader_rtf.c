/* reader_rtf.c - the text of RTF (Rich Text Format 1.9.1).
 *
 * A file is groups in braces, control words, and bytes in the code page of the font they are set in. Groups are kept on a stack
 * of bounded height, so nothing recurses. Destinations that are no text (fonts, colours, pictures, page headers) are left out,
 * as is every "\*" destination that is not known, which is what the specification asks of readers.
 *
 * Converters from code pages are opened before the child is started: opening one reads files, which the child may not. */
#include "child.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <iconv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { GROUPS_MOST = 20000, FONTS_MOST = 4096, STYLES_MOST = 1024, LONGEST_WORD = 32 };

/* The code pages of RTF: by Windows' number and by a font's character set. */
static const struct {
    unsigned number, charset;
    const char *name;
} code_pages[] = {
    {1252, 0, "CP1252"},   {10000, 77, "MACINTOSH"}, {932, 128, "CP932"},   {949, 129, "CP949"},   {936, 134, "CP936"},
    {950, 136, "CP950"},   {1253, 161, "CP1253"},    {1254, 162, "CP1254"}, {1258, 163, "CP1258"}, {1255, 177, "CP1255"},
    {1256, 178, "CP1256"}, {1257, 186, "CP1257"},    {1251, 204, "CP1251"}, {874, 222, "CP874"},   {1250, 238, "CP1250"},
    {437, 254, "CP437"},   {850, 255, "CP850"},
};
enum { CODE_PAGES = sizeof code_pages / sizeof *code_pages };

typedef struct converters {
    iconv_t open[CODE_PAGES]; /* (iconv_t)-1: not opened */
} converters;

typedef enum place { TEXT, LEFT_OUT, FONT_TABLE, STYLES, INFO, TITLE, AUTHOR, CREATED } place;

typedef struct group {
    place where;
    uint16_t page;  /* index of the code page of its text */
    uint16_t skips; /* bytes that stand for a \u in old readers (\uc) */
    bool hidden, footnote;
} group;

typedef struct rtf {
    sx_document *document;
    const unsigned char *at, *end;
    converters *converters;
    group *groups;
    size_t count, capacity;
    bool unknown_star; /* behind "\*": an unknown destination is left out */
    uint16_t page;     /* the document's own */
    uint16_t fonts[FONTS_MOST];
    unsigned font;     /* being defined */
    uint8_t levels[STYLES_MOST]; /* of styles of headings; 0: text */
    unsigned style;    /* being defined */
    unsigned default_font;
    unsigned skip;     /* of the substitutes of a \u */
    unsigned high;     /* surrogate waiting for its second half */
    sx_buffer bytes;   /* not yet converted */
    sx_buffer text;    /* of the paragraph */
    sx_buffer row;
    sx_writer writer;
    unsigned level;
    bool item, in_table, failed;
    unsigned year, month, day;
} rtf;

static uint16_t page_of_number(unsigned number, uint16_t otherwise)
{
    for (uint16_t i = 0; i < CODE_PAGES; i++)
        if (code_pages[i].number == number)
            return i;
    return otherwise;
}

static uint16_t page_of_charset(unsigned charset, uint16_t otherwise)
{
    for (uint16_t i = 0; i < CODE_PAGES; i++)
        if (code_pages[i].charset == charset)
            return i;
    return otherwise;
}

/* ---- Text ---- */

/* Converts what is waiting in the code page of the group. */
static void flush(rtf *r)
{
    const group *g = &r->groups[r->count - 1];
    iconv_t converter = r->converters ? r->converters->open[g->page] : (iconv_t)-1;
    char *in = r->bytes.data;
    size_t left = r->bytes.length;
    if (converter != (iconv_t)-1 && left)
        iconv(converter, NULL, NULL, NULL, NULL);
    while (left) {
        size_t space = left * 4 + 16;
        char *out = sx_buffer_room(&r->text, space), *start = out;
        if (!out) {
            r->failed = true;
            break;
        }
        if (converter != (iconv_t)-1)
            iconv(converter, &in, &left, &out, &space);
        r->text.length += (size_t)(out - start);
        if (left) {
            sx_buffer_append(&r->text, (unsigned char)*in < 0x80 ? in : "\xef\xbf\xbd", (unsigned char)*in < 0x80 ? 1 : 3);
            in++;
            left--;
        }
    }
    sx_buffer_reset(&r->bytes);
}

static bool is_shown(const rtf *r)
{
    const group *g = &r->groups[r->count - 1];
    return !g->hidden && (g->where == TEXT || g->where == STYLES || g->where == TITLE || g->where == AUTHOR);
}

static void put_byte(rtf *r, unsigned char byte)
{
    if (r->skip)
        r->skip--;
    else if (is_shown(r))
        sx_buffer_append_byte(&r->bytes, (char)byte);
}

static void put_string(rtf *r, const char *utf8)
{
    flush(r);
    if (is_shown(r))
        sx_buffer_append_string(&r->text, utf8);
}

static void put_code(rtf *r, unsigned code)
{
    char utf8[5] = "";
    if (code >= 0xd800 && code < 0xdc00) {
        r->high = code;
        return;
    }
    if (code >= 0xdc00 && code < 0xe000)
        code = r->high ? 0x10000 + ((r->high - 0xd800) << 10) + (code - 0xdc00) : 0xfffd;
    r->high = 0;
    if (code < 0x80) {
        utf8[0] = (char)code;
    } else if (code < 0x800) {
        utf8[0] = (char)(0xc0 | code >> 6);
        utf8[1] = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        utf8[0] = (char)(0xe0 | code >> 12);
        utf8[1] = (char)(0x80 | (code >> 6 & 0x3f));
        utf8[2] = (char)(0x80 | (code & 0x3f));
    } else {
        utf8[0] = (char)(0xf0 | code >> 18);
        utf8[1] = (char)(0x80 | (code >> 12 & 0x3f));
        utf8[2] = (char)(0x80 | (code >> 6 & 0x3f));
        utf8[3] = (char)(0x80 | (code & 0x3f));
    }
    put_string(r, utf8);
}

static void end_paragraph(rtf *r)
{
    if (r->groups[r->count - 1].where != TEXT)
        return;
    flush(r);
    const char *text = r->text.data ? r->text.data : "";
    size_t length = r->text.length;
    if (r->groups[r->count - 1].footnote || r->in_table) {
        sx_buffer_append_byte(&r->text, ' ');
        return;
    }
    if (r->level) {
        sx_writer_block(&r->writer, SX_BLOCK_HEADING, r->level, text, length);
    } else if (r->item && length) {
        sx_buffer line = {0};
        sx_buffer_append_string(&line, "- ");
        sx_buffer_append(&line, text, length);
        sx_writer_line(&r->writer, SX_BLOCK_LIST, line.data ? line.data : "", line.length);
        r->failed = r->failed || line.failed;
        sx_buffer_clear(&line);
    } else {
        sx_writer_block(&r->writer, SX_BLOCK_PARAGRAPH, 0, text, length);
    }
    r->failed = r->failed || r->text.failed || r->bytes.failed;
    sx_buffer_reset(&r->text);
    r->item = false;
}

static void end_cell(rtf *r)
{
    flush(r);
    if (r->row.length)
        sx_buffer_append_string(&r->row, " | ");
    sx_buffer_append(&r->row, r->text.data ? r->text.data : "", r->text.length);
    sx_buffer_reset(&r->text);
}

static void end_row(rtf *r)
{
    if (r->row.length)
        sx_writer_line(&r->writer, SX_BLOCK_TABLE, r->row.data, r->row.length);
    sx_buffer_reset(&r->row);
    r->in_table = false;
}

/* ---- Groups ---- */

static void open_group(rtf *r)
{
    flush(r);
    if (r->count >= GROUPS_MOST || !sx_reserve((void **)&r->groups, &r->capacity, r->count + 1, sizeof *r->groups)) {
        r->failed = true;
        return;
    }
    r->groups[r->count] = r->groups[r->count - 1];
    r->count++;
    r->unknown_star = false;
}

/* A style's group ends with its name; translated programs keep the names of headings. */
static void end_style(rtf *r)
{
    static const char heading[] = "heading ";
    const char *name = r->text.data ? r->text.data : "";
    size_t length = r->text.length, start = sizeof heading - 1;
    if (length > start && !strncasecmp(name, heading, start) && name[start] >= '1' && name[start] <= '9' && !r->levels[r->style])
        r->levels[r->style] = (uint8_t)(name[start] - '0');
    sx_buffer_reset(&r->text);
    r->style = 0;
}

static void close_group(rtf *r)
{
    flush(r);
    if (r->count < 2)
        return;
    group closed = r->groups[--r->count];
    if (closed.where == STYLES)
        end_style(r);
    const group *outer = &r->groups[r->count - 1];
    if (closed.where == outer->where && closed.footnote == outer->footnote)
        return;
    if (closed.where == TITLE)
        sx_document_set_title(r->document, r->text.data ? r->text.data : "", r->text.length);
    else if (closed.where == AUTHOR)
        sx_document_set_author(r->document, r->text.data ? r->text.data : "", r->text.length);
    if (closed.where == TITLE || closed.where == AUTHOR)
        sx_buffer_reset(&r->text);
    if (closed.where == CREATED && r->year >= 1900 && r->year < 3000 && r->month <= 12 && r->day <= 31) {
        char date[16];
        snprintf(date, sizeof date, "%04u-%02u-%02u", r->year, r->month, r->day);
        sx_document_set_date(r->document, date, strlen(date));
    }
    if (closed.footnote && !outer->footnote)
        sx_buffer_append_string(&r->text, ")");
}

/* ---- Control words ---- */

static const struct {
    const char *word;
    place where;
} destinations[] = {
    {"fonttbl", FONT_TABLE}, {"info", INFO},          {"title", TITLE},       {"author", AUTHOR},      {"creatim", CREATED},
    {"colortbl", LEFT_OUT},  {"stylesheet", STYLES}, {"pict", LEFT_OUT},    {"object", LEFT_OUT},    {"header", LEFT_OUT},
    {"headerl", LEFT_OUT},   {"headerr", LEFT_OUT},   {"headerf", LEFT_OUT},  {"footer", LEFT_OUT},    {"footerl", LEFT_OUT},
    {"footerr", LEFT_OUT},   {"footerf", LEFT_OUT},   {"fldinst", LEFT_OUT},  {"listtext", LEFT_OUT},  {"pntext", LEFT_OUT},
    {"nonshppict", LEFT_OUT}, {"filetbl", LEFT_OUT},  {"revtbl", LEFT_OUT},   {"ftnsep", LEFT_OUT},    {"ftnsepc", LEFT_OUT},
    {"aftnsep", LEFT_OUT},   {"tc", LEFT_OUT},        {"xe", LEFT_OUT},       {"subject", LEFT_OUT},   {"keywords", LEFT_OUT},
    {"operator", LEFT_OUT},  {"doccomm", LEFT_OUT},   {"company", LEFT_OUT},  {"manager", LEFT_OUT},   {"category", LEFT_OUT},
    {"bkmkstart", LEFT_OUT}, {"bkmkend", LEFT_OUT},   {"listname", LEFT_OUT}, {"printim", LEFT_OUT},   {"revtim", LEFT_OUT},
    {"buptim", LEFT_OUT},    {"comment", LEFT_OUT},   {"hlinkbase", LEFT_OUT}, {"sn", LEFT_OUT},        {"sv", LEFT_OUT},
};

static const struct {
    const char *word, *text;
} signs[] = {
    {"tab", " "},           {"line", "\n"},         {"emdash", "\xe2\x80\x94"},    {"endash", "\xe2\x80\x93"},
    {"lquote", "\xe2\x80\x98"}, {"rquote", "\xe2\x80\x99"}, {"ldblquote", "\xe2\x80\x9c"}, {"rdblquote", "\xe2\x80\x9d"},
    {"bullet", "\xe2\x80\xa2"}, {"emspace", " "},   {"enspace", " "},              {"lbr", "\n"},
};

/* "{\*\shpinst" holds the text of shapes among what is none; what counts of it is in \shptxt, a destination without star. */
static bool take_destination(rtf *r, const char *word, group *g)
{
    for (size_t i = 0; i < sizeof destinations / sizeof *destinations; i++) {
        if (strcmp(word, destinations[i].word))
            continue;
        place where = destinations[i].where;
        bool of_info = where == TITLE || where == AUTHOR || where == CREATED;
        if (g->where == TEXT && of_info)
            return false;
        if (g->where != LEFT_OUT)
            g->where = where;
        return true;
    }
    if (!strcmp(word, "footnote")) {
        if (g->where == TEXT && !g->footnote)
            sx_buffer_append_string(&r->text, " (");
        g->footnote = true;
        return true;
    }
    if (r->unknown_star && strcmp(word, "shpinst") && strcmp(word, "shptxt") && strcmp(word, "fldrslt"))
        g->where = LEFT_OUT;
    return false;
}

static void take_font(rtf *r, const char *word, int number, group *g)
{
    if (!strcmp(word, "f") && number >= 0 && number < FONTS_MOST) {
        r->font = (unsigned)number;
        if (g->where == FONT_TABLE)
            r->fonts[number] = UINT16_MAX;
        else
            g->page = r->fonts[number] != UINT16_MAX ? r->fonts[number] : r->page;
    } else if (!strcmp(word, "fcharset") && g->where == FONT_TABLE && number >= 0) {
        r->fonts[r->font] = number == 1 ? UINT16_MAX : page_of_charset((unsigned)number, UINT16_MAX);
    }
}

static void take_word(rtf *r, const char *word, bool has_number, int number)
{
    flush(r);
    group *g = &r->groups[r->count - 1];
    bool star = r->unknown_star;
    if (take_destination(r, word, g)) {
        r->unknown_star = false;
        return;
    }
    r->unknown_star = false;
    if (star && g->where == LEFT_OUT)
        return;
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (!strcmp(word, signs[i].word)) {
            put_string(r, signs[i].text);
            return;
        }
    if (!strcmp(word, "u") && has_number) {
        put_code(r, (unsigned)(number < 0 ? number + 65536 : number) & 0xffff);
        r->skip = g->skips;
    } else if (!strcmp(word, "uc")) {
        g->skips = number >= 0 && number < 64 ? (uint16_t)number : 1;
    } else if (!strcmp(word, "par") || !strcmp(word, "sect") || !strcmp(word, "page")) {
        end_paragraph(r);
    } else if (!strcmp(word, "pard")) {
        r->level = 0;
        r->item = r->in_table = false;
    } else if (!strcmp(word, "outlinelevel")) {
        unsigned level = number >= 0 && number < 9 ? (unsigned)number + 1 : 0;
        if (g->where == STYLES)
            r->levels[r->style] = (uint8_t)level;
        else
            r->level = level;
    } else if (!strcmp(word, "s") && number >= 0 && number < STYLES_MOST) {
        if (g->where == STYLES)
            r->style = (unsigned)number;
        else
            r->level = r->levels[number];
    } else if (!strcmp(word, "ls") || !strcmp(word, "pnlvlblt") || !strcmp(word, "pnlvlbody")) {
        r->item = true;
    } else if (!strcmp(word, "intbl")) {
        r->in_table = true;
    } else if (!strcmp(word, "cell") || !strcmp(word, "nestcell")) {
        if (g->where == TEXT)
            end_cell(r);
    } else if (!strcmp(word, "row") || !strcmp(word, "nestrow")) {
        if (g->where == TEXT)
            end_row(r);
    } else if (!strcmp(word, "v") || !strcmp(word, "deleted")) {
        g->hidden = !has_number || number;
    } else if (!strcmp(word, "plain")) {
        g->hidden = false;
        g->page = r->fonts[r->default_font] != UINT16_MAX ? r->fonts[r->default_font] : r->page;
    } else if (!strcmp(word, "ansicpg")) {
        r->page = g->page = page_of_number((unsigned)number, r->page);
    } else if (!strcmp(word, "mac")) {
        r->page = g->page = page_of_number(10000, 0);
    } else if (!strcmp(word, "deff") && number >= 0 && number < FONTS_MOST) {
        r->default_font = (unsigned)number;
    } else if (g->where == CREATED && number >= 0) {
        unsigned *field = !strcmp(word, "yr") ? &r->year : !strcmp(word, "mo") ? &r->month : !strcmp(word, "dy") ? &r->day : NULL;
        if (field)
            *field = (unsigned)number;
    } else if (!strcmp(word, "bin") && number > 0) {
        r->at += (size_t)number < (size_t)(r->end - r->at) ? (size_t)number : (size_t)(r->end - r->at);
    } else {
        take_font(r, word, number, g);
    }
}

/* Behind a backslash. */
static void read_control(rtf *r)
{
    char word[LONGEST_WORD];
    size_t length = 0;
    unsigned char first = *r->at;
    if (!((first | 0x20) >= 'a' && (first | 0x20) <= 'z')) {
        r->at++;
        if (first == '\'' && r->end - r->at >= 2 && sx_hex_pair((const char *)r->at) >= 0) {
            put_byte(r, (unsigned char)sx_hex_pair((const char *)r->at));
            r->at += 2;
        } else if (first == '*') {
            r->unknown_star = true;
        } else if (first == '~') {
            put_string(r, " ");
        } else if (first == '_') {
            put_string(r, "-");
        } else if (first == '\n' || first == '\r') {
            end_paragraph(r);
        } else if (first == '{' || first == '}' || first == '\\') {
            put_byte(r, first);
        }
        return;
    }
    for (; r->at < r->end && (*r->at | 0x20) >= 'a' && (*r->at | 0x20) <= 'z'; r->at++)
        if (length < sizeof word - 1)
            word[length++] = (char)*r->at;
    word[length] = '\0';
    bool negative = r->at < r->end && *r->at == '-', has_number = false;
    long number = 0;
    if (negative && r->end - r->at >= 2 && r->at[1] >= '0' && r->at[1] <= '9')
        r->at++;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
        has_number = true;
        number = number < 100000000 ? number * 10 + (*r->at - '0') : number;
    }
    if (r->at < r->end && *r->at == ' ')
        r->at++;
    take_word(r, word, has_number, (int)(negative ? -number : number));
}

sx_status sx_read_rtf_groups(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    rtf *r = sx_calloc(1, sizeof *r);
    sx_status status = SX_OK;
    if (!r)
        return sx_fail_nomem(error, sizeof *r);
    *r = (rtf){.document = document, .converters = document->prepared, .at = (const unsigned char *)document->text};
    r->end = r->at + document->length;
    r->text.maximum = r->row.maximum = r->bytes.maximum = (size_t)1 << 28;
    sx_writer_begin(&r->writer, blocks);
    for (size_t i = 0; i < FONTS_MOST; i++)
        r->fonts[i] = UINT16_MAX;
    if (!sx_reserve((void **)&r->groups, &r->capacity, 1, sizeof *r->groups)) {
        status = sx_fail_nomem(error, sizeof *r->groups);
        goto out;
    }
    r->groups[r->count++] = (group){.where = TEXT, .skips = 1};
    while (r->at < r->end && !r->failed) {
        unsigned char byte = *r->at++;
        if (byte == '{')
            open_group(r);
        else if (byte == '}')
            close_group(r);
        else if (byte == '\\' && r->at < r->end)
            read_control(r);
        else if (byte != '\r' && byte != '\n' && byte != '\0' && byte != '\\')
            put_byte(r, byte);
    }
    if (!r->failed) {
        r->in_table = false;
        r->groups[r->count - 1].footnote = false;
        end_paragraph(r);
        end_row(r);
    }
    if (r->count >= GROUPS_MOST)
        status = sx_fail(error, SX_E_UNSUPPORTED, "RTF nests more than %d groups", GROUPS_MOST);
    else if (r->failed || r->text.failed || r->bytes.failed || r->row.failed)
        status = sx_fail_nomem(error, document->length);
    else
        status = sx_writer_finish(&r->writer, "RTF", document, error);
out:
    sx_buffer_clear(&r->writer.out);
    sx_buffer_clear(&r->bytes);
    sx_buffer_clear(&r->text);
    sx_buffer_clear(&r->row);
    free(r->groups);
    free(r);
    return status;
}

/* Whether the file names a code page, by its number or as a font's character set. */
static bool names_page(const char *data, size_t length, size_t page)
{
    char number[32], charset[32];
    snprintf(number, sizeof number, "\\ansicpg%u", code_pages[page].number);
    snprintf(charset, sizeof charset, "\\fcharset%u", code_pages[page].charset);
    return memmem(data, length, number, strlen(number)) || memmem(data, length, charset, strlen(charset));
}

sx_status sx_read_rtf(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    converters all;
    if (document->length < 5 || memcmp(document->text, "{\\rtf", 5))
        return sx_fail(error, SX_E_UNSUPPORTED, "not RTF: it does not begin with {\\rtf");
    for (size_t i = 0; i < CODE_PAGES; i++)
        all.open[i] = i == 0 || names_page(document->text, document->length, i) ? iconv_open("UTF-8", code_pages[i].name)
                                                                                 : (iconv_t)-1;
    document->prepared = &all;
    sx_status status = sx_child_read(sx_read_rtf_groups, "the RTF reader", &sx_reader_limits, document, blocks, error);
    document->prepared = NULL;
    for (size_t i = 0; i < CODE_PAGES; i++)
        if (all.open[i] != (iconv_t)-1)
            iconv_close(all.open[i]);
    return status;
}
