/* position_tables.c - rotary angles and relative biases.
 *
 * Rotary positions: Su et al., "RoFormer" (2021). Angles are products of two floats, as PyTorch models compute them: at
 * position 30000 a more exact angle would be another one. Relative buckets: Raffel et al., "Exploring the Limits of
 * Transfer Learning" (2019), in floats for the same reason.
 */
#include "position_tables.h"

#include <math.h>

void sx_rotation_fill(float theta, float scale, size_t head_size, size_t count, float *cosines, float *sines)
{
    size_t half = head_size / 2;
    for (size_t j = 0; j < half; j++) {
        float exponent = (float)(2 * j) / (float)head_size;
        float frequency = 1.0f / (float)pow((double)theta, (double)exponent);
        if (scale != 1.0f)
            frequency /= scale;
        for (size_t i = 0; i < count; i++) {
            float angle = (float)i * frequency;
            cosines[i * half + j] = cosf(angle);
            sines[i * half + j] = sinf(angle);
        }
    }
}

uint32_t sx_relative_bucket(int64_t distance, uint32_t buckets, uint32_t farthest)
{
    uint32_t half = buckets / 2, exact = half / 2, first = distance > 0 ? half : 0;
    uint64_t steps = (uint64_t)(distance < 0 ? -distance : distance);
    if (steps < exact)
        return first + (uint32_t)steps;
    float ratio = logf((float)steps / (float)exact) / (float)log((double)farthest / exact);
    float place = ratio * (float)(half - exact);
    if (!(place < (float)(half - 1 - exact)))
        return first + half - 1;
    return first + exact + (uint32_t)place;
}

void sx_relative_fill(const float *table, uint32_t buckets, uint32_t farthest, size_t heads, size_t longest, float *rows)
{
    size_t width = 2 * longest - 1;
    for (size_t i = 0; i < width; i++) {
        uint32_t bucket = sx_relative_bucket((int64_t)i - (int64_t)(longest - 1), buckets, farthest);
        for (size_t h = 0; h < heads; h++)
            rows[h * width + i] = table[bucket * heads + h];
    }
}
