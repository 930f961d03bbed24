/* process_limits.h - how much of the machine this process may use. */
#ifndef SX_BASE_PROCESS_LIMITS_H
#define SX_BASE_PROCESS_LIMITS_H

#include <stdint.h>

/* Cores, at least 1: the affinity mask, or the control group's quota rounded up where that is less. */
unsigned sx_core_count(void);
/* Bytes: physical memory, or the control group's limit where that is less. */
uint64_t sx_memory_limit(void);

#endif
