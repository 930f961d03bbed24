/* reader_markdown.c - the block structure of Markdown, line by line: headings, code, lists, tables, front matter, HTML.
 *
 * The rules of CommonMark 0.31 (section 4, leaf blocks) and of GitHub's tables as far as they decide where blocks begin and
 * end; nothing is rendered, and the text stays the file's bytes. Containers are not nested: a list or quotation is one block,
 * and headings inside them are words, not sections. YAML and TOML front matter give title and language. */
#include "reader.h"

#include "../base/error.h"

#include <string.h>
#include <strings.h>

typedef enum html_end { HTML_NONE, HTML_RAW, HTML_COMMENT, HTML_INSTRUCTION, HTML_DECLARATION, HTML_CDATA, HTML_BLANK } html_end;

typedef struct scanner {
    sx_document *document;
    sx_block_list *blocks;
    sx_open_block block;
    const char *text;
    size_t length;
    char fence; /* '`' or '~' inside a fenced block, else 0 */
    size_t fence_length;
    html_end html;          /* what ends the HTML block, HTML_NONE outside */
    bool paragraph;         /* the open block is a paragraph that the next line may continue */
    bool quote;             /* that paragraph is a quotation: no setext heading */
    size_t paragraph_start; /* of its first line that may be a setext heading's text */
    bool container;         /* in a list or admonition: indented lines belong to it */
    bool blank_before;      /* the previous line was blank */
    sx_buffer words;
} scanner;

static size_t run_of(const scanner *s, size_t at, size_t end, char byte)
{
    size_t from = at;
    while (at < end && s->text[at] == byte)
        at++;
    return at - from;
}

static bool only_space(const scanner *s, size_t at, size_t end)
{
    while (at < end && (s->text[at] == ' ' || s->text[at] == '\t'))
        at++;
    return at == end;
}

static void close_block(scanner *s)
{
    sx_open_block_close(&s->block, s->blocks);
    s->paragraph = s->quote = false;
}

static void add_heading(scanner *s, unsigned level, size_t start, size_t end, size_t words_start, size_t words_end)
{
    sx_buffer_reset(&s->words);
    sx_markdown_words(s->text + words_start, words_end - words_start, &s->words);
    close_block(s);
    s->container = false;
    sx_blocks_add(s->blocks, SX_BLOCK_HEADING, level, start, end, s->words.data ? s->words.data : "", s->words.length);
    s->blocks->failed = s->blocks->failed || s->words.failed;
}

/* ---- Headings ---- */

/* Drops closing #s and a trailing {#anchor .class} from a heading's text. */
static size_t heading_text_end(const scanner *s, size_t start, size_t end)
{
    while (end > start && (s->text[end - 1] == ' ' || s->text[end - 1] == '\t'))
        end--;
    if (end > start && s->text[end - 1] == '}') {
        size_t open = end - 1;
        while (open > start && s->text[open] != '{')
            open--;
        char kind = open + 1 < end ? s->text[open + 1] : '\0';
        bool preceded = open == start || s->text[open - 1] == ' ' || s->text[open - 1] == '\t';
        if (s->text[open] == '{' && preceded && (kind == '#' || kind == '.' || kind == ':'))
            end = open;
    }
    while (end > start && (s->text[end - 1] == ' ' || s->text[end - 1] == '\t'))
        end--;
    size_t hashes = end;
    while (hashes > start && s->text[hashes - 1] == '#')
        hashes--;
    if (hashes < end && (hashes == start || s->text[hashes - 1] == ' ' || s->text[hashes - 1] == '\t'))
        end = hashes;
    while (end > start && (s->text[end - 1] == ' ' || s->text[end - 1] == '\t'))
        end--;
    return end;
}

static bool take_atx_heading(scanner *s, const sx_line *line)
{
    size_t level = line->indent < 4 ? run_of(s, line->content, line->end, '#') : 0;
    size_t start = line->content + level;
    if (level < 1 || level > 6 || (start < line->end && s->text[start] != ' ' && s->text[start] != '\t'))
        return false;
    while (start < line->end && (s->text[start] == ' ' || s->text[start] == '\t'))
        start++;
    add_heading(s, (unsigned)level, line->start, line->end, start, heading_text_end(s, start, line->end));
    return true;
}

static bool take_setext_heading(scanner *s, const sx_line *line)
{
    char mark = s->text[line->content];
    if (!s->paragraph || s->quote || s->block.kind != SX_BLOCK_PARAGRAPH || line->indent >= 4 || (mark != '=' && mark != '-'))
        return false;
    size_t run = run_of(s, line->content, line->end, mark);
    if (!only_space(s, line->content + run, line->end))
        return false;
    size_t start = s->block.start, words = s->paragraph_start, end = heading_text_end(s, s->paragraph_start, s->block.end);
    s->block.open = false;
    add_heading(s, mark == '=' ? 1 : 2, start, line->end, words, end);
    return true;
}

/* ---- Leaf blocks ---- */

static bool take_fence(scanner *s, const sx_line *line)
{
    if (s->fence) {
        size_t run = run_of(s, line->content, line->end, s->fence);
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_CODE, line);
        if (run >= s->fence_length && only_space(s, line->content + run, line->end)) {
            s->fence = 0;
            close_block(s);
        }
        return true;
    }
    char mark = s->text[line->content];
    if ((mark != '`' && mark != '~') || (line->indent >= 4 && !s->container))
        return false;
    size_t run = run_of(s, line->content, line->end, mark);
    if (run < 3 || (mark == '`' && memchr(s->text + line->content + run, '`', line->end - line->content - run)))
        return false;
    close_block(s);
    s->fence = mark;
    s->fence_length = run;
    sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_CODE, line);
    return true;
}

static bool is_thematic_break(const scanner *s, const sx_line *line)
{
    char mark = s->text[line->content];
    size_t count = 0;
    if (line->indent >= 4 || (mark != '-' && mark != '*' && mark != '_'))
        return false;
    for (size_t at = line->content; at < line->end; at++) {
        if (s->text[at] == mark)
            count++;
        else if (s->text[at] != ' ' && s->text[at] != '\t')
            return false;
    }
    return count >= 3;
}

/* 0: no list item; 1: an item; 2: an item that may not interrupt a paragraph (empty, or numbered other than 1). */
static int list_item_kind(const scanner *s, const sx_line *line)
{
    const char *text = s->text;
    size_t at = line->content;
    bool one = true;
    if (text[at] == '-' || text[at] == '+' || text[at] == '*') {
        at++;
    } else {
        size_t digits = at;
        while (digits < line->end && text[digits] >= '0' && text[digits] <= '9')
            digits++;
        if (digits == at || digits - at > 9 || digits >= line->end || (text[digits] != '.' && text[digits] != ')'))
            return 0;
        one = digits - at == 1 && text[at] == '1';
        at = digits + 1;
    }
    if (at == line->end)
        return 2;
    if (text[at] != ' ' && text[at] != '\t')
        return 0;
    return only_space(s, at, line->end) || !one ? 2 : 1;
}

/* A table's second line: cells of dashes with optional colons, at least one bar. */
static bool is_table_delimiter(const scanner *s, const sx_line *line)
{
    size_t bars = 0, dashes = 0;
    if (line->indent >= 4)
        return false;
    for (size_t at = line->content; at < line->end; at++) {
        switch (s->text[at]) {
        case '|': bars++; break;
        case '-': dashes++; break;
        case ':':
        case ' ':
        case '\t': break;
        default: return false;
        }
    }
    return bars && dashes;
}

static bool name_is_block_tag(const char *name, size_t length)
{
    static const char tags[] =
        " address article aside base basefont blockquote body caption center col colgroup dd details dialog dir div dl dt "
        "fieldset "
        "figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link main menu "
        "menuitem nav "
        "noframes ol optgroup option p param search section summary table tbody td tfoot th thead title tr track ul ";
    char wanted[16];
    if (length == 0 || length + 2 >= sizeof wanted)
        return false;
    wanted[0] = ' ';
    for (size_t i = 0; i < length; i++)
        wanted[1 + i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] | 0x20 : name[i]);
    wanted[length + 1] = ' ';
    wanted[length + 2] = '\0';
    return strstr(tags, wanted) != NULL;
}

static html_end html_block_begins(const scanner *s, const sx_line *line)
{
    const char *at = s->text + line->content, *end = s->text + line->end;
    if (line->indent >= 4 || at + 1 >= end || *at != '<')
        return HTML_NONE;
    size_t left = (size_t)(end - at);
    if (left >= 4 && !memcmp(at, "<!--", 4))
        return HTML_COMMENT;
    if (at[1] == '?')
        return HTML_INSTRUCTION;
    if (left >= 9 && !memcmp(at, "<![CDATA[", 9))
        return HTML_CDATA;
    if (at[1] == '!')
        return left > 2 && (at[2] | 0x20) >= 'a' && (at[2] | 0x20) <= 'z' ? HTML_DECLARATION : HTML_NONE;
    bool closing = at[1] == '/';
    const char *name = at + 1 + closing;
    size_t length = 0;
    while (name + length < end && (((name[length] | 0x20) >= 'a' && (name[length] | 0x20) <= 'z') ||
                                   (length && ((name[length] >= '0' && name[length] <= '9') || name[length] == '-'))))
        length++;
    char after = name + length < end ? name[length] : '>';
    if (!length || (after != ' ' && after != '\t' && after != '>' && after != '/'))
        return HTML_NONE;
    static const char *const raw[] = {"script", "pre", "style", "textarea"};
    for (size_t i = 0; i < 4 && !closing; i++)
        if (length == strlen(raw[i]) && !strncasecmp(name, raw[i], length))
            return HTML_RAW;
    if (name_is_block_tag(name, length))
        return HTML_BLANK;
    /* Any other complete tag, alone on its line, and not inside a paragraph. */
    const char *close = memchr(name, '>', (size_t)(end - name));
    return !s->paragraph && close && only_space(s, (size_t)(close + 1 - s->text), line->end) ? HTML_BLANK : HTML_NONE;
}

static bool html_block_ends(html_end kind, const char *text, size_t length)
{
    switch (kind) {
    case HTML_COMMENT: return memmem(text, length, "-->", 3) != NULL;
    case HTML_INSTRUCTION: return memmem(text, length, "?>", 2) != NULL;
    case HTML_DECLARATION: return memchr(text, '>', length) != NULL;
    case HTML_CDATA: return memmem(text, length, "]]>", 3) != NULL;
    case HTML_RAW:
        for (size_t i = 0; i + 5 < length; i++)
            if (text[i] == '<' && text[i + 1] == '/' &&
                (!strncasecmp(text + i + 2, "pre>", 4) || (length - i >= 8 && !strncasecmp(text + i + 2, "style>", 6)) ||
                 (length - i >= 9 && !strncasecmp(text + i + 2, "script>", 7)) ||
                 (length - i >= 11 && !strncasecmp(text + i + 2, "textarea>", 9))))
                return true;
        return false;
    default: return false;
    }
}

static bool take_html(scanner *s, const sx_line *line)
{
    if (!s->html) {
        s->html = html_block_begins(s, line);
        if (!s->html)
            return false;
        close_block(s);
    }
    if (s->html == HTML_BLANK && line->blank) {
        s->html = HTML_NONE;
        close_block(s);
        return true;
    }
    if (!line->blank)
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_OTHER, line);
    if (html_block_ends(s->html, s->text + line->content, line->end - line->content)) {
        s->html = HTML_NONE;
        close_block(s);
    }
    return true;
}

/* ---- Lists, tables, quotations, paragraphs ---- */

static bool begins_admonition(const scanner *s, const sx_line *line)
{
    const char *at = s->text + line->content;
    size_t left = line->end - line->content;
    return left > 4 && (!memcmp(at, "!!! ", 4) || !memcmp(at, "??? ", 4) || !memcmp(at, "???+", 4) || !memcmp(at, "=== ", 4));
}

static void take_words(scanner *s, const sx_line *line)
{
    int item = list_item_kind(s, line);
    bool listed = s->block.open && s->block.kind == SX_BLOCK_LIST;
    if (item && (line->indent < 4 || s->container) && (item == 1 || listed || !s->paragraph)) {
        if (!listed)
            close_block(s);
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_LIST, line);
        s->paragraph = s->container = true;
        return;
    }
    if (listed && (line->indent >= 2 || !s->blank_before)) {
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_LIST, line);
        return;
    }
    if (s->block.open && s->block.kind == SX_BLOCK_TABLE && !s->blank_before) {
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_TABLE, line);
        return;
    }
    if (line->indent < 2 && !s->paragraph)
        s->container = false;
    if (line->indent >= 4 && !s->paragraph && !s->container) {
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_CODE, line);
        return;
    }
    if (s->block.open && s->block.kind != SX_BLOCK_PARAGRAPH)
        close_block(s);
    bool quoted = s->text[line->content] == '>' && line->indent < 4;
    if (s->paragraph && quoted != s->quote && quoted)
        close_block(s);
    if (!s->block.open)
        s->paragraph_start = line->content;
    sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_PARAGRAPH, line);
    s->quote = s->quote || quoted;
    s->paragraph = true;
    if (begins_admonition(s, line)) {
        s->container = true;
        s->quote = true; /* its title is no setext heading */
    }
}

/* The paragraph's last line is a table's header when the line after it is a row of dashes. */
static bool take_table(scanner *s, const sx_line *line)
{
    if (s->block.open && s->block.kind == SX_BLOCK_TABLE)
        return false;
    if (!s->paragraph || s->quote || s->block.kind != SX_BLOCK_PARAGRAPH || !is_table_delimiter(s, line))
        return false;
    size_t header = s->block.end;
    while (header > s->block.start && s->text[header - 1] != '\n' && s->text[header - 1] != '\r')
        header--;
    if (!memchr(s->text + header, '|', s->block.end - header))
        return false;
    if (header > s->block.start) {
        size_t before = header;
        while (before > s->block.start && (s->text[before - 1] == '\n' || s->text[before - 1] == '\r'))
            before--;
        sx_blocks_add(s->blocks, SX_BLOCK_PARAGRAPH, 0, s->block.start, before, NULL, 0);
    }
    s->block = (sx_open_block){.kind = SX_BLOCK_TABLE, .start = header, .end = line->end, .open = true};
    s->paragraph = false;
    return true;
}

static void take_blank(scanner *s)
{
    /* Lists and indented code go on over blank lines when what follows belongs to them. */
    if (!s->block.open || (s->block.kind != SX_BLOCK_LIST && s->block.kind != SX_BLOCK_CODE))
        close_block(s);
    s->paragraph = s->quote = false;
}

static void take_line(scanner *s, const sx_line *line)
{
    if (s->fence ? take_fence(s, line) : s->html && take_html(s, line))
        return;
    if (line->blank) {
        take_blank(s);
        s->blank_before = true;
        return;
    }
    bool in_code = s->block.open && s->block.kind == SX_BLOCK_CODE;
    if (in_code && line->indent < 4)
        close_block(s);
    bool listed = s->block.open && s->block.kind == SX_BLOCK_LIST;
    if (listed && line->indent >= 2 && s->text[line->content] != '`' && s->text[line->content] != '~') {
        sx_open_block_extend(&s->block, s->blocks, SX_BLOCK_LIST, line);
        s->paragraph = true;
    } else if (!take_fence(s, line) && !take_atx_heading(s, line) && !take_setext_heading(s, line) && !take_table(s, line)) {
        if (is_thematic_break(s, line)) {
            close_block(s);
            s->container = false;
            sx_blocks_add(s->blocks, SX_BLOCK_OTHER, 0, line->start, line->end, NULL, 0);
        } else if (!take_html(s, line)) {
            take_words(s, line);
        }
    }
    s->blank_before = false;
}

/* ---- Front matter ---- */

static void take_setting(scanner *s, const sx_line *line, char separator)
{
    const char *key = s->text + line->start;
    const char *mark = memchr(key, separator, line->end - line->start);
    if (!mark)
        return;
    size_t key_length = (size_t)(mark - key);
    while (key_length && (key[key_length - 1] == ' ' || key[key_length - 1] == '\t'))
        key_length--;
    const char *value = mark + 1, *end = s->text + line->end;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    if (end - value >= 2 && (*value == '"' || *value == '\'') && end[-1] == *value) {
        value++;
        end--;
    }
    if (key_length == 5 && !memcmp(key, "title", 5) && value < end && *value != '|' && *value != '>') {
        const char *title = sx_words_copy(&s->document->arena, value, (size_t)(end - value));
        if (title)
            s->document->title = title;
        else
            s->blocks->failed = true;
    } else if ((key_length == 4 && !memcmp(key, "lang", 4)) || (key_length == 8 && !memcmp(key, "language", 8))) {
        sx_document_set_language(s->document, value, (size_t)(end - value));
    }
}

static bool is_rule(const scanner *s, const sx_line *line, const char *rule)
{
    return !line->indent && line->end - line->content >= 3 && !memcmp(s->text + line->content, rule, 3) &&
           only_space(s, line->content + 3, line->end);
}

/* Returns where the text after the front matter begins: 0 when there is none. */
static size_t take_front_matter(scanner *s)
{
    sx_line line;
    if (!sx_line_at(s->text, s->length, 0, &line) || (!is_rule(s, &line, "---") && !is_rule(s, &line, "+++")))
        return 0;
    const char *rule = s->text[line.content] == '-' ? "---" : "+++";
    size_t first = line.next;
    bool found = false, begins = false;
    for (size_t at = first; sx_line_at(s->text, s->length, at, &line); at = line.next) {
        found = is_rule(s, &line, rule) || (*rule == '-' && is_rule(s, &line, "..."));
        if (found || (at == first && line.blank))
            break;
        begins = true;
    }
    if (!found || !begins)
        return 0;
    sx_line inside;
    for (size_t at = first; at < line.start && sx_line_at(s->text, s->length, at, &inside); at = inside.next)
        take_setting(s, &inside, *rule == '-' ? ':' : '=');
    sx_blocks_add(s->blocks, SX_BLOCK_OTHER, 0, 0, line.end, NULL, 0);
    return line.next;
}

sx_status sx_read_markdown(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    scanner s = {.document = document, .blocks = blocks, .text = document->text, .length = document->length};
    sx_line line;
    for (size_t at = take_front_matter(&s); sx_line_at(s.text, s.length, at, &line); at = line.next)
        take_line(&s, &line);
    close_block(&s);
    sx_buffer_clear(&s.words);
    return SX_OK;
}
