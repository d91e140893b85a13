/* The arithmetic of reductions. */
#include "kernels/f32_pool.h"
#include "ops/reduce.h"

#include <math.h>
#include <string.h>

enum { BLOCK = 256 };

/* ---- f32, one row ---- */

/* The sum over blocks of 256 of a function's values, each block summed as OctF32RowsBundle.sum
 * does, the blocks in order. */
static float sum_of(const OctReduce *reduce, const float *row, int64_t count,
                    OctF32UnaryKernel function, float shift) {
    float block[BLOCK];
    float total = 0;
    for (int64_t first = 0; first < count; first += BLOCK) {
        size_t part = (size_t)(count - first < BLOCK ? count - first : BLOCK);
        reduce->vector->vector_scalar[OCT_F32_SUB](row + first, &shift, block, part);
        function(block, block, part);
        total += reduce->rows->sum(block, part);
    }
    return total;
}

static float one(OctF32UnaryKernel function, float x) {
    float y;
    function(&x, &y, 1);
    return y;
}

static float log_sum_exp(const OctReduce *reduce, const float *row, int64_t count) {
    float maximum = reduce->rows->maximum(row, (size_t)count);
    if (isinf(maximum) || isnan(maximum)) {
        return maximum;
    }
    float total = sum_of(reduce, row, count, reduce->math->exp, maximum);
    return one(reduce->math->log, total) + maximum;
}

static float reduce_row(const OctReduce *reduce, const float *row, int64_t count) {
    size_t n = (size_t)count;
    float product = 1;
    switch (reduce->reduction) {
    case OCT_REDUCE_SUM:
        return reduce->rows->sum(row, n);
    case OCT_REDUCE_MEAN:
        return reduce->rows->sum(row, n) / (float)count;
    case OCT_REDUCE_MAX:
        return reduce->rows->maximum(row, n);
    case OCT_REDUCE_MIN:
        return n == 0 ? INFINITY : reduce->rows->minimum(row, n);
    case OCT_REDUCE_PROD:
        for (size_t i = 0; i < n; i++) {
            product *= row[i];
        }
        return product;
    case OCT_REDUCE_L1:
        return sum_of(reduce, row, count, reduce->vector->absolute, 0);
    case OCT_REDUCE_L2:
        return sqrtf(reduce->rows->sum_of_squares(row, n));
    case OCT_REDUCE_SUM_SQUARE:
        return reduce->rows->sum_of_squares(row, n);
    case OCT_REDUCE_LOG_SUM:
        return one(reduce->math->log, reduce->rows->sum(row, n));
    default:
        return log_sum_exp(reduce, row, count);
    }
}

/* ---- f32, all ---- */

typedef struct RowsJob {
    const OctReduce *reduce;
    const float *input;
    float *output;
    int64_t rows_per_task;
} RowsJob;

static void rows_task(void *user, size_t task) {
    const RowsJob *job = user;
    const OctReduceForm *form = &job->reduce->form;
    int64_t first = (int64_t)task * job->rows_per_task;
    int64_t last = first + job->rows_per_task;
    last = last < form->outer ? last : form->outer;
    for (int64_t i = first; i < last; i++) {
        job->output[i] = reduce_row(job->reduce, job->input + i * form->count, form->count);
    }
}

/* Whole rows of the inner axis at a time. */
static void combine_rows(const OctReduce *reduce, const float *input, float *output) {
    const OctReduceForm *form = &reduce->form;
    size_t inner = (size_t)form->inner;
    bool maximum = reduce->reduction == OCT_REDUCE_MAX;
    OctF32BinaryKernel combine = reduce->vector->vector_vector[maximum ? OCT_F32_MAX : OCT_F32_MIN];
    for (int64_t o = 0; o < form->outer; o++) {
        float *to = output + o * form->inner;
        const float *from = input + o * form->count * form->inner;
        memcpy(to, from, inner * sizeof *to);
        for (int64_t r = 1; r < form->count; r++) {
            if (reduce->reduction == OCT_REDUCE_SUM) {
                reduce->rows->accumulate(from + r * form->inner, to, inner);
            } else {
                combine(to, from + r * form->inner, to, inner);
            }
        }
    }
}

/* Functions that are seldom wanted along a middle axis: column by column. */
static void reduce_columns(const OctReduce *reduce, const float *input, float *output) {
    const OctReduceForm *form = &reduce->form;
    for (int64_t o = 0; o < form->outer * form->inner; o++) {
        const float *from = input + o / form->inner * form->count * form->inner + o % form->inner;
        float block[BLOCK];
        float total = reduce->reduction == OCT_REDUCE_PROD ? 1.0f : 0.0f;
        float maximum = -INFINITY;
        bool exponentials = reduce->reduction == OCT_REDUCE_LOG_SUM_EXP;
        OctReduce part = *reduce;
        part.reduction = reduce->reduction == OCT_REDUCE_L2        ? OCT_REDUCE_SUM_SQUARE
                         : reduce->reduction == OCT_REDUCE_LOG_SUM ? OCT_REDUCE_SUM
                                                                   : reduce->reduction;
        for (int64_t r = 0; exponentials && r < form->count; r++) {
            float x = from[r * form->inner];
            maximum = x > maximum || isnan(x) ? x : maximum;
        }
        if (exponentials && (isinf(maximum) || isnan(maximum))) {
            output[o] = maximum;
            continue;
        }
        for (int64_t first = 0; first < form->count; first += BLOCK) {
            int64_t n = form->count - first < BLOCK ? form->count - first : BLOCK;
            for (int64_t i = 0; i < n; i++) {
                block[i] = from[(first + i) * form->inner];
            }
            if (exponentials) {
                total += sum_of(reduce, block, n, reduce->math->exp, maximum);
            } else if (reduce->reduction == OCT_REDUCE_PROD) {
                total *= reduce_row(&part, block, n);
            } else {
                total += reduce_row(&part, block, n);
            }
        }
        output[o] = exponentials                         ? one(reduce->math->log, total) + maximum
                    : reduce->reduction == OCT_REDUCE_L2 ? sqrtf(total)
                    : reduce->reduction == OCT_REDUCE_LOG_SUM ? one(reduce->math->log, total)
                                                              : total;
    }
}

void oct_reduce_f32(const OctReduce *reduce, const float *input, float *output,
                    OctetThreadPool *pool) {
    enum { ELEMENTS_PER_TASK = 32 * 1024 };
    const OctReduceForm *form = &reduce->form;
    if (form->inner == 1 || form->count == 0) {
        int64_t outer = form->outer * form->inner;
        RowsJob job = {reduce, input, output, 1 + ELEMENTS_PER_TASK / (form->count + 1)};
        OctReduce flat = *reduce;
        flat.form.outer = outer;
        job.reduce = &flat;
        oct_parallel_for(pool, rows_task, &job,
                         (size_t)((outer + job.rows_per_task - 1) / job.rows_per_task));
    } else if (reduce->reduction == OCT_REDUCE_MEAN) {
        oct_f32_global_average((size_t)form->outer, (size_t)form->count, (size_t)form->inner,
                               reduce->cpu, input, output, pool);
    } else if (reduce->reduction == OCT_REDUCE_SUM || reduce->reduction == OCT_REDUCE_MAX ||
               reduce->reduction == OCT_REDUCE_MIN) {
        combine_rows(reduce, input, output);
    } else {
        reduce_columns(reduce, input, output);
    }
}

/* ---- integers ---- */

static int64_t combine_int(OctReduction reduction, bool is_unsigned, int64_t total, int64_t x) {
    bool less = is_unsigned ? (uint64_t)x < (uint64_t)total : x < total;
    switch (reduction) {
    case OCT_REDUCE_MAX:
        return less ? total : x;
    case OCT_REDUCE_MIN:
        return less ? x : total;
    case OCT_REDUCE_PROD:
        return (int64_t)((uint64_t)total * (uint64_t)x);
    case OCT_REDUCE_SUM_SQUARE:
        return (int64_t)((uint64_t)total + (uint64_t)x * (uint64_t)x);
    case OCT_REDUCE_L1:
        return (int64_t)((uint64_t)total + (x < 0 ? 0 - (uint64_t)x : (uint64_t)x));
    default:
        return (int64_t)((uint64_t)total + (uint64_t)x);
    }
}

void oct_reduce_int(const OctReduce *reduce, OctetDType dtype, const void *input, void *output) {
    const OctReduceForm *form = &reduce->form;
    OctReduction reduction = reduce->reduction;
    size_t size = octet_dtype_size(dtype);
    bool extreme = reduction == OCT_REDUCE_MAX || reduction == OCT_REDUCE_MIN;
    for (int64_t o = 0; o < form->outer * form->inner; o++) {
        int64_t first = o / form->inner * form->count * form->inner + o % form->inner;
        int64_t total = reduction == OCT_REDUCE_PROD ? 1 : 0;
        for (int64_t r = 0; r < form->count; r++) {
            int64_t x;
            const char *from = (const char *)input + (size_t)(first + r * form->inner) * size;
            /* integer to integer can't fail */
            (void)oct_convert(OCTET_S64, &x, dtype, from, 1, NULL);
            total = extreme && r == 0 ? x : combine_int(reduction, dtype == OCTET_U64, total, x);
        }
        if (reduction == OCT_REDUCE_MEAN && form->count > 0) {
            total = dtype == OCTET_U64 ? (int64_t)((uint64_t)total / (uint64_t)form->count)
                                       : total / form->count;
        }
        (void)oct_convert(dtype, (char *)output + (size_t)o * size, OCTET_S64, &total, 1, NULL);
    }
}

/* ---- u8 ---- */

void oct_reduce_mean_u8(const OctReduce *reduce, const uint8_t *input, uint8_t *output,
                        int32_t *sums) {
    const OctReduceForm *form = &reduce->form;
    size_t inner = (size_t)form->inner;
    for (int64_t o = 0; o < form->outer; o++) {
        const uint8_t *from = input + o * form->count * form->inner;
        memset(sums, 0, inner * sizeof *sums);
        if (inner == 1) {
            sums[0] = reduce->q8->sum(from, (size_t)form->count);
        } else {
            reduce->q8->sum_rows(from, inner, (size_t)form->count, sums, inner);
        }
        reduce->q8->average(&reduce->average, sums, output + o * form->inner, inner);
    }
}
