/* map_page.h - the parts of the page that a map is explored on. */
#ifndef SX_EXPLORE_MAP_PAGE_H
#define SX_EXPLORE_MAP_PAGE_H

extern const char sx_map_page_head[], sx_map_page_style[], sx_map_page_body[], sx_map_page_controls[], sx_map_page_script[];

#endif
