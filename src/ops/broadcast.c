#include "ops/broadcast.h"

#include <string.h>

/* Joins axis `axis` with the one before, if every operand goes through both as through one. */
static bool joins(const OctBroadcast *plan, int32_t before, const int64_t *strides, int64_t dim) {
    for (int32_t k = 0; k < plan->operands; k++) {
        if (plan->strides[k][before] != strides[k] * dim) {
            return false;
        }
    }
    return true;
}

void oct_broadcast_plan(OctBroadcast *plan, const OctetShape *output, int32_t operands,
                        const OctetShape *const *shapes) {
    int64_t own[OCT_BROADCAST_OPERANDS][OCTET_MAX_RANK] = {{0}};
    memset(plan, 0, sizeof *plan);
    plan->operands = operands;
    plan->count = 1;
    for (int32_t k = 0; k < operands; k++) {
        oct_strides(shapes[k], own[k]);
    }
    for (int32_t i = 0; i < output->rank; i++) {
        int64_t dim = output->dims[i];
        int64_t strides[OCT_BROADCAST_OPERANDS] = {0};
        plan->count *= dim;
        if (dim == 1) {
            continue;
        }
        for (int32_t k = 0; k < operands; k++) {
            int32_t axis = i - (output->rank - shapes[k]->rank);
            strides[k] = axis < 0 || shapes[k]->dims[axis] == 1 ? 0 : own[k][axis];
        }
        int32_t last = plan->rank - 1;
        if (plan->rank > 0 && joins(plan, last, strides, dim)) {
            plan->dims[last] *= dim;
        } else {
            last = plan->rank++;
            plan->dims[last] = dim;
        }
        for (int32_t k = 0; k < operands; k++) {
            plan->strides[k][last] = strides[k];
        }
    }
    if (plan->rank == 0) {
        plan->rank = 1;
        plan->dims[0] = 1;
    }
}

enum { ELEMENTS_PER_TASK = 16 * 1024 };

typedef struct Walk {
    const OctBroadcast *plan;
    OctBroadcastFunction function;
    const void *context;
    int64_t rows, row_parts, rows_per_task;
} Walk;

static void start_row(const OctBroadcast *plan, int64_t row, int64_t *index,
                      OctBroadcastRow *place) {
    int32_t inner = plan->rank - 1;
    memset(place, 0, sizeof *place);
    place->count = plan->dims[inner];
    place->output_offset = row * place->count;
    for (int32_t axis = inner - 1; axis >= 0; axis--) {
        index[axis] = row % plan->dims[axis];
        row /= plan->dims[axis];
        for (int32_t k = 0; k < plan->operands; k++) {
            place->offsets[k] += index[axis] * plan->strides[k][axis];
        }
    }
    for (int32_t k = 0; k < plan->operands; k++) {
        place->steps[k] = plan->strides[k][inner];
    }
}

static void next_row(const OctBroadcast *plan, int64_t *index, OctBroadcastRow *place) {
    place->output_offset += place->count;
    for (int32_t axis = plan->rank - 2; axis >= 0; axis--) {
        bool more = ++index[axis] < plan->dims[axis];
        for (int32_t k = 0; k < plan->operands; k++) {
            place->offsets[k] += plan->strides[k][axis];
            place->offsets[k] -= more ? 0 : plan->dims[axis] * plan->strides[k][axis];
        }
        if (more) {
            return;
        }
        index[axis] = 0;
    }
}

static void walk_rows(const Walk *walk, int64_t first, int64_t last) {
    int64_t index[OCTET_MAX_RANK] = {0};
    OctBroadcastRow row;
    start_row(walk->plan, first, index, &row);
    for (int64_t i = first; i < last; i++) {
        walk->function(walk->context, &row);
        next_row(walk->plan, index, &row);
    }
}

/* A task is either several whole rows, or one part of a long row. */
static void walk_task(void *user, size_t task) {
    const Walk *walk = user;
    if (walk->row_parts == 1) {
        int64_t first = (int64_t)task * walk->rows_per_task;
        int64_t last = first + walk->rows_per_task;
        walk_rows(walk, first, last < walk->rows ? last : walk->rows);
        return;
    }
    int64_t index[OCTET_MAX_RANK] = {0};
    OctBroadcastRow row;
    start_row(walk->plan, (int64_t)task / walk->row_parts, index, &row);
    int64_t begin = (int64_t)task % walk->row_parts * ELEMENTS_PER_TASK;
    int64_t left = row.count - begin;
    row.count = left < ELEMENTS_PER_TASK ? left : ELEMENTS_PER_TASK;
    row.output_offset += begin;
    for (int32_t k = 0; k < walk->plan->operands; k++) {
        row.offsets[k] += begin * row.steps[k];
    }
    walk->function(walk->context, &row);
}

void oct_broadcast_run(const OctBroadcast *plan, OctBroadcastFunction function, const void *context,
                       OctetThreadPool *pool) {
    if (plan->count == 0) {
        return;
    }
    int64_t row = plan->dims[plan->rank - 1];
    Walk walk = {plan, function, context, plan->count / row, 1, 1};
    if (!pool || plan->count <= ELEMENTS_PER_TASK) {
        walk_rows(&walk, 0, walk.rows);
        return;
    }
    int64_t tasks;
    if (row > ELEMENTS_PER_TASK) {
        walk.row_parts = (row + ELEMENTS_PER_TASK - 1) / ELEMENTS_PER_TASK;
        tasks = walk.rows * walk.row_parts;
    } else {
        walk.rows_per_task = ELEMENTS_PER_TASK / row;
        tasks = (walk.rows + walk.rows_per_task - 1) / walk.rows_per_task;
    }
    oct_parallel_for(pool, walk_task, &walk, (size_t)tasks);
}

const float *oct_broadcast_floats(const float *operand, const OctBroadcastRow *row, int32_t k,
                                  int64_t begin, int64_t count, float *buffer) {
    const float *from = operand + row->offsets[k];
    if (row->steps[k] == 1) {
        return from + begin;
    }
    for (int64_t i = 0; i < count; i++) {
        buffer[i] = *from;
    }
    return buffer;
}

void oct_broadcast_ints(OctetDType dtype, const void *operand, const OctBroadcastRow *row,
                        int32_t k, int64_t begin, int64_t count, int64_t *buffer) {
    size_t size = octet_dtype_size(dtype);
    int64_t first = row->offsets[k] + (row->steps[k] == 1 ? begin : 0);
    const char *from = (const char *)operand + (size_t)first * size;
    /* integer to integer can't fail */
    (void)oct_convert(OCTET_S64, buffer, dtype, from, row->steps[k] == 1 ? count : 1, NULL);
    for (int64_t i = 1; row->steps[k] == 0 && i < count; i++) {
        buffer[i] = buffer[0];
    }
}
