/* ask_chat.h - one streamed reply of an OpenAI-compatible chat endpoint.
 */
#ifndef SX_INDEX_ASK_CHAT_H
#define SX_INDEX_ASK_CHAT_H

#include "../base/clock.h"
#include "../provider/wire.h"

/* What is said, and by whom it is heard. */
typedef struct sx_chat_request {
    const sx_wire_target *target;
    const char *instructions, *prompt;
    int64_t timeout_ns;
    const sx_clock *clock;
    const volatile int *stop;
    void (*piece)(const char *text, size_t length, void *user); /* may be NULL */
    void *user;
} sx_chat_request;

typedef struct sx_chat_reply {
    sx_buffer text;          /* all that came, also before a failure */
    char finish[32];         /* why the model ended: "stop", "length"; "" when it did not say */
    bool begun;              /* something of an answer came */
    uint64_t requests;       /* sent */
    uint64_t prompt_tokens, completion_tokens; /* by the service's count; 0: not said */
} sx_chat_reply;

/* SX_OK: a whole answer. SX_E_NETWORK (cut off, with reply->begun), SX_E_DENIED, SX_E_PROVIDER, SX_E_FORMAT, SX_E_LIMIT, SX_E_STOPPED.
 * A 429 or 503 that asks for a short wait is waited for, twice. */
sx_status sx_chat_ask(const sx_chat_request *request, sx_chat_reply *reply, sx_error *error);

#endif
