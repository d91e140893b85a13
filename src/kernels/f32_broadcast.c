#include "base/threads.h"
#include "kernels/f32_vector.h"

enum { MAX_RANK = 8, TASK_ELEMENTS = 16384 };

/* An axis of the output and how far each operand moves along it; 0: it is repeated. */
typedef struct Axis {
    size_t size, a, b;
} Axis;

typedef struct Job {
    OctF32BinaryKernel kernel;
    const float *a, *b;
    float *output;
    int32_t rank; /* of the axes outside of the inner one */
    Axis axes[MAX_RANK];
    Axis inner;
    size_t lines, lines_per_task; /* a line is a run along the inner axis */
    size_t pieces, piece_size;    /* of a line, where there is only one */
} Job;

/* Fills axes from the innermost on, without those of size 1, joined where that changes nothing.
 * Returns how many. */
static int32_t collapse(int32_t a_rank, const int64_t *a_dims, int32_t b_rank,
                        const int64_t *b_dims, int32_t rank, const int64_t *dims, Axis *axes) {
    int32_t count = 0;
    size_t a_step = 1;
    size_t b_step = 1;
    for (int32_t i = 0; i < rank; i++) {
        size_t size = (size_t)dims[rank - 1 - i];
        size_t a_size = i < a_rank ? (size_t)a_dims[a_rank - 1 - i] : 1;
        size_t b_size = i < b_rank ? (size_t)b_dims[b_rank - 1 - i] : 1;
        Axis axis = {size, a_size == 1 ? 0 : a_step, b_size == 1 ? 0 : b_step};
        a_step *= a_size;
        b_step *= b_size;
        if (size == 1) {
            continue;
        }
        Axis *last = count ? &axes[count - 1] : NULL;
        if (last && axis.a == last->a * last->size && axis.b == last->b * last->size) {
            last->size *= size;
        } else {
            axes[count++] = axis;
        }
    }
    return count;
}

static void run_lines(void *user, size_t index) {
    const Job *job = user;
    if (job->pieces > 1) {
        size_t first = index * job->piece_size;
        size_t rest = job->inner.size - first;
        job->kernel(job->a + first * job->inner.a, job->b + first * job->inner.b,
                    job->output + first, rest < job->piece_size ? rest : job->piece_size);
        return;
    }
    size_t end = (index + 1) * job->lines_per_task;
    end = end < job->lines ? end : job->lines;
    for (size_t line = index * job->lines_per_task; line < end; line++) {
        size_t a = 0;
        size_t b = 0;
        size_t rest = line;
        for (int32_t i = 0; i < job->rank; i++) {
            const Axis *axis = &job->axes[i];
            a += rest % axis->size * axis->a;
            b += rest % axis->size * axis->b;
            rest /= axis->size;
        }
        job->kernel(job->a + a, job->b + b, job->output + line * job->inner.size, job->inner.size);
    }
}

void oct_f32_broadcast(const OctF32VectorBundle *bundle, OctF32Binary op, int32_t a_rank,
                       const int64_t *a_dims, const float *a, int32_t b_rank, const int64_t *b_dims,
                       const float *b, int32_t output_rank, const int64_t *output_dims,
                       float *output, OctetThreadPool *pool) {
    Axis axes[MAX_RANK] = {{1, 1, 1}};
    int32_t count = collapse(a_rank, a_dims, b_rank, b_dims, output_rank, output_dims, axes);
    Job job = {.a = a, .b = b, .output = output, .inner = axes[0], .lines = 1, .pieces = 1};
    for (int32_t i = 1; i < count; i++) {
        job.axes[job.rank++] = axes[i];
        job.lines *= axes[i].size;
    }
    if (job.lines == 0 || job.inner.size == 0) {
        return;
    }
    job.kernel = job.inner.a == 0   ? bundle->scalar_vector[op]
                 : job.inner.b == 0 ? bundle->vector_scalar[op]
                                    : bundle->vector_vector[op];
    job.lines_per_task = TASK_ELEMENTS / job.inner.size + 1;
    job.piece_size = TASK_ELEMENTS;
    if (job.lines == 1) {
        job.pieces = (job.inner.size + TASK_ELEMENTS - 1) / TASK_ELEMENTS;
    }
    size_t tasks =
        job.pieces > 1 ? job.pieces : (job.lines + job.lines_per_task - 1) / job.lines_per_task;
    oct_parallel_for(pool, run_lines, &job, tasks);
}
