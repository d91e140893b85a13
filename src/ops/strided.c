#include "ops/strided.h"
#include "base/threads.h"

#include <string.h>

void oct_strided_simplify(OctStrided *s) {
    int32_t kept = 0;
    for (int32_t i = 0; i < s->rank; i++) {
        if (s->dims[i] == 1) {
            continue;
        }
        int32_t last = kept - 1;
        if (kept > 0 && s->source_strides[last] == s->dims[i] * s->source_strides[i] &&
            s->destination_strides[last] == s->dims[i] * s->destination_strides[i]) {
            s->dims[last] *= s->dims[i];
        } else {
            last = kept++;
            s->dims[last] = s->dims[i];
        }
        s->source_strides[last] = s->source_strides[i];
        s->destination_strides[last] = s->destination_strides[i];
    }
    s->rank = kept;
}

#define COPY_ROW(type)                                                                             \
    do {                                                                                           \
        const type *in = (const type *)source;                                                     \
        type *out = (type *)destination;                                                           \
        for (int64_t i = 0; i < count; i++) {                                                      \
            out[i * destination_stride] = in[i * source_stride];                                   \
        }                                                                                          \
    } while (0)

static void copy_row(size_t size, int64_t count, const char *source, int64_t source_stride,
                     char *destination, int64_t destination_stride) {
    if (source_stride == 1 && destination_stride == 1) {
        memcpy(destination, source, (size_t)count * size);
        return;
    }
    switch (size) {
    case 1:
        COPY_ROW(uint8_t);
        break;
    case 2:
        COPY_ROW(uint16_t);
        break;
    case 4:
        COPY_ROW(uint32_t);
        break;
    default:
        COPY_ROW(uint64_t);
    }
}

typedef struct Job {
    const OctStrided *strided;
    size_t element_size;
    const char *source;
    char *destination;
    int64_t rows, rows_per_task; /* a row: all of the last axis */
} Job;

/* Rows [first, last) in row-major order of all axes but the last. */
static void copy_rows(const Job *job, int64_t first, int64_t last) {
    const OctStrided *s = job->strided;
    int64_t index[OCT_STRIDED_RANK] = {0};
    int32_t inner = s->rank - 1;
    int64_t from = s->source_offset;
    int64_t to = s->destination_offset;
    int64_t rest = first;
    for (int32_t axis = inner - 1; axis >= 0; axis--) {
        index[axis] = rest % s->dims[axis];
        rest /= s->dims[axis];
        from += index[axis] * s->source_strides[axis];
        to += index[axis] * s->destination_strides[axis];
    }
    int64_t size = (int64_t)job->element_size;
    for (int64_t row = first; row < last; row++) {
        copy_row(job->element_size, s->dims[inner], job->source + from * size,
                 s->source_strides[inner], job->destination + to * size,
                 s->destination_strides[inner]);
        for (int32_t axis = inner - 1; axis >= 0; axis--) {
            from += s->source_strides[axis];
            to += s->destination_strides[axis];
            if (++index[axis] < s->dims[axis]) {
                break;
            }
            from -= s->dims[axis] * s->source_strides[axis];
            to -= s->dims[axis] * s->destination_strides[axis];
            index[axis] = 0;
        }
    }
}

static void copy_task(void *user, size_t task) {
    const Job *job = user;
    int64_t first = (int64_t)task * job->rows_per_task;
    int64_t last = first + job->rows_per_task;
    copy_rows(job, first, last < job->rows ? last : job->rows);
}

void oct_strided_copy(const OctStrided *strided, size_t element_size, const void *source,
                      void *destination, OctetThreadPool *pool) {
    enum { BYTES_PER_TASK = 128 * 1024 };
    if (strided->rank == 0) {
        size_t size = element_size;
        memcpy((char *)destination + (size_t)strided->destination_offset * size,
               (const char *)source + (size_t)strided->source_offset * size, size);
        return;
    }
    Job job = {strided, element_size, source, destination, 1, 1};
    for (int32_t i = 0; i < strided->rank - 1; i++) {
        job.rows *= strided->dims[i];
    }
    int64_t row_bytes = strided->dims[strided->rank - 1] * (int64_t)element_size;
    if (job.rows == 0 || row_bytes == 0) {
        return;
    }
    if (!pool || job.rows * row_bytes < 2 * BYTES_PER_TASK) {
        copy_rows(&job, 0, job.rows);
        return;
    }
    job.rows_per_task = row_bytes >= BYTES_PER_TASK ? 1 : BYTES_PER_TASK / row_bytes;
    oct_parallel_for(pool, copy_task, &job,
                     (size_t)((job.rows + job.rows_per_task - 1) / job.rows_per_task));
}
