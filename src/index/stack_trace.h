/* stack_trace.h - what a stack trace in a query says: frames with file, line and symbol, and the exceptions with their messages.
 *
 * Read are the traces of Python, Java, Kotlin, Scala, JavaScript (Node.js and browsers), Go, Rust, C and C++ (gdb, lldb, sanitizers,
 * valgrind), C#, Ruby, PHP, Dart, Lua and Perl, and places of the form FILE:LINE as compilers and test runners print them. The forms are
 * found by what a line holds, not by a language that somebody names; lines may have a log's words before them. */
#ifndef SX_INDEX_STACK_TRACE_H
#define SX_INDEX_STACK_TRACE_H

#include "../base/buffer.h"
#include "../base/memory.h"
#include "sextant.h"

#include <stdbool.h>
#include <stdint.h>

enum { SX_TRACE_MOST_FRAMES = 256 };

typedef struct sx_trace_frame {
    sx_text file;   /* with / for \; length 0: not told. Of Java the folders are those of the package */
    uint32_t line;  /* 0: not told */
    sx_text symbol; /* with its scope, parts joined by dots: "OrderService.place"; length 0: none, or the file's own code */
    sx_text code;   /* the line of source that the trace shows; length 0: none */
} sx_trace_frame;

typedef struct sx_trace_error {
    sx_text name;   /* without its scope: "OrderNotFound", "panic" */
    sx_text message;
} sx_trace_error;

typedef struct sx_stack_trace {
    sx_trace_frame *frames; /* innermost first, those of a cause before those of what it caused; each once */
    size_t frame_count;
    sx_trace_error *errors; /* in the text's order */
    size_t error_count;
    sx_text told;           /* the text without what only says where things lie: the messages, then names and lines of the frames */
    sx_arena arena;         /* all of it */
} sx_stack_trace;

/* Any text is read; one without a trace gives no frames. Clear also after a failure, which is SX_E_NOMEM alone. */
sx_status sx_stack_trace_read(sx_text text, sx_stack_trace *trace, sx_error *error);
void sx_stack_trace_clear(sx_stack_trace *trace);

/* ---- One line (stack_frames.c) ---- */

/* What a line is. Slices are of the line, not cleaned. */
typedef struct sx_trace_line {
    sx_text file, symbol, folder; /* folder: the package that the file's folders are named after, "com.acme" */
    uint32_t line;
    bool is_frame;
    bool is_named_next;  /* only a symbol, whose place stands on the next line (Go, Rust) */
    bool is_outer_first; /* traces of this form have the innermost frame last */
    bool is_prose;       /* a frame, but the line also says something else */
    sx_text after;       /* what follows the frame: Ruby's message */
} sx_trace_line;
/* `before` is the symbol that the line before gave with is_named_next; length 0: none. */
sx_trace_line sx_trace_line_read(sx_text line, sx_text before);
/* Blanks and what shells, loggers and debuggers put before a line: "|", "==123==". */
sx_text sx_trace_trim(sx_text line);

#endif
