/* cli.h - one run of the program: the verb, its options, where things lie, and how results and errors are said. */
#ifndef SX_CLI_CLI_H
#define SX_CLI_CLI_H

#include "command.h"
#include "settings.h"

#include "../base/buffer.h"

#include <stdio.h>

/* An option's value after all sources were asked. */
typedef struct sx_cli_value {
    const sx_cli_option *option;
    const char *text;   /* NULL: nothing said and no default */
    const char *source; /* "--count", "MAX_RESULTS in .env: line 3"; NULL: the default */
    uint64_t count;     /* counts and sizes */
    double number;
    bool given;       /* by a flag */
    const char **all; /* of a repeatable option, in order */
    size_t all_count;
} sx_cli_value;

struct sx_cli {
    const sx_cli_verb *verb;
    const char *const *arguments;
    size_t argument_count;
    sx_cli_value *values;
    size_t value_count;
    sx_cli_settings settings;
    bool json, quiet, verbose, progress, color;
    unsigned width;             /* of the terminal, 80 when there is none */
    bool line_open;             /* a progress line is on the terminal */
    char *db_path, *cache_path; /* the database; the one that serves as embed's cache */
    char *models_folder, *hub_cache, *cache_folder;
    char *grammars_path; /* parsers of code, NULL: none */
    char *prices_path; /* of remote models, NULL: none */
    sx_places places;
};

/* arguments.c. An error's code is SX_E_INVALID for wrong usage. */
sx_status sx_cli_parse(sx_cli *cli, int count, char **arguments, sx_error *error);
/* Asks the settings for what no flag said, and checks it. */
sx_status sx_cli_complete(sx_cli *cli, sx_error *error);
void sx_cli_clear(sx_cli *cli);

const sx_cli_value *sx_cli_get(const sx_cli *cli, const char *option);
/* Whether the verb has such an option at all. */
bool sx_cli_has(const sx_cli *cli, const char *option);
bool sx_cli_flag(const sx_cli *cli, const char *option);
const char *sx_cli_text(const sx_cli *cli, const char *option);
/* 0 when not set. */
uint64_t sx_cli_count(const sx_cli *cli, const char *option);

/* places.c */
sx_status sx_cli_find_places(sx_cli *cli, sx_error *error);
/* Makes the folder a database lies in. */
sx_status sx_cli_make_folder_of(const char *path, sx_error *error);
/* Opens the database of this run. create false: SX_E_NOT_FOUND when there is none. */
sx_status sx_cli_open_database(sx_cli *cli, const char *path, bool create, sx_database **out, sx_error *error);
/* What -m or the settings mean, malloc'ed: folders as absolute paths. SX_E_UNSUPPORTED for a remote model in a verb that has no
 * options for them. */
sx_status sx_cli_model_reference(sx_cli *cli, char **reference, sx_error *error);
/* Refuses remote models, for what needs a model's files. */
sx_status sx_cli_check_reference(const char *reference, sx_error *error);

/* report.c */
/* Whether the reader of standard output has gone (`sextant ... | head`): nothing to complain about. */
bool sx_cli_output_is_closed(void);
/* Prints the error and returns the exit code that goes with it. */
int sx_cli_fail(sx_cli *cli, const sx_error *error);
/* Prints a message about wrong usage; returns 2. */
int sx_cli_usage(sx_cli *cli, const char *hint, const char *format, ...) __attribute__((format(printf, 3, 4)));
void sx_cli_note(sx_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));     /* not with -q */
void sx_cli_warn(sx_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));     /* not with -q */
void sx_cli_complain(sx_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3))); /* an item that failed */
void sx_cli_report_progress(const sx_progress *progress, void *cli);
void sx_cli_end_progress(sx_cli *cli);
void sx_cli_log(sx_log_level level, const char *message, void *cli);
/* Standard output for people: control characters become spaces. */
void sx_cli_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sx_cli_human_bytes(uint64_t bytes, char text[32]);
/* "1,234,567" */
void sx_cli_human_count(uint64_t count, char text[32]);
/* Prints a finished JSON buffer and a newline; clears it. Returns the exit code 0, or 1 when memory ran out. */
int sx_cli_print_json(sx_cli *cli, sx_buffer *buffer);

/* run_pull.c: `models list --known`. */
int sx_cli_print_known_models(sx_cli *cli);

/* JSON members; commas come by themselves. */
void sx_cli_key(sx_buffer *buffer, const char *key);
void sx_cli_member_text(sx_buffer *buffer, const char *key, const char *value);
void sx_cli_member_integer(sx_buffer *buffer, const char *key, uint64_t value);
void sx_cli_member_number(sx_buffer *buffer, const char *key, double value);
void sx_cli_member_boolean(sx_buffer *buffer, const char *key, bool value);
/* An object of counts, the last one with the name NULL. */
typedef struct sx_cli_count_of {
    const char *name;
    uint64_t count;
} sx_cli_count_of;
void sx_cli_member_counts(sx_buffer *buffer, const char *key, const sx_cli_count_of *counts);
/* An array of {"document","chunk","reason"}; chunk only where the problem is one's. */
void sx_cli_member_problems(sx_buffer *buffer, const char *key, const sx_problem *problems, size_t count);
/* "cache": {"hits": ...} */
void sx_cli_member_cache_use(sx_buffer *buffer, const sx_cache_use *use);
void sx_cli_note_cache_use(sx_cli *cli, const sx_cache_use *use);

/* signals.c */
/* From here on a signal only sets the flag that is returned; a second one ends the process. */
const volatile int *sx_cli_stop_flag(void);
void sx_cli_install_signals(void);
/* A file to unlink when a signal ends the process at once; borrowed until dropped. */
void sx_cli_temporary_add(const char *path);
void sx_cli_temporary_drop(const char *path);

/* help.c, manual.c, completion.c: to standard output */
void sx_cli_print_overview(void);
void sx_cli_print_verb_help(const sx_cli_verb *verb);
void sx_cli_print_group_help(const char *group);
bool sx_cli_print_manual(const char *page);
bool sx_cli_print_completion(const char *shell);

#endif
