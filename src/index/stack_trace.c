/* stack_trace.c - a query's lines to frames and exceptions.
 *
 * A trace has sections: a traceback, a "Caused by", a goroutine. Frames are put with the innermost first, and a cause before what it
 * caused, whichever way the language prints them. Names are cleaned of what compilers add (lambda$run$0, {{closure}}, template
 * arguments, Go's receivers), so that they can be compared with those of parsed code. */
#include "stack_trace.h"

#include "../base/error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RAW = 20000, NEAR = 16, MOST_ERRORS = 16, MOST_NAME_PARTS = 3, MOST_PARTS = 64, MOST_MESSAGE = 400, TOLD_FRAMES = 8 };

typedef struct raw_frame {
    sx_trace_line read;
    sx_text code;
    uint32_t section;
} raw_frame;

typedef struct trace_section {
    size_t first, last; /* raw frames */
    bool is_cause, is_outer_first;
} trace_section;

typedef struct trace_reader {
    raw_frame *frames;
    size_t count, capacity;
    trace_section *sections;
    size_t section_count, section_capacity;
    sx_trace_error errors[MOST_ERRORS];
    size_t error_count;
    sx_buffer told;
    size_t told_before;  /* of these before the first frame */
    bool failed;
    bool after_frames;   /* of a form that has the exception behind them */
    bool wants_message;  /* Rust: on the line behind "panicked at" */
} trace_reader;

static bool starts(sx_text text, const char *word)
{
    size_t length = strlen(word);
    return text.length >= length && memcmp(text.data, word, length) == 0;
}

static sx_text from(sx_text text, size_t at)
{
    at = at < text.length ? at : text.length;
    return (sx_text){text.data + at, text.length - at};
}

static size_t find(sx_text text, const char *word)
{
    const char *at = text.length ? memmem(text.data, text.length, word, strlen(word)) : NULL;
    return at ? (size_t)(at - text.data) : text.length;
}

/* ---- Exceptions ---- */

/* The length of a name with its scope at the beginning of a text. */
static size_t name_at(sx_text text)
{
    size_t at = 0;
    if (!text.length || !(isalpha((unsigned char)*text.data) || *text.data == '_'))
        return 0;
    while (at < text.length && (isalnum((unsigned char)text.data[at]) || (text.data[at] && strchr("_.$\\", text.data[at])) ||
                                (text.data[at] == ':' && at + 1 < text.length && text.data[at + 1] == ':') ||
                                (text.data[at] == ':' && text.data[at - 1] == ':' && at + 1 < text.length &&
                                 isalpha((unsigned char)text.data[at + 1]))))
        at++;
    return at;
}

static sx_text last_part(sx_text name)
{
    for (size_t at = name.length; at-- > 0;)
        if (strchr(".:\\$", name.data[at]))
            return from(name, at + 1);
    return name;
}

static bool is_error_name(sx_text name)
{
    static const char *const ends[] = {"Error", "Exception", "Warning", "Failure", "Fault", "Interrupt", "Exit", "Panic", "Errno"};
    sx_text last = last_part(name);
    if (!last.length || !isupper((unsigned char)*last.data))
        return false;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        size_t length = strlen(ends[i]);
        if (last.length >= length && memcmp(last.data + last.length - length, ends[i], length) == 0)
            return true;
    }
    return false;
}

static void add_error(trace_reader *reader, sx_text name, sx_text message)
{
    message = sx_trace_trim(message);
    if (message.length > MOST_MESSAGE)
        message.length = MOST_MESSAGE;
    if (reader->error_count < MOST_ERRORS)
        reader->errors[reader->error_count++] = (sx_trace_error){last_part(name), message};
}

/* Takes a word before an exception away; true when it was there, which says that a name follows. */
static bool skip_prefix(sx_text *line)
{
    static const char *const prefixes[] = {"Caused by: ", "Uncaught ", "(in promise) ", "Unhandled exception. ", "Unhandled Exception: ",
                                           "PHP Fatal error:  ", "PHP Fatal error: ", "Fatal error: ", "[cause]: ", "---> ", "E   ",
                                           "[Previous exception] ", "Wrapped by: ", "Suppressed: ", "Next "};
    if (starts(*line, "Exception in thread \"")) {
        size_t quote = find(from(*line, 21), "\" ");
        if (quote == line->length - 21)
            return false;
        *line = from(*line, 21 + quote + 2);
        return true;
    }
    for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++)
        if (starts(*line, prefixes[i])) {
            *line = sx_trace_trim(from(*line, strlen(prefixes[i])));
            return true;
        }
    return false;
}

/* What is printed without an exception's name: panics, signals, findings of sanitizers. */
static bool read_signal(trace_reader *reader, sx_text line)
{
    static const sx_text panic = {"panic", 5};
    size_t at;
    if (starts(line, "panic: ") || starts(line, "fatal error: ")) {
        add_error(reader, panic, from(line, line.data[0] == 'p' ? 7 : 13));
        return true;
    }
    if (starts(line, "thread '") && (at = find(line, " panicked at ")) < line.length) {
        sx_text message = from(line, at + 13);
        reader->wants_message = !message.length || *message.data != '\'';
        if (!reader->wants_message)
            add_error(reader, panic, (sx_text){message.data + 1, find(from(message, 1), "', ")});
        return true;
    }
    if (starts(line, "ERROR: ") && (at = find(line, "Sanitizer: ")) < line.length) {
        add_error(reader, (sx_text){line.data + 7, at + 9 - 7}, from(line, at + 11));
        return true;
    }
    if ((at = find(line, "received signal ")) < line.length) {
        sx_text name = from(line, at + 16);
        size_t comma = find(name, ", ");
        add_error(reader, (sx_text){name.data, comma}, from(name, comma + 2));
        return true;
    }
    return false;
}

static bool read_error(trace_reader *reader, sx_text line)
{
    line = sx_trace_trim(line);
    if (read_signal(reader, line))
        return true;
    bool sure = false;
    for (int words = 0; words < 3 && skip_prefix(&line); words++)
        sure = true;
    size_t length = name_at(line);
    sx_text name = {line.data, length}, after = from(line, length);
    if (!length || (after.length && !starts(after, ": ") && !starts(after, ":\n") && !(after.length == 1 && *after.data == ':') &&
                    !starts(after, " [")))
        return false;
    bool scoped = memchr(name.data, '.', length) || memchr(name.data, '\\', length);
    bool upper = last_part(name).length && isupper((unsigned char)*last_part(name).data);
    if (!is_error_name(name) && !(upper && (sure || reader->after_frames)) && !(scoped && reader->after_frames))
        return false;
    add_error(reader, name, from(after, 1));
    return true;
}

/* Ruby: "message (ClassName)" behind the first frame. */
static void read_ruby_error(trace_reader *reader, sx_text after)
{
    if (!starts(after, ": ") || after.data[after.length - 1] != ')')
        return;
    size_t open = after.length - 1;
    while (open && after.data[open] != '(')
        open--;
    sx_text name = {after.data + open + 1, after.length - open - 2};
    if (open && name.length && name_at(name) == name.length)
        add_error(reader, name, (sx_text){after.data + 2, open > 2 ? open - 2 : 0});
}

/* ---- Lines ---- */

static bool begin_section(trace_reader *reader, bool is_cause)
{
    if (!sx_reserve((void **)&reader->sections, &reader->section_capacity, reader->section_count + 1, sizeof *reader->sections))
        return !(reader->failed = true);
    reader->sections[reader->section_count++] = (trace_section){.first = reader->count, .last = reader->count, .is_cause = is_cause};
    return true;
}

static bool same_text(sx_text a, sx_text b)
{
    return a.length == b.length && (!a.length || memcmp(a.data, b.data, a.length) == 0);
}

static void add_frame(trace_reader *reader, const sx_trace_line *read)
{
    trace_section *section = &reader->sections[reader->section_count - 1];
    for (size_t i = reader->count; i > section->first && reader->count - i < NEAR; i--) { /* a recursion, many times over */
        const sx_trace_line *known = &reader->frames[i - 1].read;
        if (known->line == read->line && same_text(known->file, read->file) && same_text(known->symbol, read->symbol))
            return;
    }
    if (reader->count == MOST_RAW) /* the innermost ones of an endless trace that has them last are lost */
        return;
    if (!sx_reserve((void **)&reader->frames, &reader->capacity, reader->count + 1, sizeof *reader->frames)) {
        reader->failed = true;
        return;
    }
    reader->frames[reader->count++] = (raw_frame){.read = *read, .code = {"", 0}};
    section->last = reader->count;
    section->is_outer_first = section->is_outer_first || read->is_outer_first;
}

static bool is_section(sx_text line, bool *is_cause)
{
    static const char *const words[] = {"Traceback (most recent call last)", "goroutine ", "Thread ", "freed by thread", "previously allocated by"};
    *is_cause = starts(line, "Caused by") || starts(line, "[cause]");
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (starts(line, words[i]))
            return true;
    return *is_cause;
}

/* One of the exceptions in a group of Python. */
static bool is_in_group(sx_text line, sx_text trimmed)
{
    size_t at = 0;
    while (at < line.length && line.data[at] == ' ')
        at++;
    return at < line.length && line.data[at] == '|' && starts(trimmed, "Traceback");
}

/* Carets under a line of source. */
static bool is_marks(sx_text line)
{
    size_t marks = 0;
    for (size_t i = 0; i < line.length; i++) {
        if (!strchr("^~- \t|\r", line.data[i]))
            return false;
        marks += line.data[i] == '^' || line.data[i] == '~';
    }
    return marks > 0;
}

static void read_lines(trace_reader *reader, sx_text text)
{
    sx_text before = {"", 0};
    size_t frame_indent = 0;
    bool source_next = false, is_cause;
    begin_section(reader, false);
    for (size_t at = 0; at < text.length && !reader->failed;) {
        const char *newline = memchr(text.data + at, '\n', text.length - at);
        sx_text line = {text.data + at, newline ? (size_t)(newline - text.data) - at : text.length - at};
        at += line.length + 1;
        sx_text trimmed = sx_trace_trim(line);
        size_t indent = trimmed.length ? (size_t)(trimmed.data - line.data) : 0;
        if (source_next && indent > frame_indent && !starts(trimmed, "File \"") &&
            reader->frames[reader->count - 1].code.length == 0) {
            reader->frames[reader->count - 1].code = trimmed;
            continue;
        }
        source_next = false;
        if (is_marks(line) || starts(trimmed, "[Previous line repeated"))
            continue;
        if (is_section(trimmed, &is_cause) && !begin_section(reader, is_cause || is_in_group(line, trimmed)))
            return;
        sx_trace_line read = sx_trace_line_read(line, before);
        before = read.is_named_next ? read.symbol : (sx_text){"", 0};
        if (reader->wants_message && trimmed.length) {
            reader->wants_message = false;
            add_error(reader, (sx_text){"panic", 5}, trimmed);
        }
        bool is_error = !read.is_named_next && (!read.is_frame || read.is_prose) && read_error(reader, line);
        if (read.is_frame) {
            reader->told_before = reader->count ? reader->told_before : reader->told.length;
            add_frame(reader, &read);
            read_ruby_error(reader, read.after);
            source_next = read.is_outer_first && reader->count;
            frame_indent = indent;
            reader->after_frames = reader->after_frames || read.is_outer_first;
        } else if (is_error) {
            reader->after_frames = false;
        }
        if (!is_error && (read.is_frame ? read.is_prose : !read.is_named_next && !starts(trimmed, "Traceback (most recent"))) {
            sx_buffer_append(&reader->told, trimmed.data, trimmed.length);
            sx_buffer_append_byte(&reader->told, '\n');
        }
    }
}

/* ---- Cleaning ---- */

/* Bytes before the first of some, all if there is none. */
static size_t bytes_before(sx_text text, const char *some)
{
    size_t at = 0;
    while (at < text.length && !strchr(some, text.data[at]))
        at++;
    return at;
}

/* Where the > is in a name that C# makes of a method's: <PlaceAsync>d__4, <Main>b__0_0; 0: it is none. */
static size_t method_inside(sx_text text)
{
    size_t end = find(text, ">");
    sx_text after = from(text, end + 1);
    for (size_t i = 1; i < end; i++)
        if (!isalnum((unsigned char)text.data[i]) && text.data[i] != '_')
            return 0;
    bool is_made = after.length > 3 && strchr("dbg", *after.data) && after.data[1] == '_' && after.data[2] == '_';
    return end > 1 && end < text.length && is_made ? end : 0;
}

/* The name without arguments, template arguments and compilers' additions, its parts joined by dots; at most the last three. */
static bool clean_symbol(sx_arena *arena, sx_text raw, sx_text *out)
{
    static const char *const dropped[] = {"lambda", "async", "new", "static", "func", "closure", "anonfun", "invokeSuspend", "MoveNext"};
    struct { size_t start, length; } parts[MOST_PARTS];
    size_t count = 0, length = 0, angles = 0;
    size_t cut = find(raw, " [as ");
    raw.length = cut < raw.length ? cut : raw.length;
    char *clean = sx_arena_alloc(arena, raw.length + 2);
    if (!clean)
        return false;
    size_t start = 0;
    bool is_trait = starts(raw, "<") && find(raw, " as ") < raw.length; /* Rust: <Type as Trait>::name */
    for (size_t i = is_trait; i <= raw.length; i++) {
        char c = i < raw.length ? raw.data[i] : '.';
        bool receiver = c == '(' && i + 1 < raw.length && raw.data[i + 1] == '*';
        size_t made = c == '<' ? method_inside(from(raw, i)) : 0;
        if (made) { /* C#: <PlaceAsync>d__4 */
            for (size_t j = 1; j < made; j++)
                clean[length++] = raw.data[i + j];
            i += made + bytes_before(from(raw, i + made), ".(");
            c = '.';
        }
        if (is_trait && starts(from(raw, i), " as ")) {
            is_trait = false;
            angles = 1;
            continue;
        }
        if (c == '<' || c == '{' || c == '[')
            angles++;
        if (angles) {
            if ((c == '>' || c == '}' || c == ']') && !(c == '>' && i && raw.data[i - 1] == '-'))
                angles--;
            if (i < raw.length)
                continue;
            c = '.';
        }
        if (c == '(' && !receiver && length)
            i = raw.length, c = '.'; /* arguments */
        if (isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || (c && strchr("_?!=~", c))) {
            clean[length++] = c;
            continue;
        }
        size_t bytes = length - start, digits = 0, letters = 0;
        while (digits < bytes && isdigit((unsigned char)clean[start + bytes - 1 - digits]))
            digits++;
        letters = bytes - digits;
        bool drop = !bytes || !letters || (clean[start] == 'h' && bytes == 17 && strspn(clean + start + 1, "0123456789abcdef") >= 16);
        for (size_t j = 0; j < sizeof dropped / sizeof *dropped && !drop; j++)
            drop = letters == strlen(dropped[j]) && memcmp(clean + start, dropped[j], letters) == 0 && (digits || dropped[j][0] != 'f');
        if (drop) {
            length = start;
        } else {
            if (count == MOST_PARTS) {
                memmove(parts, parts + 1, (MOST_PARTS - 1) * sizeof *parts);
                count--;
            }
            parts[count].start = start;
            parts[count++].length = bytes;
            clean[length++] = '.';
            start = length;
        }
    }
    if (count)
        clean[parts[count - 1].start + parts[count - 1].length] = '\0';
    size_t first = count > MOST_NAME_PARTS ? count - MOST_NAME_PARTS : 0;
    *out = count ? (sx_text){clean + parts[first].start, parts[count - 1].start + parts[count - 1].length - parts[first].start}
                 : (sx_text){"", 0};
    return true;
}

/* The package's folders before a file of Java, and / for \. */
static bool clean_file(sx_arena *arena, const sx_trace_line *read, sx_text *out)
{
    size_t length = 0;
    char *clean = sx_arena_alloc(arena, read->folder.length + read->file.length + 2);
    if (!clean)
        return false;
    if (read->file.length && read->folder.length) {
        for (size_t i = 0; i < read->folder.length; i++)
            clean[length++] = strchr(".\\", read->folder.data[i]) ? '/' : read->folder.data[i];
        clean[length++] = '/';
    }
    for (size_t i = 0; i < read->file.length; i++) {
        char c = read->file.data[i] == '\\' ? '/' : read->file.data[i];
        if (c != '/' || !length || clean[length - 1] != '/')
            clean[length++] = c;
    }
    clean[length] = '\0';
    size_t at = 0;
    while (starts((sx_text){clean + at, length - at}, "./"))
        at += 2;
    *out = (sx_text){clean + at, length - at};
    return true;
}

static bool keep_text(sx_arena *arena, sx_text text, sx_text *out)
{
    char *copy = sx_arena_strndup(arena, text.length ? text.data : "", text.length);
    *out = (sx_text){copy, text.length};
    return copy != NULL;
}

static bool take_frame(sx_stack_trace *trace, const raw_frame *raw)
{
    sx_trace_frame *frame = &trace->frames[trace->frame_count];
    *frame = (sx_trace_frame){.line = raw->read.line};
    if (!clean_file(&trace->arena, &raw->read, &frame->file) || !clean_symbol(&trace->arena, raw->read.symbol, &frame->symbol) ||
        !keep_text(&trace->arena, raw->code, &frame->code))
        return false;
    for (size_t i = 0; i < trace->frame_count; i++) {
        sx_trace_frame *known = &trace->frames[i]; /* a place without its symbol is told before the trace, or summed up behind it */
        bool bare = frame->file.length && frame->line && (!known->symbol.length || !frame->symbol.length);
        if (known->line != frame->line || !same_text(known->file, frame->file) || !(bare || same_text(known->symbol, frame->symbol)))
            continue;
        if (!known->symbol.length)
            known->symbol = frame->symbol;
        return true;
    }
    trace->frame_count += frame->file.length || frame->symbol.length;
    return true;
}

static bool order_frames(const trace_reader *reader, sx_stack_trace *trace)
{
    bool causes_last = false;
    for (size_t i = 0; i < reader->section_count; i++)
        causes_last = causes_last || reader->sections[i].is_cause;
    trace->frames = sx_arena_alloc(&trace->arena, (SX_TRACE_MOST_FRAMES + 1) * sizeof *trace->frames);
    if (!trace->frames)
        return false;
    for (size_t i = 0; i < reader->section_count; i++) {
        const trace_section *section = &reader->sections[causes_last ? reader->section_count - 1 - i : i];
        for (size_t j = 0; j < section->last - section->first && trace->frame_count < SX_TRACE_MOST_FRAMES; j++)
            if (!take_frame(trace, &reader->frames[section->is_outer_first ? section->last - 1 - j : section->first + j]))
                return false;
    }
    return true;
}

static bool keep_errors(const trace_reader *reader, sx_stack_trace *trace)
{
    trace->errors = sx_arena_alloc(&trace->arena, (reader->error_count + 1) * sizeof *trace->errors);
    if (!trace->errors)
        return false;
    for (size_t i = 0; i < reader->error_count; i++)
        if (!keep_text(&trace->arena, reader->errors[i].name, &trace->errors[i].name) ||
            !keep_text(&trace->arena, reader->errors[i].message, &trace->errors[i].message))
            return false;
    trace->error_count = reader->error_count;
    return true;
}

/* What stands before the trace, the exceptions, the innermost frames, and what else the text says. */
static bool tell(trace_reader *reader, sx_stack_trace *trace)
{
    sx_buffer told = {0};
    sx_text prose = {reader->told.data ? reader->told.data : "", reader->told.length};
    sx_buffer_append(&told, prose.data, reader->told_before);
    for (size_t i = 0; i < trace->error_count; i++) {
        const sx_trace_error *error = &trace->errors[i];
        sx_buffer_append(&told, error->name.data, error->name.length);
        sx_buffer_append_string(&told, ": ");
        sx_buffer_append(&told, error->message.data, error->message.length);
        sx_buffer_append_byte(&told, '\n');
    }
    for (size_t i = 0; i < trace->frame_count && i < TOLD_FRAMES; i++) {
        const sx_trace_frame *frame = &trace->frames[i];
        const char *slash = frame->file.length ? memrchr(frame->file.data, '/', frame->file.length) : NULL;
        size_t name = slash ? (size_t)(slash + 1 - frame->file.data) : 0;
        sx_buffer_append(&told, frame->symbol.data, frame->symbol.length);
        sx_buffer_append_byte(&told, ' ');
        sx_buffer_append(&told, frame->file.data + name, frame->file.length - name);
        sx_buffer_append_byte(&told, ' ');
        sx_buffer_append(&told, frame->code.data, frame->code.length);
        sx_buffer_append_byte(&told, '\n');
    }
    sx_buffer_append(&told, prose.data + reader->told_before, prose.length - reader->told_before);
    bool kept = !told.failed && !reader->told.failed && keep_text(&trace->arena, (sx_text){told.data, told.length}, &trace->told);
    sx_buffer_clear(&told);
    return kept;
}

sx_status sx_stack_trace_read(sx_text text, sx_stack_trace *trace, sx_error *error)
{
    trace_reader reader = {0};
    *trace = (sx_stack_trace){0};
    read_lines(&reader, text);
    bool done = !reader.failed && order_frames(&reader, trace) && keep_errors(&reader, trace) && tell(&reader, trace);
    sx_buffer_clear(&reader.told);
    free(reader.frames);
    free(reader.sections);
    return done ? SX_OK : sx_fail_nomem(error, text.length);
}

void sx_stack_trace_clear(sx_stack_trace *trace)
{
    sx_arena_clear(&trace->arena);
    *trace = (sx_stack_trace){0};
}
