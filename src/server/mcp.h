/* mcp.h - the Model Context Protocol: what a coding assistant asks, one JSON-RPC 2.0 message a line, and what it is answered. */
#ifndef SX_SERVER_MCP_H
#define SX_SERVER_MCP_H

#include "sextant.h"

#include "../base/buffer.h"

#include <stdbool.h>

/* The checked arguments of a tool; NULL and 0 for those not given. */
typedef struct sx_mcp_arguments {
    const char *query, *collection, *type, *mode, *prefer, *text, *id, *document;
    const char **filters;
    size_t filter_count;
    uint32_t count, line, before, after;
} sx_mcp_arguments;

/* Does what a tool does: text for the assistant's eyes, data one JSON object for programs. A failure is told to the assistant. */
typedef sx_status (*sx_mcp_tool)(void *user, const sx_mcp_arguments *arguments, sx_buffer *text, sx_buffer *data,
                                 sx_error *error);

typedef struct sx_mcp {
    sx_mcp_tool search, similar, collections, passage;
    void *user;
    const char *protocol; /* agreed upon; NULL before "initialize" */
} sx_mcp;

/* Answers one line. `reply` is emptied; it stays empty where nothing is to be answered. Any bytes are taken. SX_E_NOMEM only. */
sx_status sx_mcp_answer(sx_mcp *mcp, const char *line, size_t length, sx_buffer *reply, sx_error *error);

#endif
