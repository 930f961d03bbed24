/* leg_open.h - opening one of two sources of the same vectors, also while it is away. */
#ifndef SX_INDEX_LEG_OPEN_H
#define SX_INDEX_LEG_OPEN_H

#include "../provider/provider.h"

/* As sx_provider_open. One that cannot be reached is opened as the proof beside `other` (a model; NULL: none) describes it, with
 * a warning to the cache's log; batches given to it fail until it is back. */
sx_status sx_leg_open(const sx_embedder_options *options, const char *other, const sx_clock *clock, sx_provider **out,
                         sx_error *error);

#endif
