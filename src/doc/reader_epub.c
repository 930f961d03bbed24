/* reader_epub.c - the text of e-books in EPUB 2 and 3 (W3C, EPUB 3.3): META-INF/container.xml names the package document, whose
 * spine lists the chapters in reading order; each is XHTML and read as HTML is. Title, author, date and language are the
 * package's. The navigation document is no text of the book. META-INF/encryption.xml names the parts that are encrypted;
 * chapters among them, and chapters that are not there, are counted in the note. */
#include "archive_parts.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MOST = 20000 };
static const char what[] = "EPUB";

typedef struct item {
    char *id, *href;
    bool is_text, is_navigation;
} item;

typedef struct book {
    sx_document *document;
    char *package; /* path of the package document */
    item *items;
    size_t item_count, item_capacity;
    char **spine; /* ids of items */
    size_t spine_count, spine_capacity;
    char **encrypted; /* paths of parts */
    size_t encrypted_count, encrypted_capacity;
    size_t locked, missing;  /* chapters */
    char first_missing[128];
    sx_buffer words;
    int property;
    bool failed;
} book;

static char *copy_attribute(const sx_xml_attributes *attributes, const char *name)
{
    const char *value;
    size_t length;
    return sx_xml_attribute(attributes, name, &value, &length) ? sx_strndup(value, length) : NULL;
}

/* ---- META-INF ---- */

static void container_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    book *b = user;
    if (!b->package && !strcmp(name, "rootfile"))
        b->package = copy_attribute(attributes, "full-path");
}

static char *resolve(const char *package, const char *href);

static void encryption_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    book *b = user;
    if (strcmp(name, "CipherReference") || b->encrypted_count >= ITEMS_MOST)
        return;
    char *link = copy_attribute(attributes, "URI"), *path = link ? resolve("", link) : NULL;
    free(link);
    if (path && sx_reserve((void **)&b->encrypted, &b->encrypted_capacity, b->encrypted_count + 1, sizeof *b->encrypted))
        b->encrypted[b->encrypted_count++] = path;
    else
        free(path);
}

/* ---- The package document ---- */

static const char *const property_names[] = {"title", "creator", "date", "language"};

static void add_item(book *b, const sx_xml_attributes *attributes)
{
    const char *value;
    size_t length;
    if (b->item_count >= ITEMS_MOST || !sx_reserve((void **)&b->items, &b->item_capacity, b->item_count + 1, sizeof *b->items)) {
        b->failed = b->failed || b->item_count < ITEMS_MOST;
        return;
    }
    item *one = &b->items[b->item_count++];
    *one = (item){copy_attribute(attributes, "id"), copy_attribute(attributes, "href"), false, false};
    if (sx_xml_attribute(attributes, "media-type", &value, &length))
        one->is_text = (length == 21 && !memcmp(value, "application/xhtml+xml", 21)) ||
                       (length == 9 && !memcmp(value, "text/html", 9));
    if (sx_xml_attribute(attributes, "properties", &value, &length))
        one->is_navigation = length == 3 && !memcmp(value, "nav", 3);
}

static void package_start(void *user, const char *name, const sx_xml_attributes *attributes)
{
    book *b = user;
    b->property = -1;
    for (size_t i = 0; i < sizeof property_names / sizeof *property_names; i++)
        if (!strcmp(name, property_names[i]))
            b->property = (int)i;
    sx_buffer_reset(&b->words);
    if (!strcmp(name, "item")) {
        add_item(b, attributes);
    } else if (!strcmp(name, "itemref") && b->spine_count < ITEMS_MOST) {
        char *id = copy_attribute(attributes, "idref");
        if (id && sx_reserve((void **)&b->spine, &b->spine_capacity, b->spine_count + 1, sizeof *b->spine))
            b->spine[b->spine_count++] = id;
        else
            free(id);
    }
}

static void package_text(void *user, const char *text, size_t length)
{
    book *b = user;
    if (b->property >= 0 && b->words.length < 65536)
        sx_buffer_append(&b->words, text, length);
}

static void package_end(void *user, const char *name)
{
    book *b = user;
    const char *words = b->words.data ? b->words.data : "";
    size_t length = b->words.length;
    if (b->property == 0 && !b->document->title[0])
        sx_document_set_title(b->document, words, length);
    else if (b->property == 1 && !b->document->author[0])
        sx_document_set_author(b->document, words, length);
    else if (b->property == 2 && !b->document->date[0])
        sx_document_set_date(b->document, words, length);
    else if (b->property == 3)
        sx_document_set_language(b->document, words, length);
    b->property = -1;
    sx_buffer_reset(&b->words);
}

/* ---- Paths ---- */

/* The part a link of the package document names; NULL when it leads outside or on no memory. */
static char *resolve(const char *package, const char *href)
{
    const char *slash = strrchr(package, '/');
    size_t folder = slash ? (size_t)(slash - package) + 1 : 0, used = 0, length = strcspn(href, "#?");
    char *path = sx_calloc(folder + length + 2, 1);
    if (!path)
        return NULL;
    memcpy(path, package, folder);
    used = folder;
    for (size_t i = 0; i < length; i++) {
        char byte = href[i];
        if (byte == '%' && i + 2 < length && sx_hex_pair(href + i + 1) >= 0) {
            byte = (char)sx_hex_pair(href + i + 1);
            i += 2;
        }
        path[used++] = byte;
    }
    path[used] = '\0';
    /* Components in place: "." goes, ".." takes the one before it along. */
    char *out = path;
    for (char *at = path; *at;) {
        size_t size = strcspn(at, "/");
        bool more = at[size] == '/';
        if (size == 2 && at[0] == '.' && at[1] == '.') {
            if (out == path) {
                free(path);
                return NULL;
            }
            for (out--; out > path && out[-1] != '/'; out--)
                ;
        } else if (size && !(size == 1 && at[0] == '.')) {
            memmove(out, at, size);
            out += size;
            if (more)
                *out++ = '/';
        }
        at += size + more;
    }
    *out = '\0';
    return path;
}

static const item *find_item(const book *b, const char *id)
{
    for (size_t i = 0; i < b->item_count; i++)
        if (b->items[i].id && !strcmp(b->items[i].id, id))
            return &b->items[i];
    return NULL;
}

/* By the link as it should be, else by a name in the archive that was written as the link is. */
static const sx_archive_part *find_chapter(const book *b, const sx_archive *archive, const char *path, const char *href)
{
    const sx_archive_part *part = sx_archive_find(archive, path);
    const char *slash = strrchr(b->package, '/');
    char *plain = NULL;
    if (part || !strchr(href, '%') || asprintf(&plain, "%.*s%s", slash ? (int)(slash - b->package) + 1 : 0, b->package, href) < 0)
        return part;
    part = sx_archive_find(archive, plain);
    free(plain);
    return part;
}

static bool is_encrypted(const book *b, const char *path)
{
    for (size_t i = 0; i < b->encrypted_count; i++)
        if (!strcmp(b->encrypted[i], path))
            return true;
    return false;
}

static sx_status read_chapters(book *b, sx_archive *archive, sx_writer *writer, sx_error *error)
{
    sx_status status = SX_OK;
    for (size_t i = 0; !status && i < b->spine_count; i++) {
        const item *one = find_item(b, b->spine[i]);
        if (!one || !one->href || !one->is_text || one->is_navigation)
            continue;
        char *path = resolve(b->package, one->href);
        const sx_archive_part *part = path ? find_chapter(b, archive, path, one->href) : NULL;
        if (!path && !archive->refused[0]) {
            snprintf(archive->refused, sizeof archive->refused, "%s", one->href);
        } else if (path && is_encrypted(b, path)) {
            b->locked++;
        } else if (path && !part && !archive->refused[0]) {
            if (!b->missing++)
                snprintf(b->first_missing, sizeof b->first_missing, "%s", one->href);
        } else if (part) {
            status = sx_writer_part(writer, sx_read_html, part->data, part->length, error);
        }
        free(path);
    }
    return status;
}

static sx_status note_rest(const book *b, const sx_archive *archive, const sx_writer *writer, sx_error *error)
{
    sx_buffer note = {0};
    if (b->locked && !writer->blocks->count)
        return sx_fail(error, SX_E_UNSUPPORTED, "encrypted EPUB: its chapters cannot be read (digital rights management)");
    if (b->locked)
        sx_buffer_printf(&note, "%zu chapter%s encrypted", b->locked, b->locked == 1 ? " is" : "s are");
    if (b->missing)
        sx_buffer_printf(&note, "%s%zu chapter%s not in the file (%s%s)", note.length ? "; " : "", b->missing,
                         b->missing == 1 ? " is" : "s are", b->first_missing, b->missing > 1 ? " ..." : "");
    if (archive->refused[0])
        sx_buffer_printf(&note, "%sa path outside of the book is not read (%s)", note.length ? "; " : "", archive->refused);
    if (note.length)
        b->document->note = sx_document_words(b->document, note.data, note.length);
    sx_buffer_clear(&note);
    return SX_OK;
}

static void book_clear(book *b)
{
    for (size_t i = 0; i < b->item_count; i++) {
        free(b->items[i].id);
        free(b->items[i].href);
    }
    for (size_t i = 0; i < b->spine_count; i++)
        free(b->spine[i]);
    for (size_t i = 0; i < b->encrypted_count; i++)
        free(b->encrypted[i]);
    free(b->encrypted);
    free(b->items);
    free(b->spine);
    free(b->package);
    sx_buffer_clear(&b->words);
}

sx_status sx_read_epub(sx_document *document, sx_block_list *blocks, sx_error *error)
{
    book b = {.document = document, .property = -1};
    sx_archive archive;
    sx_writer writer;
    sx_xml_events container = {container_start, NULL, NULL, &b}, encryption = {encryption_start, NULL, NULL, &b};
    sx_xml_events package = {package_start, package_end, package_text, &b};
    static const char endings[] = ".xml .opf .xhtml .html .htm .xht";
    sx_status status = sx_archive_read(document->owned, document->length, endings, what, &archive, error);
    if (status)
        return status;
    sx_writer_begin(&writer, blocks);
    const sx_archive_part *part = sx_archive_find(&archive, "META-INF/container.xml");
    if (part)
        status = sx_xml_read(part->data, part->length, what, part->name, &container, error);
    part = sx_archive_find(&archive, "META-INF/encryption.xml");
    if (part && !status)
        status = sx_xml_read(part->data, part->length, what, part->name, &encryption, error);
    part = b.package && !status ? sx_archive_find(&archive, b.package) : NULL;
    if (part)
        status = sx_xml_read(part->data, part->length, what, part->name, &package, error);
    else if (!status && archive.refused[0])
        status = sx_fail(error, SX_E_UNSUPPORTED, "EPUB with a path outside of it (%s) and no package document", archive.refused);
    else if (!status)
        status = sx_fail(error, SX_E_UNSUPPORTED, "damaged EPUB: it has no package document");
    if (!status)
        status = read_chapters(&b, &archive, &writer, error);
    if (!status && b.failed)
        status = sx_fail_nomem(error, b.item_count * sizeof *b.items);
    if (!status)
        status = note_rest(&b, &archive, &writer, error);
    if (!status)
        status = sx_writer_finish(&writer, what, document, error);
    sx_buffer_clear(&writer.out);
    book_clear(&b);
    sx_archive_clear(&archive);
    return status;
}
