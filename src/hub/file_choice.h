/* file_choice.h - which files of a repository a model needs. */
#ifndef SX_HUB_FILE_CHOICE_H
#define SX_HUB_FILE_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

/* Marks what is needed among the paths of a repository: configurations, vocabularies, licence, and of each folder's weights one form:
 * safetensors before PyTorch checkpoints, whole before sharded. Exports for other runtimes are left out. With patterns
 * (fnmatch, count > 0) those files and nothing else. Returns how many were marked. */
size_t sx_hub_choose_files(const char *const *paths, size_t count, const char *const *patterns, size_t pattern_count,
                           bool *needed);

#endif
