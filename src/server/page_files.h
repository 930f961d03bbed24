/* page_files.h - the files of the web page, which are part of the program: page/, and from src/explore/page/ what draws maps. */
#ifndef SX_SERVER_PAGE_FILES_H
#define SX_SERVER_PAGE_FILES_H

#include "../base/embedded_file.h"

extern const sx_embedded_file sx_page_files[];
extern const size_t sx_page_files_count;

#endif
