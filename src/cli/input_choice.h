/* input_choice.h - where a verb's texts come from. */
#ifndef SX_CLI_INPUT_CHOICE_H
#define SX_CLI_INPUT_CHOICE_H

#include "../base/records.h"
#include "cli.h"

/* What a verb's texts, --input, --input-format, --text-column and --id-column say; `fallback` is the format where nothing does.
 * Returns 0, or the exit code of wrong usage after saying what is wrong. */
int sx_cli_input_choose(sx_cli *cli, const char *fallback, sx_records_input *input);
/* The library reads invalid UTF-8 as U+FFFD; who meant another encoding should hear of it. */
bool sx_cli_is_utf8(const char *text, size_t length);

#endif
