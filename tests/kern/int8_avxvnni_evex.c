/* int8_avxvnni_evex.c - the AVX-VNNI kernels with the same instruction in its AVX-512 encoding, so that they run, and are tested, on
 * processors that have only that. All but the encoding is the code of src/kern/int8_avxvnni.c.
 */
#include <immintrin.h>

#define _mm256_dpbusd_avx_epi32 _mm256_dpbusd_epi32
#define sx_int8_kernels_avxvnni sx_int8_kernels_avxvnni_evex

#include "../../src/kern/int8_avxvnni.c"
