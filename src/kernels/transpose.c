#include "kernels/transpose.h"
#include "base/threads.h"

#include <string.h>

enum { MAX_RANK = 8, BLOCK = 16, TASK_ELEMENTS = 16384 };

typedef struct MatrixJob {
    size_t element_size, rows, columns;
    size_t columns_per_task, tasks_per_matrix;
    const uint8_t *input;
    uint8_t *output;
} MatrixJob;

/* Columns [first, end) of one matrix in square blocks, so that both sides stay in cache lines. */
#define TRANSPOSE_COLUMNS(type)                                                                    \
    static void transpose_##type(const void *source, void *destination, size_t rows,               \
                                 size_t columns, size_t first, size_t end) {                       \
        const type *input = source;                                                                \
        type *output = destination;                                                                \
        for (size_t row = 0; row < rows; row += BLOCK) {                                           \
            size_t row_end = rows - row < BLOCK ? rows : row + BLOCK;                              \
            for (size_t column = first; column < end; column += BLOCK) {                           \
                size_t column_end = end - column < BLOCK ? end : column + BLOCK;                   \
                for (size_t c = column; c < column_end; c++) {                                     \
                    for (size_t r = row; r < row_end; r++) {                                       \
                        output[c * rows + r] = input[r * columns + c];                             \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
TRANSPOSE_COLUMNS(uint16_t)
TRANSPOSE_COLUMNS(uint32_t)
TRANSPOSE_COLUMNS(uint64_t)

/* 16 x 16 bytes, by four rounds of interleaving row i with row i + 8. */
typedef uint8_t Bytes __attribute__((vector_size(16)));

static void transpose_block(const uint8_t *input, size_t columns, uint8_t *output, size_t rows) {
    Bytes x[BLOCK], y[BLOCK];
    for (size_t i = 0; i < BLOCK; i++) {
        memcpy(&x[i], input + i * columns, BLOCK);
    }
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < BLOCK / 2; i++) {
            y[2 * i] = __builtin_shufflevector(x[i], x[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5,
                                               21, 6, 22, 7, 23);
            y[2 * i + 1] = __builtin_shufflevector(x[i], x[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12,
                                                   28, 13, 29, 14, 30, 15, 31);
        }
        memcpy(x, y, sizeof x);
    }
    for (size_t i = 0; i < BLOCK; i++) {
        memcpy(output + i * rows, &x[i], BLOCK);
    }
}

static void transpose_uint8_t(const void *source, void *destination, size_t rows, size_t columns,
                              size_t first, size_t end) {
    const uint8_t *input = source;
    uint8_t *output = destination;
    for (size_t row = 0; row < rows; row += BLOCK) {
        size_t row_end = rows - row < BLOCK ? rows : row + BLOCK;
        for (size_t column = first; column < end; column += BLOCK) {
            size_t column_end = end - column < BLOCK ? end : column + BLOCK;
            if (row_end - row == BLOCK && column_end - column == BLOCK) {
                transpose_block(input + row * columns + column, columns,
                                output + column * rows + row, rows);
                continue;
            }
            for (size_t c = column; c < column_end; c++) {
                for (size_t r = row; r < row_end; r++) {
                    output[c * rows + r] = input[r * columns + c];
                }
            }
        }
    }
}

/* Matrices of two rows or two columns, as the channel shuffle with two groups has them: plain loops
 * that compilers make shuffles of. */
#define TRANSPOSE_PAIRS(type)                                                                      \
    static void interleave_##type(const void *source, void *destination, size_t columns) {         \
        const type *restrict input = source;                                                       \
        type *restrict output = destination;                                                       \
        for (size_t i = 0; i < columns; i++) {                                                     \
            output[2 * i] = input[i];                                                              \
            output[2 * i + 1] = input[columns + i];                                                \
        }                                                                                          \
    }                                                                                              \
    static void separate_##type(const void *source, void *destination, size_t rows) {              \
        const type *restrict input = source;                                                       \
        type *restrict output = destination;                                                       \
        for (size_t i = 0; i < rows; i++) {                                                        \
            output[i] = input[2 * i];                                                              \
            output[rows + i] = input[2 * i + 1];                                                   \
        }                                                                                          \
    }
TRANSPOSE_PAIRS(uint8_t)
TRANSPOSE_PAIRS(uint32_t)

typedef void (*TransposePairs)(const void *source, void *destination, size_t count);

typedef struct PairsJob {
    TransposePairs transpose;
    size_t count, bytes; /* of pairs, and of a matrix */
    size_t matrices, matrices_per_task;
    const uint8_t *input;
    uint8_t *output;
} PairsJob;

static void pairs_task(void *user, size_t index) {
    const PairsJob *job = user;
    size_t end = (index + 1) * job->matrices_per_task;
    end = end < job->matrices ? end : job->matrices;
    for (size_t i = index * job->matrices_per_task; i < end; i++) {
        job->transpose(job->input + i * job->bytes, job->output + i * job->bytes, job->count);
    }
}

/* False if it is no such matrix. */
static bool transpose_pairs(size_t element_size, size_t batch, size_t rows, size_t columns,
                            const void *input, void *output, OctetThreadPool *pool) {
    if ((rows != 2 && columns != 2) || (element_size != 1 && element_size != 4)) {
        return false;
    }
    bool bytes = element_size == 1;
    PairsJob job = {.count = rows == 2 ? columns : rows,
                    .bytes = rows * columns * element_size,
                    .matrices = batch,
                    .input = input,
                    .output = output};
    if (rows == 2) {
        job.transpose = bytes ? interleave_uint8_t : interleave_uint32_t;
    } else {
        job.transpose = bytes ? separate_uint8_t : separate_uint32_t;
    }
    job.matrices_per_task = TASK_ELEMENTS / (rows * columns) + 1;
    oct_parallel_for(pool, pairs_task, &job,
                     (batch + job.matrices_per_task - 1) / job.matrices_per_task);
    return true;
}

static void matrix_task(void *user, size_t index) {
    const MatrixJob *job = user;
    size_t bytes = job->rows * job->columns * job->element_size;
    const uint8_t *input = job->input + index / job->tasks_per_matrix * bytes;
    uint8_t *output = job->output + index / job->tasks_per_matrix * bytes;
    size_t first = index % job->tasks_per_matrix * job->columns_per_task;
    size_t end = first + job->columns_per_task;
    end = end < job->columns ? end : job->columns;
    switch (job->element_size) {
    case 1:
        transpose_uint8_t(input, output, job->rows, job->columns, first, end);
        break;
    case 2:
        transpose_uint16_t(input, output, job->rows, job->columns, first, end);
        break;
    case 4:
        transpose_uint32_t(input, output, job->rows, job->columns, first, end);
        break;
    default:
        transpose_uint64_t(input, output, job->rows, job->columns, first, end);
        break;
    }
}

void oct_transpose_matrix(size_t element_size, size_t batch, size_t rows, size_t columns,
                          const void *input, void *output, OctetThreadPool *pool) {
    if (batch == 0 || rows == 0 || columns == 0) {
        return;
    }
    if (rows == 1 || columns == 1) {
        memcpy(output, input, batch * rows * columns * element_size);
        return;
    }
    if (transpose_pairs(element_size, batch, rows, columns, input, output, pool)) {
        return;
    }
    MatrixJob job = {element_size, rows, columns, 0, 0, input, output};
    job.columns_per_task = (TASK_ELEMENTS / rows / BLOCK + 1) * BLOCK;
    job.tasks_per_matrix = (columns + job.columns_per_task - 1) / job.columns_per_task;
    oct_parallel_for(pool, matrix_task, &job, batch * job.tasks_per_matrix);
}

/* An axis of the output, and the distance in the input between its neighbors, in elements. */
typedef struct Axis {
    size_t size, step;
} Axis;

typedef struct Job {
    size_t element_size;
    int32_t rank;
    Axis axes[MAX_RANK]; /* outermost first; the last one is the run */
    size_t run_size, run_step;
    size_t runs, runs_per_task;
    const uint8_t *input;
    uint8_t *output;
} Job;

static void copy_run(const Job *job, const uint8_t *input, uint8_t *output) {
    size_t size = job->element_size;
    if (job->run_step == 1) {
        memcpy(output, input, job->run_size * size);
        return;
    }
    size_t step = job->run_step * size;
    for (size_t i = 0; i < job->run_size; i++, input += step, output += size) {
        switch (size) {
        case 1:
            *output = *input;
            break;
        case 2:
            memcpy(output, input, 2);
            break;
        case 4:
            memcpy(output, input, 4);
            break;
        default:
            memcpy(output, input, 8);
            break;
        }
    }
}

static void transpose_task(void *user, size_t index) {
    const Job *job = user;
    size_t end = (index + 1) * job->runs_per_task;
    end = end < job->runs ? end : job->runs;
    for (size_t run = index * job->runs_per_task; run < end; run++) {
        size_t at = 0;
        size_t rest = run;
        for (int32_t i = job->rank - 2; i >= 0; i--) {
            at += rest % job->axes[i].size * job->axes[i].step;
            rest /= job->axes[i].size;
        }
        copy_run(job, job->input + at * job->element_size,
                 job->output + run * job->run_size * job->element_size);
    }
}

/* The output's axes without those of size 1, neighbors joined where they are neighbors in the
 * input too. Returns how many. */
static int32_t collapse(int32_t rank, const int64_t *dims, const int32_t *permutation, Axis *axes) {
    size_t steps[MAX_RANK];
    size_t step = 1;
    for (int32_t i = rank - 1; i >= 0; i--) {
        steps[i] = step;
        step *= (size_t)dims[i];
    }
    int32_t count = 0;
    for (int32_t i = 0; i < rank; i++) {
        Axis axis = {(size_t)dims[permutation[i]], steps[permutation[i]]};
        if (axis.size == 1) {
            continue;
        }
        if (count && axes[count - 1].step == axis.step * axis.size) {
            axes[count - 1].size *= axis.size;
            axes[count - 1].step = axis.step;
        } else {
            axes[count++] = axis;
        }
    }
    return count;
}

/* [batch] matrices whose rows and columns change places. */
static bool is_matrix(const Axis *axes, int32_t count) {
    if (count < 2 || count > 3) {
        return false;
    }
    const Axis *last = &axes[count - 2];
    bool swapped = last[0].step == 1 && last[1].step == last[0].size;
    return swapped && (count == 2 || axes[0].step == last[0].size * last[1].size);
}

void oct_transpose(size_t element_size, int32_t rank, const int64_t *input_dims,
                   const int32_t *permutation, const void *input, void *output,
                   OctetThreadPool *pool) {
    Job job = {.element_size = element_size, .input = input, .output = output};
    for (int32_t i = 0; i < rank; i++) {
        if (input_dims[i] == 0) {
            return;
        }
    }
    job.rank = collapse(rank, input_dims, permutation, job.axes);
    if (job.rank == 0) {
        memcpy(output, input, element_size);
        return;
    }
    if (is_matrix(job.axes, job.rank)) {
        const Axis *last = &job.axes[job.rank - 2];
        oct_transpose_matrix(element_size, job.rank == 3 ? job.axes[0].size : 1, last[1].size,
                             last[0].size, input, output, pool);
        return;
    }
    job.run_size = job.axes[job.rank - 1].size;
    job.run_step = job.axes[job.rank - 1].step;
    job.runs = 1;
    for (int32_t i = 0; i < job.rank - 1; i++) {
        job.runs *= job.axes[i].size;
    }
    job.runs_per_task = TASK_ELEMENTS / job.run_size + 1;
    oct_parallel_for(pool, transpose_task, &job,
                     (job.runs + job.runs_per_task - 1) / job.runs_per_task);
}
