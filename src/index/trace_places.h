/* trace_places.h - from the frames of a stack trace to the chunks of a collection that hold them. */
#ifndef SX_INDEX_TRACE_PLACES_H
#define SX_INDEX_TRACE_PLACES_H

#include "stack_trace.h"

#include "../store/store.h"

typedef enum sx_trace_reason {
    SX_TRACE_NONE,
    SX_TRACE_LINE,   /* the chunk holds the frame's line, and its symbol if one is known */
    SX_TRACE_MOVED,  /* it defines the frame's symbol, which stands elsewhere than the trace says */
    SX_TRACE_NEAR,   /* it holds the line only: the file is of another version, or another file */
    SX_TRACE_SYMBOL, /* it defines what a frame is called; the frame's file is not in the collection */
    SX_TRACE_ERROR   /* it defines the exception */
} sx_trace_reason;

typedef struct sx_trace_place {
    int64_t chunk;
    double strength;  /* 0 to 1: how surely, and how far inside */
    uint32_t number;  /* of the frame, from 0 for the innermost, or of the error */
    sx_trace_reason reason;
} sx_trace_place;

/* The places of all frames whose file the collection has, by chunk, each once, malloc'ed. has_file (of
 * trace->frame_count) is set for frames whose file it has. */
sx_status sx_trace_find(sx_database *database, int64_t collection, const sx_stack_trace *trace, sx_trace_place **places, size_t *count,
                        bool *has_file, sx_error *error);
/* What a chunk's definitions have to do with the frames whose file is elsewhere (has_file false) and with the exceptions. */
sx_trace_place sx_trace_of_symbols(const sx_stack_trace *trace, const bool *has_file, sx_text symbols);
/* The reason in words, malloc'ed; NULL: no memory. */
char *sx_trace_why(const sx_stack_trace *trace, sx_trace_reason reason, uint32_t number);

#endif
