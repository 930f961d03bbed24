/* input_choice.c - where a verb's texts come from: its arguments, or files. */
#include "input_choice.h"

#include "../base/code_point.h"

#include <unistd.h>

int sx_cli_input_choose(sx_cli *cli, const char *fallback, sx_records_input *input)
{
    const sx_cli_value *given = sx_cli_get(cli, "input");
    const char *path = given->text;
    if (cli->argument_count && path)
        return sx_cli_usage(cli, NULL, "%s: both texts and --input are given", cli->verb->name);
    if (!cli->argument_count && !path && isatty(STDIN_FILENO))
        return sx_cli_usage(cli, "give TEXT, or -i FILE (- is standard input)", "%s: no text is given", cli->verb->name);
    *input = (sx_records_input){
        .texts = cli->arguments,
        .text_count = cli->argument_count,
        .path = path                  ? path
                : cli->argument_count ? NULL
                                      : "-",
        .paths = given->all,
        .path_count = given->all_count,
        .format = sx_cli_text(cli, "input-format"),
        .fallback = fallback,
        .text_column = sx_cli_text(cli, "text-column"),
        .id_column = sx_cli_text(cli, "id-column"),
    };
    return 0;
}

bool sx_cli_is_utf8(const char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        sx_code_point point = sx_utf8_decode(text + i, length - i);
        if (!point.valid)
            return false;
        i += point.length;
    }
    return true;
}
