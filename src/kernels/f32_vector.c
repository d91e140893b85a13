#include "kernels/f32_vector.h"
#include "base/cpu.h"
#include "base/threads.h"
#include "kernels/f32_simd_portable.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_f32_vector_portable
#define BUNDLE_NAME "f32 vector portable"
#define BUNDLE_CPU OCTET_CPU_PORTABLE
#include "kernels/f32_vector_template.h"

enum { TASK_ELEMENTS = 16384 };

const OctF32VectorBundle *oct_f32_vector_select(OctetCpu cpu) {
#if defined(__x86_64__)
    if (oct_cpu_has(cpu, OCTET_CPU_AVX512_VNNI)) {
        return &oct_f32_vector_avx512vnni;
    }
    if (oct_cpu_has(cpu, OCTET_CPU_AVX2)) {
        return &oct_f32_vector_avx2;
    }
#elif defined(__aarch64__)
    if (oct_cpu_has(cpu, OCTET_CPU_NEON)) {
        return &oct_f32_vector_neon;
    }
#endif
    (void)cpu;
    return &oct_f32_vector_portable;
}

typedef struct MapJob {
    OctF32UnaryKernel kernel;
    const float *input;
    float *output;
    size_t count;
} MapJob;

static void map_task(void *user, size_t index) {
    const MapJob *job = user;
    size_t first = index * TASK_ELEMENTS;
    size_t rest = job->count - first;
    job->kernel(job->input + first, job->output + first,
                rest < TASK_ELEMENTS ? rest : TASK_ELEMENTS);
}

void oct_f32_map(OctF32UnaryKernel kernel, const float *input, float *output, size_t count,
                 OctetThreadPool *pool) {
    MapJob job = {kernel, input, output, count};
    oct_parallel_for(pool, map_task, &job, (count + TASK_ELEMENTS - 1) / TASK_ELEMENTS);
}
