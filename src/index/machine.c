/* machine.c - sx_machine_describe: what this process may use of the machine, and which kernels it would run. */
#include "sextant.h"

#include "../base/process_limits.h"
#include "../kern/kernels.h"

#include <sqlite3.h>

void sx_machine_describe(sx_machine *machine)
{
    if (!machine)
        return;
    *machine = (sx_machine){
        .cores = sx_core_count(),
        .cpu_mask = sx_cpu_detect(),
        .kernels = sx_kernels_for(0)->name,
        .memory_bytes = sx_memory_limit(),
        .sqlite_version = sqlite3_libversion(),
    };
}
