/* embed_parts.h - a long list of chunks embedded part by part: FILE.part1, FILE.part2 ... beside the file that comes of them. */
#ifndef SX_CLI_EMBED_PARTS_H
#define SX_CLI_EMBED_PARTS_H

#include "output.h"
#include "input_choice.h"

/* What the summary says of a part. */
typedef struct sx_cli_part_counts {
    uint64_t items, rows, failed, tokens, truncated, invalid;
} sx_cli_part_counts;

typedef struct sx_cli_parts sx_cli_parts;
/* What an earlier run left of this target is found again. recipe: how vectors are made. */
sx_status sx_cli_parts_open(const char *target, const char *recipe, sx_cli_parts **out, sx_error *error);
/* The next part. *there: the earlier run made it of the same items, all of which have vectors; *counts then says what is in it.
 * Else *output is open for it, to be handed to _keep. */
sx_status sx_cli_parts_next(sx_cli_parts *parts, const sx_record *items, size_t count, bool *there, sx_cli_part_counts *counts,
                            sx_cli_output *output, sx_error *error);
sx_status sx_cli_parts_keep(sx_cli_parts *parts, const sx_cli_part_counts *counts, sx_cli_output *output, sx_error *error);
/* Writes all parts' items to the output, between brackets unless they stand one a line. */
sx_status sx_cli_parts_join(sx_cli_parts *parts, bool lines, sx_cli_output *output, sx_error *error);
/* Removes the parts: the target is there. */
void sx_cli_parts_remove(sx_cli_parts *parts);
void sx_cli_parts_close(sx_cli_parts *parts);

#endif
