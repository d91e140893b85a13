#include "kernels/f32_pool.h"
#include "base/cpu.h"
#include "base/threads.h"
#include "kernels/f32_simd_portable.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_f32_pool_portable
#define BUNDLE_NAME "f32 pool portable"
#define BUNDLE_CPU OCTET_CPU_PORTABLE
#include "kernels/f32_pool_template.h"

typedef struct PoolJob {
    const OctF32Pool *pool;
    const OctF32PoolBundle *bundle;
    const float *input;
    float *output;
} PoolJob;

typedef struct AverageJob {
    const OctF32PoolBundle *bundle;
    const float *input;
    float *output;
    size_t pixels, channels, blocks;
} AverageJob;

enum { CHANNEL_BLOCK = 64 };

static const OctF32PoolBundle *select_bundle(OctetCpu cpu) {
#if defined(__x86_64__)
    if (oct_cpu_has(cpu, OCTET_CPU_AVX512_VNNI)) {
        return &oct_f32_pool_avx512vnni;
    }
    if (oct_cpu_has(cpu, OCTET_CPU_AVX2)) {
        return &oct_f32_pool_avx2;
    }
#elif defined(__aarch64__)
    if (oct_cpu_has(cpu, OCTET_CPU_NEON)) {
        return &oct_f32_pool_neon;
    }
#endif
    (void)cpu;
    return &oct_f32_pool_portable;
}

/* The taps t of [0, kernel) with start + t * dilation in [low, high): the first, and how many. */
static size_t clip_taps(int64_t start, int64_t kernel, int64_t dilation, int64_t low, int64_t high,
                        int64_t *first) {
    int64_t skipped = start < low ? (low - start + dilation - 1) / dilation : 0;
    int64_t end = start < high ? (high - start + dilation - 1) / dilation : 0;
    end = end < kernel ? end : kernel;
    *first = skipped;
    return end > skipped ? (size_t)(end - skipped) : 0;
}

static void pool_pixel(const PoolJob *job, size_t image, const size_t *at, float *output) {
    const OctF32Pool *pool = job->pool;
    OctF32PoolBox box = {0};
    size_t counted = 1;
    size_t step = pool->channels;
    int64_t pixel = 0;
    int64_t line = 1;
    for (int axis = 2; axis >= 0; axis--) {
        int64_t dilation = (int64_t)pool->dilation[axis];
        int64_t kernel = (int64_t)pool->kernel[axis];
        int64_t size = (int64_t)pool->input[axis];
        int64_t start = (int64_t)(at[axis] * pool->stride[axis]) - pool->pad_begin[axis];
        int64_t first;
        box.count[axis] = clip_taps(start, kernel, dilation, 0, size, &first);
        box.step[axis] = step * pool->dilation[axis];
        pixel += box.count[axis] ? (start + first * dilation) * line : 0;
        line *= size;
        step *= pool->input[axis];
        counted *= clip_taps(start, kernel, dilation, -pool->pad_begin[axis],
                             size + pool->pad_end[axis], &first);
    }
    size_t inside = box.count[0] * box.count[1] * box.count[2];
    box.data = job->input + image * step;
    if (inside > 0) {
        box.data += (size_t)pixel * pool->channels;
    }
    counted = pool->kind == OCT_F32_POOL_AVERAGE ? inside : counted;
    if (pool->kind == OCT_F32_POOL_MAX) {
        job->bundle->maximum(&box, pool->channels, output);
    } else {
        job->bundle->average(&box, pool->channels, counted ? (float)counted : 1.0f, output);
    }
}

/* A task is a line of output pixels. */
static void pool_line(void *user, size_t index) {
    const PoolJob *job = user;
    const OctF32Pool *pool = job->pool;
    size_t at[3] = {index / pool->output[1] % pool->output[0], index % pool->output[1], 0};
    size_t image = index / pool->output[1] / pool->output[0];
    float *output = job->output + index * pool->output[2] * pool->channels;
    for (; at[2] < pool->output[2]; at[2]++, output += pool->channels) {
        pool_pixel(job, image, at, output);
    }
}

void oct_f32_pool_run(const OctF32Pool *pool, OctetCpu cpu, const float *input, float *output,
                      OctetThreadPool *threads) {
    PoolJob job = {pool, select_bundle(cpu), input, output};
    oct_parallel_for(threads, pool_line, &job, pool->batch * pool->output[0] * pool->output[1]);
}

static void average_block(void *user, size_t index) {
    const AverageJob *job = user;
    size_t image = index / job->blocks;
    size_t channel = index % job->blocks * CHANNEL_BLOCK;
    size_t rest = job->channels - channel;
    job->bundle->column_average(
        job->input + image * job->pixels * job->channels + channel, job->pixels, job->channels,
        rest < CHANNEL_BLOCK ? rest : CHANNEL_BLOCK, job->output + image * job->channels + channel);
}

void oct_f32_global_average(size_t batch, size_t pixels, size_t channels, OctetCpu cpu,
                            const float *input, float *output, OctetThreadPool *threads) {
    size_t blocks = (channels + CHANNEL_BLOCK - 1) / CHANNEL_BLOCK;
    AverageJob job = {select_bundle(cpu), input, output, pixels, channels, blocks};
    oct_parallel_for(threads, average_block, &job, batch * blocks);
}
