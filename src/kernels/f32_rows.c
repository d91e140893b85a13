#include "kernels/f32_simd_portable.h"

#include "base/cpu.h"
#include "base/threads.h"
#include "kernels/f32_isa.h"

#define BUNDLE oct_f32_rows_portable
#define BUNDLE_NAME "f32 rows portable"
#define BUNDLE_CPU OCTET_CPU_PORTABLE
#include "kernels/f32_rows_template.h"

const OctF32RowsBundle *oct_f32_rows_select(OctetCpu cpu) {
#if defined(__x86_64__)
    if (oct_cpu_has(cpu, OCTET_CPU_AVX512_VNNI)) {
        return &oct_f32_rows_avx512vnni;
    }
    if (oct_cpu_has(cpu, OCTET_CPU_AVX2)) {
        return &oct_f32_rows_avx2;
    }
#elif defined(__aarch64__)
    if (oct_cpu_has(cpu, OCTET_CPU_NEON)) {
        return &oct_f32_rows_neon;
    }
#endif
    (void)cpu;
    return &oct_f32_rows_portable;
}

typedef struct SoftmaxJob {
    const OctF32RowsBundle *bundle;
    bool logarithm;
    const float *input;
    float *output;
    size_t rows, count, rows_per_task;
} SoftmaxJob;

static void softmax_task(void *user, size_t index) {
    const SoftmaxJob *job = user;
    size_t end = (index + 1) * job->rows_per_task;
    end = end < job->rows ? end : job->rows;
    for (size_t row = index * job->rows_per_task; row < end; row++) {
        const float *input = job->input + row * job->count;
        float *output = job->output + row * job->count;
        (job->logarithm ? job->bundle->log_softmax : job->bundle->softmax)(input, output,
                                                                           job->count);
    }
}

void oct_f32_softmax_run(const OctF32RowsBundle *bundle, bool logarithm, const float *input,
                         float *output, size_t rows, size_t count, OctetThreadPool *pool) {
    if (rows == 0 || count == 0) {
        return;
    }
    /* a task has at least some thousand elements */
    size_t rows_per_task = 4096 / count + 1;
    SoftmaxJob job = {bundle, logarithm, input, output, rows, count, rows_per_task};
    oct_parallel_for(pool, softmax_task, &job, (rows + rows_per_task - 1) / rows_per_task);
}
