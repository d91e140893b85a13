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

/* An axis of a window: the taps inside the input, and how many count for an average. */
typedef struct Clip {
    size_t inside, counted;
    int64_t first; /* input index of the first tap inside, if there is one */
} Clip;

/* The taps t of [0, kernel) with start + t * dilation in [low, high): the first, and how many. */
static size_t clip_taps(int64_t start, int64_t kernel, int64_t dilation, int64_t low, int64_t high,
                        int64_t *first) {
    int64_t before = start < low ? low - start : 0;
    int64_t reach = start < high ? high - start : 0;
    if (dilation > 1) { /* a division is dear for every pixel */
        before = (before + dilation - 1) / dilation;
        reach = (reach + dilation - 1) / dilation;
    }
    int64_t end = reach < kernel ? reach : kernel;
    *first = before;
    return end > before ? (size_t)(end - before) : 0;
}

static Clip clip_axis(const OctF32Pool *pool, int axis, size_t at) {
    int64_t dilation = (int64_t)pool->dilation[axis];
    int64_t kernel = (int64_t)pool->kernel[axis];
    int64_t size = (int64_t)pool->input[axis];
    int64_t start = (int64_t)(at * pool->stride[axis]) - pool->pad_begin[axis];
    int64_t tap;
    Clip clip;
    clip.counted = clip_taps(start, kernel, dilation, -pool->pad_begin[axis],
                             size + pool->pad_end[axis], &tap);
    clip.inside = clip_taps(start, kernel, dilation, 0, size, &tap);
    clip.first = start + tap * dilation;
    return clip;
}

/* A task is a line of output pixels. */
static void pool_line(void *user, size_t index) {
    const PoolJob *job = user;
    const OctF32Pool *pool = job->pool;
    size_t line = pool->input[2] * pool->channels;
    size_t image = index / pool->output[1] / pool->output[0];
    Clip z = clip_axis(pool, 0, index / pool->output[1] % pool->output[0]);
    Clip y = clip_axis(pool, 1, index % pool->output[1]);
    OctF32PoolBox box = {.count = {z.inside, y.inside, 0},
                         .step = {pool->dilation[0] * pool->input[1] * line,
                                  pool->dilation[1] * line, pool->dilation[2] * pool->channels}};
    const float *start = job->input + image * pool->input[0] * pool->input[1] * line;
    if (z.inside && y.inside) {
        start += (size_t)(z.first * (int64_t)pool->input[1] + y.first) * line;
    }
    float *output = job->output + index * pool->output[2] * pool->channels;
    for (size_t at = 0; at < pool->output[2]; at++, output += pool->channels) {
        Clip x = clip_axis(pool, 2, at);
        box.count[2] = x.inside;
        box.data = x.inside ? start + (size_t)x.first * pool->channels : start;
        if (pool->kind == OCT_F32_POOL_MAX) {
            job->bundle->maximum(&box, pool->channels, output);
            continue;
        }
        size_t counted = pool->kind == OCT_F32_POOL_AVERAGE ? z.inside * y.inside * x.inside
                                                            : z.counted * y.counted * x.counted;
        job->bundle->average(&box, pool->channels, counted ? (float)counted : 1.0f, output);
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
