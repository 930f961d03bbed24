/* command.h - what a verb is: one declarative table from which parsing, --help, man pages and completions come. */
#ifndef SX_CLI_COMMAND_H
#define SX_CLI_COMMAND_H

#include "sextant.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes, a contract with scripts. */
enum {
    SX_EXIT_DONE = 0,
    SX_EXIT_FAILED = 1,
    SX_EXIT_USAGE = 2,
    SX_EXIT_ITEMS_FAILED = 3,
    SX_EXIT_LIMIT = 4,
    SX_EXIT_INTERRUPTED = 130
};

typedef enum sx_cli_kind {
    SX_CLI_FLAG,
    SX_CLI_TEXT,
    SX_CLI_COUNT,  /* whole number, least..most */
    SX_CLI_SIZE,   /* bytes: 512MB, 2GiB */
    SX_CLI_NUMBER, /* decimal fraction */
    SX_CLI_CHOICE  /* one of `value`, separated by | */
} sx_cli_kind;

typedef struct sx_cli_option {
    const char *name; /* without the dashes; NULL ends a table */
    char letter;      /* or 0 */
    sx_cli_kind kind;
    const char *value; /* what help calls it ("N", "FILE"), or the choices */
    const char *help;
    const char *setting;  /* name in environment and settings files, or NULL */
    const char *initial;  /* what holds when nothing is said, as text; NULL: nothing */
    uint64_t least, most; /* of a count; most 0: 4294967295 */
    bool repeatable;
} sx_cli_option;

typedef struct sx_cli sx_cli;

typedef struct sx_cli_verb {
    const char *name;      /* "search", "collections list"; NULL ends the table */
    const char *summary;   /* one line */
    const char *arguments; /* "PATH...", "[TEXT...]", "" */
    size_t least, most;    /* how many arguments; most SIZE_MAX: any */
    const sx_cli_option *options;
    bool uses_model;         /* honours provider and endpoint settings, so they are checked */
    const char *description; /* sentences; paragraphs separated by an empty line */
    const char *example;     /* a command line that works */
    const char *exits;       /* exit codes beyond 0, 1 and 2, as digits: "3i" (i: 130) */
    int (*run)(sx_cli *cli);
} sx_cli_verb;

/* verbs.c */
extern const sx_cli_verb sx_cli_verbs[];
extern const sx_cli_option sx_cli_common_options[];
/* What a group of verbs ("collections") is for, or NULL when there is no such group. */
const char *sx_cli_group_summary(const char *group);

/* How an option may be written: "-n, --count N". Into buffer of at least 256 bytes. */
void sx_cli_option_syntax(const sx_cli_option *option, char *text, size_t capacity);
/* The exit codes of a verb in ascending order, from its `exits`; returns how many. */
enum { SX_EXIT_COUNT = 6 };
size_t sx_cli_exit_codes(const char *exits, int codes[SX_EXIT_COUNT]);
/* What an exit code means. */
const char *sx_cli_exit_meaning(int code);

/* One function for each verb, in run_*.c. */
int sx_cli_index(sx_cli *cli);
int sx_cli_remove(sx_cli *cli);
int sx_cli_search(sx_cli *cli);
int sx_cli_ask(sx_cli *cli);
int sx_cli_serve(sx_cli *cli);
int sx_cli_mcp(sx_cli *cli);
int sx_cli_similar(sx_cli *cli);
int sx_cli_embed(sx_cli *cli);
int sx_cli_rerank(sx_cli *cli);
int sx_cli_chunk(sx_cli *cli);
int sx_cli_tokenize(sx_cli *cli);
int sx_cli_status(sx_cli *cli);
int sx_cli_collections_list(sx_cli *cli);
int sx_cli_collections_info(sx_cli *cli);
int sx_cli_collections_rename(sx_cli *cli);
int sx_cli_collections_delete(sx_cli *cli);
int sx_cli_collections_export(sx_cli *cli);
int sx_cli_collections_import(sx_cli *cli);
int sx_cli_collections_copy(sx_cli *cli);
int sx_cli_migrate(sx_cli *cli);
int sx_cli_compare(sx_cli *cli);
int sx_cli_compress(sx_cli *cli);
int sx_cli_duplicates(sx_cli *cli);
int sx_cli_clusters(sx_cli *cli);
int sx_cli_classify(sx_cli *cli);
int sx_cli_map(sx_cli *cli);
int sx_cli_eval(sx_cli *cli);
int sx_cli_backup(sx_cli *cli);
int sx_cli_restore(sx_cli *cli);
int sx_cli_cost(sx_cli *cli);
int sx_cli_batch_list(sx_cli *cli);
int sx_cli_batch_resume(sx_cli *cli);
int sx_cli_batch_cancel(sx_cli *cli);
int sx_cli_spaces_prove(sx_cli *cli);
int sx_cli_spaces_list(sx_cli *cli);
int sx_cli_spaces_forget(sx_cli *cli);
int sx_cli_cache_stats(sx_cli *cli);
int sx_cli_cache_prune(sx_cli *cli);
int sx_cli_cache_clear(sx_cli *cli);
int sx_cli_cache_export(sx_cli *cli);
int sx_cli_cache_import(sx_cli *cli);
int sx_cli_models_list(sx_cli *cli);
int sx_cli_models_pull(sx_cli *cli);
int sx_cli_models_info(sx_cli *cli);
int sx_cli_models_import(sx_cli *cli);
int sx_cli_models_verify(sx_cli *cli);
int sx_cli_models_remove(sx_cli *cli);
int sx_cli_doctor(sx_cli *cli);
int sx_cli_bench(sx_cli *cli);
int sx_cli_help(sx_cli *cli);
int sx_cli_version(sx_cli *cli);

#endif
