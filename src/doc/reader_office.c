/* reader_office.c - the text of Word's .docx (ECMA-376, WordprocessingML) and OpenDocument's .odt (OASIS OpenDocument 1.3).
 *
 * Both are zip files of XML; paragraphs, headings, lists and tables of the main part become blocks. What is struck out by
 * tracked changes, hidden text, comments, and page headers and footers are left out; footnotes come behind (.docx) or where they
 * are called (.odt). Headings are found by their outline level, in .docx through the styles, whose names a translated Word keeps
 * in English ("heading 1") while their ids differ. */
#include "archive_parts.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { STYLE_NAME = 64, STYLES_MOST = 10000, TITLE_LEVEL = 100 };

typedef struct style {
    char name[STYLE_NAME], parent[STYLE_NAME];
    unsigned level; /* of headings; TITLE_LEVEL: the title; 0: text */
    bool code;
} style;

typedef struct office {
    sx_document *document;
    sx_writer writer;
    sx_buffer text; /* of the paragraph */
    style *styles;
    size_t style_count, style_capacity;
    bool failed;
    size_t skipping; /* elements open whose content is left out */
    size_t tables, lists, cells, paragraphs;
    unsigned level;
    bool code, item, in_text, in_run, hidden;
    sx_buffer row; /* of a table */
    int property;  /* which of the document's words is open */
    size_t notes; /* footnotes open: their paragraphs are part of the one around them */
} office;

/* ---- What both share ---- */

static void append_space(sx_buffer *text)
{
    if (text->length && !strchr(" \n(", text->data[text->length - 1]))
        sx_buffer_append_byte(text, ' ');
}

/* A paragraph is done: it becomes a block, a line of a list, or part of a table's cell. */
static void end_paragraph(office *o)
{
    sx_writer *writer = &o->writer;
    const char *text = o->text.data ? o->text.data : "";
    size_t length = o->text.length;
    if (o->tables) {
        append_space(&o->row);
        for (size_t i = 0; i < length; i++)
            sx_buffer_append_byte(&o->row, text[i] == '\n' ? ' ' : text[i]);
    } else if (o->level == TITLE_LEVEL) {
        if (!o->document->title[0])
            sx_document_set_title(o->document, text, length);
        sx_writer_block(writer, SX_BLOCK_HEADING, 1, text, length);
    } else if (o->level) {
        sx_writer_block(writer, SX_BLOCK_HEADING, o->level, text, length);
    } else if (o->code) {
        sx_writer_line(writer, SX_BLOCK_CODE, text, length);
    } else if (o->item && length) {
        sx_buffer line = {0};
        sx_buffer_append_string(&line, "- ");
        sx_buffer_append(&line, text, length);
        o->failed = o->failed || line.failed;
        sx_writer_line(writer, SX_BLOCK_LIST, line.data ? line.data : "", line.length);
        sx_buffer_clear(&line);
    } else {
        sx_writer_block(writer, SX_BLOCK_PARAGRAPH, 0, text, length);
    }
    o->failed = o->failed || o->text.failed || o->row.failed;
    sx_buffer_reset(&o->text);
    o->level = 0;
    o->code = o->item = false;
}

static void begin_cell(office *o)
{
    if (o->tables == 1 && o->cells++) {
        append_space(&o->row);
        sx_buffer_append_string(&o->row, "|");
    }
}

static void end_row(office *o)
{
    if (o->tables == 1 && o->row.length)
        sx_writer_line(&o->writer, SX_BLOCK_TABLE, o->row.data, o->row.length);
    if (o->tables == 1) {
        sx_buffer_reset(&o->row);
        o->cells = 0;
    }
}

static void copy_name(char name[STYLE_NAME], const char *value, size_t length)
{
    snprintf(name, STYLE_NAME, "%.*s", (int)(length < STYLE_NAME ? length : STYLE_NAME - 1), value);
}

static style *add_style(office *o)
{
    if (o->style_count >= STYLES_MOST ||
        !sx_reserve((void **)&o->styles, &o->style_capacity, o->style_count + 1, sizeof *o->styles))
        return NULL;
    style *one = &o->styles[o->style_count++];
    *one = (style){.level = 0};
    return one;
}

/* A style with what it has from the styles it is based on. */
static style find_style(const office *o, const char *value, size_t length)
{
    char name[STYLE_NAME];
    style found = {.level = 0};
    copy_name(name, value, length);
    for (unsigned depth = 0; depth < 16 && name[0]; depth++) {
        const style *one = NULL;
        for (size_t i = 0; i < o->style_count && !one; i++)
            if (!strcmp(o->styles[i].name, name))
                one = &o->styles[i];
        if (!one)
            break;
        found.level = found.level ? found.level : one->level;
        found.code = found.code || one->code;
        memcpy(name, one->parent, sizeof name);
    }
    return found;
}

static bool means_code(const char *name)
{
    return strcasestr(name, "code") || strcasestr(name, "preformatted") || strcasestr(name, "verbatim") ||
           strcasestr(name, "plain text") || strcasestr(name, "listing");
}

static unsigned number_of(const char *value, size_t length)
{
    unsigned number = 0;
    for (size_t i = 0; i < length && i < 4 && value[i] >= '0' && value[i] <= '9'; i++)
        number = number * 10 + (unsigned)(value[i] - '0');
    return number;
}

/* ---- Words about the document: docProps/core.xml and meta.xml share Dublin Core's names ---- */

static const char *const property_names[] = {"title", "creator", "initial-creator", "created", "creation-date", "language"};

static void property_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    office *o = user;
    o->property = -1;
    for (size_t i = 0; i < sizeof property_names / sizeof *property_names; i++)
        if (!strcmp(name, property_names[i]))
            o->property = (int)i;
    sx_buffer_reset(&o->text);
}

static void property_text(void *user, const char *text, size_t length)
{
    office *o = user;
    if (o->property >= 0 && o->text.length < 65536)
        sx_buffer_append(&o->text, text, length);
}

static void property_end(void *user, const char *name)
{
    office *o = user;
    const char *text = o->text.data ? o->text.data : "";
    size_t length = o->text.length;
    switch (o->property) {
    case 0: sx_document_set_title(o->document, text, length); break;
    case 1:
    case 2:
        if (!o->document->author[0])
            sx_document_set_author(o->document, text, length);
        break;
    case 3:
    case 4: sx_document_set_date(o->document, text, length); break;
    case 5: sx_document_set_language(o->document, text, length); break;
    default: break;
    }
    o->property = -1;
    sx_buffer_reset(&o->text);
}

/* Properties that cannot be read are no loss worth the document. */
static void read_properties(office *o, const sx_archive *archive, const char *name)
{
    const sx_archive_part *part = sx_archive_find(archive, name);
    sx_xml_events events = {property_start, property_end, property_text, o};
    sx_error ignored = {0};
    o->property = -1;
    if (part)
        sx_xml_read(part->data, part->length, "", name, &events, &ignored);
    sx_buffer_reset(&o->text);
}

/* ---- .docx ---- */

static void docx_style_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    office *o = user;
    const char *value;
    size_t length;
    style *one = o->style_count ? &o->styles[o->style_count - 1] : NULL;
    if (!strcmp(name, "style")) {
        one = add_style(o);
        if (one && sx_xml_attribute(attributes, "styleId", &value, &length))
            copy_name(one->name, value, length);
    } else if (one && !strcmp(name, "name") && sx_xml_attribute(attributes, "val", &value, &length)) {
        char words[STYLE_NAME];
        copy_name(words, value, length);
        if (!strncasecmp(words, "heading ", 8))
            one->level = number_of(words + 8, strlen(words + 8));
        else if (!strcasecmp(words, "title"))
            one->level = TITLE_LEVEL;
        one->code = means_code(words);
    } else if (one && !strcmp(name, "basedOn") && sx_xml_attribute(attributes, "val", &value, &length)) {
        copy_name(one->parent, value, length);
    } else if (one && !strcmp(name, "outlineLvl") && sx_xml_attribute(attributes, "val", &value, &length)) {
        unsigned level = number_of(value, length) + 1;
        one->level = one->level || level > 9 ? one->level : level;
    }
}

static bool docx_skips(const char *name)
{
    static const char *const names[] = {"Fallback", "instrText", "delText", "del", "moveFrom", "pict"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static void docx_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    office *o = user;
    const char *value;
    size_t length;
    if (o->skipping || docx_skips(name)) {
        o->skipping++;
        return;
    }
    bool has_value = sx_xml_attribute(attributes, "val", &value, &length);
    if (!strcmp(name, "p")) {
        if (o->text.length) /* a text box inside of a paragraph */
            end_paragraph(o);
    } else if (!strcmp(name, "pStyle") && has_value) {
        style one = find_style(o, value, length);
        o->level = one.level;
        o->code = one.code;
    } else if (!strcmp(name, "outlineLvl") && has_value && !o->level) {
        unsigned level = number_of(value, length) + 1;
        o->level = level <= 9 ? level : 0;
    } else if (!strcmp(name, "numPr")) {
        o->item = true;
    } else if (!strcmp(name, "r")) {
        o->in_run = true; /* before a run, "vanish" is about the paragraph's mark */
        o->hidden = false;
    } else if (!strcmp(name, "vanish")) {
        o->hidden = o->in_run && !(has_value && length && (value[0] == '0' || value[0] == 'f' || !strncmp(value, "off", 3)));
    } else if (!strcmp(name, "t")) {
        o->in_text = !o->hidden;
    } else if (!strcmp(name, "tab")) {
        append_space(&o->text);
    } else if (!strcmp(name, "br") || !strcmp(name, "cr")) {
        if (o->text.length)
            sx_buffer_append_byte(&o->text, '\n');
    } else if (!strcmp(name, "noBreakHyphen")) {
        sx_buffer_append_byte(&o->text, '-');
    } else if (!strcmp(name, "tbl")) {
        o->tables++;
    } else if (!strcmp(name, "tc")) {
        begin_cell(o);
    } else if (!strcmp(name, "pPr")) {
        o->level = 0;
        o->code = o->item = false;
    }
}

static void docx_end(void *user, const char *name)
{
    office *o = user;
    if (o->skipping) {
        o->skipping--;
        return;
    }
    if (!strcmp(name, "t"))
        o->in_text = false;
    else if (!strcmp(name, "r"))
        o->in_run = o->hidden = false;
    else if (!strcmp(name, "p"))
        end_paragraph(o);
    else if (!strcmp(name, "tr"))
        end_row(o);
    else if (!strcmp(name, "tbl"))
        o->tables -= o->tables > 0;
}

static void docx_text(void *user, const char *text, size_t length)
{
    office *o = user;
    if (o->in_text && !o->skipping)
        sx_buffer_append(&o->text, text, length);
}

static sx_status finish(office *o, sx_status status, const char *what, sx_archive *archive, sx_error *error)
{
    if (!status && (o->failed || o->text.failed || o->row.failed))
        status = sx_fail_nomem(error, o->writer.out.length);
    if (!status) {
        status = sx_writer_finish(&o->writer, what, o->document, error);
    }
    sx_buffer_clear(&o->writer.out);
    sx_buffer_clear(&o->text);
    sx_buffer_clear(&o->row);
    free(o->styles);
    sx_archive_clear(archive);
    return status;
}

/* The parts of a .docx have no fixed names: relationships say by their type which part is what (ECMA-376, part 2). */
typedef struct relations {
    const char *types[4]; /* ends of types, and ... */
    char *targets[4];     /* ... the parts they lead to; NULL: there is none */
    const char *folder;   /* of the part whose relationships they are, with its '/' */
    size_t folder_length;
} relations;

static void relation_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    relations *r = user;
    const char *type, *target;
    size_t length, target_length;
    if (strcmp(name, "Relationship") || !sx_xml_attribute(attributes, "Type", &type, &length) ||
        !sx_xml_attribute(attributes, "Target", &target, &target_length))
        return;
    for (size_t i = 0; i < 4 && r->types[i]; i++) {
        size_t size = strlen(r->types[i]);
        if (r->targets[i] || length < size || memcmp(type + length - size, r->types[i], size))
            continue;
        bool absolute = target_length && target[0] == '/';
        if (asprintf(&r->targets[i], "%.*s%.*s", absolute ? 0 : (int)r->folder_length, r->folder, (int)target_length - absolute,
                     target + absolute) < 0)
            r->targets[i] = NULL;
    }
}

static void read_relations(const sx_archive *archive, const char *part_name, relations *r)
{
    char *path = NULL;
    sx_xml_events events = {relation_start, NULL, NULL, r};
    sx_error ignored = {0}; /* then the usual names hold */
    const char *slash = strrchr(part_name, '/');
    r->folder = part_name;
    r->folder_length = slash ? (size_t)(slash - part_name) + 1 : 0;
    if (asprintf(&path, "%.*s_rels/%s.rels", (int)r->folder_length, part_name, part_name + r->folder_length) < 0)
        return;
    const sx_archive_part *part = sx_archive_find(archive, path);
    if (part)
        sx_xml_read(part->data, part->length, "", path, &events, &ignored);
    free(path);
}

static const sx_archive_part *find_part(const sx_archive *archive, const char *target, const char *usual)
{
    const sx_archive_part *part = target ? sx_archive_find(archive, target) : NULL;
    return part ? part : sx_archive_find(archive, usual);
}

sx_status sx_read_docx(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    static const char what[] = "Word document";
    static const char *const usual[] = {"word/document.xml", "word/footnotes.xml", "word/endnotes.xml", "word/styles.xml"};
    office o = {.document = document, .text = {.maximum = (size_t)1 << 28}, .row = {.maximum = (size_t)1 << 28}};
    sx_archive archive;
    sx_xml_events styles = {docx_style_start, NULL, NULL, &o}, body = {docx_start, docx_end, docx_text, &o};
    relations of_package = {.types = {"/officeDocument"}}, of_text = {.types = {"/footnotes", "/endnotes", "/styles"}};
    sx_writer_begin(&o.writer, blocks);
    sx_status status = sx_archive_read(document->owned, document->length, ".xml .rels", what, &archive, error);
    if (status)
        return status;
    read_properties(&o, &archive, "docProps/core.xml");
    read_relations(&archive, "", &of_package);
    const sx_archive_part *text = find_part(&archive, of_package.targets[0], usual[0]);
    if (text)
        read_relations(&archive, text->name, &of_text);
    else
        status = sx_fail(error, SX_E_UNSUPPORTED, "damaged %s: it has no %s", what, usual[0]);
    const sx_archive_part *part = find_part(&archive, of_text.targets[2], usual[3]);
    sx_error ignored = {0};
    if (part) /* without styles headings are paragraphs */
        sx_xml_read(part->data, part->length, what, part->name, &styles, &ignored);
    for (size_t i = 0; !status && i < 3; i++) {
        part = i ? find_part(&archive, of_text.targets[i - 1], usual[i]) : text;
        o.skipping = o.tables = 0;
        o.in_run = o.hidden = false;
        if (part)
            status = sx_xml_read(part->data, part->length, what, part->name, &body, error);
    }
    for (size_t i = 0; i < 4; i++) {
        free(of_package.targets[i]);
        free(of_text.targets[i]);
    }
    return finish(&o, status, what, &archive, error);
}

/* ---- .odt ---- */

static bool odt_skips(const char *name)
{
    static const char *const names[] = {"tracked-changes", "annotation", "note-citation", "ruby-text", "table-of-content",
                                        "sequence-decls",  "forms",      "object"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(name, names[i]))
            return true;
    return false;
}

static void odt_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    office *o = user;
    const char *value;
    size_t length;
    if (o->skipping || odt_skips(name)) {
        o->skipping++;
        return;
    }
    if (!strcmp(name, "style")) {
        style *one = add_style(o);
        if (one && sx_xml_attribute(attributes, "name", &value, &length))
            copy_name(one->name, value, length);
        if (one && sx_xml_attribute(attributes, "parent-style-name", &value, &length)) {
            copy_name(one->parent, value, length);
            one->code = means_code(one->parent);
            one->level = !strcmp(one->parent, "Title") ? TITLE_LEVEL : 0;
        }
    } else if (!strcmp(name, "h") || !strcmp(name, "p")) {
        if (o->text.length && !o->notes) /* a frame inside of a paragraph */
            end_paragraph(o);
        else if (o->text.length)
            append_space(&o->text);
        o->paragraphs++;
        if (name[0] == 'h' && sx_xml_attribute(attributes, "outline-level", &value, &length)) {
            o->level = number_of(value, length);
            o->level = o->level ? o->level : 1;
        } else if (sx_xml_attribute(attributes, "style-name", &value, &length)) {
            style one = find_style(o, value, length);
            char words[STYLE_NAME];
            copy_name(words, value, length);
            o->code = one.code || means_code(words);
            o->level = !strcmp(words, "Title") || one.level == TITLE_LEVEL ? TITLE_LEVEL : 0;
        }
        o->item = o->lists > 0;
    } else if (!strcmp(name, "note-body")) {
        append_space(&o->text);
        sx_buffer_append_string(&o->text, "(");
        o->notes++;
    } else if (!strcmp(name, "s")) {
        unsigned count = sx_xml_attribute(attributes, "c", &value, &length) ? number_of(value, length) : 1;
        for (unsigned i = 0; i < count && i < 200; i++)
            sx_buffer_append_byte(&o->text, ' ');
    } else if (!strcmp(name, "tab")) {
        sx_buffer_append_byte(&o->text, ' ');
    } else if (!strcmp(name, "line-break")) {
        sx_buffer_append_byte(&o->text, '\n');
    } else if (!strcmp(name, "list")) {
        o->lists++;
    } else if (!strcmp(name, "table")) {
        o->tables++;
    } else if (!strcmp(name, "table-cell")) {
        begin_cell(o);
    }
}

static void odt_end(void *user, const char *name)
{
    office *o = user;
    if (o->skipping) {
        o->skipping--;
        return;
    }
    if (!strcmp(name, "h") || !strcmp(name, "p")) {
        o->paragraphs -= o->paragraphs > 0;
        if (!o->notes)
            end_paragraph(o);
    } else if (!strcmp(name, "note-body")) {
        sx_buffer_append_string(&o->text, ")");
        o->notes -= o->notes > 0;
    } else if (!strcmp(name, "list")) {
        o->lists -= o->lists > 0;
    } else if (!strcmp(name, "table-row")) {
        end_row(o);
    } else if (!strcmp(name, "table")) {
        o->tables -= o->tables > 0;
    }
}

/* White space in XML between words counts as one space (part 3, 6.1.2); spaces that matter are elements. */
static void odt_text(void *user, const char *text, size_t length)
{
    office *o = user;
    if (!o->paragraphs || o->skipping)
        return;
    for (size_t i = 0; i < length; i++) {
        if (strchr(" \t\r\n", text[i]) && text[i])
            append_space(&o->text);
        else
            sx_buffer_append_byte(&o->text, text[i]);
    }
}

sx_status sx_read_odt(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    static const char what[] = "OpenDocument text";
    office o = {.document = document, .text = {.maximum = (size_t)1 << 28}, .row = {.maximum = (size_t)1 << 28}};
    sx_archive archive;
    sx_xml_events body = {odt_start, odt_end, odt_text, &o};
    sx_writer_begin(&o.writer, blocks);
    sx_status status = sx_archive_read(document->owned, document->length, ".xml", what, &archive, error);
    if (status)
        return status;
    read_properties(&o, &archive, "meta.xml");
    const sx_archive_part *part = sx_archive_find(&archive, "content.xml");
    if (part)
        status = sx_xml_read(part->data, part->length, what, part->name, &body, error);
    else
        status = sx_fail(error, SX_E_UNSUPPORTED, "damaged %s: it has no content.xml", what);
    return finish(&o, status, what, &archive, error);
}
