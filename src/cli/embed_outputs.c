/* embed_outputs.c - the list of outputs on the command line, and sparse weights and multi-vectors as JSON. */
#include "embed_outputs.h"

#include "../base/json_writer.h"

#include <string.h>

int sx_cli_read_outputs(sx_cli *cli, unsigned *outputs)
{
    static const struct {
        const char *name;
        unsigned output;
    } known[] = {{"dense", SX_OUTPUT_DENSE}, {"sparse", SX_OUTPUT_SPARSE}, {"multi", SX_OUTPUT_MULTI}};
    const char *list = sx_cli_text(cli, "outputs");
    *outputs = 0;
    for (const char *at = list;; at++) {
        size_t length = strcspn(at, ","), i = 0;
        while (i < 3 && (strlen(known[i].name) != length || strncmp(known[i].name, at, length) != 0))
            i++;
        if (i == 3)
            return sx_cli_usage(cli, "one or several of dense, sparse, multi, separated by commas",
                                "%s: --outputs: '%.*s' is none", cli->verb->name, (int)length, at);
        *outputs |= known[i].output;
        at += length;
        if (!*at)
            return 0;
    }
}

void sx_cli_write_outputs(sx_buffer *line, unsigned wanted, const sx_text_outputs *outputs, uint32_t width)
{
    if (wanted & SX_OUTPUT_SPARSE) {
        sx_cli_key(line, "sparse");
        sx_buffer_append_byte(line, '{');
        for (size_t i = 0; i < outputs->weight_count; i++) {
            sx_buffer_printf(line, "%s\"%u\":", i ? "," : "", (unsigned)outputs->ids[i]);
            sx_json_write_float(line, outputs->weights[i]);
        }
        sx_buffer_append_byte(line, '}');
    }
    if (wanted & SX_OUTPUT_MULTI) {
        sx_cli_key(line, "multi");
        sx_buffer_append_byte(line, '[');
        for (size_t i = 0; i < outputs->vector_count; i++) {
            sx_buffer_append_string(line, i ? "," : "");
            sx_json_write_floats(line, outputs->vectors + i * width, width);
        }
        sx_buffer_append_byte(line, ']');
    }
}
