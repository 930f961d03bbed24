/* ignore.c - the rules of one folder's ignore files, as gitignore(5) says and git does. */
#include "ignore.h"

#include "../base/file.h"
#include "../base/memory.h"
#include "glob.h"

#include <stdlib.h>
#include <string.h>

/* Trailing spaces do not count unless a backslash precedes them. */
static size_t without_trailing_spaces(const char *line, size_t length)
{
    size_t kept = 0;
    for (size_t i = 0; i < length; i++) {
        if (line[i] == '\\' && i + 1 < length)
            kept = ++i + 1;
        else if (line[i] != ' ')
            kept = i + 1;
    }
    return kept;
}

static bool add_line(sx_ignore_rules *rules, const char *line, size_t length)
{
    if (length && line[length - 1] == '\r')
        length--;
    length = without_trailing_spaces(line, length);
    if (!length || line[0] == '#')
        return true;
    sx_ignore_rule rule = {.negated = line[0] == '!'};
    line += rule.negated;
    length -= rule.negated;
    if (length && line[length - 1] == '/') {
        rule.folders_only = true;
        length--;
    }
    rule.anchored = memchr(line, '/', length) != NULL;
    if (length && line[0] == '/') {
        line++;
        length--;
    }
    if (!length)
        return true;
    rule.pattern = line;
    rule.length = length;
    if (!sx_reserve((void **)&rules->rules, &rules->capacity, rules->count + 1, sizeof rule))
        return false;
    rules->rules[rules->count++] = rule;
    return true;
}

bool sx_ignore_add(sx_ignore_rules *rules, const char *text, size_t length)
{
    if (!sx_reserve((void **)&rules->texts, &rules->text_capacity, rules->text_count + 1, sizeof *rules->texts))
        return false;
    char *copy = sx_strndup(text, length);
    if (!copy)
        return false;
    rules->texts[rules->text_count++] = copy;
    size_t at = length >= 3 && !memcmp(copy, "\xef\xbb\xbf", 3) ? 3 : 0;
    while (at < length) {
        const char *newline = memchr(copy + at, '\n', length - at);
        size_t end = newline ? (size_t)(newline - copy) : length;
        if (!add_line(rules, copy + at, end - at))
            return false;
        at = end + 1;
    }
    return true;
}

sx_ignore_verdict sx_ignore_check(const sx_ignore_rules *rules, const char *path, bool is_folder)
{
    size_t which;
    return sx_ignore_check_rule(rules, path, is_folder, &which);
}

sx_ignore_verdict sx_ignore_check_rule(const sx_ignore_rules *rules, const char *path, bool is_folder, size_t *which)
{
    const char *name = sx_path_name(path);
    size_t path_length = strlen(path), name_length = strlen(name);
    for (size_t i = rules->count; i-- > 0;) {
        const sx_ignore_rule *rule = &rules->rules[i];
        if (rule->folders_only && !is_folder)
            continue;
        bool matches = rule->anchored ? sx_glob_match(rule->pattern, rule->length, path, path_length)
                                      : sx_glob_match(rule->pattern, rule->length, name, name_length);
        *which = i;
        if (matches)
            return rule->negated ? SX_IGNORE_KEPT : SX_IGNORE_LEFT_OUT;
    }
    return SX_IGNORE_NO_RULE;
}

void sx_ignore_clear(sx_ignore_rules *rules)
{
    for (size_t i = 0; i < rules->text_count; i++)
        free(rules->texts[i]);
    free(rules->texts);
    free(rules->rules);
    *rules = (sx_ignore_rules){0};
}
