/* smoothing.h - factors that share the strain of 8-bit integers between activations and weights. */
#ifndef SX_MODEL_SMOOTHING_H
#define SX_MODEL_SMOOTHING_H

#include <stddef.h>

/* For a product whose input is what a norm gives (its weight, and bias or NULL): activations are multiplied by factors[k], weights
 * divided by it. largest_weight[k]: the largest absolute weight that input k meets. */
void sx_smoothing_factors(const float *norm_weight, const float *norm_bias, const float *largest_weight, size_t count,
                          float *factors);

#endif
