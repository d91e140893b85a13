/* Times the int8 convolution kernels on the layers of ResNet-50 and MobileNetV2 and prints GMAC/s
 * and the share of this core's measured peak. OCTET_CPU selects the level. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "kernels/peak.h"
#include "kernels/q8_conv_run.h"

typedef struct Layer {
    const char *name;
    size_t in, out, groups, kernel, stride, size;
    bool add, table;
} Layer;

static const Layer layers[] = {
    {"resnet50 stem 7x7/2", 3, 64, 1, 7, 2, 224, false, false},
    {"resnet50 1x1 64-64", 64, 64, 1, 1, 1, 56, false, false},
    {"resnet50 3x3 64", 64, 64, 1, 3, 1, 56, false, false},
    {"resnet50 1x1 64-256", 64, 256, 1, 1, 1, 56, false, false},
    {"resnet50 1x1 64-256 add", 64, 256, 1, 1, 1, 56, true, false},
    {"resnet50 1x1 256-64", 256, 64, 1, 1, 1, 56, false, false},
    {"resnet50 1x1 256-128", 256, 128, 1, 1, 1, 56, false, false},
    {"resnet50 3x3/2 128", 128, 128, 1, 3, 2, 56, false, false},
    {"resnet50 1x1 128-512 add", 128, 512, 1, 1, 1, 28, true, false},
    {"resnet50 1x1/2 256-512", 256, 512, 1, 1, 2, 56, false, false},
    {"resnet50 1x1 512-128", 512, 128, 1, 1, 1, 28, false, false},
    {"resnet50 3x3 128", 128, 128, 1, 3, 1, 28, false, false},
    {"resnet50 3x3 256", 256, 256, 1, 3, 1, 14, false, false},
    {"resnet50 1x1 256-1024 add", 256, 1024, 1, 1, 1, 14, true, false},
    {"resnet50 1x1 1024-256", 1024, 256, 1, 1, 1, 14, false, false},
    {"resnet50 3x3/2 512", 512, 512, 1, 3, 2, 14, false, false},
    {"resnet50 3x3 512", 512, 512, 1, 3, 1, 7, false, false},
    {"resnet50 1x1 512-2048 add", 512, 2048, 1, 1, 1, 7, true, false},
    {"resnet50 1x1 2048-512", 2048, 512, 1, 1, 1, 7, false, false},
    {"fully connected 2048-1000", 2048, 1000, 1, 1, 1, 1, false, false},
    {"vgg16 3x3 64", 64, 64, 1, 3, 1, 224, false, false},
    {"vgg16 3x3 512", 512, 512, 1, 3, 1, 28, false, false},
    {"mobilenet stem 3x3/2", 3, 32, 1, 3, 2, 224, false, false},
    {"mobilenet 1x1 32-16", 32, 16, 1, 1, 1, 112, false, false},
    {"mobilenet 1x1 16-96", 16, 96, 1, 1, 1, 112, false, false},
    {"mobilenet 1x1 96-24", 96, 24, 1, 1, 1, 56, false, false},
    {"mobilenet 1x1 24-144", 24, 144, 1, 1, 1, 56, false, false},
    {"mobilenet 1x1 144-24 add", 144, 24, 1, 1, 1, 56, true, false},
    {"mobilenet 1x1 192-32", 192, 32, 1, 1, 1, 28, false, false},
    {"mobilenet 1x1 384-64", 384, 64, 1, 1, 1, 14, false, false},
    {"mobilenet 1x1 96-576", 96, 576, 1, 1, 1, 14, false, false},
    {"mobilenet 1x1 160-960", 160, 960, 1, 1, 1, 7, false, false},
    {"mobilenet 1x1 960-320", 960, 320, 1, 1, 1, 7, false, false},
    {"mobilenet 1x1 hardswish", 96, 576, 1, 1, 1, 14, false, true},
    {"shufflenet 1x1 58-58", 58, 58, 1, 1, 1, 28, false, false},
    {"depthwise 3x3 32", 32, 32, 32, 3, 1, 112, false, false},
    {"depthwise 3x3/2 96", 96, 96, 96, 3, 2, 112, false, false},
    {"depthwise 3x3 144", 144, 144, 144, 3, 1, 56, false, false},
    {"depthwise 3x3 384", 384, 384, 384, 3, 1, 14, false, false},
    {"depthwise 3x3 960", 960, 960, 960, 3, 1, 7, false, false},
    {"depthwise 5x5 240", 240, 240, 240, 5, 1, 28, false, false},
    {"depthwise 5x5/2 96", 96, 96, 96, 5, 2, 28, false, false},
};

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void fill(void *data, size_t count) {
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        ((uint8_t *)data)[i] = (uint8_t)(state >> 24);
    }
}

/* Seconds of the fastest run, 0 on failure. */
static double measure(const Layer *layer, size_t *macs) {
    OctQ8ConvParams params = oct_q8_conv_params(layer->in, layer->out);
    params.groups = layer->groups;
    params.kernel_h = params.kernel_w = layer->kernel;
    params.stride_h = params.stride_w = layer->stride;
    size_t pad = layer->kernel / 2;
    params.pad_top = params.pad_left = params.pad_bottom = params.pad_right = pad;
    size_t weights = layer->kernel * layer->kernel * (layer->in / layer->groups) * layer->out;
    int8_t *w = malloc(weights);
    float *multipliers = malloc(layer->out * sizeof *multipliers);
    uint8_t table[256];
    fill(table, sizeof table);
    params.weights = w;
    params.multipliers = multipliers;
    params.input_zero_point = layer->in > 3 ? 0 : 120; /* behind a ReLU; an image */
    params.epilogue = oct_q8_epilogue_u8(0);
    params.epilogue.table = layer->table ? table : NULL;
    if (layer->add) {
        params.epilogue.has_add = true;
        params.epilogue.add = oct_q8_add_params(0.02f, 0, 0.03f, 0, 0.04f, 0);
    }
    OctQ8Conv *conv = NULL;
    OctQ8ConvSetup setup;
    uint8_t *input = NULL, *output = NULL, *residual = NULL, *workspace = NULL;
    double best = 0.0;
    if (!w || !multipliers) {
        goto done;
    }
    fill(w, weights);
    for (size_t c = 0; c < layer->out; c++) {
        multipliers[c] = 0.0001f;
    }
    if (oct_q8_conv_create(&params, octet_get_cpu(), &conv, NULL) != OCTET_OK ||
        oct_q8_conv_setup(conv, 1, layer->size, layer->size, 0, 0, 0, &setup, NULL) != OCTET_OK) {
        goto done;
    }
    size_t out_bytes = setup.out_h * setup.out_w * layer->out;
    input = oct_aligned_alloc(layer->size * layer->size * layer->in);
    output = oct_aligned_alloc(out_bytes);
    residual = oct_aligned_alloc(out_bytes);
    workspace = oct_aligned_alloc(setup.workspace_bytes);
    if (!input || !output || !residual || !workspace) {
        goto done;
    }
    fill(input, layer->size * layer->size * layer->in);
    fill(residual, out_bytes);
    *macs = setup.macs;
    best = 1e9;
    double begin = seconds();
    for (int run = 0; run < 9 || (run < 2000 && seconds() - begin < 0.1); run++) {
        double start = seconds();
        oct_q8_conv_run(conv, &setup, input, output, residual, workspace, NULL);
        double elapsed = seconds() - start;
        best = elapsed < best ? elapsed : best;
    }
done:
    oct_q8_conv_free(conv);
    oct_aligned_free(input);
    oct_aligned_free(output);
    oct_aligned_free(residual);
    oct_aligned_free(workspace);
    free(w);
    free(multipliers);
    return best;
}

int main(int argc, char **argv) {
    double limit = oct_peak_int8(octet_get_cpu());
    printf("level %s, peak %.1f GMAC/s\n", octet_cpu_name(octet_get_cpu()), limit * 1e-9);
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        if (argc > 1 && !strstr(layers[i].name, argv[1])) {
            continue;
        }
        size_t macs = 0;
        double time = measure(&layers[i], &macs);
        if (time <= 0.0) {
            fprintf(stderr, "%s failed\n", layers[i].name);
            return 1;
        }
        double rate = (double)macs / time;
        printf("%-28s %8.1f us %7.1f GMAC/s", layers[i].name, time * 1e6, rate * 1e-9);
        if (limit > 0.0) {
            printf(" %5.1f%%", 100.0 * rate / limit);
        }
        printf("\n");
    }
    return 0;
}
