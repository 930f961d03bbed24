/* manual.c - man pages from the tables of verbs.c, in the man(7) macros: sextant(1), and sextant-VERB(1) for verbs and groups. */
#include "cli.h"

#include <ctype.h>
#include <string.h>

static const char release_date[] = "2026-11-21";

/* Text is taken literally: backslashes, dashes of options, and dots and quotes where a line could begin. */
static void print_text(const char *text)
{
    bool fresh = true;
    for (; *text; text++) {
        if (text[0] == '\n' && text[1] == '\n') {
            fputs("\n.PP\n", stdout);
            text++;
            fresh = true;
            continue;
        }
        if (fresh && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '\\')
            fputs("\\e", stdout);
        else if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\'')
            fputs("\\(aq", stdout);
        else
            putchar(*text);
        fresh = *text == '\n';
    }
}

static void print_upper(const char *text)
{
    for (; *text; text++)
        putchar(*text == ' ' ? '-' : toupper((unsigned char)*text));
}

static void print_header(const char *page, const char *summary)
{
    printf(".TH ");
    print_upper(page);
    printf(" 1 \"%s\" \"sextant %s\" \"Sextant\"\n.SH NAME\n", release_date, sx_version());
    for (const char *at = page; *at; at++)
        fputs(*at == '-' ? "\\-" : (char[]){*at, '\0'}, stdout);
    fputs(" \\- ", stdout);
    print_text(summary);
    putchar('\n');
}

static void print_options(const sx_cli_option *options)
{
    for (const sx_cli_option *option = options; option->name; option++) {
        char syntax[256];
        sx_cli_option_syntax(option, syntax, sizeof syntax);
        fputs(".TP\n\\fB", stdout);
        char *value = option->value ? strstr(syntax, option->value) : NULL;
        if (value)
            value[-1] = '\0';
        print_text(syntax);
        fputs("\\fR", stdout);
        if (value) {
            fputs(" \\fI", stdout);
            print_text(option->value);
            fputs("\\fR", stdout);
        }
        putchar('\n');
        print_text(option->help);
        if (option->initial) {
            fputs(" [", stdout);
            print_text(option->initial);
            putchar(']');
        }
        if (option->repeatable)
            fputs("; may be given several times", stdout);
        putchar('\n');
    }
}

static void print_environment(const sx_cli_option *first, const sx_cli_option *second)
{
    const sx_cli_option *tables[] = {first, second};
    printf(".SH ENVIRONMENT\nFlags are stronger than the environment, that than a file named by "
           "\\fB\\-\\-env\\-file\\fR, that than \\fI.env\\fR\nin the working directory (keys, model and sizes only), that than "
           "the configuration file.\n");
    for (size_t i = 0; i < 2; i++)
        for (const sx_cli_option *option = tables[i]; option && option->name; option++)
            if (option->setting)
                printf(".TP\n.B %s\nThe same as \\fB\\-\\-%s\\fR.\n", option->setting, option->name);
    printf(".TP\n.B DB_DIR\nFolder of the database sextant.db.\n.TP\n.B EMBEDDING_CACHE_DIR\nWhere the cache lies.\n"
           ".TP\n.B EMBEDDING_PROVIDER\nOnly \"local\" in this version.\n.TP\n.B SEXTANT_MODELS\nFolder of imported models.\n"
           ".TP\n.B SEXTANT_GRAMMARS\nParsers of code, an absolute path; default ~/.local/share/sextant/grammars.so.\n"
           ".TP\n.BR HF_HOME \", \" HF_HUB_CACHE\nThe Hugging Face cache.\n.TP\n.B NO_COLOR\nNo colours when set.\n");
}

static void print_exits(const char *exits)
{
    int codes[SX_EXIT_COUNT];
    size_t count = sx_cli_exit_codes(exits, codes);
    printf(".SH EXIT STATUS\n");
    for (size_t i = 0; i < count; i++) {
        printf(".TP\n.B %d\n", codes[i]);
        print_text(sx_cli_exit_meaning(codes[i]));
        putchar('\n');
    }
}

static void print_synopsis(const sx_cli_verb *verb)
{
    printf(".B sextant %s\n[\\fIOPTION\\fR...]", verb->name);
    if (*verb->arguments) {
        fputs(" \\fI", stdout);
        print_text(verb->arguments);
        fputs("\\fR", stdout);
    }
    putchar('\n');
}

static void print_example(const char *example, bool first)
{
    fputs(first ? ".nf\n" : ".PP\n.nf\n", stdout);
    print_text(example);
    fputs("\n.fi\n", stdout);
}

static bool is_member(const sx_cli_verb *verb, const char *group)
{
    size_t length = strlen(group);
    return strncmp(verb->name, group, length) == 0 && (verb->name[length] == ' ' || !verb->name[length]);
}

/* A verb's own page, or a group's with a section for each of its verbs. */
static bool print_verb_page(const char *name)
{
    const char *group = sx_cli_group_summary(name), *summary = group, *exits = "";
    const sx_cli_option *options = NULL;
    size_t members = 0;
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        if (is_member(verb, name)) {
            members++;
            exits = strlen(verb->exits) > strlen(exits) ? verb->exits : exits;
            summary = group ? group : verb->summary;
            options = verb->options;
        }
    if (!members)
        return false;
    char title[64];
    snprintf(title, sizeof title, "sextant-%s", name);
    print_header(title, summary);
    printf(".SH SYNOPSIS\n");
    bool first = true;
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        if (is_member(verb, name)) {
            if (!first)
                printf(".br\n");
            print_synopsis(verb);
            first = false;
        }
    printf(".SH DESCRIPTION\n");
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        if (!is_member(verb, name))
            continue;
        if (group)
            printf(".SS %s\n", verb->name);
        print_text(verb->description);
        putchar('\n');
        if (group)
            print_options(verb->options);
    }
    printf(".SH OPTIONS\n");
    if (!group)
        print_options(options);
    print_options(sx_cli_common_options);
    print_environment(group ? NULL : options, sx_cli_common_options);
    print_exits(exits);
    printf(".SH EXAMPLES\n");
    first = true;
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        if (is_member(verb, name)) {
            print_example(verb->example, first);
            first = false;
        }
    printf(".SH SEE ALSO\n.BR sextant (1)\n");
    return true;
}

static void print_main_page(void)
{
    print_header("sextant", "embed, store and search texts");
    printf(".SH SYNOPSIS\n.B sextant\n\\fIVERB\\fR [\\fIOPTION\\fR...] [\\fIARGUMENT\\fR...]\n.SH DESCRIPTION\n");
    print_text("Turns documents into embedding vectors with its own encoder, keeps them in a database, keeps them fresh and "
               "searches them.");
    printf("\n.SH VERBS\n");
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        printf(".TP\n.B sextant %s\n", verb->name);
        print_text(verb->summary);
        putchar('\n');
    }
    printf(".SH OPTIONS\n");
    print_options(sx_cli_common_options);
    print_environment(NULL, sx_cli_common_options);
    print_exits("34i");
    printf(".SH FILES\n.TP\n.I $XDG_DATA_HOME/sextant/sextant.db\nThe database.\n.TP\n.I $XDG_DATA_HOME/sextant/models\nImported "
           "models.\n.TP\n.I $XDG_CONFIG_HOME/sextant/config\nSettings as KEY=VALUE lines.\n.SH EXAMPLES\n");
    print_example("sextant index docs -c handbook", true);
    print_example("sextant search -c handbook 'how do I reset my password'", false);
}

bool sx_cli_print_manual(const char *page)
{
    if (strcmp(page, "sextant") == 0) {
        print_main_page();
        return true;
    }
    return print_verb_page(page);
}
