/* heading_words.c - the words of a heading without inline markup, for Markdown and reStructuredText.
 *
 * Headings become titles, context headers and search results, where asterisks, brackets and roles are noise. Only what marks up
 * is dropped: an asterisk or underscore without a partner stays, as in "a * b" and "snake_case". */
#include "reader.h"

#include <string.h>

/* Longer "headings" are data that happens to look like one; looking for partners in them would take quadratic time. */
enum { MOST_RUNS = 128, LONGEST_HEADING = 4096 };

static bool is_word_byte(char byte)
{
    unsigned char b = (unsigned char)byte;
    return b >= 0x80 || (b >= '0' && b <= '9') || ((b | 0x20) >= 'a' && (b | 0x20) <= 'z');
}

static bool is_gap(const char *text, size_t length, size_t at)
{
    return at >= length || text[at] == ' ' || text[at] == '\t' || text[at] == '\n' || text[at] == '\r';
}

/* A run of emphasis marks, and whether it found its partner. */
typedef struct mark_run {
    size_t at, length;
    char mark;
    bool opens, closes, paired;
} mark_run;

/* Where the code span that begins at `at` ends (its closing backticks begin there), or 0 when nothing closes it. */
static size_t code_span_end(const char *text, size_t length, size_t at, size_t ticks)
{
    for (size_t i = at + ticks; i < length;) {
        size_t run = 0;
        while (i + run < length && text[i + run] == '`')
            run++;
        if (run == ticks)
            return i;
        i += run ? run : 1;
    }
    return 0;
}

static size_t find_runs(const char *text, size_t length, mark_run *runs)
{
    size_t count = 0;
    for (size_t i = 0; i < length && count < MOST_RUNS;) {
        char mark = text[i];
        size_t run = 1;
        while (i + run < length && text[i + run] == mark)
            run++;
        if (mark == '\\') {
            i += 2;
        } else if (mark == '`') {
            size_t end = code_span_end(text, length, i, run);
            i = end ? end + run : i + run;
        } else if (mark == '*' || mark == '_' || (mark == '~' && run == 2)) {
            bool before = i && is_word_byte(text[i - 1]), after = i + run < length && is_word_byte(text[i + run]);
            bool inside = mark == '_' && before && after;
            runs[count++] = (mark_run){.at = i,
                                       .length = run,
                                       .mark = mark,
                                       .opens = !is_gap(text, length, i + run) && !inside,
                                       .closes = i && !is_gap(text, length, i - 1) && !inside};
            i += run;
        } else {
            i++;
        }
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count && runs[i].opens && !runs[i].paired; j++) {
            if (!runs[j].paired && runs[j].closes && runs[j].mark == runs[i].mark && runs[j].length == runs[i].length)
                runs[i].paired = runs[j].paired = true;
        }
    }
    return count;
}

static size_t closing_bracket(const char *text, size_t length, size_t at, char open, char close)
{
    size_t depth = 0;
    for (size_t i = at; i < length; i++) {
        if (text[i] == '\\')
            i++;
        else if (text[i] == open)
            depth++;
        else if (text[i] == close && --depth == 0)
            return i;
    }
    return 0;
}

/* Appends what an entity stands for and returns its length, 0 when it is none. */
static size_t take_entity(const char *text, size_t length, sx_buffer *words)
{
    static const struct {
        const char *name, *value;
    } entities[] = {{"&amp;", "&"}, {"&lt;", "<"},   {"&gt;", ">"},   {"&quot;", "\""},
                    {"&#39;", "'"}, {"&nbsp;", " "}, {"&apos;", "'"}, {"&copy;", "\xc2\xa9"}};
    for (size_t i = 0; i < sizeof entities / sizeof entities[0]; i++) {
        size_t size = strlen(entities[i].name);
        if (length >= size && !memcmp(text, entities[i].name, size)) {
            sx_buffer_append_string(words, entities[i].value);
            return size;
        }
    }
    return 0;
}

/* The state of one heading: ranges of link targets are skipped when their opening bracket was dropped. */
typedef struct skip_list {
    size_t from[MOST_RUNS], to[MOST_RUNS];
    size_t count;
} skip_list;

static void skip(skip_list *list, size_t from, size_t to)
{
    if (list->count < MOST_RUNS) {
        list->from[list->count] = from;
        list->to[list->count++] = to;
    }
}

static size_t skipped_until(const skip_list *list, size_t at)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->from[i] <= at && at < list->to[i])
            return list->to[i];
    return 0;
}

/* [text](target), ![alt](target), [text][reference]: the brackets and the target are skipped. True when it is a link. */
static bool skip_link(const char *text, size_t length, size_t at, skip_list *list)
{
    size_t close = closing_bracket(text, length, at, '[', ']'), end = 0;
    if (!close)
        return false;
    if (close > at + 1 && text[at + 1] == '^')
        end = close; /* a footnote's mark */
    else if (close + 1 < length && text[close + 1] == '(')
        end = closing_bracket(text, length, close + 1, '(', ')');
    else if (close + 1 < length && text[close + 1] == '[')
        end = closing_bracket(text, length, close + 1, '[', ']');
    if (!end)
        return false;
    if (end == close)
        skip(list, at, end + 1);
    else
        skip(list, close, end + 1);
    return true;
}

/* Length of an inline tag, comment or autolink that begins with '<'; *is_link for the latter. 0: a plain '<'. */
static size_t tag_length(const char *text, size_t length, bool *is_link)
{
    const char *close = memchr(text, '>', length);
    *is_link = false;
    if (!close || length < 3)
        return 0;
    size_t size = (size_t)(close - text) + 1;
    char first = text[1] == '/' ? text[2] : text[1];
    if (!((first | 0x20) >= 'a' && (first | 0x20) <= 'z') && first != '!')
        return 0;
    *is_link = text[1] != '/' && !memchr(text, ' ', size) && (memchr(text, ':', size) || memchr(text, '@', size));
    return size;
}

void sx_markdown_words(const char *text, size_t length, sx_buffer *words)
{
    if (length > LONGEST_HEADING) {
        sx_buffer_append(words, text, length);
        return;
    }
    mark_run runs[MOST_RUNS];
    size_t run_count = find_runs(text, length, runs), next_run = 0;
    skip_list skips = {.count = 0};
    for (size_t i = 0; i < length;) {
        while (next_run < run_count && runs[next_run].at < i)
            next_run++;
        size_t until = skipped_until(&skips, i), step;
        bool is_link;
        if (until) {
            i = until;
        } else if (next_run < run_count && runs[next_run].at == i && runs[next_run].paired) {
            i += runs[next_run].length;
        } else if (text[i] == '\\' && i + 1 < length && !is_word_byte(text[i + 1]) && text[i + 1] != ' ') {
            sx_buffer_append_byte(words, text[i + 1]);
            i += 2;
        } else if (text[i] == '`') {
            size_t ticks = 1;
            while (i + ticks < length && text[i + ticks] == '`')
                ticks++;
            size_t end = code_span_end(text, length, i, ticks);
            sx_buffer_append(words, end ? text + i + ticks : text + i, end ? end - i - ticks : ticks);
            i = end ? end + ticks : i + ticks;
        } else if (text[i] == '!' && i + 1 < length && text[i + 1] == '[' && skip_link(text, length, i + 1, &skips)) {
            i += 2;
        } else if (text[i] == '[' && skip_link(text, length, i, &skips)) {
            i += skipped_until(&skips, i) ? 0 : 1;
        } else if (text[i] == '{' && memchr(text + i, '}', length - i)) {
            /* MyST roles: {func}`name` */
            size_t close = (size_t)((const char *)memchr(text + i, '}', length - i) - text);
            bool role = close + 1 < length && text[close + 1] == '`';
            if (!role)
                sx_buffer_append_byte(words, '{');
            i = role ? close + 1 : i + 1;
        } else if (text[i] == '<' && (step = tag_length(text + i, length - i, &is_link)) != 0) {
            if (is_link)
                sx_buffer_append(words, text + i + 1, step - 2);
            i += step;
        } else if (text[i] == '&' && (step = take_entity(text + i, length - i, words)) != 0) {
            i += step;
        } else {
            sx_buffer_append_byte(words, text[i++]);
        }
    }
}

/* ---- reStructuredText ---- */

/* The words of interpreted text: "label <target>" gives label, "~a.b.c" gives c, "!name" gives name. */
static void append_interpreted(const char *text, size_t length, bool has_role, sx_buffer *words)
{
    if (length && text[length - 1] == '>') {
        const char *open = memrchr(text, '<', length);
        if (open && open > text) {
            length = (size_t)(open - text);
            while (length && text[length - 1] == ' ')
                length--;
            has_role = false;
        }
    }
    if (has_role && length && text[0] == '~') {
        const char *dot = memrchr(text, '.', length);
        const char *from = dot ? dot + 1 : text + 1;
        length -= (size_t)(from - text);
        text = from;
    } else if (has_role && length && text[0] == '!') {
        text++;
        length--;
    }
    sx_buffer_append(words, text, length);
}

/* The length of ":role:" before a backtick, else 0. */
static size_t role_length(const char *text, size_t length)
{
    size_t i = 1;
    while (i < length &&
           (is_word_byte(text[i]) || text[i] == '-' || text[i] == '_' || text[i] == '.' || text[i] == '+' || text[i] == ':')) {
        if (text[i] == ':' && i + 1 < length && text[i + 1] == '`')
            return i > 1 ? i + 1 : 0;
        i++;
    }
    return 0;
}

/* The end of "*text*" or "|text|" style markup opened at `at` by `mark`: 0 when it is no markup. */
static size_t inline_end(const char *text, size_t length, size_t at, const char *mark)
{
    size_t size = strlen(mark);
    if (length - at <= 2 * size || memcmp(text + at, mark, size) || is_gap(text, length, at + size) ||
        (at && is_word_byte(text[at - 1])))
        return 0;
    for (size_t i = at + size + 1; i + size <= length; i++)
        if (!memcmp(text + i, mark, size) && !is_gap(text, length, i - 1) &&
            (i + size == length || !is_word_byte(text[i + size])))
            return i;
    return 0;
}

void sx_rst_words(const char *text, size_t length, sx_buffer *words)
{
    static const char *const marks[] = {"``", "**", "*", "|"};
    if (length > LONGEST_HEADING) {
        sx_buffer_append(words, text, length);
        return;
    }
    for (size_t i = 0; i < length;) {
        size_t role = text[i] == ':' && (!i || !is_word_byte(text[i - 1])) ? role_length(text + i, length - i) : 0;
        size_t end = 0, size = 0;
        for (size_t m = 0; m < sizeof marks / sizeof marks[0] && !end && !role; m++) {
            size = strlen(marks[m]);
            end = inline_end(text, length, i, marks[m]);
        }
        if (text[i] == '\\') {
            if (i + 1 < length && text[i + 1] != ' ')
                sx_buffer_append_byte(words, text[i + 1]);
            i += 2;
        } else if (end) {
            sx_buffer_append(words, text + i + size, end - i - size);
            i = end + size;
        } else if (text[i + role] == '`') {
            const char *close = memchr(text + i + role + 1, '`', length - i - role - 1);
            if (!close) {
                sx_buffer_append(words, text + i, length - i);
                break;
            }
            size_t from = i + role + 1;
            append_interpreted(text + from, (size_t)(close - text) - from, role != 0, words);
            i = (size_t)(close - text) + 1;
            while (i < length && text[i] == '_')
                i++;
        } else if (text[i] == '_' && i && is_word_byte(text[i - 1]) && (i + 1 == length || is_gap(text, length, i + 1))) {
            i++; /* a reference: name_ */
        } else {
            sx_buffer_append_byte(words, text[i++]);
        }
    }
}
