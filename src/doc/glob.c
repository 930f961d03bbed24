/* glob.c - matching paths against shell patterns with **, without recursion.
 *
 * Two levels of the classic loop that remembers only the latest star: within one path part for '*', over parts for "**".
 * Remembering the latest is enough: an earlier star matching less can only have left more for the later one, which takes any
 * amount anyway. */
#include "glob.h"

#include <ctype.h>
#include <string.h>

/* Does `byte` belong to the POSIX class of that name? */
static bool in_class(const char *name, size_t length, unsigned char byte)
{
    static const struct {
        const char *name;
        int (*test)(int);
    } classes[] = {{"alnum", isalnum}, {"alpha", isalpha}, {"blank", isblank}, {"cntrl", iscntrl},
                   {"digit", isdigit}, {"graph", isgraph}, {"lower", islower}, {"print", isprint},
                   {"punct", ispunct}, {"space", isspace}, {"upper", isupper}, {"xdigit", isxdigit}};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strlen(classes[i].name) == length && !memcmp(classes[i].name, name, length))
            return byte < 0x80 && classes[i].test(byte);
    return false;
}

/* The bracket expression at pattern[0] == '[': its length, 0 when it is not closed. *matches tells about `byte`. */
static size_t bracket(const char *pattern, size_t length, unsigned char byte, bool *matches)
{
    size_t at = 1;
    bool negated = at < length && (pattern[at] == '!' || pattern[at] == '^'), found = false;
    at += negated;
    for (bool first = true; at < length; first = false) {
        if (pattern[at] == ']' && !first) {
            *matches = found != negated;
            return at + 1;
        }
        if (pattern[at] == '[' && at + 1 < length && pattern[at + 1] == ':') {
            const char *close = memmem(pattern + at + 2, length - at - 2, ":]", 2);
            if (close) {
                found = found || in_class(pattern + at + 2, (size_t)(close - pattern) - at - 2, byte);
                at = (size_t)(close - pattern) + 2;
                continue;
            }
        }
        at += pattern[at] == '\\';
        if (at >= length)
            return 0;
        unsigned char low = (unsigned char)pattern[at++], high = low;
        if (at + 1 < length && pattern[at] == '-' && pattern[at + 1] != ']') {
            at++;
            at += pattern[at] == '\\';
            if (at >= length)
                return 0;
            high = (unsigned char)pattern[at++];
        }
        found = found || (byte >= low && byte <= high);
    }
    return 0;
}

/* One element of a pattern part against one byte: its length when it matches, 0 when not. */
static size_t element_matches(const char *pattern, size_t length, unsigned char byte)
{
    bool matches = false;
    switch (pattern[0]) {
    case '?': return 1;
    case '[': {
        size_t size = bracket(pattern, length, byte, &matches);
        return matches ? size : 0;
    }
    case '\\': return length > 1 && (unsigned char)pattern[1] == byte ? 2 : 0;
    default: return (unsigned char)pattern[0] == byte;
    }
}

static bool part_matches(const char *pattern, size_t pattern_length, const char *part, size_t part_length)
{
    size_t p = 0, t = 0, star = (size_t)-1, star_text = 0;
    while (t < part_length) {
        size_t step = 0;
        if (p < pattern_length && pattern[p] == '*') {
            star = ++p;
            star_text = t;
            continue;
        }
        if (p < pattern_length)
            step = element_matches(pattern + p, pattern_length - p, (unsigned char)part[t]);
        if (step) {
            p += step;
            t++;
        } else if (star != (size_t)-1) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < pattern_length && pattern[p] == '*')
        p++;
    return p == pattern_length;
}

/* The end of the pattern part at `at`: the next '/' outside brackets, or the end. */
static size_t pattern_part_end(const char *pattern, size_t length, size_t at)
{
    bool ignored;
    while (at < length && pattern[at] != '/') {
        size_t size = pattern[at] == '[' ? bracket(pattern + at, length - at, 0, &ignored) : 0;
        at += size ? size : pattern[at] == '\\' && at + 1 < length ? 2 : 1;
    }
    return at;
}

static size_t path_part_end(const char *path, size_t length, size_t at)
{
    const char *slash = memchr(path + at, '/', length - at);
    return slash ? (size_t)(slash - path) : length;
}

bool sx_glob_match(const char *pattern, size_t pattern_length, const char *path, size_t path_length)
{
    size_t p = 0, t = 0, star = (size_t)-1, star_text = 0;
    bool more_pattern = true, more_path = true; /* a part begins at p, at t */
    while (more_path) {
        if (more_pattern) {
            size_t p_end = pattern_part_end(pattern, pattern_length, p);
            if (p_end - p == 2 && pattern[p] == '*' && pattern[p + 1] == '*') {
                if (p_end == pattern_length)
                    return true;
                star = p = p_end + 1;
                star_text = t;
                continue;
            }
            size_t t_end = path_part_end(path, path_length, t);
            if (part_matches(pattern + p, p_end - p, path + t, t_end - t)) {
                more_pattern = p_end < pattern_length;
                more_path = t_end < path_length;
                p = p_end + 1;
                t = t_end + 1;
                if (!more_path && !more_pattern)
                    return true;
                if (more_path)
                    continue;
                return false; /* parts of the pattern are left over, and even "**" at the end wants one part */
            }
        }
        if (star == (size_t)-1)
            return false;
        size_t skipped = path_part_end(path, path_length, star_text);
        if (skipped == path_length)
            return false;
        t = star_text = skipped + 1;
        p = star;
        more_pattern = true;
    }
    return false;
}

bool sx_glob_selects(const char *pattern, const char *relative)
{
    bool rooted = false;
    while (!strncmp(pattern, "./", 2) || pattern[0] == '/') {
        pattern += pattern[0] == '/' ? 1 : 2;
        rooted = true;
    }
    size_t length = strlen(pattern), total = strlen(relative);
    while (length && pattern[length - 1] == '/')
        length--;
    rooted = rooted || memchr(pattern, '/', length) != NULL;
    for (size_t end = path_part_end(relative, total, 0), start = 0;; end = path_part_end(relative, total, end + 1)) {
        if (sx_glob_match(pattern, length, relative + (rooted ? 0 : start), end - (rooted ? 0 : start)))
            return true;
        if (end == total)
            return false;
        start = end + 1;
    }
}
