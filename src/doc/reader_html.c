/* reader_html.c - the text of HTML: libxml2 finds the tags, this file decides what of it is text and where blocks begin and end.
 *
 * libxml2's HTML parser is driven through its SAX interface, so that no tree is built: memory is the text and the stack of open
 * elements, however deep they nest, and nothing recurses. It gets UTF-8 (decoded before, so what the page says of its encoding
 * is not used twice), no network and no external entities. Two of its loops are quadratic on hostile input (end tags that match
 * nothing, attributes of one tag); both are bounded here and end in SX_E_LIMIT.
 *
 * Scripts, styles, navigation, templates and the like are left out; when a page marks its main part (<main>, else <article>)
 * and that part is not trivial, only it is kept. White space is collapsed except in <pre>. Blocks are separated by a blank
 * line, table cells by " | ", list items begin with "- ". */
#include "reader.h"

#include "../base/error.h"

#include <libxml/HTMLparser.h>
#include <libxml/parserInternals.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MOST_ATTRIBUTES = 4096, CHARSET_PRESCAN = 4096, TRIVIAL_MAIN = 80 };
static const size_t most_search_work = (size_t)1 << 29; /* elements compared for unmatched end tags: about a second */

typedef enum element_role {
    ROLE_INLINE,
    ROLE_BREAK,
    ROLE_BLOCK,
    ROLE_HEADING,
    ROLE_PRE,
    ROLE_LIST,
    ROLE_ITEM,
    ROLE_TABLE,
    ROLE_ROW,
    ROLE_CELL,
    ROLE_SKIP,
    ROLE_TITLE,
    ROLE_MAIN,
    ROLE_ARTICLE,
    ROLE_HTML
} element_role;

static const struct {
    const char *name;
    element_role role;
} elements[] = {
    {"address", ROLE_BLOCK},    {"article", ROLE_ARTICLE}, {"aside", ROLE_BLOCK},      {"audio", ROLE_SKIP},
    {"blockquote", ROLE_BLOCK}, {"body", ROLE_BLOCK},      {"br", ROLE_BREAK},         {"canvas", ROLE_SKIP},
    {"caption", ROLE_ROW},      {"center", ROLE_BLOCK},    {"dd", ROLE_BLOCK},         {"details", ROLE_BLOCK},
    {"dialog", ROLE_BLOCK},     {"dir", ROLE_LIST},        {"div", ROLE_BLOCK},        {"dl", ROLE_BLOCK},
    {"dt", ROLE_BLOCK},         {"fieldset", ROLE_BLOCK},  {"figcaption", ROLE_BLOCK}, {"figure", ROLE_BLOCK},
    {"footer", ROLE_BLOCK},     {"form", ROLE_BLOCK},      {"h1", ROLE_HEADING},       {"h2", ROLE_HEADING},
    {"h3", ROLE_HEADING},       {"h4", ROLE_HEADING},      {"h5", ROLE_HEADING},       {"h6", ROLE_HEADING},
    {"header", ROLE_BLOCK},     {"hr", ROLE_BLOCK},        {"html", ROLE_HTML},        {"iframe", ROLE_SKIP},
    {"legend", ROLE_BLOCK},     {"li", ROLE_ITEM},         {"listing", ROLE_PRE},      {"main", ROLE_MAIN},
    {"menu", ROLE_LIST},        {"nav", ROLE_SKIP},        {"noframes", ROLE_SKIP},    {"noscript", ROLE_SKIP},
    {"object", ROLE_SKIP},      {"ol", ROLE_LIST},         {"option", ROLE_BLOCK},     {"p", ROLE_BLOCK},
    {"pre", ROLE_PRE},          {"script", ROLE_SKIP},     {"section", ROLE_BLOCK},    {"style", ROLE_SKIP},
    {"summary", ROLE_BLOCK},    {"svg", ROLE_SKIP},        {"table", ROLE_TABLE},      {"td", ROLE_CELL},
    {"template", ROLE_SKIP},    {"textarea", ROLE_PRE},    {"th", ROLE_CELL},          {"title", ROLE_TITLE},
    {"tr", ROLE_ROW},           {"ul", ROLE_LIST},         {"video", ROLE_SKIP},       {"xmp", ROLE_PRE},
};

/* A part of the output: the blocks found inside <main> or <article>. */
typedef struct part {
    size_t first, last; /* blocks */
} part;

typedef struct part_list {
    part *parts;
    size_t count, capacity;
    size_t depth; /* open elements of the kind: only outermost ones count */
} part_list;

typedef struct extractor {
    sx_document *document;
    sx_block_list *blocks;
    sx_buffer out, title;
    size_t depth;    /* open elements */
    size_t skipping; /* open elements whose content is left out */
    size_t lists, tables, pre;
    size_t title_depth;
    unsigned heading; /* level of the open heading, 0 outside */
    bool open;        /* a block is open and begins at block_start */
    sx_block_kind kind;
    unsigned level;
    size_t block_start;
    bool space, newline, bullet; /* owed before the next text */
    size_t bars;                 /* cell separators owed */
    size_t cells;                /* begun in this row */
    bool pre_begins;             /* a line end directly after <pre> is no text */
    part_list mains, articles;
    size_t work;
    size_t stopped_at; /* open elements when the work got too much, else 0 */
    xmlParserCtxtPtr parser;
} extractor;

static int compare_element(const void *name, const void *row)
{
    return strcasecmp(name, ((const char *const *)row)[0]);
}

static element_role role_of(const xmlChar *name)
{
    const void *row = bsearch(name, elements, sizeof elements / sizeof elements[0], sizeof elements[0], compare_element);
    return row ? elements[((const char *)row - (const char *)elements) / (ptrdiff_t)sizeof elements[0]].role : ROLE_INLINE;
}

/* ---- The text that comes out ---- */

static void end_block(extractor *x)
{
    if (x->open) {
        size_t end = x->out.length;
        while (end > x->block_start && (x->out.data[end - 1] == ' ' || x->out.data[end - 1] == '\n'))
            end--;
        x->out.length = end;
        const char *heading = x->kind == SX_BLOCK_HEADING ? x->out.data + x->block_start : NULL;
        sx_blocks_add(x->blocks, x->kind, x->level, x->block_start, end, heading, end - x->block_start);
    }
    x->open = x->space = x->newline = x->bullet = false;
    x->bars = 0;
}

static void begin_text(extractor *x)
{
    sx_block_kind kind = x->heading  ? SX_BLOCK_HEADING
                         : x->pre    ? SX_BLOCK_CODE
                         : x->tables ? SX_BLOCK_TABLE
                         : x->lists  ? SX_BLOCK_LIST
                                     : SX_BLOCK_PARAGRAPH;
    if (x->open && x->kind != kind) {
        bool bullet = x->bullet;
        end_block(x);
        x->bullet = bullet;
    }
    if (!x->open) {
        if (x->out.length)
            sx_buffer_append(&x->out, "\n\n", 2);
        x->block_start = x->out.length;
        x->kind = kind;
        x->level = x->heading;
        x->open = true;
        x->space = x->newline = false;
    }
    if (x->newline) {
        sx_buffer_append_byte(&x->out, '\n');
        x->space = false;
    }
    if (x->bullet && kind == SX_BLOCK_LIST) {
        sx_buffer_append(&x->out, "- ", 2);
        x->space = false;
    }
    bool line_begins = x->out.length == x->block_start || x->out.data[x->out.length - 1] == '\n';
    for (; x->bars && kind == SX_BLOCK_TABLE; x->bars--) {
        sx_buffer_append(&x->out, line_begins ? "| " : " | ", line_begins ? 2 : 3);
        line_begins = x->space = false;
    }
    if (x->space && !line_begins)
        sx_buffer_append_byte(&x->out, ' ');
    x->space = x->newline = x->bullet = false;
    x->bars = 0;
}

static bool is_space(xmlChar byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* White space collapses to what is owed; words go out. A non-breaking space is a space too. */
static void add_words(extractor *x, const xmlChar *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        bool hard = text[i] == 0xc2 && i + 1 < length && text[i + 1] == 0xa0;
        if (is_space(text[i]) || hard) {
            x->space = x->space || x->open;
            i += hard ? 2 : 1;
            continue;
        }
        size_t end = i + 1;
        while (end < length && !is_space(text[end]) && !(text[end] == 0xc2 && end + 1 < length && text[end + 1] == 0xa0))
            end++;
        begin_text(x);
        sx_buffer_append(&x->out, text + i, end - i);
        i = end;
    }
}

static void add_verbatim(extractor *x, const xmlChar *text, size_t length)
{
    if (x->pre_begins && length && text[0] == '\n') {
        text++;
        length--;
    }
    x->pre_begins = false;
    if (!length)
        return;
    bool was_open = x->open && x->kind == SX_BLOCK_CODE;
    if (!was_open) {
        /* Empty lines before the first words are no part of the block; the indentation of its first line is. */
        size_t line = 0, at = 0;
        while (at < length && is_space(text[at]))
            if (text[at++] == '\n')
                line = at;
        if (at == length)
            return;
        text += line;
        length -= line;
    }
    begin_text(x);
    sx_buffer_append(&x->out, text, length);
}

static void on_characters(void *user, const xmlChar *text, int length)
{
    extractor *x = user;
    if (length <= 0)
        return;
    if (x->title_depth && !x->title.failed && x->title.length < 4096)
        sx_buffer_append(&x->title, text, (size_t)length);
    else if (x->title_depth || x->skipping)
        return;
    else if (x->pre && !x->heading)
        add_verbatim(x, text, (size_t)length);
    else
        add_words(x, text, (size_t)length);
}

/* ---- Elements ---- */

static const char *attribute(const xmlChar **attributes, const char *name)
{
    for (size_t i = 0; attributes && attributes[i]; i += 2)
        if (attributes[i + 1] && !strcasecmp((const char *)attributes[i], name))
            return (const char *)attributes[i + 1];
    return NULL;
}

static void begin_part(extractor *x, part_list *list)
{
    end_block(x);
    if (list->depth++)
        return;
    if (!sx_reserve((void **)&list->parts, &list->capacity, list->count + 1, sizeof *list->parts)) {
        x->blocks->failed = true;
        return;
    }
    list->parts[list->count++] = (part){x->blocks->count, SIZE_MAX};
}

static void end_part(extractor *x, part_list *list)
{
    end_block(x);
    if (list->depth && --list->depth == 0 && list->count)
        list->parts[list->count - 1].last = x->blocks->count;
}

static void break_line(extractor *x)
{
    x->newline = x->newline || x->open;
}

/* Inside lists and tables a block element only begins a new line. */
static void break_block(extractor *x)
{
    if (x->heading)
        x->space = x->open;
    else if (x->lists || x->tables)
        break_line(x);
    else
        end_block(x);
}

static void on_start(void *user, const xmlChar *name, const xmlChar **attributes)
{
    extractor *x = user;
    element_role role = role_of(name);
    x->depth++;
    if (role == ROLE_SKIP)
        x->skipping++;
    if (x->skipping)
        return;
    switch (role) {
    case ROLE_TITLE: x->title_depth += x->title.length == 0 || x->title_depth; break;
    case ROLE_HTML: {
        const char *tag = attribute(attributes, "lang");
        if (!tag)
            tag = attribute(attributes, "xml:lang");
        if (tag)
            sx_document_set_language(x->document, tag, strlen(tag));
        break;
    }
    case ROLE_MAIN: begin_part(x, &x->mains); break;
    case ROLE_ARTICLE: begin_part(x, &x->articles); break;
    case ROLE_HEADING:
        end_block(x);
        x->heading = (unsigned)(name[1] - '0');
        break;
    case ROLE_PRE:
        x->pre++;
        x->pre_begins = true;
        break;
    case ROLE_LIST:
        if (!x->lists++ && !x->tables)
            end_block(x);
        break_line(x);
        break;
    case ROLE_ITEM:
        break_line(x);
        x->bullet = true;
        break;
    case ROLE_TABLE:
        if (!x->tables++)
            end_block(x);
        break_line(x);
        x->cells = 0;
        break;
    case ROLE_ROW:
        break_line(x);
        x->cells = x->bars = 0;
        break;
    case ROLE_CELL: x->bars += x->cells++ > 0; break;
    case ROLE_BREAK:
        if (x->pre && x->open)
            sx_buffer_append_byte(&x->out, '\n');
        else if (x->heading)
            x->space = x->open;
        else
            break_line(x);
        break;
    case ROLE_BLOCK: break_block(x); break;
    default: break;
    }
}

static void on_end(void *user, const xmlChar *name)
{
    extractor *x = user;
    element_role role = role_of(name);
    x->depth -= x->depth > 0;
    if (role == ROLE_SKIP) {
        x->skipping -= x->skipping > 0;
        return;
    }
    if (x->skipping)
        return;
    switch (role) {
    case ROLE_TITLE: x->title_depth -= x->title_depth > 0; break;
    case ROLE_MAIN: end_part(x, &x->mains); break;
    case ROLE_ARTICLE: end_part(x, &x->articles); break;
    case ROLE_HEADING:
        end_block(x);
        x->heading = 0;
        break;
    case ROLE_PRE:
        if (x->kind == SX_BLOCK_CODE)
            end_block(x);
        x->pre -= x->pre > 0;
        x->pre_begins = false;
        break;
    case ROLE_LIST:
        x->lists -= x->lists > 0;
        x->bullet = false;
        break_block(x);
        break;
    case ROLE_TABLE:
        x->tables -= x->tables > 0;
        x->bars = 0;
        break_block(x);
        break;
    case ROLE_ITEM:
    case ROLE_ROW: break_line(x); break;
    case ROLE_BLOCK: break_block(x); break;
    default: break;
    }
}

/* Faults of the page are no concern, but each end tag without a start cost a look at all open elements. */
static void on_error(void *user, xmlErrorPtr fault)
{
    extractor *x = user;
    x->work += x->depth;
    if (x->work > most_search_work && !x->stopped_at) {
        x->stopped_at = x->depth;
        xmlStopParser(x->parser);
    }
}

/* ---- Before the parser ---- */

bool sx_html_declared_charset(const void *data, size_t length, char label[41])
{
    const char *text = data, *end = text + (length < CHARSET_PRESCAN ? length : CHARSET_PRESCAN);
    for (const char *at = text; at + 5 < end; at++) {
        if (*at != '<' || (strncasecmp(at, "<meta", 5) && strncasecmp(at, "<?xml", 5)))
            continue;
        const char *close = memchr(at, '>', (size_t)(end - at));
        if (!close)
            return false;
        const char *word = at[1] == '?' ? "encoding" : "charset";
        size_t word_length = strlen(word);
        for (const char *c = at; c + word_length < close; c++) {
            if (strncasecmp(c, word, word_length))
                continue;
            c += word_length;
            while (c < close && (*c == ' ' || *c == '=' || *c == '"' || *c == '\''))
                c++;
            size_t used = 0;
            while (c + used < close && used < 40 && !strchr(" \"';/>?", c[used]))
                used++;
            memcpy(label, c, used);
            label[used] = '\0';
            if (used)
                return true;
        }
        at = close;
    }
    return false;
}

/* True when one tag has so many attributes that the parser's comparison of each with each would take long. NUL bytes, where the
 * parser would stop, become spaces. */
static bool has_monstrous_tag(char *text, size_t length)
{
    size_t words = 0;
    bool inside = false;
    char quote = 0;
    for (size_t i = 0; i < length; i++) {
        char byte = text[i];
        if (byte == '\0')
            text[i] = byte = ' ';
        if (!inside) {
            inside = byte == '<' && i + 1 < length && (text[i + 1] | 0x20) >= 'a' && (text[i + 1] | 0x20) <= 'z';
            words = 0;
            quote = 0;
        } else if (quote) {
            quote = byte == quote ? 0 : quote;
        } else if (byte == '>') {
            inside = false;
        } else if ((byte == '"' || byte == '\'') && i && text[i - 1] == '=') {
            quote = byte;
        } else if ((is_space((xmlChar)byte) || byte == '/') && i + 1 < length && !is_space((xmlChar)text[i + 1]) &&
                   ++words > MOST_ATTRIBUTES) {
            /* Prose and scripts with a stray "<a" look the same, but a real tag has attributes and no second "<". */
            return true;
        } else if (byte == '<') {
            inside = i + 1 < length && (text[i + 1] | 0x20) >= 'a' && (text[i + 1] | 0x20) <= 'z';
            words = 0;
        }
    }
    return false;
}

static sx_status run_parser(extractor *x, const char *text, size_t length, sx_error *error)
{
    sx_status status = SX_OK;
    x->parser = htmlCreateMemoryParserCtxt(text, (int)length);
    if (!x->parser)
        return sx_fail_nomem(error, length);
    xmlSAXHandler handler = {.initialized = XML_SAX2_MAGIC,
                             .startElement = on_start,
                             .endElement = on_end,
                             .characters = on_characters,
                             .ignorableWhitespace = on_characters,
                             .cdataBlock = on_characters,
                             .serror = on_error};
    *x->parser->sax = handler;
    x->parser->userData = x;
    htmlCtxtUseOptions(x->parser, HTML_PARSE_RECOVER | HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC);
    x->parser->options |= XML_PARSE_HUGE; /* its limits would cut long attributes and comments open */
    xmlSwitchEncoding(x->parser, XML_CHAR_ENCODING_UTF8);
    x->parser->input->encoding = xmlStrdup(BAD_CAST "UTF-8");
    htmlParseDocument(x->parser);
    if (x->parser->errNo == XML_ERR_NO_MEMORY)
        status = sx_fail_nomem(error, length);
    else if (x->stopped_at)
        status = sx_fail(error, SX_E_LIMIT, "HTML too deeply nested and broken (%zu open elements)", x->stopped_at);
    htmlFreeParserCtxt(x->parser);
    x->parser = NULL;
    return status;
}

/* ---- After the parser ---- */

static size_t part_bytes(const extractor *x, part_list *list)
{
    size_t bytes = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->parts[i].last > x->blocks->count)
            list->parts[i].last = x->blocks->count;
        for (size_t b = list->parts[i].first; b < list->parts[i].last; b++)
            bytes += x->blocks->blocks[b].end - x->blocks->blocks[b].start;
    }
    return bytes;
}

/* Keeps only the blocks inside the parts: text and ranges move together. */
static void keep_parts(extractor *x, const part_list *list)
{
    size_t kept = 0, used = 0;
    for (size_t i = 0; i < list->count; i++) {
        for (size_t b = list->parts[i].first; b < list->parts[i].last; b++) {
            sx_block block = x->blocks->blocks[b];
            size_t size = block.end - block.start;
            if (kept) {
                memcpy(x->out.data + used, "\n\n", 2);
                used += 2;
            }
            memmove(x->out.data + used, x->out.data + block.start, size);
            block.start = used;
            block.end = used += size;
            x->blocks->blocks[kept++] = block;
        }
    }
    x->blocks->count = kept;
    x->out.length = used;
    x->out.data[used] = '\0';
}

static void choose_main_part(extractor *x)
{
    size_t all = x->out.length, in_main = part_bytes(x, &x->mains), in_articles = part_bytes(x, &x->articles);
    if (in_main >= TRIVIAL_MAIN)
        keep_parts(x, &x->mains);
    else if (in_articles >= TRIVIAL_MAIN && in_articles >= all / 4)
        keep_parts(x, &x->articles);
}

sx_status sx_read_html(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    extractor x = {.document = document, .blocks = blocks, .out = {.maximum = SIZE_MAX / 4}};
    sx_status status = SX_OK;
    size_t mark = document->length >= 3 && !memcmp(document->owned, "\xef\xbb\xbf", 3) ? 3 : 0;
    if (document->length > INT_MAX)
        return sx_fail(error, SX_E_LIMIT, "HTML of %zu bytes, more than the parser's limit of %d", document->length, INT_MAX);
    if (has_monstrous_tag(document->owned, document->length))
        return sx_fail(error, SX_E_LIMIT, "HTML with more than %d attributes in one tag", MOST_ATTRIBUTES);
    status = run_parser(&x, document->owned + mark, document->length - mark, error);
    if (status)
        goto out;
    end_block(&x);
    if (x.out.failed || x.title.failed || blocks->failed) {
        status = sx_fail_nomem(error, x.out.length);
        goto out;
    }
    if (!blocks->count) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "HTML without text");
        goto out;
    }
    choose_main_part(&x);
    if (x.title.length) {
        const char *title = sx_words_copy(&document->arena, x.title.data, x.title.length);
        if (!title) {
            status = sx_fail_nomem(error, x.title.length);
            goto out;
        }
        document->title = title;
    }
    free(document->owned);
    document->length = x.out.length;
    document->text = document->owned = sx_buffer_take(&x.out);
out:
    sx_buffer_clear(&x.out);
    sx_buffer_clear(&x.title);
    free(x.mains.parts);
    free(x.articles.parts);
    return status;
}
