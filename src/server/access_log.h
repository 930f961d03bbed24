/* access_log.h - one JSON object a line for each request. No texts and no keys are in it. */
#ifndef SX_SERVER_ACCESS_LOG_H
#define SX_SERVER_ACCESS_LOG_H

#include "http_message.h"

typedef struct sx_access_log sx_access_log;

/* Lines go to the descriptor, which stays the caller's. */
sx_status sx_access_log_open(int descriptor, sx_access_log **out, sx_error *error);
void sx_access_log_close(sx_access_log *log);
/* Any thread. NULL log: does nothing. A line that cannot be written at once is dropped and counted. */
void sx_access_log_write(sx_access_log *log, const sx_request *request, const sx_response *response, uint64_t sent,
                         int64_t duration_ns);
uint64_t sx_access_log_dropped(const sx_access_log *log);

#endif
