/* metrics.h - counters and histograms, as Prometheus reads them (text format 0.0.4). */
#ifndef SX_SERVER_METRICS_H
#define SX_SERVER_METRICS_H

#include "http_server.h"
#include "served_models.h"

typedef struct sx_metrics sx_metrics;

sx_status sx_metrics_open(size_t models, sx_metrics **out, sx_error *error);
void sx_metrics_close(sx_metrics *metrics);
/* Counts a request that is done. model_index: SIZE_MAX for none. Any thread. */
void sx_metrics_count(sx_metrics *metrics, const sx_request *request, const sx_response *response, size_t model_index,
                      int64_t duration_ns);
/* Appends all figures. */
void sx_metrics_write(sx_metrics *metrics, sx_served_models *models, const sx_http_figures *http, uint64_t log_dropped,
                      sx_buffer *to);
/* Further lines, for parts that keep figures of their own (jobs, collections); called by sx_metrics_write. */
typedef void sx_metrics_extra(void *user, sx_buffer *to);
void sx_metrics_add_extra(sx_metrics *metrics, sx_metrics_extra *write, void *user);

#endif
