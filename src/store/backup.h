/* backup.h - copies of whole databases. */
#ifndef SX_STORE_BACKUP_H
#define SX_STORE_BACKUP_H

#include "sextant.h"

#include <sqlite3.h>
#include <stdbool.h>

/* A copy of the connection's database as of one moment, as one file in rollback mode, flushed to disk and then put in place in
 * one step. trim: leave out what is of no use elsewhere (claims, segments). replace false: SX_E_EXISTS when target is there. */
sx_status sx_backup_copy(sqlite3 *from, const char *from_path, const char *target, bool trim, sx_error *error);

#endif
