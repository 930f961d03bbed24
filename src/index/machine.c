/* machine.c - what this process may use of the machine: cores by affinity and cgroup quota, memory by cgroup limit.
 *
 * Control groups as in the kernel's Documentation/admin-guide/cgroup-v2.rst: cpu.max is "QUOTA PERIOD" in microseconds or "max
 * PERIOD", memory.max bytes or "max"; a limit on any group above counts too.
 */
#include "sextant.h"

#include "../kern/kernels.h"

#include <sched.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* This process's group below the mount point, "" for the root. */
static void find_group(char *group, size_t size)
{
    char line[4096];
    group[0] = '\0';
    FILE *file = fopen("/proc/self/cgroup", "r");
    while (file && fgets(line, sizeof line, file)) {
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(group, size, "%s", line[4] ? line + 3 : "");
        break;
    }
    if (file)
        fclose(file);
}

/* Two numbers of a group's file; -1 for "max". Returns how many were read. */
static int read_pair(const char *group, const char *name, long long values[2])
{
    char path[4400], words[2][32];
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", group, name);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    int count = fscanf(file, "%31s %31s", words[0], words[1]);
    fclose(file);
    for (int i = 0; i < count; i++)
        if (sscanf(words[i], "%lld", &values[i]) != 1)
            values[i] = -1;
    return count < 0 ? 0 : count;
}

static void apply_group_limits(sx_machine *machine)
{
    char group[4096];
    find_group(group, sizeof group);
    for (;;) {
        long long values[2];
        if (read_pair(group, "cpu.max", values) == 2 && values[0] > 0 && values[1] > 0) {
            unsigned quota = (unsigned)((values[0] + values[1] - 1) / values[1]);
            if (quota && quota < machine->cores)
                machine->cores = quota;
        }
        if (read_pair(group, "memory.max", values) >= 1 && values[0] > 0 && (uint64_t)values[0] < machine->memory_bytes)
            machine->memory_bytes = (uint64_t)values[0];
        char *slash = strrchr(group, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
}

void sx_machine_describe(sx_machine *machine)
{
    if (!machine)
        return;
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int allowed = sched_getaffinity(0, sizeof set, &set) ? 0 : CPU_COUNT(&set);
    *machine = (sx_machine){
        .cores = allowed > 0 ? (unsigned)allowed : online > 0 ? (unsigned)online : 1,
        .cpu_mask = sx_cpu_detect(),
        .kernels = sx_kernels_for(0)->name,
        .memory_bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
        .sqlite_version = sqlite3_libversion(),
    };
    apply_group_limits(machine);
}
