/* text_writer.c - text and words as readers write them whose text is not the file's own: cleaned, in blocks. */
#include "reader.h"

#include "../base/error.h"
#include "../base/json_writer.h"
#include "../text/encoding.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST_WORDS = 2000 };

static int hex_digit(char digit)
{
    char small = (char)(digit | 0x20);
    return digit >= '0' && digit <= '9' ? digit - '0' : small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

int sx_hex_pair(const char digits[2])
{
    int high = hex_digit(digits[0]), low = high < 0 ? -1 : hex_digit(digits[1]);
    return low < 0 ? -1 : high * 16 + low;
}

/* ---- Cleaning ---- */

static const struct {
    const char *ligature, *letters;
} ligatures[] = {{"\xef\xac\x80", "ff"},  {"\xef\xac\x81", "fi"}, {"\xef\xac\x82", "fl"}, {"\xef\xac\x83", "ffi"},
                 {"\xef\xac\x84", "ffl"}, {"\xef\xac\x85", "st"}, {"\xef\xac\x86", "st"}};

static const char *letters_of(const char *at)
{
    for (size_t i = 0; i < sizeof ligatures / sizeof *ligatures; i++)
        if (!memcmp(at, ligatures[i].ligature, 3))
            return ligatures[i].letters;
    return NULL;
}

static void append_clean(sx_buffer *out, const char *text, size_t length)
{
    size_t valid = sx_encoding_utf8_prefix(text, length), plain = 0;
    for (size_t i = 0; i < length;) {
        unsigned char byte = (unsigned char)text[i];
        size_t skipped = 0;
        const char *instead = "";
        if (i >= valid) {
            valid = i + sx_encoding_utf8_prefix(text + i, length - i);
            if (valid == i) {
                skipped = 1;
                valid = i + 1;
                instead = "\xef\xbf\xbd";
            }
        }
        if (!skipped && byte == '\r') {
            skipped = 1;
            instead = i + 1 < length && text[i + 1] == '\n' ? "" : "\n";
        } else if (!skipped && ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f)) {
            skipped = 1;
            instead = byte == '\f' || byte == '\v' ? "\n" : "";
        } else if (!skipped && byte == 0xc2 && ((unsigned char)text[i + 1] == 0xad || (unsigned char)text[i + 1] < 0xa0)) {
            skipped = 2;
        } else if (!skipped && byte == 0xc2 && (unsigned char)text[i + 1] == 0xa0) {
            skipped = 2;
            instead = " ";
        } else if (!skipped && byte == 0xef && (unsigned char)text[i + 1] == 0xac && letters_of(text + i)) {
            skipped = 3;
            instead = letters_of(text + i);
        }
        if (skipped) {
            sx_buffer_append(out, text + plain, i - plain);
            sx_buffer_append_string(out, instead);
            plain = i + skipped;
        }
        i += skipped ? skipped : 1;
    }
    sx_buffer_append(out, text + plain, length - plain);
}

const char *sx_document_words(sx_document *document, const char *text, size_t length)
{
    sx_buffer clean = {0};
    const char *words = NULL;
    if (length > LONGEST_WORDS) {
        length = LONGEST_WORDS;
        while (length && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    if (text && length) {
        append_clean(&clean, text, length);
        words = clean.failed ? NULL : sx_words_copy(&document->arena, clean.data, clean.length);
    }
    sx_buffer_clear(&clean);
    return words ? words : "";
}

static bool says_nothing(const char *words)
{
    static const char *const empty[] = {"untitled", "unknown", "anonymous", "(anonymous)",
                                        "(unspecified)", "unspecified", "title", "none"};
    for (size_t i = 0; i < sizeof empty / sizeof *empty; i++)
        if (!strcasecmp(words, empty[i]))
            return true;
    return !words[0] || !strncasecmp(words, "microsoft word - ", 17);
}

void sx_document_set_title(sx_document *document, const char *text, size_t length)
{
    const char *words = sx_document_words(document, text, length);
    if (!says_nothing(words))
        document->title = words;
}

void sx_document_set_author(sx_document *document, const char *text, size_t length)
{
    const char *words = sx_document_words(document, text, length);
    if (!says_nothing(words))
        document->author = words;
}

void sx_document_set_date(sx_document *document, const char *text, size_t length)
{
    static const char form[] = "dddd-dd-dd";
    const char *words = sx_document_words(document, text, length);
    size_t same = 0;
    while (form[same] && (form[same] == 'd' ? words[same] >= '0' && words[same] <= '9' : words[same] == form[same]))
        same++;
    if (!words[0])
        return;
    document->date = form[same] ? words : sx_document_words(document, words, sizeof form - 1);
}

sx_status sx_document_add_member(sx_document *document, const char *key, const char *value, sx_error *error)
{
    sx_buffer members = {0};
    size_t length = strlen(document->metadata);
    sx_buffer_append(&members, length ? document->metadata : "{", length ? length - 1 : 1);
    sx_buffer_append_string(&members, length ? "," : "");
    sx_json_write_string(&members, key, strlen(key));
    sx_buffer_append_byte(&members, ':');
    sx_json_write_string(&members, value, strlen(value));
    sx_buffer_append_byte(&members, '}');
    const char *kept = members.failed ? NULL : sx_arena_strndup(&document->arena, members.data, members.length);
    if (kept)
        document->metadata = kept;
    sx_buffer_clear(&members);
    return kept ? SX_OK : sx_fail_nomem(error, length + strlen(value));
}

/* ---- Blocks ---- */

void sx_writer_begin(sx_writer *writer, sx_block_list *blocks)
{
    *writer = (sx_writer){.out = {.maximum = (size_t)1 << 30}, .blocks = blocks};
}

static void trim(const char **text, size_t *length)
{
    size_t line = 0;
    for (size_t i = 0; i < *length && strchr(" \t\r\n\f\v", (*text)[i]) && (*text)[i]; i++)
        if ((*text)[i] == '\n')
            line = i + 1;
    *text += line;
    *length -= line;
    while (*length && strchr(" \t\r\n\f\v", (*text)[*length - 1]) && (*text)[*length - 1])
        --*length;
}

static void add(sx_writer *writer, sx_block_kind kind, unsigned level, const char *text, size_t length, bool is_line)
{
    sx_buffer *out = &writer->out;
    sx_block_list *list = writer->blocks;
    trim(&text, &length);
    size_t before = out->length;
    bool extends = is_line && writer->joins && list->count && list->blocks[list->count - 1].kind == kind;
    if (out->length)
        sx_buffer_append(out, "\n\n", extends ? 1 : 2);
    size_t start = out->length;
    append_clean(out, text, length);
    if (out->failed)
        return;
    if (sx_encoding_is_blank(out->data + start, out->length - start)) {
        out->length = before;
        return;
    }
    if (extends)
        list->blocks[list->count - 1].end = out->length;
    else
        sx_blocks_add(list, kind, level, start, out->length, kind == SX_BLOCK_HEADING ? out->data + start : NULL,
                      out->length - start);
    writer->joins = is_line;
}

void sx_writer_block(sx_writer *writer, sx_block_kind kind, unsigned level, const char *text, size_t length)
{
    add(writer, kind, level, text, length, false);
}

void sx_writer_line(sx_writer *writer, sx_block_kind kind, const char *text, size_t length)
{
    add(writer, kind, 0, text, length, true);
}

sx_status sx_writer_part(sx_writer *writer, sx_reader read, const char *text, size_t length, sx_error *error)
{
    sx_document part = {.title = "", .author = "", .date = "", .note = "", .metadata = "", .language = "", .length = length};
    sx_block_list blocks = {.arena = writer->blocks->arena};
    sx_buffer clean = {.maximum = (size_t)1 << 30};
    sx_status status = SX_OK;
    append_clean(&clean, text, length);
    part.length = clean.length;
    part.text = part.owned = sx_buffer_take(&clean);
    if (!part.owned)
        return sx_fail_nomem(error, length);
    if (sx_encoding_is_blank(part.text, part.length))
        goto out;
    status = read(&part, &blocks, error);
    if (status == SX_E_UNSUPPORTED)
        status = SX_OK;
    else if (!status) {
        if (writer->out.length)
            sx_buffer_append(&writer->out, "\n\n", 2);
        size_t start = writer->out.length;
        sx_buffer_append(&writer->out, part.text, part.length);
        for (size_t i = 0; i < blocks.count && !writer->out.failed; i++) {
            const sx_block *block = &blocks.blocks[i];
            sx_blocks_add(writer->blocks, block->kind, block->level, start + block->start, start + block->end, block->heading,
                          block->heading ? strlen(block->heading) : 0);
        }
        writer->joins = false;
    }
    if (blocks.failed)
        status = sx_fail_nomem(error, blocks.count * sizeof(sx_block));
out:
    free(blocks.blocks);
    sx_document_clear(&part);
    return status;
}

void sx_writer_document(sx_writer *writer, const sx_document *document, unsigned level)
{
    enum { DEEPEST = 6 };
    if (writer->out.length)
        sx_buffer_append(&writer->out, "\n\n", 2);
    size_t start = writer->out.length;
    sx_buffer_append(&writer->out, document->text, document->length);
    for (size_t i = 0; i < document->block_count && !writer->out.failed; i++) {
        const sx_block *block = &document->blocks[i];
        unsigned under = block->level ? block->level + level : 0;
        sx_blocks_add(writer->blocks, block->kind, under < DEEPEST ? under : DEEPEST, start + block->start, start + block->end,
                      block->heading, block->heading ? strlen(block->heading) : 0);
    }
    writer->joins = false;
}

sx_status sx_writer_finish(sx_writer *writer, const char *what, sx_document *document, sx_error *error)
{
    sx_status status = SX_OK;
    if (writer->out.failed || writer->blocks->failed) {
        status = sx_fail_nomem(error, writer->out.length);
    } else if (!writer->blocks->count) {
        status = sx_fail(error, SX_E_UNSUPPORTED, "%s without text", what);
    } else {
        size_t length = writer->out.length;
        free(document->owned);
        document->text = document->owned = sx_buffer_take(&writer->out);
        document->length = length;
    }
    sx_buffer_clear(&writer->out);
    return status;
}
