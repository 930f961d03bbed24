/* child.h - work on untrusted bytes in a process of its own, with limits. Internal to src/doc; child.c argues the how. */
#ifndef SX_DOC_CHILD_H
#define SX_DOC_CHILD_H

#include "../base/buffer.h"
#include "reader.h"

typedef struct sx_child_limits {
    unsigned cpu_seconds, wall_seconds;
    size_t memory; /* bytes beyond what the parent's address space takes already */
    size_t output; /* bytes that may come back */
} sx_child_limits;

/* What readers get. */
extern const sx_child_limits sx_reader_limits;

/* Runs `work` in a forked child that can read its memory, compute and write to `out`, and nothing else: no files, no network, no
 * processes. What it wrote goes to output. An error names how the child ended: "the PDF reader took more than 30 s",
 * "... was ended by signal 11". `what` is "the PDF reader". Safe in programs with threads. */
typedef void (*sx_child_work)(int out, void *user);
sx_status sx_child_call(sx_child_work work, void *user, const char *what, const sx_child_limits *limits, sx_buffer *output,
                        sx_error *error);

/* Runs a program of the system with `input` as its standard input, which can be seeked; what it writes to standard output goes
 * to output, the first bytes of its standard error to complaints. The program can open files for reading only, and has no
 * network and no children. *code is its exit status. SX_E_NOT_FOUND when there is no such program. */
enum { SX_CHILD_COMPLAINTS = 1024 };
sx_status sx_child_program(const char *const *arguments, const void *input, size_t length, const char *what,
                           const sx_child_limits *limits, sx_buffer *output, char complaints[SX_CHILD_COMPLAINTS], int *code,
                           sx_error *error);

/* Runs a reader in a child: the document's text goes in, and text, blocks, pages and words about it come back checked. */
sx_status sx_child_read(sx_reader read, const char *what, const sx_child_limits *limits, sx_document *document,
                        sx_block_list *blocks, sx_error *error);

/* ---- child_filter.c ---- */

/* A program for seccomp, made before the fork since making it allocates. instructions NULL: the system has none. */
typedef struct sx_child_filter {
    void *instructions; /* struct sock_filter */
    unsigned short count;
} sx_child_filter;
/* strict: memory, time, and reading and writing what is open; else all but what changes files, talks, or starts processes. */
void sx_child_filter_make(bool strict, sx_child_filter *filter);
void sx_child_filter_clear(sx_child_filter *filter);
/* In the child. */
void sx_child_filter_load(const sx_child_filter *filter);

#endif
