/* hub_pull.h - fetching a model's files from a hub; sx_models_pull with the clock as a parameter, for tests. */
#ifndef SX_HUB_HUB_PULL_H
#define SX_HUB_HUB_PULL_H

#include "../base/clock.h"
#include "sextant.h"

sx_status sx_hub_pull(const sx_places *places, const char *reference, const sx_pull_options *options, const sx_clock *clock,
                      char **folder, sx_error *error);

#endif
