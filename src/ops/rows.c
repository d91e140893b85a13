#include "ops/rows.h"
#include "base/patience.h"
#include "kernels/q8_vector.h"
#include "kernels/transpose.h"
#include "ops/quantized.h"

void oct_rows_around(const OctetShape *shape, int32_t axis, OctRows *rows) {
    rows->outer = rows->inner = 1;
    rows->count = (size_t)shape->dims[axis];
    for (int32_t i = 0; i < shape->rank; i++) {
        if (i < axis) {
            rows->outer *= (size_t)shape->dims[i];
        } else if (i > axis) {
            rows->inner *= (size_t)shape->dims[i];
        }
    }
}

OctetStatus oct_rows_prepare(OctRows *rows, const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    size_t *workspace = &prepared->workspace_bytes, bytes;
    /* nothing has held the tensor yet: its sizes may be anything */
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &prepare->node->inputs[0]->shape, &bytes, diagnostic));
    OCT_TRY(oct_element_of(prepare, prepare->node->inputs[0], &rows->x));
    OCT_TRY(oct_element_of(prepare, prepare->node->outputs[0], &rows->y));
    rows->cpu = prepare->cpu;
    rows->slots = prepare->threads > 0 ? prepare->threads : 1;
    size_t elements = rows->outer * rows->count * rows->inner;
    if (rows->inner > 1) {
        OCT_TRY(oct_workspace_add(workspace, elements * rows->x.size, &rows->x_offset, diagnostic));
        OCT_TRY(oct_workspace_add(workspace, elements * rows->y.size, &rows->y_offset, diagnostic));
    }
    if (rows->x.quantized || rows->y.quantized) {
        rows->buffer_bytes = (rows->count * sizeof(float) + 63) / 64 * 64;
        if (!oct_mul_size(rows->buffer_bytes, rows->slots, &bytes)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
        }
        OCT_TRY(oct_workspace_add(workspace, bytes, &rows->buffer_offset, diagnostic));
    }
    return OCTET_OK;
}

typedef struct Work {
    const OctRows *rows;
    const OctRun *run;
    OctRowFunction function;
    const void *user;
    const void *x;
    void *y;
} Work;

static void run_range(void *user, size_t index) {
    const Work *work = user;
    const OctRows *rows = work->rows;
    const OctQ8VectorOps *vector = oct_q8_vector_ops(rows->cpu);
    float *buffer = oct_workspace_at(work->run, rows->buffer_offset + index * rows->buffer_bytes);
    size_t count = rows->count, begin, end;
    oct_split_range(rows->outer * rows->inner, rows->slots, index, &begin, &end);
    size_t stint = 0;
    for (size_t row = begin; row < end && !oct_is_over_after(&stint, 4 * count); row++) {
        size_t at = row * count;
        const float *x = (const float *)work->x + at;
        float *y = rows->y.quantized ? buffer : (float *)work->y + at;
        if (rows->x.quantized) {
            vector->dequantize((const uint8_t *)work->x + at, rows->x.scale, rows->x.zero_point,
                               buffer, count);
            x = buffer;
        }
        work->function(work->user, row, x, y);
        if (rows->y.quantized) {
            vector->quantize(y, rows->y.scale, rows->y.zero_point, (uint8_t *)work->y + at, count);
        }
    }
}

void oct_rows_run(const OctRows *rows, const OctRun *run, OctRowFunction function,
                  const void *user) {
    Work work = {rows, run, function, user, run->inputs[0].data, run->outputs[0].data};
    if (rows->outer * rows->count * rows->inner == 0) {
        return;
    }
    if (rows->inner > 1) {
        void *copy = oct_workspace_at(run, rows->x_offset);
        oct_transpose_matrix(rows->x.size, rows->outer, rows->count, rows->inner, work.x, copy,
                             run->pool);
        work.x = copy;
        work.y = oct_workspace_at(run, rows->y_offset);
    }
    oct_parallel_for(run->pool, run_range, &work, rows->slots);
    if (rows->inner > 1) {
        oct_transpose_matrix(rows->y.size, rows->outer, rows->inner, rows->count, work.y,
                             run->outputs[0].data, run->pool);
    }
}
