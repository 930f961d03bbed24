/* stack_frames.c - one line of a stack trace: which file, line and symbol it names.
 *
 * The forms are those that the interpreters, runtimes and debuggers of 2026 print; tests/unit/test_stack_trace.c has samples of each. A
 * line is looked at once by each form in turn, from the most telling to the bare FILE:LINE. */
#include "stack_trace.h"

#include <ctype.h>
#include <string.h>

enum { MOST_LINE_DIGITS = 8, MOST_EXTENSION = 8 };

static const sx_text nothing = {"", 0};

static sx_text part(sx_text text, size_t from, size_t to)
{
    from = from < text.length ? from : text.length;
    to = to < text.length ? to : text.length;
    return to > from ? (sx_text){text.data + from, to - from} : nothing;
}

static sx_text rest(sx_text text, size_t from)
{
    return part(text, from, text.length);
}

static bool starts(sx_text text, const char *word)
{
    size_t length = strlen(word);
    return text.length >= length && memcmp(text.data, word, length) == 0;
}

/* Where the word begins, or text.length. */
static size_t find(sx_text text, const char *word)
{
    const char *at = text.length ? memmem(text.data, text.length, word, strlen(word)) : NULL;
    return at ? (size_t)(at - text.data) : text.length;
}

static size_t find_last(sx_text text, const char *word)
{
    size_t length = strlen(word);
    for (size_t at = text.length >= length ? text.length - length + 1 : 0; at-- > 0;)
        if (memcmp(text.data + at, word, length) == 0)
            return at;
    return text.length;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static sx_text trim(sx_text text)
{
    while (text.length && is_blank(*text.data))
        text = rest(text, 1);
    while (text.length && is_blank(text.data[text.length - 1]))
        text.length--;
    return text;
}

/* A number at a place; *end behind it. 0: none, or too long to be one of a line. */
static uint32_t number_at(sx_text text, size_t at, size_t *end)
{
    uint32_t value = 0;
    size_t digits = 0;
    for (; at + digits < text.length && isdigit((unsigned char)text.data[at + digits]); digits++)
        if (digits < MOST_LINE_DIGITS)
            value = value * 10 + (uint32_t)(text.data[at + digits] - '0');
    *end = at + digits;
    return digits && digits <= MOST_LINE_DIGITS ? value : 0;
}

sx_text sx_trace_trim(sx_text line)
{
    line = trim(line);
    if (starts(line, "==")) { /* valgrind and sanitizers: the process */
        size_t end;
        number_at(line, 2, &end);
        if (end > 2 && starts(rest(line, end), "=="))
            return trim(rest(line, end + 2));
    }
    size_t word = 0, bar; /* "web_1  | " of container logs */
    while (word < line.length && (isalnum((unsigned char)line.data[word]) || strchr("_.-", line.data[word])))
        word++;
    for (bar = word; bar < line.length && line.data[bar] == ' ';)
        bar++;
    if (word && bar > word && starts(rest(line, bar), "| "))
        line = rest(line, bar);
    while (line.length > 1 && (*line.data == '|' || *line.data == '+' || *line.data == '>') && !isalnum((unsigned char)line.data[1]))
        line = trim(rest(line, 1));
    return line;
}

/* ---- Places: PATH:LINE[:COLUMN] ---- */

static bool is_path_byte(char c)
{
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 || (c && strchr("_-./\\@+~$%#!=[]<>", c));
}

/* Whether a path ends with an extension that begins with a letter, so that times and ports are none. */
static bool has_extension(sx_text path)
{
    size_t dot = find_last(path, ".");
    sx_text extension = rest(path, dot + 1), name = part(path, 0, dot);
    if (!extension.length || extension.length > MOST_EXTENSION || !isalpha((unsigned char)*extension.data) || !name.length)
        return false;
    for (size_t i = 0; i < extension.length; i++)
        if (!isalnum((unsigned char)extension.data[i]) && extension.data[i] != '+')
            return false;
    return true;
}

/* Takes what stands before a path away: a scheme and a host, Node's and webpack's names for modules, queries. */
static sx_text clean_path(sx_text path)
{
    static const char *const schemes[] = {"file://", "webpack-internal:///", "webpack://", "webpack:///", "rsc://", "app://", "package:"};
    path = trim(path);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (starts(path, schemes[i]))
            path = rest(path, strlen(schemes[i]));
    if (starts(path, "http://") || starts(path, "https://")) {
        path = rest(path, find(path, "//") + 2);
        path = rest(path, find(path, "/"));
    }
    size_t query = find(path, "?");
    return query ? part(path, 0, query) : path;
}

/* The whole text as PATH:LINE or PATH:LINE:COLUMN, where the path may hold anything. */
static bool read_place(sx_text text, sx_trace_line *out)
{
    uint32_t numbers[2] = {0};
    size_t end, count = 0;
    text = trim(text);
    while (count < 2) {
        size_t colon = find_last(text, ":");
        uint32_t number = number_at(text, colon + 1, &end);
        if (colon == text.length || end != text.length || end == colon + 1)
            break;
        numbers[count++] = number;
        text = part(text, 0, colon);
    }
    if (!count || !text.length)
        return false;
    out->file = clean_path(text);
    out->line = numbers[count - 1];
    out->is_frame = out->file.length > 0;
    return out->is_frame;
}

/* The first FILE.EXTENSION:LINE in a text; *end behind its last number. */
static bool find_place(sx_text text, sx_trace_line *out, size_t *end)
{
    for (size_t colon = 0; colon < text.length; colon++) {
        size_t from = colon;
        if (text.data[colon] != ':' || !isdigit((unsigned char)(colon + 1 < text.length ? text.data[colon + 1] : 0)))
            continue;
        while (from && is_path_byte(text.data[from - 1]))
            from--;
        while (from < colon && strchr("[<=#!@", text.data[from]))
            from++;
        if (from > 1 && text.data[from - 1] == ':' && isalpha((unsigned char)text.data[from - 2]) && strchr("\\/", text.data[from]) &&
            (from == 2 || !isalnum((unsigned char)text.data[from - 3])))
            from -= 2; /* a drive */
        sx_text path = part(text, from, colon);
        uint32_t line = number_at(text, colon + 1, end);
        bool is_host = starts(path, "//") && !starts(path, "///");
        if (!line || is_host || !has_extension(path))
            continue;
        if (*end < text.length && text.data[*end] == ':' && isdigit((unsigned char)(*end + 1 < text.length ? text.data[*end + 1] : 0)))
            number_at(text, *end + 1, end);
        out->file = clean_path(path);
        out->line = line;
        out->is_frame = true;
        return true;
    }
    return false;
}

/* ---- Forms ---- */

/* File "PATH", line N[, in SYMBOL] */
static bool read_python(sx_text line, sx_trace_line *out)
{
    size_t at = find(line, "File \""), end;
    sx_text path = rest(line, at + 6);
    size_t quote = find(path, "\", line ");
    if (at == line.length || quote == path.length || !(out->line = number_at(path, quote + 8, &end)))
        return false;
    sx_text after = rest(path, end);
    out->file = part(path, 0, quote);
    out->symbol = starts(after, ", in ") ? trim(rest(after, 5)) : nothing;
    size_t word = find(out->symbol, " "), colon = find(out->symbol, ":");
    word = colon < word ? colon : word;
    out->is_prose = word < out->symbol.length; /* a log that puts all of it on one line */
    out->symbol = part(out->symbol, 0, word);
    out->is_frame = out->is_outer_first = true;
    return true;
}

/* NAMESPACE.CLASS.METHOD(ARGUMENTS) in PATH:line N */
static bool read_csharp(sx_text line, sx_trace_line *out)
{
    size_t place = find_last(line, ":line "), in = find_last(part(line, 0, place), ") in "), end;
    if (place == line.length || in >= place || !(out->line = number_at(line, place + 6, &end)))
        return false;
    out->file = trim(part(line, in + 5, place));
    out->symbol = part(line, 0, find(line, "("));
    return out->is_frame = out->file.length > 0;
}

static bool is_jvm_file(sx_text file)
{
    static const char *const extensions[] = {".java", ".kt", ".kts", ".scala", ".groovy", ".clj"};
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        size_t length = strlen(extensions[i]);
        if (file.length > length && memcmp(file.data + file.length - length, extensions[i], length) == 0)
            return find(file, "/") == file.length;
    }
    return false;
}

/* [LOADER/][MODULE/]PACKAGE.CLASS.METHOD */
static void read_jvm_name(sx_text name, sx_trace_line *out)
{
    size_t slash = find_last(name, "/");
    if (slash < name.length)
        name = rest(name, slash + 1);
    size_t method = find_last(name, "."), class = method < name.length ? find_last(part(name, 0, method), ".") : name.length;
    bool has_package = class < method && method < name.length;
    out->folder = has_package ? part(name, 0, class) : nothing;
    out->symbol = has_package ? rest(name, class + 1) : name;
}

/* What stands behind "at ", or "by " of valgrind: SYMBOL (PLACE), or a place alone. */
static bool read_at(sx_text text, sx_text before, sx_trace_line *out)
{
    if (read_csharp(text, out))
        return true;
    size_t open = find_last(text, "("), close = find_last(text, ")");
    if (starts(text, "async ") && open == text.length)
        text = rest(text, 6);
    if (open < close && close < text.length && (open == 0 || text.data[open - 1] != '.')) {
        sx_text inner = part(text, open + 1, close), head = trim(part(text, 0, open));
        size_t colon = find(head, ": ");
        if (starts(head, "0x") && colon < head.length)
            head = rest(head, colon + 2); /* valgrind's address */
        out->symbol = head;
        if (!read_place(inner, out)) {
            /* Without a place: Native Method, Unknown Source, a library. A name alone says little unless it is a symbol. */
            out->is_frame = head.length > 0 && find(head, " ") == head.length && find(head, ".") < head.length;
            read_jvm_name(head, out);
            return out->is_frame;
        }
        if (is_jvm_file(out->file))
            read_jvm_name(head, out);
        return true;
    }
    size_t end = 0;
    bool is_address = (starts(text, "http://") || starts(text, "https://")) && find(text, " ") == text.length;
    if (is_address ? !read_place(text, out) : !find_place(text, out, &end) || trim(rest(text, end)).length)
        return out->is_frame = false;
    out->symbol = before;
    return true;
}

/* PATH(LINE): SYMBOL(ARGUMENTS), behind PHP's number of the frame. */
static bool read_php(sx_text text, sx_trace_line *out)
{
    for (size_t open = find(text, "("); open < text.length; open += 1 + find(rest(text, open + 1), "(")) {
        size_t end;
        uint32_t line = number_at(text, open + 1, &end);
        if (!line || !starts(rest(text, end), "):"))
            continue;
        sx_text symbol = trim(rest(text, end + 2));
        out->file = part(text, 0, open);
        out->line = line;
        out->symbol = part(symbol, 0, find(symbol, "("));
        return out->is_frame = open > 0;
    }
    return false;
}

/* [ADDRESS in ]SYMBOL [(ARGUMENTS)] [at ]PLACE, behind the number of gdb, lldb and the sanitizers. */
static bool read_native(sx_text text, sx_trace_line *out)
{
    size_t in = find(text, " in "), tick = find(text, "`"), end = 0;
    if (starts(text, "0x") && in < text.length)
        text = rest(text, in + 4);
    else if (starts(text, "0x") && tick < text.length)
        text = rest(text, tick + 1);
    sx_text last = rest(text, find_last(text, " ") + 1);
    if (find_last(text, " ") == text.length)
        last = nothing;
    bool placed = last.length && find_place(last, out, &end) && end == last.length;
    sx_text head = placed ? part(text, 0, text.length - last.length) : text;
    head = trim(head);
    size_t at = find_last(head, " at"), from = find(head, " from ");
    if (placed && at + 3 == head.length)
        head = part(head, 0, at);
    if (from < head.length)
        head = part(head, 0, from);
    out->symbol = trim(head);
    return out->is_frame = placed || (out->symbol.length && find(out->symbol, " (") < out->symbol.length);
}

/* "#3 ...", "frame #3: ..." */
static bool read_numbered(sx_text line, sx_trace_line *out)
{
    size_t at = starts(line, "* frame #") ? 9 : starts(line, "frame #") ? 7 : starts(line, "#") ? 1 : 0, end;
    if (!at)
        return false;
    number_at(line, at, &end);
    if (end == at || end == line.length || !(is_blank(line.data[end]) || line.data[end] == ':'))
        return false;
    sx_text text = trim(rest(line, end + 1));
    if (read_php(text, out))
        return true;
    sx_trace_line other = {.file = nothing, .symbol = nothing, .folder = nothing, .after = nothing};
    if (!starts(text, "0x") && find(text, " (") < text.length && read_at(text, nothing, &other) && other.line) { /* Dart */
        *out = other;
        return true;
    }
    return read_native(text, out);
}

/* What follows a bare place and names a symbol: ":in 'name'", ", in name", ": in function 'name'". */
static void read_symbol_after(sx_text after, sx_trace_line *out)
{
    static const char *const words[] = {":in ", ", in ", ": in function ", ": in method ", ": in upvalue ", ": in local ", ": in field ", ": in "};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!starts(after, words[i]))
            continue;
        sx_text symbol = trim(rest(after, strlen(words[i])));
        bool quoted = symbol.length && strchr("'`<", *symbol.data);
        const char *closing = symbol.length && *symbol.data == '<' ? ">" : "'";
        size_t end = quoted ? find(rest(symbol, 1), closing) : find(symbol, "(");
        out->after = quoted ? rest(symbol, end + 2) : nothing;
        out->symbol = quoted ? part(symbol, 1, end + 1) : part(symbol, 0, end);
        size_t in = find_last(out->symbol, " in "); /* block in, block (2 levels) in, rescue in */
        if (in < out->symbol.length)
            out->symbol = rest(out->symbol, in + 4);
        if (find(out->symbol, " ") < out->symbol.length) /* "main chunk" */
            out->symbol = nothing;
        return;
    }
}

/* " in PATH on line N" of PHP, " at PATH line N" of Perl. */
static bool read_words(sx_text line, sx_trace_line *out)
{
    static const char *const forms[][2] = {{" in ", " on line "}, {" at ", " line "}};
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        size_t number = find_last(line, forms[i][1]), from = find_last(part(line, 0, number), forms[i][0]), end;
        if (number == line.length || from >= number)
            continue;
        sx_text path = part(line, from + 4, number);
        out->line = number_at(line, number + strlen(forms[i][1]), &end);
        if (!out->line || !has_extension(path) || find(path, " ") < path.length)
            continue;
        out->file = path;
        return out->is_frame = true;
    }
    return false;
}

/* "12: name::of::it" of Rust, "main.(*Server).serve(0xc0000, ...)" of Go, "created by main.start in goroutine 1". */
static bool read_name_alone(sx_text line, sx_trace_line *out)
{
    size_t end;
    number_at(line, 0, &end);
    if (end && starts(rest(line, end), ": ")) {
        sx_text name = trim(rest(line, end + 2));
        size_t dash = find(name, " - "); /* an address before it, in full backtraces */
        out->symbol = starts(name, "0x") && dash < name.length ? rest(name, dash + 3) : name;
        return out->is_named_next = out->symbol.length > 0;
    }
    if (starts(line, "created by ")) {
        sx_text name = rest(line, 11);
        out->symbol = part(name, 0, find(name, " in goroutine"));
        return out->is_named_next = true;
    }
    size_t close = line.length ? line.length - 1 : 0, open = find_last(line, "(");
    if (open == line.length || line.data[close] != ')' || !open || find(part(line, 0, open), " ") < open || find(line, ".") > open)
        return false;
    out->symbol = part(line, 0, open);
    return out->is_named_next = true;
}

/* name@PLACE of Firefox and Safari. */
static bool read_firefox(sx_text line, sx_trace_line *out)
{
    size_t at = find(line, "@");
    sx_text head = part(line, 0, at), place = rest(line, at + 1);
    bool is_address = starts(place, "http://") || starts(place, "https://") || starts(place, "file://") || starts(place, "webpack");
    if (!is_address || find(head, " ") < head.length || !read_place(place, out))
        return false;
    out->symbol = head;
    return true;
}

sx_trace_line sx_trace_line_read(sx_text line, sx_text before)
{
    sx_trace_line out = {.file = nothing, .symbol = nothing, .folder = nothing, .after = nothing};
    const sx_trace_line fresh = out;
    size_t end = 0;
    line = sx_trace_trim(line);
    if (!line.length || read_python(line, &out))
        return out;
    out = fresh;
    if (read_numbered(line, &out))
        return out;
    out = fresh;
    size_t at = starts(line, "at ") || starts(line, "by 0x") ? 0 : find(line, " at ") + 1;
    if (at < line.length && read_at(rest(line, at + 3), before, &out))
        return out;
    out = fresh;
    if (read_firefox(line, &out))
        return out;
    out = fresh;
    if (find_place(line, &out, &end)) {
        sx_text after = rest(line, end);
        if (before.length && (!after.length || starts(after, " +0x")))
            out.symbol = before;
        else
            read_symbol_after(after, &out);
        out.is_prose = !out.symbol.length;
        return out;
    }
    out = fresh;
    if (read_words(line, &out)) {
        out.is_prose = true;
        return out;
    }
    out = fresh;
    if (!read_name_alone(line, &out))
        out = fresh;
    return out;
}
