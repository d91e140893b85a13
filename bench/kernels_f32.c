/* Times the f32 kernels on layers of well-known networks and prints GMAC/s and the share of this
 * core's measured peak. OCTET_CPU selects the level; an argument selects layers by name. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "kernels/f32_conv_run.h"
#include "kernels/peak.h"
#include "kernels/transpose.h"
#include "kernels/vmath.h"

typedef struct Layer {
    const char *name;
    size_t in, out, groups, kernel, stride, size;
    bool add;
} Layer;

static const Layer layers[] = {
    {"resnet50 stem 7x7/2", 3, 64, 1, 7, 2, 224, false},
    {"resnet50 1x1 64-64", 64, 64, 1, 1, 1, 56, false},
    {"resnet50 3x3 64", 64, 64, 1, 3, 1, 56, false},
    {"resnet50 1x1 64-256 add", 64, 256, 1, 1, 1, 56, true},
    {"resnet50 1x1 256-64", 256, 64, 1, 1, 1, 56, false},
    {"resnet50 3x3/2 128", 128, 128, 1, 3, 2, 56, false},
    {"resnet50 1x1 128-512 add", 128, 512, 1, 1, 1, 28, true},
    {"resnet50 1x1/2 256-512", 256, 512, 1, 1, 2, 56, false},
    {"resnet50 3x3 128", 128, 128, 1, 3, 1, 28, false},
    {"resnet50 3x3 256", 256, 256, 1, 3, 1, 14, false},
    {"resnet50 1x1 256-1024 add", 256, 1024, 1, 1, 1, 14, true},
    {"resnet50 1x1 1024-256", 1024, 256, 1, 1, 1, 14, false},
    {"resnet50 3x3 512", 512, 512, 1, 3, 1, 7, false},
    {"resnet50 1x1 512-2048 add", 512, 2048, 1, 1, 1, 7, true},
    {"resnet50 1x1 2048-512", 2048, 512, 1, 1, 1, 7, false},
    {"fully connected 2048-1000", 2048, 1000, 1, 1, 1, 1, false},
    {"vgg16 3x3 3-64", 3, 64, 1, 3, 1, 224, false},
    {"vgg16 3x3 64", 64, 64, 1, 3, 1, 224, false},
    {"vgg16 3x3 512", 512, 512, 1, 3, 1, 28, false},
    {"squeezenet 1x1 96-16", 96, 16, 1, 1, 1, 55, false},
    {"squeezenet 3x3 16-64", 16, 64, 1, 3, 1, 55, false},
    {"squeezenet 3x3 64-256", 64, 256, 1, 3, 1, 13, false},
    {"mobilenet stem 3x3/2", 3, 32, 1, 3, 2, 224, false},
    {"mobilenet 1x1 32-16", 32, 16, 1, 1, 1, 112, false},
    {"mobilenet 1x1 16-96", 16, 96, 1, 1, 1, 112, false},
    {"mobilenet 1x1 96-24", 96, 24, 1, 1, 1, 56, false},
    {"mobilenet 1x1 144-24 add", 144, 24, 1, 1, 1, 56, true},
    {"mobilenet 1x1 192-32", 192, 32, 1, 1, 1, 28, false},
    {"mobilenet 1x1 96-576", 96, 576, 1, 1, 1, 14, false},
    {"mobilenet 1x1 160-960", 160, 960, 1, 1, 1, 7, false},
    {"mobilenet 1x1 960-320", 960, 320, 1, 1, 1, 7, false},
    {"depthwise 3x3 32", 32, 32, 32, 3, 1, 112, false},
    {"depthwise 3x3/2 96", 96, 96, 96, 3, 2, 112, false},
    {"depthwise 3x3 144", 144, 144, 144, 3, 1, 56, false},
    {"depthwise 3x3 384", 384, 384, 384, 3, 1, 14, false},
    {"depthwise 3x3 960", 960, 960, 960, 3, 1, 7, false},
    {"depthwise 5x5 240", 240, 240, 240, 5, 1, 28, false},
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static float *make_floats(size_t count) {
    float *data = oct_aligned_alloc(count * sizeof(float));
    for (size_t i = 0; data && i < count; i++) {
        data[i] = (float)(i * 2654435761u % 1000) * 0.002f - 1.0f;
    }
    return data;
}

static void time_layer(const Layer *layer, OctetCpu cpu) {
    size_t pad = layer->kernel / 2;
    size_t output_size = (layer->size + 2 * pad - layer->kernel) / layer->stride + 1;
    size_t depth = layer->in / layer->groups;
    size_t outputs = output_size * output_size * layer->out;
    size_t weights = layer->kernel * layer->kernel * depth * layer->out;
    double macs = (double)outputs * (double)(layer->kernel * layer->kernel * depth);
    float *input = make_floats(layer->size * layer->size * layer->in);
    float *output = make_floats(outputs);
    float *residual = make_floats(outputs);
    float *weight_data = make_floats(weights);
    float *bias = make_floats(layer->out);
    OctF32ConvSpec spec = {.input_channels = layer->in,
                           .output_channels = layer->out,
                           .groups = layer->groups,
                           .kernel = {1, layer->kernel, layer->kernel},
                           .stride = {1, layer->stride, layer->stride},
                           .dilation = {1, 1, 1},
                           .weights = weight_data,
                           .bias = bias};
    OctF32ConvShape shape = {.batch = 1,
                             .input = {1, layer->size, layer->size},
                             .output = {1, output_size, output_size},
                             .pad_begin = {0, (int64_t)pad, (int64_t)pad}};
    OctF32Conv *conv = NULL;
    if (!input || !output || !residual || !weight_data || !bias ||
        oct_f32_conv_create(&spec, cpu, &conv, NULL) != OCTET_OK) {
        fprintf(stderr, "%s: out of memory\n", layer->name);
        exit(1);
    }
    OctF32ConvCall call = {input, layer->add ? residual : NULL, output, 0.0f, INFINITY};
    double peak = oct_peak_f32(cpu) * 1e-9;
    double best = 1e9;
    double until = seconds() + 0.15;
    for (int run = 0; run < 8 || seconds() < until; run++) {
        double start = seconds();
        oct_f32_conv_run(conv, &shape, &call, NULL);
        double elapsed = seconds() - start;
        best = elapsed < best ? elapsed : best;
    }
    printf("%-28s %-26s %9.1f us %7.1f GMAC/s", layer->name, oct_f32_conv_kernel_name(conv),
           best * 1e6, macs / best * 1e-9);
    printf(peak > 0.0 ? " %5.1f%% of %.1f\n" : "\n", macs / best * 1e-7 / peak, peak);
    oct_f32_conv_free(conv);
    oct_aligned_free(input);
    oct_aligned_free(output);
    oct_aligned_free(residual);
    oct_aligned_free(weight_data);
    oct_aligned_free(bias);
}

static void time_functions(OctetCpu cpu) {
    enum { COUNT = 16384 };
    const OctVmathBundle *bundle = oct_vmath_select(cpu);
    const struct {
        const char *name;
        OctF32UnaryKernel kernel;
    } functions[] = {{"exp", bundle->exp},           {"log", bundle->log}, {"tanh", bundle->tanh},
                     {"sigmoid", bundle->sigmoid},   {"erf", bundle->erf}, {"gelu", bundle->gelu},
                     {"softplus", bundle->softplus}, {"sin", bundle->sin}};
    float *x = make_floats(COUNT);
    float *y = make_floats(COUNT);
    for (size_t i = 0; x && y && i < sizeof functions / sizeof functions[0]; i++) {
        double best = 1e9;
        for (int run = 0; run < 200; run++) {
            double start = seconds();
            functions[i].kernel(x, y, COUNT);
            double elapsed = seconds() - start;
            best = elapsed < best ? elapsed : best;
        }
        printf("%-28s %-26s %9.3f ns a value\n", functions[i].name, bundle->name,
               best / COUNT * 1e9);
    }
    oct_aligned_free(x);
    oct_aligned_free(y);
}

static void time_transpose(size_t rows, size_t columns) {
    float *x = make_floats(rows * columns);
    float *y = make_floats(rows * columns);
    double best = 1e9;
    for (int run = 0; x && y && run < 50; run++) {
        double start = seconds();
        oct_transpose_matrix(sizeof(float), 1, rows, columns, x, y, NULL);
        double elapsed = seconds() - start;
        best = elapsed < best ? elapsed : best;
    }
    printf("transpose %5zu x %-12zu %36.1f us %7.2f GB/s read\n", rows, columns, best * 1e6,
           (double)(rows * columns * sizeof(float)) / best * 1e-9);
    oct_aligned_free(x);
    oct_aligned_free(y);
}

int main(int argc, char **argv) {
    OctetCpu cpu = octet_get_cpu();
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        if (argc < 2 || strstr(layers[i].name, argv[1])) {
            time_layer(&layers[i], cpu);
        }
    }
    if (argc < 2 || strcmp(argv[1], "functions") == 0) {
        time_functions(cpu);
        time_transpose(3, 224 * 224);
        time_transpose(224 * 224, 3);
        time_transpose(256, 56 * 56);
        time_transpose(56 * 56, 256);
    }
    return 0;
}
