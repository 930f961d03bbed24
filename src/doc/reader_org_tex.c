/* reader_org_tex.c - Org (orgmode.org/worg, its syntax) and TeX: the file's bytes stay the text, and lines that begin a part
 * are headings.
 *
 * Neither language is carried out: macros of a TeX file stay as they are written. Its preamble is a block of its own, so that it
 * does not mix with the text. */
#include "reader.h"

#include <string.h>
#include <strings.h>

/* ---- Org ---- */

/* "#+key: words" */
static bool org_keyword(const char *line, size_t length, const char *key, const char **words, size_t *words_length)
{
    size_t size = strlen(key);
    if (length < size + 3 || line[0] != '#' || line[1] != '+' || strncasecmp(line + 2, key, size) || line[2 + size] != ':')
        return false;
    *words = line + size + 3;
    *words_length = length - size - 3;
    return true;
}

static bool begins_with(const char *line, size_t length, const char *word)
{
    size_t size = strlen(word);
    return length >= size && !strncasecmp(line, word, size);
}

sx_status sx_read_org(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    sx_open_block block = {0};
    sx_line line;
    bool verbatim = false;
    for (size_t at = 0; sx_line_at(document->text, document->length, at, &line); at = line.next) {
        const char *text = document->text + line.content, *words;
        size_t length = line.end - line.content, stars = 0, size;
        if (begins_with(text, length, "#+begin_src") || begins_with(text, length, "#+begin_example"))
            verbatim = true;
        while (stars < length && text[stars] == '*')
            stars++;
        if (!verbatim && !line.indent && stars && stars < length && text[stars] == ' ') {
            sx_open_block_close(&block, blocks);
            sx_blocks_add(blocks, SX_BLOCK_HEADING, (unsigned)stars, line.start, line.end, text + stars, length - stars);
            verbatim = false;
        } else if (verbatim) {
            sx_open_block_extend(&block, blocks, SX_BLOCK_CODE, &line);
        } else if (line.blank) {
            sx_open_block_close(&block, blocks);
        } else if (org_keyword(text, length, "title", &words, &size)) {
            sx_document_set_title(document, words, size);
            sx_open_block_extend(&block, blocks, SX_BLOCK_OTHER, &line);
        } else if (org_keyword(text, length, "author", &words, &size)) {
            sx_document_set_author(document, words, size);
            sx_open_block_extend(&block, blocks, SX_BLOCK_OTHER, &line);
        } else if (org_keyword(text, length, "date", &words, &size)) {
            sx_document_set_date(document, words, size);
            sx_open_block_extend(&block, blocks, SX_BLOCK_OTHER, &line);
        } else {
            bool is_table = text[0] == '|', is_drawer = text[0] == ':' && length > 1 && text[1] != ' ';
            bool is_item = length > 1 && strchr("-+", text[0]) && text[1] == ' ';
            sx_block_kind kind = is_table                                ? SX_BLOCK_TABLE
                                 : is_drawer || begins_with(text, length, "#+") ? SX_BLOCK_OTHER
                                 : is_item || (block.open && block.kind == SX_BLOCK_LIST) ? SX_BLOCK_LIST
                                                                         : SX_BLOCK_PARAGRAPH;
            sx_open_block_extend(&block, blocks, kind, &line);
        }
        if (begins_with(text, length, "#+end_")) {
            verbatim = false;
            sx_open_block_close(&block, blocks);
        }
    }
    sx_open_block_close(&block, blocks);
    return SX_OK;
}

/* ---- TeX ---- */

static const struct {
    const char *command;
    unsigned level;
} parts[] = {{"\\part", 1}, {"\\chapter", 1}, {"\\section", 2}, {"\\subsection", 3}, {"\\subsubsection", 4}, {"\\paragraph", 5}};

/* The words in the braces that follow, however they nest; they end with the line. */
static bool braced(const char *text, size_t length, const char **words, size_t *words_length)
{
    size_t at = 0, depth = 0, start = 0;
    while (at < length && text[at] != '{' && text[at] != '\n')
        at++;
    for (start = at + 1; at < length; at++) {
        depth += text[at] == '{';
        if (text[at] == '}' && --depth == 0) {
            *words = text + start;
            *words_length = at - start;
            return true;
        }
        if (text[at] == '\n' || (text[at] == '}' && !depth))
            return false;
    }
    return false;
}

static bool tex_command(const char *text, size_t length, const char *command)
{
    size_t size = strlen(command);
    return length > size && !memcmp(text, command, size) && strchr("{*[", text[size]) && text[size];
}

/* Heading words without commands and braces: "\texorpdfstring{A}{B}" is written by converters around every odd word. */
static size_t plain_words(const char *text, size_t length, char *plain, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < length && used < size; i++) {
        if (text[i] == '\\' && i + 1 < length && (text[i + 1] | 0x20) >= 'a' && (text[i + 1] | 0x20) <= 'z') {
            while (i + 1 < length && (text[i + 1] | 0x20) >= 'a' && (text[i + 1] | 0x20) <= 'z')
                i++;
        } else if (text[i] != '{' && text[i] != '}' && text[i] != '\\') {
            plain[used++] = text[i] == '~' ? ' ' : text[i];
        }
    }
    return used;
}

static void tex_about(sx_document *document, const char *text, size_t length)
{
    const char *words;
    size_t size;
    char plain[512];
    bool is_title = tex_command(text, length, "\\title"), is_author = tex_command(text, length, "\\author");
    if ((is_title || is_author) && braced(text, length, &words, &size)) {
        size = plain_words(words, size, plain, sizeof plain);
        if (is_title)
            sx_document_set_title(document, plain, size);
        else
            sx_document_set_author(document, plain, size);
    }
}

sx_status sx_read_tex(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    sx_open_block block = {0};
    sx_line line;
    bool preamble = memmem(document->text, document->length, "\\begin{document}", 16) != NULL, verbatim = false;
    for (size_t at = 0; sx_line_at(document->text, document->length, at, &line); at = line.next) {
        const char *text = document->text + line.content, *words = NULL;
        size_t length = line.end - line.content, size = 0;
        unsigned level = 0;
        tex_about(document, text, length);
        if (preamble) {
            sx_open_block_extend(&block, blocks, SX_BLOCK_OTHER, &line);
            preamble = !begins_with(text, length, "\\begin{document}");
            if (!preamble)
                sx_open_block_close(&block, blocks);
            continue;
        }
        for (size_t i = 0; i < sizeof parts / sizeof *parts && !verbatim; i++)
            if (tex_command(text, length, parts[i].command) && braced(text, length, &words, &size))
                level = parts[i].level;
        if (begins_with(text, length, "\\begin{verbatim}") || begins_with(text, length, "\\begin{lstlisting}") ||
            begins_with(text, length, "\\begin{Highlighting}"))
            verbatim = true;
        if (level) {
            char plain[512];
            sx_open_block_close(&block, blocks);
            size = plain_words(words, size, plain, sizeof plain);
            sx_blocks_add(blocks, SX_BLOCK_HEADING, level, line.start, line.end, plain, size);
        } else if (verbatim) {
            sx_open_block_extend(&block, blocks, SX_BLOCK_CODE, &line);
        } else if (line.blank) {
            sx_open_block_close(&block, blocks);
        } else {
            sx_open_block_extend(&block, blocks, SX_BLOCK_PARAGRAPH, &line);
        }
        if (begins_with(text, length, "\\end{verbatim}") || begins_with(text, length, "\\end{lstlisting}") ||
            begins_with(text, length, "\\end{Highlighting}")) {
            verbatim = false;
            sx_open_block_close(&block, blocks);
        }
    }
    sx_open_block_close(&block, blocks);
    return SX_OK;
}
