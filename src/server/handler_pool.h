/* handler_pool.h - threads that run requests: as many as there are requests in hand, up to a limit. */
#ifndef SX_SERVER_HANDLER_POOL_H
#define SX_SERVER_HANDLER_POOL_H

#include "sextant.h"

#include <stdbool.h>

typedef struct sx_handler_pool sx_handler_pool;
typedef void sx_handler_work(void *user, void *item);

sx_status sx_handler_pool_open(unsigned most, sx_handler_work *work, void *user, sx_handler_pool **out, sx_error *error);
/* Hands an item to a thread, which starts at once. False: as many as may run already do, or no thread can be made. */
bool sx_handler_pool_run(sx_handler_pool *pool, void *item);
/* How many run now. */
unsigned sx_handler_pool_busy(sx_handler_pool *pool);
/* Waits for all; no sx_handler_pool_run any more. */
void sx_handler_pool_close(sx_handler_pool *pool);

#endif
