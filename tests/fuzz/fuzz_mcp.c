/* fuzz_mcp.c - lines as a client of the Model Context Protocol might send them. Every answer is one line of JSON. */
#include "server/mcp.h"

#include "base/json_writer.h"

#include <stdlib.h>
#include <string.h>

static sx_status echo(void *user, const sx_mcp_arguments *arguments, sx_buffer *text, sx_buffer *data, sx_error *error)
{
    (void)user;
    (void)error;
    const char *said = arguments->query ? arguments->query : arguments->id ? arguments->id : "";
    sx_buffer_append(text, said, strlen(said));
    for (size_t i = 0; i < arguments->filter_count; i++)
        sx_buffer_append_string(text, arguments->filters[i]);
    sx_buffer_append_string(data, "{\"text\":");
    sx_json_write_string(data, said, strlen(said));
    sx_buffer_append_byte(data, '}');
    return arguments->count == 13 ? SX_E_IO : SX_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sx_mcp mcp = {.search = echo, .similar = echo, .collections = echo, .passage = echo};
    sx_buffer reply = {0};
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t at = 0; at <= size;) {
        char *newline = memchr(text + at, '\n', size - at);
        size_t end = newline ? (size_t)(newline - text) : size;
        text[end] = '\0';
        if (sx_mcp_answer(&mcp, text + at, end - at, &reply, NULL) == SX_OK && reply.length &&
            (memchr(reply.data, '\n', reply.length) || (reply.data[0] != '{' && reply.data[0] != '[')))
            abort();
        at = end + 1;
    }
    sx_buffer_clear(&reply);
    free(text);
    return 0;
}
