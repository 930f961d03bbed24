/* arguments.c - reading the command line by the tables of verbs.c, strictly: nothing unknown is passed over.
 *
 * Options may stand before or behind the verb and among the arguments; `--` ends them. Values: --name VALUE, --name=VALUE,
 * -n VALUE, -nVALUE.
 */
#include "cli.h"
#include "nearest_word.h"

#include "../base/error.h"
#include "../base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST_WORD = 64 };

static sx_status unknown_option(const sx_cli *cli, const char *name, const char *shown, sx_error *error)
{
    sx_cli_nearest nearest = sx_cli_nearest_begin(name);
    for (size_t i = 0; i < cli->value_count; i++)
        sx_cli_nearest_consider(&nearest, cli->values[i].option->name);
    const char *best = nearest.best;
    sx_fail(error, SX_E_INVALID, "%s%s%s: unknown option", cli->verb ? cli->verb->name : "", cli->verb ? ": " : "", shown);
    if (best)
        sx_hint(error, "did you mean --%s?", best);
    else if (cli->verb)
        sx_hint(error, "`sextant %s --help` lists the options", cli->verb->name);
    else
        sx_hint(error, "`sextant --help` lists verbs and common options");
    return SX_E_INVALID;
}

static bool add_options(sx_cli *cli, const sx_cli_option *options)
{
    for (const sx_cli_option *option = options; option->name; option++) {
        sx_cli_value *grown = sx_realloc_array(cli->values, cli->value_count + 1, sizeof *grown);
        if (!grown)
            return false;
        cli->values = grown;
        cli->values[cli->value_count++] = (sx_cli_value){.option = option};
    }
    return true;
}

/* The verb's own options come first, so that they win. */
static sx_cli_value *find(const sx_cli *cli, const char *name, size_t length, char letter)
{
    for (size_t i = cli->value_count; i-- > 0;) {
        const sx_cli_option *option = cli->values[i].option;
        if (name ? strlen(option->name) == length && memcmp(option->name, name, length) == 0 : option->letter == letter)
            return &cli->values[i];
    }
    return NULL;
}

/* Whether `word` is one of the words of `choices`. */
static bool is_choice(const char *choices, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = choices; at && length; at = strchr(at, '|') ? strchr(at, '|') + 1 : NULL)
        if (strncmp(at, word, length) == 0 && (at[length] == '|' || !at[length]))
            return true;
    return false;
}

static bool parse_whole(const char *text, uint64_t *value, const char **rest)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    unsigned long long parsed = strtoull(text, &end, 10);
    *value = parsed;
    *rest = end;
    return errno == 0;
}

static bool parse_size(const char *text, uint64_t *value)
{
    static const struct {
        const char *unit;
        uint64_t bytes;
    } units[] = {
        {"", 1},
        {"B", 1},
        {"kB", 1000},
        {"KB", 1000},
        {"MB", 1000000},
        {"GB", 1000000000},
        {"TB", 1000000000000},
        {"K", 1024},
        {"KiB", 1024},
        {"M", 1 << 20},
        {"MiB", 1 << 20},
        {"G", 1 << 30},
        {"GiB", 1 << 30},
        {"T", (uint64_t)1 << 40},
        {"TiB", (uint64_t)1 << 40},
    };
    const char *unit;
    uint64_t number;
    if (!parse_whole(text, &number, &unit))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (strcmp(unit, units[i].unit) == 0)
            return !__builtin_mul_overflow(number, units[i].bytes, value);
    return false;
}

/* Strict: no sign, blank or letter too many. `shown` names the option or setting. */
static sx_status check_value(sx_cli_value *value, const char *shown, sx_error *error)
{
    const sx_cli_option *option = value->option;
    uint64_t most = option->most ? option->most : UINT32_MAX;
    const char *rest;
    char *end;
    switch (option->kind) {
    case SX_CLI_COUNT:
        if (!parse_whole(value->text, &value->count, &rest) || *rest || value->count < option->least || value->count > most)
            return sx_fail(error, SX_E_INVALID, "%s: '%s' is not a whole number from %llu to %llu", shown, value->text,
                           (unsigned long long)option->least, (unsigned long long)most);
        break;
    case SX_CLI_SIZE:
        if (!parse_size(value->text, &value->count) || value->count < option->least)
            return sx_fail(error, SX_E_INVALID, "%s: '%s' is not a size such as 512MB or 2GiB", shown, value->text);
        break;
    case SX_CLI_NUMBER:
        errno = 0;
        value->number = strtod(value->text, &end);
        if (!*value->text || isspace((unsigned char)*value->text) || *end || errno || !isfinite(value->number))
            return sx_fail(error, SX_E_INVALID, "%s: '%s' is not a number", shown, value->text);
        break;
    case SX_CLI_CHOICE:
        if (is_choice(option->value, value->text))
            break;
        return sx_fail(error, SX_E_INVALID, "%s: '%s' is not one of %s", shown, value->text, option->value);
    case SX_CLI_FLAG:
    case SX_CLI_TEXT: break;
    }
    return SX_OK;
}

static sx_status set_value(sx_cli_value *value, const char *text, const char *shown, sx_error *error)
{
    value->given = true;
    value->source = shown;
    value->text = text;
    if (value->option->repeatable) {
        const char **grown = sx_realloc_array(value->all, value->all_count + 1, sizeof *grown);
        if (!grown)
            return sx_fail_nomem(error, sizeof *grown);
        value->all = grown;
        value->all[value->all_count++] = text;
    }
    return check_value(value, shown, error);
}

/* --name, --name=VALUE, --name VALUE. *used: further words taken. */
static sx_status read_long(sx_cli *cli, const char *word, const char *next, int *used, sx_error *error)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    sx_cli_value *value = find(cli, name, length, 0);
    char shown[LONGEST_WORD + 8];
    if (!value) {
        snprintf(shown, sizeof shown, "%.*s", (int)(length > LONGEST_WORD ? LONGEST_WORD : length), name);
        char dashed[LONGEST_WORD + 16];
        snprintf(dashed, sizeof dashed, "--%s", shown);
        return unknown_option(cli, shown, dashed, error);
    }
    snprintf(shown, sizeof shown, "--%s", value->option->name);
    if (value->option->kind == SX_CLI_FLAG) {
        if (equals)
            return sx_fail(error, SX_E_INVALID, "%s: takes no value, but has '%s'", shown, equals + 1);
        return set_value(value, "yes", value->option->name, error);
    }
    const char *text = equals ? equals + 1 : next;
    if (!text)
        return sx_fail(error, SX_E_INVALID, "%s: needs a value (%s)", shown, value->option->value);
    *used = !equals;
    sx_status status = set_value(value, text, shown, error);
    value->source = value->option->name;
    return status;
}

/* -q, -qv, -n VALUE, -nVALUE. */
static sx_status read_short(sx_cli *cli, const char *word, const char *next, int *used, sx_error *error)
{
    for (const char *at = word + 1; *at; at++) {
        char shown[4] = {'-', *at, '\0'};
        sx_cli_value *value = find(cli, NULL, 0, *at);
        if (!value)
            return unknown_option(cli, word, isprint((unsigned char)*at) ? shown : word, error);
        sx_status status;
        if (value->option->kind == SX_CLI_FLAG) {
            status = set_value(value, "yes", value->option->name, error);
        } else {
            const char *text = at[1] ? at + 1 : next;
            if (!text)
                return sx_fail(error, SX_E_INVALID, "%s: needs a value (%s)", shown, value->option->value);
            *used = !at[1];
            status = set_value(value, text, shown, error);
            value->source = value->option->name;
            return status;
        }
        if (status)
            return status;
    }
    return SX_OK;
}

static const sx_cli_verb *find_verb(const char *first, const char *second)
{
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        const char *space = strchr(verb->name, ' ');
        size_t length = space ? (size_t)(space - verb->name) : strlen(verb->name);
        if (strlen(first) != length || memcmp(verb->name, first, length) != 0)
            continue;
        if (!space || (second && strcmp(space + 1, second) == 0))
            return verb;
    }
    return NULL;
}

/* "list, info, rename" */
static void group_members(const char *group, char *text, size_t capacity)
{
    text[0] = '\0';
    size_t length = strlen(group);
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        if (strncmp(verb->name, group, length) == 0 && verb->name[length] == ' ') {
            size_t used = strlen(text);
            snprintf(text + used, capacity - used, "%s%s", used ? ", " : "", verb->name + length + 1);
        }
}

static sx_status choose_verb(sx_cli *cli, const char **words, size_t count, size_t *used, sx_error *error)
{
    bool group = sx_cli_group_summary(words[0]) != NULL;
    cli->verb = find_verb(words[0], count > 1 ? words[1] : NULL);
    *used = group ? 2 : 1;
    if (cli->verb)
        return SX_OK;
    if (group) {
        char members[256], joined[LONGEST_WORD * 2];
        group_members(words[0], members, sizeof members);
        if (count == 1)
            return sx_fail(error, SX_E_INVALID, "%s: what about them? one of %s", words[0], members);
        sx_fail(error, SX_E_INVALID, "%s: unknown verb '%s'; one of %s", words[0], words[1], members);
        snprintf(joined, sizeof joined, "%s %s", words[0], words[1]);
        const char *nearest = sx_cli_nearest_verb(joined);
        if (nearest)
            sx_hint(error, "did you mean `sextant %s`?", nearest);
        return SX_E_INVALID;
    }
    sx_fail(error, SX_E_INVALID, "%s: unknown verb", words[0]);
    const char *nearest = sx_cli_nearest_verb(words[0]);
    if (nearest)
        sx_hint(error, "did you mean `sextant %s`?", nearest);
    else
        sx_hint(error, "`sextant --help` lists the verbs");
    return SX_E_INVALID;
}

/* The verb's words are found first, because its table says which options take a value. Before the verb only common options may
 * stand, so that their values are known. */
static sx_status find_verb_words(sx_cli *cli, int count, char **arguments, bool *is_verb, sx_error *error)
{
    const char *words[2];
    int positions[2] = {0, 0};
    size_t found = 0, used = 0;
    for (int i = 0; i < count && found < 2; i++) {
        const char *word = arguments[i];
        if (strcmp(word, "--") == 0)
            break;
        if (word[0] != '-' || !word[1]) {
            positions[found] = i;
            words[found++] = word;
            if (found == 1 && !sx_cli_group_summary(word))
                break;
            continue;
        }
        bool is_long = word[1] == '-';
        const char *equals = strchr(word, '=');
        sx_cli_value *value = is_long ? find(cli, word + 2, equals ? (size_t)(equals - word - 2) : strlen(word + 2), 0)
                                      : find(cli, NULL, 0, word[1]);
        if (!value && !found)
            return unknown_option(cli, word + 1 + is_long, word, error);
        if (value && value->option->kind != SX_CLI_FLAG && (is_long ? !equals : !word[2]))
            i++;
    }
    if (!found)
        return SX_OK;
    sx_status status = choose_verb(cli, words, found, &used, error);
    for (size_t i = 0; !status && i < used; i++)
        is_verb[positions[i]] = true;
    /* `sextant collections --help` */
    if (status && found == 1 && sx_cli_group_summary(words[0]))
        for (int i = 0; i < count; i++)
            if (strcmp(arguments[i], "--help") == 0 || strcmp(arguments[i], "-h") == 0) {
                sx_cli_print_group_help(words[0]);
                return SX_E_STOPPED;
            }
    return status;
}

sx_status sx_cli_parse(sx_cli *cli, int count, char **arguments, sx_error *error)
{
    const char **kept = sx_calloc((size_t)count + 1, sizeof *kept);
    bool *is_verb = sx_calloc((size_t)count + 1, sizeof *is_verb);
    sx_status status = SX_OK;
    if (!kept || !is_verb || !add_options(cli, sx_cli_common_options)) {
        status = sx_fail_nomem(error, (size_t)count * sizeof *kept);
        goto out;
    }
    status = find_verb_words(cli, count, arguments, is_verb, error);
    if (!status && cli->verb && !add_options(cli, cli->verb->options))
        status = sx_fail_nomem(error, sizeof *cli->values);
    bool only_arguments = false;
    for (int i = 0; i < count && !status; i++) {
        const char *word = arguments[i], *next = i + 1 < count ? arguments[i + 1] : NULL;
        int used = 0;
        if (is_verb[i])
            continue;
        if (!only_arguments && strcmp(word, "--") == 0)
            only_arguments = true;
        else if (only_arguments || word[0] != '-' || !word[1])
            kept[cli->argument_count++] = word;
        else if (word[1] == '-')
            status = read_long(cli, word, next, &used, error);
        else
            status = read_short(cli, word, next, &used, error);
        i += used;
    }
    cli->arguments = kept;
    kept = NULL;
    const sx_cli_verb *verb = cli->verb;
    if (status || !verb || sx_cli_flag(cli, "help"))
        goto out;
    if (cli->argument_count < verb->least)
        status = sx_fail(error, SX_E_INVALID, "%s: %s is missing", verb->name, verb->arguments);
    else if (cli->argument_count > verb->most)
        status = sx_fail(error, SX_E_INVALID, "%s: '%s' is one argument too many", verb->name, cli->arguments[verb->most]);
    if (status)
        sx_hint(error, "usage: sextant %s [OPTION...] %s", verb->name, verb->arguments);
out:
    free(is_verb);
    free(kept);
    return status;
}

sx_status sx_cli_complete(sx_cli *cli, sx_error *error)
{
    for (size_t i = 0; i < cli->value_count; i++) {
        sx_cli_value *value = &cli->values[i];
        if (value->text)
            continue;
        const char *source = NULL;
        if (value->option->setting)
            value->text = sx_cli_setting_value(&cli->settings, value->option->setting, &source);
        value->source = value->text ? source : NULL;
        if (!value->text)
            value->text = value->option->initial;
        if (!value->text)
            continue;
        sx_status status = check_value(value, source ? source : value->option->name, error);
        if (status)
            return status;
    }
    return SX_OK;
}

void sx_cli_clear(sx_cli *cli)
{
    for (size_t i = 0; i < cli->value_count; i++)
        free(cli->values[i].all);
    free(cli->values);
    free((void *)(uintptr_t)cli->arguments);
    sx_cli_settings_clear(&cli->settings);
    free(cli->db_path);
    free(cli->cache_path);
    free(cli->models_folder);
    free(cli->hub_cache);
    free(cli->cache_folder);
    free(cli->prices_path);
    free(cli->grammars_path);
    *cli = (sx_cli){0};
}

const sx_cli_value *sx_cli_get(const sx_cli *cli, const char *option)
{
    static const sx_cli_value nothing;
    const sx_cli_value *value = find(cli, option, strlen(option), 0);
    return value ? value : &nothing;
}

bool sx_cli_has(const sx_cli *cli, const char *option)
{
    return find(cli, option, strlen(option), 0) != NULL;
}

bool sx_cli_flag(const sx_cli *cli, const char *option)
{
    return sx_cli_get(cli, option)->text != NULL;
}

const char *sx_cli_text(const sx_cli *cli, const char *option)
{
    return sx_cli_get(cli, option)->text;
}

uint64_t sx_cli_count(const sx_cli *cli, const char *option)
{
    return sx_cli_get(cli, option)->count;
}
