/* dispatch.c - which instruction sets this machine has, and the table for a choice of them.
 *
 * CPUID says what the processor knows, XCR0 which registers the operating system saves (Intel SDM volume 1, chapters 13-15);
 * both must agree before a vector instruction is safe. On ARM Linux tells in the auxiliary vector what programs may use.
 */
#include "int8_internal.h"
#include "kernels_internal.h"

#if defined(__x86_64__)
#include <cpuid.h>

static uint64_t saved_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

uint64_t sx_cpu_detect(void)
{
    enum { OSXSAVE = 1 << 27, FMA = 1 << 12, F16C = 1 << 29, AVX = 1 << 28 };
    enum { AVX2 = 1 << 5, F = 1 << 16, DQ = 1 << 17, BW = 1 << 30 };
    const unsigned vl = 1u << 31;
    const uint64_t ymm_state = 0x6, zmm_state = 0xe6;
    uint64_t found = SX_CPU_C;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d))
        return found;
    const unsigned need = OSXSAVE | FMA | F16C | AVX;
    if ((c & need) != need)
        return found;
    uint64_t saved = saved_registers();
    if ((saved & ymm_state) != ymm_state || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & AVX2))
        return found;
    found |= SX_CPU_AVX2;
    const unsigned wide = F | DQ | BW | vl;
    if ((saved & zmm_state) == zmm_state && (b & wide) == wide)
        found |= SX_CPU_AVX512;
    enum { AVX512_VNNI = 1 << 11, AVX_VNNI = 1 << 4 };
    if (found & SX_CPU_AVX512 && c & AVX512_VNNI)
        found |= SX_CPU_AVX512_VNNI;
    if (__get_cpuid_count(7, 1, &a, &b, &c, &d) && a & AVX_VNNI)
        found |= SX_CPU_AVX_VNNI;
    return found;
}
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>

uint64_t sx_cpu_detect(void)
{
    unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
    uint64_t found = SX_CPU_C;
    if (!(first & HWCAP_ASIMD))
        return found;
    found |= SX_CPU_NEON;
    if (first & HWCAP_ASIMDDP)
        found |= SX_CPU_NEON_DOT;
    if (second & HWCAP2_I8MM)
        found |= SX_CPU_NEON_I8MM;
    return found;
}
#else
uint64_t sx_cpu_detect(void)
{
    return SX_CPU_C;
}
#endif

const sx_kernels *sx_kernels_for(uint64_t cpu_mask)
{
    uint64_t usable = sx_cpu_detect();
    if (cpu_mask)
        usable &= cpu_mask;
#if defined(__x86_64__)
    if (usable & SX_CPU_AVX512)
        return &sx_kernels_avx512;
    if (usable & SX_CPU_AVX2)
        return &sx_kernels_avx2;
#elif defined(__aarch64__)
    if (usable & SX_CPU_NEON)
        return &sx_kernels_neon;
#endif
    return &sx_kernels_c;
}

const sx_int8_kernels *sx_int8_kernels_for(uint64_t cpu_mask)
{
    uint64_t usable = sx_cpu_detect();
    if (cpu_mask)
        usable &= cpu_mask;
#if defined(__x86_64__)
    if (usable & SX_CPU_AVX512_VNNI)
        return &sx_int8_kernels_avx512vnni;
    if (usable & SX_CPU_AVX_VNNI)
        return &sx_int8_kernels_avxvnni;
    if (usable & (SX_CPU_AVX2 | SX_CPU_AVX512))
        return &sx_int8_kernels_avx2;
#elif defined(__aarch64__)
    if (usable & SX_CPU_NEON_I8MM)
        return &sx_int8_kernels_neon_i8mm;
    if (usable & SX_CPU_NEON_DOT)
        return &sx_int8_kernels_neon_dot;
    if (usable & SX_CPU_NEON)
        return &sx_int8_kernels_neon;
#endif
    return &sx_int8_kernels_c;
}
