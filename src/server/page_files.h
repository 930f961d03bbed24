/* page_files.h - the files of the web page, which are part of the program (made by embed_files.py from page/). */
#ifndef SX_SERVER_PAGE_FILES_H
#define SX_SERVER_PAGE_FILES_H

#include <stddef.h>

typedef struct sx_page_file {
    const char *name, *content_type;
    const unsigned char *data;
    size_t length;
} sx_page_file;

extern const sx_page_file sx_page_files[];
extern const size_t sx_page_file_count;

#endif
