/* completion.c - shell completion for bash, zsh and fish, from the tables of verbs.c. */
#include "cli.h"

#include <string.h>

/* What may stand behind an option. */
static bool takes_path(const sx_cli_option *option)
{
    return option->value && (strncmp(option->value, "FILE", 4) == 0 || strcmp(option->value, "FOLDER") == 0 ||
                             strcmp(option->value, "MODEL") == 0);
}

/* "index search ...", each first word once. */
static void print_first_words(const char *separator)
{
    const char *last = "";
    size_t last_length = 0;
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        size_t length = strcspn(verb->name, " ");
        if (length == last_length && memcmp(verb->name, last, length) == 0)
            continue;
        printf("%s%.*s", *last ? separator : "", (int)length, verb->name);
        last = verb->name;
        last_length = length;
    }
}

static void print_second_words(const char *group)
{
    size_t length = strlen(group);
    bool first = true;
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++)
        if (strncmp(verb->name, group, length) == 0 && verb->name[length] == ' ') {
            printf("%s%s", first ? "" : " ", verb->name + length + 1);
            first = false;
        }
}

static const char *const groups[] = {"collections", "cache", "models"};

static void print_flags(const sx_cli_option *options)
{
    for (const sx_cli_option *option = options; option->name; option++) {
        printf(" --%s", option->name);
        if (option->letter)
            printf(" -%c", option->letter);
    }
}

/* a|b as "a b" */
static void print_choices(const char *choices)
{
    for (; *choices; choices++)
        putchar(*choices == '|' ? ' ' : *choices);
}

static void print_bash_values(const sx_cli_option *options)
{
    for (const sx_cli_option *option = options; option->name; option++) {
        if (option->kind == SX_CLI_FLAG)
            continue;
        printf("        --%s", option->name);
        if (option->letter)
            printf("|-%c", option->letter);
        printf(") ");
        if (option->kind == SX_CLI_CHOICE) {
            printf("COMPREPLY=($(compgen -W \"");
            print_choices(option->value);
            printf("\" -- \"$word\"))");
        } else if (takes_path(option)) {
            printf("COMPREPLY=($(compgen -f -- \"$word\"))");
        } else {
            printf("COMPREPLY=()");
        }
        printf("; return ;;\n");
    }
}

static void print_bash(void)
{
    printf("# bash completion for sextant\n_sextant()\n{\n"
           "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} verb= i\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        case ${COMP_WORDS[i]} in -*) ;; *) verb=${COMP_WORDS[i]}; break ;; esac\n    done\n"
           "    case $verb in");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
        printf("%s%s", i ? "|" : " ", groups[i]);
    printf(") [ $((i + 1)) -lt \"$COMP_CWORD\" ] && verb=\"$verb ${COMP_WORDS[i+1]}\" ;; esac\n"
           "    if [ -z \"$verb\" ] && [[ $word != -* ]]; then\n        COMPREPLY=($(compgen -W \"");
    print_first_words(" ");
    printf("\" -- \"$word\"))\n        return\n    fi\n    case $before in\n");
    print_bash_values(sx_cli_common_options);
    printf("    esac\n    local options=\"");
    print_flags(sx_cli_common_options);
    printf("\"\n    case $verb in\n");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        printf("    %s) COMPREPLY=($(compgen -W \"", groups[i]);
        print_second_words(groups[i]);
        printf("\" -- \"$word\")); return ;;\n");
    }
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        if (!verb->options->name)
            continue;
        printf("    '%s')\n        options+=\"", verb->name);
        print_flags(verb->options);
        printf("\"\n        case $before in\n");
        print_bash_values(verb->options);
        printf("        esac ;;\n");
    }
    printf("    esac\n    if [[ $word == -* ]]; then\n        COMPREPLY=($(compgen -W \"$options\" -- \"$word\"))\n    else\n"
           "        COMPREPLY=($(compgen -f -- \"$word\"))\n    fi\n}\ncomplete -o filenames -F _sextant sextant\n");
}

/* Inside '...' of zsh's _arguments: quotes, brackets and colons have meanings. */
static void print_zsh_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void print_zsh_options(const sx_cli_option *options)
{
    for (const sx_cli_option *option = options; option->name; option++) {
        const char *repeat = option->repeatable ? "*" : "";
        for (int form = 0; form < 1 + (option->letter != 0); form++) {
            printf("        '%s", repeat);
            if (form)
                printf("-%c[", option->letter);
            else
                printf("--%s%s[", option->name, option->kind == SX_CLI_FLAG ? "" : "=");
            print_zsh_text(option->help);
            putchar(']');
            if (option->kind != SX_CLI_FLAG) {
                putchar(':');
                print_zsh_text(option->kind == SX_CLI_CHOICE ? option->name : option->value);
                putchar(':');
                if (option->kind == SX_CLI_CHOICE) {
                    putchar('(');
                    print_choices(option->value);
                    putchar(')');
                } else if (takes_path(option)) {
                    printf("_files");
                }
            }
            printf("' \\\n");
        }
    }
}

static void print_zsh(void)
{
    printf("#compdef sextant\n_sextant()\n{\n    local verb i\n    local -a verbs common\n    verbs=(\n");
    const char *last = "";
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        char word[64];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(verb->name, " "), verb->name);
        if (strncmp(last, word, strlen(word)) == 0 && strchr(verb->name, ' '))
            continue;
        last = verb->name;
        printf("        '%s:", word);
        print_zsh_text(sx_cli_group_summary(word) ? sx_cli_group_summary(word) : verb->summary);
        printf("'\n");
    }
    printf("    )\n    common=( \\\n");
    print_zsh_options(sx_cli_common_options);
    printf("    )\n    for ((i = 2; i < CURRENT; i++)); do\n"
           "        [[ $words[i] != -* ]] && { verb=$words[i]; break }\n    done\n"
           "    if [[ -z $verb ]]; then\n        _describe verb verbs\n        _arguments $common\n        return\n    fi\n"
           "    case $verb in\n");
    for (size_t i = 0; i < sizeof groups / sizeof *groups; i++) {
        printf("    %s)\n        if ((i + 1 == CURRENT)); then compadd ", groups[i]);
        print_second_words(groups[i]);
        printf("; return; fi\n        verb=\"$verb $words[i+1]\" ;;\n");
    }
    printf("    esac\n    case $verb in\n");
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        printf("    '%s') _arguments \\\n", verb->name);
        print_zsh_options(verb->options);
        printf("        $common '*:argument:_files' ;;\n");
    }
    printf("    esac\n}\n_sextant \"$@\"\n");
}

static void print_fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void print_fish_options(const sx_cli_option *options, const char *condition)
{
    for (const sx_cli_option *option = options; option->name; option++) {
        printf("complete -c sextant %s -l %s", condition, option->name);
        if (option->letter)
            printf(" -s %c", option->letter);
        if (option->kind == SX_CLI_CHOICE) {
            printf(" -x -a '");
            print_choices(option->value);
            putchar('\'');
        } else if (option->kind != SX_CLI_FLAG) {
            printf(takes_path(option) ? " -r -F" : " -x");
        }
        printf(" -d ");
        print_fish_text(option->help);
        putchar('\n');
    }
}

static void print_fish(void)
{
    printf("# fish completion for sextant\n");
    const char *last = "";
    for (const sx_cli_verb *verb = sx_cli_verbs; verb->name; verb++) {
        const char *space = strchr(verb->name, ' ');
        char word[64], condition[256];
        snprintf(word, sizeof word, "%.*s", (int)strcspn(verb->name, " "), verb->name);
        if (!space || strncmp(last, word, strlen(word)) != 0) {
            printf("complete -c sextant -n __fish_use_subcommand -f -a %s -d ", word);
            print_fish_text(sx_cli_group_summary(word) ? sx_cli_group_summary(word) : verb->summary);
            putchar('\n');
        }
        last = verb->name;
        snprintf(condition, sizeof condition, "-n '__fish_seen_subcommand_from %s'", word);
        if (space) {
            printf("complete -c sextant %s -f -a %s -d ", condition, space + 1);
            print_fish_text(verb->summary);
            putchar('\n');
            snprintf(condition, sizeof condition, "-n '__fish_seen_subcommand_from %s; and __fish_seen_subcommand_from %s'", word,
                     space + 1);
        }
        print_fish_options(verb->options, condition);
    }
    print_fish_options(sx_cli_common_options, "");
}

bool sx_cli_print_completion(const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        print_bash();
    else if (strcmp(shell, "zsh") == 0)
        print_zsh();
    else if (strcmp(shell, "fish") == 0)
        print_fish();
    else
        return false;
    return true;
}
