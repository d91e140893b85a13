/* Measures what src/ptq/islands.c weighs against each other: conversions between float and int8 per
 * element, layers per multiplication and output, elementwise operators per element. Prints the rows
 * of its table, in picoseconds, for the levels of this CPU; data in the second-level cache. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "kernels/f32_conv_run.h"
#include "kernels/f32_vector.h"
#include "kernels/q8_conv_run.h"
#include "kernels/q8_vector.h"

enum { COUNT = 65536, SIDE = 28, MOST_CHANNELS = 256 };

typedef struct Bench {
    OctetCpu cpu;
    float *x, *y;
    uint8_t *a, *b;
    size_t in, out, groups, kernel; /* of the layer under way */
    OctF32Conv *f32;
    OctQ8Conv *q8;
    OctQ8ConvSetup setup;
} Bench;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Picoseconds of the fastest run. */
static double fastest(void (*run)(const Bench *), const Bench *bench) {
    double best = 1e9, begin = seconds();
    for (int i = 0; i < 5 || seconds() - begin < 0.1; i++) {
        double start = seconds();
        run(bench);
        double elapsed = seconds() - start;
        best = elapsed < best ? elapsed : best;
    }
    return best * 1e12;
}

static void quantize(const Bench *bench) {
    oct_q8_vector_ops(bench->cpu)->quantize(bench->x, 0.01f, 100, bench->a, COUNT);
}

static void dequantize(const Bench *bench) {
    oct_q8_vector_ops(bench->cpu)->dequantize(bench->a, 0.01f, 100, bench->y, COUNT);
}

static void look_up(const Bench *bench) {
    oct_q8_vector_ops(bench->cpu)->lookup(bench->b, bench->a, bench->b + 256, COUNT - 256);
}

static void clamp(const Bench *bench) {
    oct_f32_vector_select(bench->cpu)->clamp(bench->x, bench->y, COUNT, 0.0f, 6.0f);
}

static void run_f32(const Bench *bench) {
    OctF32ConvShape shape = {
        .batch = 1,
        .input = {1, SIDE, SIDE},
        .output = {1, SIDE, SIDE},
        .pad_begin = {0, (int64_t)bench->kernel / 2, (int64_t)bench->kernel / 2}};
    OctF32ConvCall call = {bench->x, NULL, bench->y, -INFINITY, INFINITY};
    oct_f32_conv_run(bench->f32, &shape, &call, NULL);
}

static void run_q8(const Bench *bench) {
    oct_q8_conv_run(bench->q8, &bench->setup, bench->a, bench->b, NULL, NULL, NULL);
}

/* Picoseconds of a layer in float and in int8. */
static void time_layer(Bench *bench, size_t in, size_t out, size_t groups, size_t kernel,
                       double *f32, double *q8) {
    size_t count = out * (in / groups) * kernel * kernel;
    float *weights = oct_calloc(count, sizeof(float)), multipliers[MOST_CHANNELS];
    int8_t *bytes = oct_calloc(count, 1);
    for (size_t i = 0; i < MOST_CHANNELS; i++) {
        multipliers[i] = 0.001f;
    }
    bench->kernel = kernel;
    OctF32ConvSpec spec = {.input_channels = in,
                           .output_channels = out,
                           .groups = groups,
                           .kernel = {1, kernel, kernel},
                           .stride = {1, 1, 1},
                           .dilation = {1, 1, 1},
                           .weights = weights};
    OctQ8ConvParams params = oct_q8_conv_params(in, out);
    params.groups = groups;
    params.kernel_h = params.kernel_w = kernel;
    params.pad_top = params.pad_left = params.pad_bottom = params.pad_right = kernel / 2;
    params.weights = bytes;
    params.multipliers = multipliers;
    params.epilogue = oct_q8_epilogue_u8(3);
    if (!weights || !bytes || oct_f32_conv_create(&spec, bench->cpu, &bench->f32, NULL) ||
        oct_q8_conv_create(&params, bench->cpu, &bench->q8, NULL) ||
        oct_q8_conv_setup(bench->q8, 1, SIDE, SIDE, 0, 0, 0, &bench->setup, NULL)) {
        fprintf(stderr, "out of memory\n");
        exit(1);
    }
    *f32 = fastest(run_f32, bench);
    *q8 = fastest(run_q8, bench);
    oct_f32_conv_free(bench->f32);
    oct_q8_conv_free(bench->q8);
    oct_free(weights);
    oct_free(bytes);
}

static void print_level(Bench *bench) {
    const double pixels = SIDE * SIDE, outputs = pixels * 64;
    double f32[3], q8[3];
    time_layer(bench, 16, 64, 1, 1, &f32[0], &q8[0]);
    time_layer(bench, 256, 64, 1, 1, &f32[1], &q8[1]);
    time_layer(bench, 64, 64, 64, 3, &f32[2], &q8[2]);
    /* time = multiplications * mac + outputs * output, from a short and a long sum */
    double f32_mac = (f32[1] - f32[0]) / (outputs * 240),
           q8_mac = (q8[1] - q8[0]) / (outputs * 240);
    printf("    /* %s */\n    {%.0f, %.0f, {%.1f, %.0f, %.1f, %.0f}, {%.1f, %.0f, %.1f, %.0f}},\n",
           octet_cpu_name(bench->cpu), fastest(quantize, bench) / COUNT,
           fastest(dequantize, bench) / COUNT, f32_mac, f32[0] / outputs - 16 * f32_mac,
           f32[2] / (outputs * 9), fastest(clamp, bench) / COUNT, q8_mac,
           q8[0] / outputs - 16 * q8_mac, q8[2] / (outputs * 9),
           fastest(look_up, bench) / (COUNT - 256));
}

int main(void) {
    static const OctetCpu levels[] = {OCTET_CPU_PORTABLE, OCTET_CPU_AVX2, OCTET_CPU_AVX512_VNNI};
    size_t most = (size_t)SIDE * SIDE * MOST_CHANNELS;
    Bench bench = {.x = oct_aligned_alloc(most * sizeof(float)),
                   .y = oct_aligned_alloc(most * sizeof(float)),
                   .a = oct_aligned_alloc(most),
                   .b = oct_aligned_alloc(most)};
    if (!bench.x || !bench.y || !bench.a || !bench.b) {
        return 1;
    }
    for (size_t i = 0; i < most; i++) {
        bench.x[i] = (float)(i * 2654435761u % 1000) * 0.002f - 1.0f;
        bench.a[i] = bench.b[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        bench.cpu = levels[i];
        if (oct_cpu_has(oct_cpu_best(), levels[i])) {
            print_level(&bench);
        }
    }
    oct_aligned_free(bench.x);
    oct_aligned_free(bench.y);
    oct_aligned_free(bench.a);
    oct_aligned_free(bench.b);
    return 0;
}
