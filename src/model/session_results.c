/* session_results.c - from the states of a text's tokens to what was asked for: its vector, token outputs, scores. */
#include "session_internal.h"

#include "pooling.h"

#include <math.h>
#include <string.h>

void sx_session_fail_text(sx_session *session, session_worker *worker, size_t index, sx_status status, const char *message)
{
    sx_receipt *receipt = &session->texts[index].receipt;
    size_t row = session->window_first + index, width = session->row_width;
    const char *copy = sx_arena_strndup(&worker->messages, message, strlen(message));
    receipt->status = status;
    receipt->message = copy ? copy : "no memory for the message";
    for (size_t i = row * width; i < (row + 1) * width; i++) {
        if (session->vectors)
            session->vectors[i] = NAN;
        if (session->scores)
            session->scores[i] = NAN;
    }
    if (row < session->output_count)
        session->outputs[row] = (sx_text_outputs){0};
}

static bool are_finite(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

static void fail_infinite(sx_session *session, session_worker *worker, size_t index)
{
    sx_session_fail_text(session, worker, index, SX_E_FORMAT, "the vector is not finite: the weights are damaged or overflow");
}

/* The pooled vector in buffers[0], through the modules, cut and normalised. */
static bool finish_vector(const sx_session *session, session_worker *worker, size_t index)
{
    const sx_model *model = session->model;
    float *vector = session->vectors + (session->window_first + index) * session->row_width;
    const float *result = sx_module_chain_run(&model->chain, worker->buffers);
    memcpy(vector, result, session->row_width * sizeof *vector);
    if (session->normalize)
        sx_normalize(vector, session->row_width);
    return are_finite(vector, session->row_width);
}

/* False: no memory, or numbers that are none; *status says which. */
static bool finish_tokens(sx_session *session, session_worker *worker, const float *states, size_t stride,
                          const sx_sequence *sequence, size_t index, sx_status *status)
{
    const sx_model *model = session->model;
    sx_text_outputs *out = &session->outputs[session->window_first + index];
    size_t rows = sequence->length, width = model->tokens.multi.outputs;
    *out = (sx_text_outputs){0};
    *status = SX_E_NOMEM;
    if (session->wanted & SX_OUTPUT_SPARSE) {
        uint32_t *ids = sx_arena_alloc(&worker->outputs, rows * sizeof *ids);
        float *weights = sx_arena_alloc(&worker->outputs, rows * sizeof *weights);
        if (!ids || !weights)
            return false;
        out->weight_count = sx_token_outputs_sparse(&model->tokens, model->kernels, states, stride, rows, sequence->ids, ids,
                                                    weights);
        out->ids = ids;
        out->weights = weights;
    }
    if (session->wanted & SX_OUTPUT_MULTI && rows > 1) {
        float *vectors = sx_arena_alloc(&worker->outputs, (rows - 1) * width * sizeof *vectors);
        if (!vectors)
            return false;
        sx_token_outputs_multi(&model->tokens, model->kernels, states, stride, rows, vectors);
        out->vector_count = rows - 1;
        out->vectors = vectors;
    }
    *status = SX_E_FORMAT;
    return are_finite(out->weights, out->weight_count) && are_finite(out->vectors, out->vector_count * width);
}

static bool finish_scores(const sx_session *session, session_worker *worker, const float *states, size_t stride,
                          const sx_sequence *sequence, size_t index)
{
    const sx_classification_head *head = &session->model->head;
    size_t labels = session->row_width, place = (session->window_first + index) * labels;
    float *logits = session->vectors ? session->vectors + place : worker->buffers[1];
    sx_classification_head_run(head, session->model->kernels, states, stride, sequence->ids, sequence->length,
                               worker->buffers[0], logits);
    if (session->scores)
        sx_classification_head_scores(head, session->model->kernels, logits, labels, session->scores + place);
    return are_finite(logits, labels);
}

void sx_session_finish_sequence(sx_session *session, session_worker *worker, const sx_workspace *space, size_t number)
{
    const sx_model *model = session->model;
    const sx_sequence *sequence = &session->plan.sequences[number];
    size_t index = session->plan.order[number], stride = space->state_stride;
    const float *states = space->states + sequence->row * stride;
    sx_status status = SX_E_FORMAT;
    bool good = true;
    if (session->wanted & SX_OUTPUT_SCORES)
        good = finish_scores(session, worker, states, stride, sequence, index);
    if (session->wanted & SX_OUTPUT_DENSE) {
        sx_pool(model->kernels, model->poolings, states, stride, sequence->length, session->skip,
                model->folder.architecture.hidden_size, worker->buffers[0]);
        good = finish_vector(session, worker, index);
    }
    if (good && session->wanted & (SX_OUTPUT_SPARSE | SX_OUTPUT_MULTI))
        good = finish_tokens(session, worker, states, stride, sequence, index, &status);
    if (!good && status == SX_E_NOMEM)
        sx_session_fail_text(session, worker, index, SX_E_NOMEM, "no memory for the tokens' outputs");
    else if (!good)
        fail_infinite(session, worker, index);
}

void sx_session_finish_static(sx_session *session, session_worker *worker, size_t index)
{
    const sx_model *model = session->model;
    sx_static_model_mean(&model->table, model->kernels, worker->encoding.ids, worker->encoding.count, worker->sums,
                         worker->buffers[1], worker->buffers[0]);
    if (!finish_vector(session, worker, index))
        fail_infinite(session, worker, index);
}
