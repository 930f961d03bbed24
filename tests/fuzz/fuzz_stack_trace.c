/* fuzz_stack_trace.c - any bytes read as a stack trace: twice the same, no frame twice, nothing that names nothing. */
#include "index/stack_trace.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(sx_text a, sx_text b)
{
    return a.length == b.length && (!a.length || memcmp(a.data, b.data, a.length) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_error error;
    sx_stack_trace first, second;
    sx_text text = {(const char *)data, size};
    if (sx_stack_trace_read(text, &first, &error) || sx_stack_trace_read(text, &second, &error))
        abort();
    if (first.frame_count != second.frame_count || first.frame_count > SX_TRACE_MOST_FRAMES || first.error_count != second.error_count ||
        !same(first.told, second.told))
        abort();
    for (size_t i = 0; i < first.frame_count; i++) {
        const sx_trace_frame *frame = &first.frames[i];
        if (!frame->file.length && !frame->symbol.length)
            abort();
        for (size_t j = 0; j < i; j++)
            if (first.frames[j].line == frame->line && same(first.frames[j].file, frame->file) && same(first.frames[j].symbol, frame->symbol))
                abort();
    }
    sx_stack_trace_clear(&first);
    sx_stack_trace_clear(&second);
    return 0;
}
