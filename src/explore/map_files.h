/* map_files.h - what a map is explored with: the files of page/, which are part of the library. */
#ifndef SX_EXPLORE_MAP_FILES_H
#define SX_EXPLORE_MAP_FILES_H

#include "../base/embedded_file.h"

extern const sx_embedded_file sx_map_files[];
extern const size_t sx_map_files_count;

#endif
