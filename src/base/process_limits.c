/* process_limits.c - cores by affinity and control group quota, memory by control group limit.
 *
 * Control groups as in the kernel's Documentation/admin-guide/cgroup-v2.rst: cpu.max is "QUOTA PERIOD" in microseconds or "max
 * PERIOD", memory.max bytes or "max"; a limit on any group above counts too.
 */
#include "process_limits.h"

#include <sched.h>
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

/* Calls `apply` with what the file of that name says in this process's group and in every group above it. */
static void for_each_group(const char *name, void (*apply)(int count, const long long values[2], void *user), void *user)
{
    char group[4096];
    find_group(group, sizeof group);
    for (;;) {
        long long values[2] = {-1, -1};
        int count = read_pair(group, name, values);
        apply(count, values, user);
        char *slash = strrchr(group, '/');
        if (!slash)
            break;
        *slash = '\0';
    }
}

static void apply_quota(int count, const long long values[2], void *user)
{
    unsigned *cores = user;
    if (count != 2 || values[0] <= 0 || values[1] <= 0)
        return;
    long long quota = (values[0] + values[1] - 1) / values[1];
    if (quota < *cores)
        *cores = (unsigned)quota;
}

unsigned sx_core_count(void)
{
    cpu_set_t set;
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    int allowed = sched_getaffinity(0, sizeof set, &set) ? 0 : CPU_COUNT(&set);
    unsigned cores = allowed > 0 ? (unsigned)allowed : online > 0 ? (unsigned)online : 1;
    for_each_group("cpu.max", apply_quota, &cores);
    return cores;
}

static void apply_memory(int count, const long long values[2], void *user)
{
    uint64_t *bytes = user;
    if (count >= 1 && values[0] > 0 && (uint64_t)values[0] < *bytes)
        *bytes = (uint64_t)values[0];
}

uint64_t sx_memory_limit(void)
{
    uint64_t bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    for_each_group("memory.max", apply_memory, &bytes);
    return bytes;
}
