/* trace_places.c - which chunks hold the frames of a stack trace.
 *
 * A frame's file is found by the end of its path: the machine that failed has the project elsewhere, with other folders above. Among
 * documents of one name those win that share most of the path. In a file the line leads to a chunk; that it also defines the
 * frame's symbol makes sure. Where the symbol stands elsewhere, the file has changed since, and the symbol is believed. Frames of
 * libraries are in no collection, so they count nothing by themselves. */
#include "trace_places.h"

#include "../base/error.h"
#include "../base/memory.h"
#include "../store/shadows.h"
#include "../store/store_places.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How sure a reason is, and how much less each frame further out matters. What docs/quality.md tells was measured with these. */
static const double by_line = 1, by_bare_line = 0.9, by_symbol = 0.85, by_part_of_symbol = 0.5, by_old_line = 0.4, by_name_alone = 0.4,
                    outwards = 0.75;
enum { MOST_DOCUMENTS = 6 };

typedef struct frame_files {
    double likeness;                   /* of the best documents */
    int64_t documents[MOST_DOCUMENTS];
    size_t count;                      /* also of those beyond MOST_DOCUMENTS */
} frame_files;

typedef struct place_finder {
    const sx_stack_trace *trace;
    frame_files *files; /* of each frame */
    sx_trace_place *places;
    size_t count, capacity;
} place_finder;

/* ---- Files ---- */

static sx_text base_name(sx_text path)
{
    const char *slash = path.length ? memrchr(path.data, '/', path.length) : NULL;
    return slash ? (sx_text){slash + 1, path.length - (size_t)(slash + 1 - path.data)} : path;
}

/* How many names, from the last, two paths share. */
static size_t shared_names(sx_text a, sx_text b)
{
    size_t shared = 0;
    for (;;) {
        sx_text x = base_name(a), y = base_name(b);
        if (!x.length || x.length != y.length || memcmp(x.data, y.data, x.length) != 0)
            return shared;
        shared++;
        a.length -= x.length + (a.length > x.length);
        b.length -= y.length + (b.length > y.length);
    }
}

static size_t names_in(sx_text path)
{
    size_t names = 0;
    for (size_t i = 0; i < path.length; i++)
        names += path.data[i] != '/' && (i == 0 || path.data[i - 1] == '/');
    return names;
}

/* How likely the frame's file is the document `path` names below its root. A little more for each name shared, so that the likest of
 * several is one. */
static double likeness_of(sx_text file, sx_text whole, sx_text path)
{
    size_t shared = shared_names(file, whole), of_file = names_in(file), of_path = names_in(path);
    if (!shared)
        return 0;
    double likely = shared >= 3 || (shared >= 2 && (shared == of_file || shared >= of_path)) ? 1
                    : shared == 2                                                           ? 0.8
                    : of_file == 1                                                          ? 0.8
                    : of_path == 1                                                          ? 0.7
                                                                                            : 0.4;
    return likely + 0.001 * (double)(shared < 50 ? shared : 50);
}

static void look_at_path(int64_t document, const char *root, const char *path, void *user)
{
    place_finder *finder = user;
    char joined[PATH_MAX];
    sx_text own_path = {path, strlen(path)}, name = base_name(own_path), whole = own_path;
    int length = snprintf(joined, sizeof joined, "%s/%s", root, path);
    if (length > 0 && (size_t)length < sizeof joined)
        whole = (sx_text){joined, (size_t)length};
    for (size_t i = 0; i < finder->trace->frame_count; i++) {
        sx_text file = finder->trace->frames[i].file, own = base_name(file);
        frame_files *files = &finder->files[i];
        if (!own.length || own.length != name.length || memcmp(own.data, name.data, name.length) != 0)
            continue;
        double likeness = likeness_of(file, whole, own_path);
        if (likeness > files->likeness)
            *files = (frame_files){.likeness = likeness};
        if (likeness == files->likeness && files->count++ < MOST_DOCUMENTS)
            files->documents[files->count - 1] = document;
    }
}

/* ---- Chunks ---- */

typedef struct symbol_match {
    sx_text wanted;   /* a name with scope */
    bool any, begins; /* the chunk has it; it begins between the lines */
    uint32_t from, to;
} symbol_match;

static sx_text last_name(sx_text symbol)
{
    const char *dot = symbol.length ? memrchr(symbol.data, '.', symbol.length) : NULL;
    return dot ? (sx_text){dot + 1, symbol.length - (size_t)(dot + 1 - symbol.data)} : symbol;
}

static bool compare_symbol(sx_text name, sx_text kind, uint32_t line, void *user)
{
    symbol_match *match = user;
    sx_text a = last_name(name), b = last_name(match->wanted);
    (void)kind;
    if (a.length && a.length == b.length && memcmp(a.data, b.data, a.length) == 0) {
        match->any = true;
        match->begins = match->begins || (line >= match->from && line <= match->to);
    }
    return true;
}

static symbol_match match_symbol(const sx_chunk_row *chunk, sx_text symbol)
{
    symbol_match match = {.wanted = symbol, .from = chunk->start_line, .to = chunk->end_line};
    if (symbol.length && chunk->symbols)
        sx_symbols_each((sx_text){chunk->symbols, strlen(chunk->symbols)}, compare_symbol, &match);
    return match;
}

static bool holds_line(const sx_chunk_row *chunk, uint32_t line)
{
    return line && chunk->start_line <= line && line <= chunk->end_line;
}

static sx_status add_place(place_finder *finder, const sx_trace_place *place, sx_error *error)
{
    if (!sx_reserve((void **)&finder->places, &finder->capacity, finder->count + 1, sizeof *finder->places))
        return sx_fail_nomem(error, sizeof *finder->places);
    finder->places[finder->count++] = *place;
    return SX_OK;
}

/* The chunks of a document that a frame leads to. */
static sx_status add_chunks(place_finder *finder, size_t number, double weight, const sx_chunk_row *chunks, size_t count, sx_error *error)
{
    const sx_trace_frame *frame = &finder->trace->frames[number];
    bool named_at_line = false, named = false, parsed = false;
    sx_status status = SX_OK;
    for (size_t i = 0; i < count; i++) {
        symbol_match match = match_symbol(&chunks[i], frame->symbol);
        named = named || match.any;
        named_at_line = named_at_line || (match.any && holds_line(&chunks[i], frame->line));
        parsed = parsed || chunks[i].symbols;
    }
    for (size_t i = 0; i < count && !status; i++) {
        bool at_line = holds_line(&chunks[i], frame->line);
        symbol_match match = match_symbol(&chunks[i], frame->symbol);
        sx_trace_place place = {.chunk = chunks[i].id, .number = (uint32_t)number};
        if (!chunks[i].vector)
            continue;
        if (at_line && (match.any || !frame->symbol.length || !parsed)) {
            place.reason = SX_TRACE_LINE;
            place.strength = match.any ? by_line : by_bare_line;
        } else if (match.any && !named_at_line) {
            place.reason = SX_TRACE_MOVED;
            place.strength = match.begins ? by_symbol : by_part_of_symbol;
        } else if (at_line && !named_at_line) { /* a function in a function, a macro: named otherwise than by the parser */
            place.reason = named ? SX_TRACE_NEAR : SX_TRACE_LINE;
            place.strength = named ? by_old_line : by_part_of_symbol;
        } else {
            continue;
        }
        place.strength *= weight;
        status = add_place(finder, &place, error);
    }
    return status;
}

/* Frames in files of the collection count outwards from the innermost of them; the others are left out. */
static sx_status add_frames(sx_database *database, place_finder *finder, sx_error *error)
{
    double weight = 1;
    sx_status status = SX_OK;
    for (size_t i = 0; i < finder->trace->frame_count && !status; i++) {
        const frame_files *files = &finder->files[i];
        size_t before = finder->count;
        for (size_t j = 0; j < files->count && files->count <= MOST_DOCUMENTS && !status; j++) {
            sx_chunk_row *chunks = NULL;
            size_t count = 0;
            status = sx_store_document_chunks(database, files->documents[j], &chunks, &count, error);
            if (!status)
                status = add_chunks(finder, i, weight * fmin(files->likeness, 1), chunks, count, error);
            sx_store_chunks_free(chunks, count);
        }
        if (finder->count > before)
            weight *= outwards;
    }
    return status;
}

static int by_chunk(const void *a, const void *b)
{
    const sx_trace_place *first = a, *second = b;
    if (first->chunk != second->chunk)
        return first->chunk > second->chunk ? 1 : -1;
    if (first->strength != second->strength)
        return first->strength > second->strength ? -1 : 1;
    return (first->number > second->number) - (first->number < second->number);
}

sx_status sx_trace_find(sx_database *database, int64_t collection, const sx_stack_trace *trace, sx_trace_place **places, size_t *count,
                        bool *has_file, sx_error *error)
{
    place_finder finder = {.trace = trace, .files = sx_calloc(trace->frame_count, sizeof *finder.files)};
    *places = NULL;
    *count = 0;
    if (!finder.files)
        return sx_fail_nomem(error, trace->frame_count * sizeof *finder.files);
    sx_status status = sx_store_paths(database, collection, look_at_path, &finder, error);
    for (size_t i = 0; i < trace->frame_count; i++)
        has_file[i] = finder.files[i].count > 0;
    if (!status)
        status = add_frames(database, &finder, error);
    free(finder.files);
    if (status) {
        free(finder.places);
        return status;
    }
    if (finder.count)
        qsort(finder.places, finder.count, sizeof *finder.places, by_chunk);
    for (size_t i = 0; i < finder.count; i++)
        if (!*count || finder.places[*count - 1].chunk != finder.places[i].chunk)
            finder.places[(*count)++] = finder.places[i];
    *places = finder.places;
    return SX_OK;
}

/* ---- Symbols alone ---- */

typedef struct name_search {
    const sx_stack_trace *trace;
    const bool *has_file;
    sx_trace_place found;
} name_search;

/* Whether one name ends with the other, at a dot. Without its scope a name counts only where `alone` says so: libraries too have
 * functions that are called run. */
static bool ends_alike(sx_text a, sx_text b, bool alone)
{
    sx_text shorter = a.length < b.length ? a : b, longer = a.length < b.length ? b : a;
    size_t extra = longer.length - shorter.length;
    return shorter.length && (alone || memchr(shorter.data, '.', shorter.length)) &&
           memcmp(longer.data + extra, shorter.data, shorter.length) == 0 && (!extra || longer.data[extra - 1] == '.');
}

static bool look_for_name(sx_text name, sx_text kind, uint32_t line, void *user)
{
    name_search *search = user;
    double weight = 1;
    (void)kind;
    (void)line;
    for (size_t i = 0; i < search->trace->frame_count; i++, weight *= outwards)
        if (!search->has_file[i] && ends_alike(name, search->trace->frames[i].symbol, !search->trace->frames[i].file.length) &&
            weight * by_name_alone > search->found.strength)
            search->found = (sx_trace_place){.strength = weight * by_name_alone, .number = (uint32_t)i, .reason = SX_TRACE_SYMBOL};
    for (size_t i = 0; i < search->trace->error_count; i++)
        if (ends_alike(last_name(name), search->trace->errors[i].name, true) && by_name_alone > search->found.strength)
            search->found = (sx_trace_place){.strength = by_name_alone, .number = (uint32_t)i, .reason = SX_TRACE_ERROR};
    return true;
}

sx_trace_place sx_trace_of_symbols(const sx_stack_trace *trace, const bool *has_file, sx_text symbols)
{
    name_search search = {.trace = trace, .has_file = has_file};
    sx_symbols_each(symbols, look_for_name, &search);
    return search.found;
}

char *sx_trace_why(const sx_stack_trace *trace, sx_trace_reason reason, uint32_t number)
{
    sx_buffer text = {0};
    sx_buffer_append_string(&text, "stack trace: ");
    if (reason == SX_TRACE_ERROR) {
        sx_buffer_append_string(&text, "defines ");
        sx_buffer_append(&text, trace->errors[number].name.data, trace->errors[number].name.length);
        return sx_buffer_take(&text);
    }
    const sx_trace_frame *frame = &trace->frames[number];
    sx_buffer_printf(&text, "frame %u of %zu, ", number + 1, trace->frame_count);
    sx_buffer_append(&text, frame->file.data, frame->file.length);
    if (frame->file.length && frame->line)
        sx_buffer_printf(&text, ":%u", frame->line);
    if (frame->symbol.length) {
        sx_buffer_append_string(&text, frame->file.length ? " in " : "");
        sx_buffer_append(&text, frame->symbol.data, frame->symbol.length);
    }
    sx_buffer_append_string(&text, reason == SX_TRACE_MOVED  ? ", which stands elsewhere now"
                                   : reason == SX_TRACE_NEAR ? ", though that is elsewhere now"
                                   : reason == SX_TRACE_SYMBOL ? ", by its name"
                                                               : "");
    return sx_buffer_take(&text);
}
