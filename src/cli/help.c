/* help.c - --help, from the tables of verbs.c. */
#include "cli.h"
#include "nearest_word.h"

#include <string.h>

enum { SYNTAX_COLUMN = 30, PAGE_WIDTH = 96 };

/* Breaks text at blanks so that lines end before PAGE_WIDTH; every line begins at `indent`, where the first already is. */
static void print_wrapped(const char *text, size_t indent)
{
    size_t column = indent;
    bool first = true;
    while (*text) {
        if (text[0] == '\n' && text[1] == '\n') {
            printf("\n\n%*s", (int)indent, "");
            text += 2;
            column = indent;
            first = true;
            continue;
        }
        text += *text == ' ' || *text == '\n';
        size_t length = strcspn(text, " \n");
        if (!first && column + 1 + length > PAGE_WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
            first = true;
        }
        printf("%s%.*s", first ? "" : " ", (int)length, text);
        column += length + !first;
        first = false;
        text += length;
    }
    putchar('\n');
}

static void print_option(const sx_cli_option *option)
{
    char syntax[256], text[512];
    sx_cli_option_syntax(option, syntax, sizeof syntax);
    snprintf(text, sizeof text, "%s%s%s%s%s%s%s%s", option->help, option->repeatable ? " (repeatable)" : "",
             option->initial ? " [" : "", option->initial ? option->initial : "", option->initial ? "]" : "",
             option->setting ? " ($" : "", option->setting ? option->setting : "", option->setting ? ")" : "");
    printf("  %-*s", SYNTAX_COLUMN - 2, syntax);
    if (strlen(syntax) > SYNTAX_COLUMN - 4)
        printf("\n%*s", SYNTAX_COLUMN, "");
    print_wrapped(text, SYNTAX_COLUMN);
}

static void print_exits(const char *exits)
{
    int codes[SX_EXIT_COUNT];
    size_t count = sx_cli_exit_codes(exits, codes);
    for (size_t i = 0; i < count; i++)
        printf("  %-5d%s\n", codes[i], sx_cli_exit_meaning(codes[i]));
}

void sx_cli_print_verb_help(const sx_cli_verb *verb)
{
    printf("usage: sextant %s [OPTION...]%s%s\n\n%s\n\n", verb->name, *verb->arguments ? " " : "", verb->arguments,
           verb->summary);
    print_wrapped(verb->description, 0);
    if (verb->options->name)
        printf("\nOptions\n");
    for (const sx_cli_option *option = verb->options; option->name; option++)
        print_option(option);
    printf("\nCommon options\n");
    for (const sx_cli_option *option = sx_cli_common_options; option->name; option++)
        print_option(option);
    printf("\nExit codes\n");
    print_exits(verb->exits);
    printf("\nExample\n  %s\n", verb->example);
}

void sx_cli_print_group_help(const char *group)
{
    size_t length = strlen(group);
    printf("usage: sextant %s VERB [OPTION...]\n\n%s\n\n", group, sx_cli_group_summary(group));
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        if (strncmp(verb->name, group, length) == 0 && verb->name[length] == ' ')
            printf("  %-24s%s\n", verb->name, verb->summary);
    printf("\n`sextant %s VERB --help` says more.\n", group);
}

void sx_cli_print_overview(void)
{
    printf("usage: sextant VERB [OPTION...] [ARGUMENT...]\n\n"
           "Turns documents into embedding vectors, keeps them fresh and searches them.\n\nVerbs\n");
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        printf("  %-24s%s\n", verb->name, verb->summary);
    printf("\nCommon options\n");
    for (const sx_cli_option *option = sx_cli_common_options; option->name; option++)
        print_option(option);
    printf("\nExit codes\n");
    print_exits("34i");
    printf("\nExample\n  sextant index docs -c handbook\n  sextant search -c handbook 'how do I reset my password'\n\n"
           "`sextant VERB --help` says more about a verb.\n");
}

int sx_cli_help(sx_cli *cli)
{
    if (!cli->argument_count) {
        sx_cli_print_overview();
        return SX_EXIT_DONE;
    }
    char name[128];
    snprintf(name, sizeof name, "%s%s%s", cli->arguments[0], cli->argument_count > 1 ? " " : "",
             cli->argument_count > 1 ? cli->arguments[1] : "");
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0) {
            sx_cli_print_verb_help(verb);
            return SX_EXIT_DONE;
        }
    if (sx_cli_group_summary(name)) {
        sx_cli_print_group_help(name);
        return SX_EXIT_DONE;
    }
    const char *nearest = sx_cli_nearest_verb(name);
    char hint[160];
    snprintf(hint, sizeof hint, nearest ? "did you mean `sextant help %s`?" : "`sextant --help` lists the verbs%s",
             nearest ? nearest : "");
    return sx_cli_usage(cli, hint, "help: %s: unknown verb", name);
}

int sx_cli_version(sx_cli *cli)
{
    sx_machine machine;
    if (cli->json) {
        sx_buffer buffer = {0};
        sx_machine_describe(&machine);
        sx_buffer_append_byte(&buffer, '{');
        sx_cli_member_text(&buffer, "version", sx_version());
        sx_cli_member_text(&buffer, "kernels", machine.kernels);
        sx_cli_member_text(&buffer, "sqlite", machine.sqlite_version);
        sx_buffer_append_byte(&buffer, '}');
        return sx_cli_print_json(cli, &buffer);
    }
    printf("sextant %s\n", sx_version());
    return SX_EXIT_DONE;
}
