/* reader_mail.c - e-mail (RFC 5322, MIME): the subject as heading, who wrote to whom and when, and the text.
 *
 * Of alternatives the plain text is taken, else the HTML. Messages inside a message (forwarded, digests) follow with headings of
 * their own, and what is attached under its name as heading, read as a file of that name would be (mail_attachment.c); what
 * cannot be is named in the note. The message itself is parsed here, by functions that are linear in what they look at and nest
 * no deeper than DEEPEST; HTML goes to its own reader. The text's lines are led back to the file's.
 *
 * A mailbox (mbox, RFC 4155) read as one document is its messages in order; the index makes a document of each
 * (index_records.c). */
#include "mail_attachment.h"
#include "mailbox.h"
#include "mime_body.h"
#include "mime_header.h"
#include "reader.h"

#include "../base/error.h"
#include "../text/encoding.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { DEEPEST = 32, MOST_PARTS = 10000, MOST_NAMED = 20, TOKEN = 80, BOUNDARY = 200, MOST_LEVEL = 6, ATTACHMENT_LEVEL = 2 };

typedef struct entity {
    sx_text head, body;
    char type[TOKEN], encoding[TOKEN], disposition[TOKEN];
    char boundary[BOUNDARY];
} entity;

/* What a message has attached is read behind its text. */
typedef struct attachment {
    entity part;
    const char *name; /* "" when it has none */
} attachment;

typedef struct mail {
    sx_document *document;
    sx_writer writer;
    sx_buffer attachments, words, names; /* words: scratch; names: of those that are not read */
    attachment *attached;
    size_t attached_count, attached_capacity, attachment_count, unread, parts;
    bool too_deep, too_many, damaged, spent;
    const char *encoding; /* of the first part that was not UTF-8 */
    /* Lines of the file. */
    size_t counted;
    uint32_t line; /* of the byte at `counted` */
    sx_source_place *places;
    size_t place_count, place_capacity;
    size_t mapped; /* what the places say of the text at `mapped` is ... */
    uint32_t mapped_line;
    bool no_memory;
    sx_error *error;
} mail;

/* ---- Lines ---- */

static uint32_t newlines(const char *text, size_t length)
{
    uint32_t count = 0;
    for (const char *at = text, *end = text + length; (at = memchr(at, '\n', (size_t)(end - at))); at++)
        count++;
    return count;
}

/* The line of the file that a place in it is on. */
static uint32_t line_of(mail *m, const char *at)
{
    const char *text = m->document->text;
    size_t offset = (size_t)(at - text);
    if (offset >= m->counted)
        m->line += newlines(text + m->counted, offset - m->counted);
    else
        m->line -= newlines(text + offset, m->counted - offset);
    m->counted = offset;
    return m->line;
}

/* From this place of the text on, its lines are the file's from `line` on; or, fixed, all come from that line. */
static void map_line(mail *m, size_t start, uint32_t line, bool fixed)
{
    if (m->place_count) {
        const sx_source_place *last = &m->places[m->place_count - 1];
        uint32_t lines = last->fixed ? 0 : newlines(m->writer.out.data + m->mapped, start - m->mapped);
        m->mapped_line += lines;
        m->mapped = start;
        if (m->mapped_line == line && last->fixed == fixed)
            return;
    }
    if (!sx_reserve((void **)&m->places, &m->place_capacity, m->place_count + 1, sizeof *m->places)) {
        m->no_memory = true;
        return;
    }
    m->places[m->place_count++] = (sx_source_place){start, line, fixed};
    m->mapped = start;
    m->mapped_line = line;
}

/* ---- The text ---- */

/* `lines` holds the line of each line of the text, counted from first_line; each: all of them are mapped, not only first ones. */
static void write_paragraphs(mail *m, char *text, size_t length, const sx_buffer *lines, uint32_t first_line, bool each)
{
    size_t number = 0, start = 0, first = 0, known = lines->length / sizeof(uint32_t);
    bool open = false;
    sx_line line;
    for (size_t i = 0; i < length; i++)
        if (text[i] == '\f' || text[i] == '\v') /* the writer would make lines of them */
            text[i] = ' ';
    for (size_t at = 0; at <= length; at = line.next, number++) {
        bool more = sx_line_at(text, length, at, &line);
        if (more && !line.blank) {
            if (!open) {
                start = line.start;
                first = number;
                open = true;
            }
            continue;
        }
        if (open) {
            size_t before = m->writer.out.length, blocks = m->writer.blocks->count;
            sx_writer_block(&m->writer, SX_BLOCK_PARAGRAPH, 0, text + start, at - start);
            bool written = m->writer.out.length > before && m->writer.blocks->count > blocks;
            size_t place = written ? (size_t)m->writer.blocks->blocks[blocks].start : 0;
            for (size_t i = first; written && i < number && i < known; i++) {
                uint32_t source;
                memcpy(&source, lines->data + i * sizeof source, sizeof source);
                map_line(m, place, first_line + source, !each);
                const char *end = memchr(m->writer.out.data + place, '\n', m->writer.out.length - place);
                if (!end || !each)
                    break;
                place = (size_t)(end - m->writer.out.data) + 1;
            }
        }
        open = false;
        if (!more)
            break;
    }
}

static void note_encoding(mail *m, const char *encoding)
{
    if (!m->encoding && strcmp(encoding, "utf-8"))
        m->encoding = sx_arena_strndup(&m->document->arena, encoding, strlen(encoding));
}

static sx_status read_text(mail *m, sx_text head, sx_text body, const char *encoding, const char *type)
{
    sx_buffer bytes = {.maximum = (size_t)1 << 30}, lines = {.maximum = (size_t)1 << 30};
    sx_text value;
    sx_decoded decoded = {0};
    char *copy = NULL;
    sx_status status = SX_OK;
    uint32_t first = line_of(m, body.data);
    bool is_html = !strcmp(type, "text/html");
    sx_buffer_reset(&m->words);
    bool declared = sx_mime_field(head, "Content-Type", &value) && sx_mime_parameter(value, "charset", &m->words);
    sx_mime_decode(encoding, body, &bytes, &lines);
    if (bytes.failed || lines.failed) {
        status = sx_fail_nomem(m->error, body.length);
        goto out;
    }
    char label[41];
    const char *charset = declared && m->words.data ? m->words.data : NULL;
    if (!charset && is_html && sx_html_declared_charset(bytes.data ? bytes.data : "", bytes.length, label))
        charset = label;
    if (!bytes.length)
        goto out;
    if (sx_decode(bytes.data, bytes.length, charset, &decoded, NULL)) { /* said in the note */
        m->damaged = true;
        goto out;
    }
    note_encoding(m, decoded.encoding);
    copy = decoded.is_bytes ? sx_buffer_take(&bytes) : decoded.text;
    decoded.text = NULL;
    if (!copy) {
        status = sx_fail_nomem(m->error, decoded.length);
        goto out;
    }
    if (is_html) {
        size_t before = m->writer.blocks->count;
        status = sx_writer_part(&m->writer, sx_read_html, copy, decoded.length, m->error);
        if (status == SX_E_LIMIT || status == SX_E_FORMAT) {
            m->damaged = true;
            status = SX_OK;
        }
        if (m->writer.blocks->count > before)
            map_line(m, (size_t)m->writer.blocks->blocks[before].start, first, true);
    } else {
        write_paragraphs(m, copy, decoded.length, &lines, first, strcmp(encoding, "base64") != 0);
    }
out:
    free(copy);
    sx_decoded_clear(&decoded);
    sx_buffer_clear(&bytes);
    sx_buffer_clear(&lines);
    return status;
}

/* ---- What is attached ---- */

static bool is_known_encoding(const char *encoding)
{
    sx_buffer none = {0};
    bool known = sx_mime_decode(encoding, (sx_text){"", 0}, &none, NULL);
    sx_buffer_clear(&none);
    return known;
}

static void name_unread(mail *m, const char *name, const char *why)
{
    if (m->unread++ >= MOST_NAMED)
        return;
    sx_buffer_append_string(&m->names, m->names.length ? ", " : "");
    if (name[0])
        sx_buffer_printf(&m->names, "%s (%s)", name, why);
    else
        sx_buffer_append_string(&m->names, why);
}

static void add_attachment(mail *m, const entity *e)
{
    sx_text value;
    sx_buffer_reset(&m->words);
    bool named = sx_mime_field(e->head, "Content-Disposition", &value) && sx_mime_parameter(value, "filename", &m->words);
    if (!named && sx_mime_field(e->head, "Content-Type", &value))
        sx_mime_parameter(value, "name", &m->words);
    const char *name = sx_document_words(m->document, m->words.data, m->words.length);
    if (m->attachment_count++ < MOST_NAMED) {
        sx_buffer_append_string(&m->attachments, m->attachments.length ? ", " : "");
        sx_buffer_append_string(&m->attachments, name[0] ? name : e->type);
    }
    if (m->attached_count >= MOST_NAMED) {
        name_unread(m, name, e->type);
    } else if (sx_reserve((void **)&m->attached, &m->attached_capacity, m->attached_count + 1, sizeof *m->attached)) {
        m->attached[m->attached_count++] = (attachment){*e, name};
    } else {
        m->no_memory = true;
    }
}

/* A file of another kind, in a child where that kind has one. After one that took too long or too much, no further ones are
 * tried. */
static sx_status read_attached_file(mail *m, const attachment *one, char why[TOKEN])
{
    sx_buffer bytes = {.maximum = (size_t)1 << 30};
    sx_document document;
    sx_error problem = {0};
    const char *media_type = m->spent ? NULL : sx_attachment_media_type(one->name, one->part.type);
    if (!media_type || !sx_mime_decode(one->part.encoding, one->part.body, &bytes, NULL))
        return SX_OK;
    if (bytes.failed) {
        sx_buffer_clear(&bytes);
        return sx_fail_nomem(m->error, one->part.body.length);
    }
    sx_status status = sx_document_parse(bytes.data ? bytes.data : "", bytes.length, media_type, &document, &problem);
    sx_buffer_clear(&bytes);
    if (status == SX_E_NOMEM || status == SX_E_STOPPED) {
        *m->error = problem;
        return status;
    }
    if (status) {
        m->spent = m->spent || status == SX_E_LIMIT;
        snprintf(why, TOKEN, "%.*s", TOKEN - 1, problem.message);
        return SX_OK;
    }
    note_encoding(m, document.encoding);
    sx_writer_document(&m->writer, &document, ATTACHMENT_LEVEL);
    sx_document_clear(&document);
    return SX_OK;
}

static sx_status read_attachment(mail *m, const attachment *one)
{
    const entity *e = &one->part;
    const char *name = one->name[0] ? one->name : e->type;
    char why[TOKEN];
    sx_block_list *blocks = m->writer.blocks;
    size_t length = m->writer.out.length, blocks_before = blocks->count, places = m->place_count, mapped = m->mapped;
    uint32_t mapped_line = m->mapped_line, line = line_of(m, e->head.data);
    snprintf(why, sizeof why, "%s", e->type);
    sx_writer_block(&m->writer, SX_BLOCK_HEADING, ATTACHMENT_LEVEL, name, strlen(name));
    size_t heading = blocks->count;
    if (heading > blocks_before)
        map_line(m, (size_t)blocks->blocks[heading - 1].start, line, true);
    const char *text_type = sx_attachment_text_type(one->name, e->type);
    bool damaged = m->damaged;
    sx_status status = text_type && is_known_encoding(e->encoding) ? read_text(m, e->head, e->body, e->encoding, text_type)
                                                                   : read_attached_file(m, one, why);
    m->damaged = damaged; /* it is named */
    if (!status && blocks->count == heading) { /* nothing of it: the heading goes too */
        m->writer.out.length = length;
        blocks->count = blocks_before;
        m->place_count = places;
        m->mapped = mapped;
        m->mapped_line = mapped_line;
        name_unread(m, one->name, why);
    }
    return status;
}

static sx_status read_attachments(mail *m)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < m->attached_count; i++)
        status = read_attachment(m, &m->attached[i]);
    m->attached_count = 0;
    return status;
}

/* ---- Parts ---- */

static void read_entity_head(mail *m, sx_text part, const char *usual_type, entity *e)
{
    size_t body;
    sx_text value;
    e->head = (sx_text){part.data, sx_mime_head(part.data, part.length, &body)};
    e->body = (sx_text){part.data + body, part.length - body};
    e->encoding[0] = e->disposition[0] = e->boundary[0] = '\0';
    snprintf(e->type, sizeof e->type, "%s", usual_type);
    if (sx_mime_field(e->head, "Content-Transfer-Encoding", &value))
        sx_mime_token(value, e->encoding, sizeof e->encoding);
    if (sx_mime_field(e->head, "Content-Disposition", &value))
        sx_mime_token(value, e->disposition, sizeof e->disposition);
    if (!sx_mime_field(e->head, "Content-Type", &value))
        return;
    sx_mime_token(value, e->type, sizeof e->type);
    if (!strchr(e->type, '/')) /* "text", as old agents wrote */
        snprintf(e->type, sizeof e->type, "text/plain");
    sx_buffer_reset(&m->words);
    if (!strncmp(e->type, "multipart/", 10) && sx_mime_parameter(value, "boundary", &m->words) && m->words.length < BOUNDARY)
        snprintf(e->boundary, sizeof e->boundary, "%s", m->words.data ? m->words.data : "");
}

static sx_status read_message(mail *m, sx_text message, unsigned depth);
static sx_status read_part(mail *m, const entity *e, unsigned depth);

static bool is_text_to_read(const entity *e, const char *type)
{
    return !strcmp(e->type, type) && strcmp(e->disposition, "attachment") != 0;
}

/* Of one content in several forms: the plain text, else the last that has any. */
static sx_status read_alternative(mail *m, const entity *e, unsigned depth)
{
    sx_status status = SX_OK;
    size_t count = m->writer.blocks->count;
    sx_text part, last[MOST_LEVEL];
    size_t kept = 0;
    entity one;
    for (size_t at = 0; !status && m->writer.blocks->count == count && sx_mime_next_part(e->body, e->boundary, &at, &part);) {
        read_entity_head(m, part, "text/plain", &one);
        if (is_text_to_read(&one, "text/plain"))
            status = read_part(m, &one, depth);
        else if (!strncmp(one.type, "text/", 5) || !strncmp(one.type, "multipart/", 10))
            last[kept++ % MOST_LEVEL] = part;
    }
    for (size_t i = 0; !status && m->writer.blocks->count == count && i < MOST_LEVEL && i < kept; i++) {
        read_entity_head(m, last[(kept - 1 - i) % MOST_LEVEL], "text/plain", &one);
        status = read_part(m, &one, depth);
    }
    return status;
}

static sx_status read_multipart(mail *m, const entity *e, unsigned depth)
{
    sx_status status = SX_OK;
    const char *usual = !strcmp(e->type, "multipart/digest") ? "message/rfc822" : "text/plain";
    sx_text part;
    entity one;
    size_t at = 0;
    if (!strcmp(e->type, "multipart/alternative"))
        return read_alternative(m, e, depth);
    while (!status && sx_mime_next_part(e->body, e->boundary, &at, &part)) {
        read_entity_head(m, part, usual, &one);
        status = read_part(m, &one, depth);
        if (m->too_many)
            break;
    }
    return status;
}

static sx_status read_part(mail *m, const entity *e, unsigned depth)
{
    if (depth >= DEEPEST) {
        m->too_deep = true;
        return SX_OK;
    }
    if (m->parts++ >= MOST_PARTS) {
        m->too_many = true;
        return SX_OK;
    }
    bool attached = !strcmp(e->disposition, "attachment");
    if (e->boundary[0] && memmem(e->body.data, e->body.length, e->boundary, strlen(e->boundary)))
        return read_multipart(m, e, depth + 1);
    bool is_text = !strncmp(e->type, "text/", 5) && strcmp(e->type, "text/calendar") && strcmp(e->type, "text/rtf");
    bool is_lost = !strncmp(e->type, "multipart/", 10); /* without boundaries: what there is, is text */
    if (!attached && (is_text || is_lost) && is_known_encoding(e->encoding))
        return read_text(m, e->head, e->body, e->encoding, e->type);
    if (!strcmp(e->type, "message/rfc822") && (!e->encoding[0] || strchr("78b", e->encoding[0])) &&
        strcmp(e->encoding, "base64") != 0)
        return read_message(m, e->body, depth + 1);
    add_attachment(m, e);
    return SX_OK;
}

/* ---- Messages ---- */

static const char *field_words(mail *m, sx_text head, const char *name, sx_text *value)
{
    if (!sx_mime_field(head, name, value))
        return "";
    sx_buffer_reset(&m->words);
    sx_mime_words(*value, &m->words);
    return sx_document_words(m->document, m->words.data, m->words.length);
}

/* "Name <address>" without the address; the whole when there is no name. */
static void set_author(sx_document *document, const char *from)
{
    size_t length = strcspn(from, "<");
    while (length && (from[length - 1] == ' ' || from[length - 1] == '"'))
        length--;
    size_t start = from[0] == '"' && length > 1;
    if (!length)
        sx_document_set_author(document, from, strlen(from));
    else
        sx_document_set_author(document, from + start, length - start);
}

/* "Tue, 1 Jul 2003 10:52:37 +0200": the day as it was for the writer. */
static void set_date(sx_document *document, const char *words)
{
    static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";
    char month[4] = "", text[32];
    unsigned day, year;
    const char *comma = strchr(words, ',');
    if (sscanf(comma ? comma + 1 : words, "%2u %3[A-Za-z]%*[A-Za-z.] %4u", &day, month, &year) != 3 &&
        sscanf(comma ? comma + 1 : words, "%2u %3[A-Za-z] %4u", &day, month, &year) != 3)
        return;
    for (size_t i = 0; i < 3; i++)
        month[i] = (char)(month[i] | 0x20);
    const char *found = strlen(month) == 3 ? strstr(months, month) : NULL;
    if (!found || (found - months) % 3 || day < 1 || day > 31)
        return;
    year += year < 50 ? 2000 : year < 1000 ? 1900 : 0; /* RFC 5322, 4.3 */
    snprintf(text, sizeof text, "%04u-%02u-%02u", year % 10000, (unsigned)(found - months) / 3 + 1, day);
    sx_document_set_date(document, text, strlen(text));
}

static sx_status describe(mail *m, sx_text head)
{
    static const char *const fields[][2] = {{"Subject", "subject"}, {"From", "from"}, {"To", "to"}, {"Cc", "cc"}, {"Message-ID", "message_id"}};
    sx_document *document = m->document;
    sx_status status = SX_OK;
    sx_text value;
    for (size_t i = 0; !status && i < sizeof fields / sizeof *fields; i++) {
        const char *words = field_words(m, head, fields[i][0], &value);
        if (words[0])
            status = sx_document_add_member(document, fields[i][1], words, m->error);
        if (i == 0)
            sx_document_set_title(document, words, strlen(words));
        if (i == 1)
            set_author(document, words);
    }
    set_date(document, field_words(m, head, "Date", &value));
    return status;
}

/* Where the line written last begins. */
static size_t last_line(const sx_writer *writer)
{
    const char *end = memrchr(writer->out.data, '\n', writer->out.length);
    return end ? (size_t)(end - writer->out.data) + 1 : 0;
}

static void write_head(mail *m, sx_text head, unsigned level)
{
    static const char *const fields[] = {"Subject", "From", "To", "Cc", "Date"};
    sx_text value;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const char *words = field_words(m, head, fields[i], &value);
        size_t before = m->writer.out.length;
        sx_buffer line = {0};
        if (!words[0])
            continue;
        if (i)
            sx_buffer_printf(&line, "%s: ", fields[i]);
        sx_buffer_append_string(&line, words);
        if (!line.failed && i == 0)
            sx_writer_block(&m->writer, SX_BLOCK_HEADING, level < MOST_LEVEL ? level : MOST_LEVEL, line.data, line.length);
        else if (!line.failed)
            sx_writer_line(&m->writer, SX_BLOCK_OTHER, line.data, line.length);
        m->no_memory = m->no_memory || line.failed;
        sx_buffer_clear(&line);
        if (m->writer.out.length > before)
            map_line(m, last_line(&m->writer), line_of(m, value.data), false);
    }
    m->writer.joins = false; /* the next message's lines are its own */
}

static sx_status read_message(mail *m, sx_text message, unsigned depth)
{
    entity e;
    if (depth >= DEEPEST) {
        m->too_deep = true;
        return SX_OK;
    }
    read_entity_head(m, message, "text/plain", &e);
    write_head(m, e.head, depth + 1);
    sx_status status = read_part(m, &e, depth);
    return status || depth ? status : read_attachments(m);
}

/* ---- Documents ---- */

static void note_rest(mail *m)
{
    sx_buffer note = {0};
    if (m->unread)
        sx_buffer_printf(&note, "%zu attachment%s not read: %s%s", m->unread, m->unread == 1 ? " is" : "s are",
                         m->names.data ? m->names.data : "", m->unread > MOST_NAMED ? " ..." : "");
    if (m->too_deep)
        sx_buffer_printf(&note, "%sparts nested more than %d deep are not read", note.length ? "; " : "", DEEPEST);
    if (m->too_many)
        sx_buffer_printf(&note, "%sof more than %d parts the rest is not read", note.length ? "; " : "", MOST_PARTS);
    if (m->damaged)
        sx_buffer_printf(&note, "%sa part that is said to be text is none", note.length ? "; " : "");
    if (note.length)
        m->document->note = sx_document_words(m->document, note.data, note.length);
    sx_buffer_clear(&note);
}

static sx_status finish(mail *m, const char *what)
{
    sx_document *document = m->document;
    sx_status status = SX_OK;
    note_rest(m);
    if (m->attachments.length && !m->attachments.failed)
        status = sx_document_add_member(document, "attachments", sx_document_words(document, m->attachments.data, m->attachments.length),
                                        m->error);
    if (m->encoding)
        document->encoding = m->encoding;
    document->source_places = sx_arena_alloc(&document->arena, m->place_count * sizeof *m->places + 1);
    if (!document->source_places || m->no_memory)
        status = sx_fail_nomem(m->error, m->place_count * sizeof *m->places);
    else if (m->place_count)
        memcpy(document->source_places, m->places, m->place_count * sizeof *m->places);
    document->source_place_count = status ? 0 : m->place_count;
    return status ? status : sx_writer_finish(&m->writer, what, document, m->error);
}

static void clear(mail *m)
{
    sx_buffer_clear(&m->writer.out);
    sx_buffer_clear(&m->attachments);
    sx_buffer_clear(&m->words);
    sx_buffer_clear(&m->names);
    free(m->attached);
    free(m->places);
}

static sx_text skip_mark(const sx_document *document)
{
    size_t skip = document->length >= 3 && !memcmp(document->text, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (skip < document->length && strchr(" \t\r\n", document->text[skip]) && document->text[skip])
        skip++;
    return (sx_text){document->text + skip, document->length - skip};
}

sx_status sx_read_mail(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    mail m = {.document = document, .line = 1, .error = error};
    sx_text message = skip_mark(document), value;
    size_t body;
    sx_text head = {message.data, sx_mime_head(message.data, message.length, &body)};
    if (!sx_mime_field(head, "From", &value) && !sx_mime_field(head, "Subject", &value) && !sx_mime_field(head, "Date", &value) &&
        !sx_mime_field(head, "Received", &value) && !sx_mime_field(head, "MIME-Version", &value))
        return sx_fail(error, SX_E_UNSUPPORTED, "not an e-mail: it has no field From, Subject or Date");
    sx_writer_begin(&m.writer, blocks);
    sx_status status = describe(&m, head);
    if (!status)
        status = read_message(&m, message, 0);
    if (!status)
        status = finish(&m, "e-mail");
    clear(&m);
    return status;
}

sx_status sx_read_mailbox(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    mail m = {.document = document, .line = 1, .error = error};
    sx_status status = SX_OK;
    sx_text message;
    size_t at = 0;
    sx_writer_begin(&m.writer, blocks);
    while (!status && sx_mailbox_next(document->text, document->length, &at, &message)) {
        m.parts = 0;
        status = read_message(&m, message, 0);
    }
    if (!status && !at)
        status = sx_fail(error, SX_E_UNSUPPORTED, "not a mailbox: it does not begin with a line \"From ADDRESS DATE\"");
    if (!status)
        status = finish(&m, "mailbox");
    clear(&m);
    return status;
}
