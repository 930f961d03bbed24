/* batch_work.h - what gathering texts for the Batch API and moving its jobs on have in common. */
#ifndef SX_INDEX_BATCH_WORK_H
#define SX_INDEX_BATCH_WORK_H

#include "../base/clock.h"
#include "../provider/wire.h"
#include "../store/batches.h"

/* Takes a job as far as it comes without waiting. The caller has the lock of the jobs. SX_E_INVALID: the target is at another
 * address than the job. */
sx_status sx_batch_move(sx_database *database, sx_batch_row *row, const sx_wire_target *target, const sx_clock *clock,
                        const volatile int *stop, sx_error *error);
bool sx_batch_at_end(const sx_batch_row *row);

#endif
