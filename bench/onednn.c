/* All convolutions of ResNet-50 and MobileNetV2 (dense, 1x1, depthwise; u8 x s8 -> u8 with bias and
 * ReLU, channels-last), layer by layer: Octet's kernels and oneDNN's on the same data, on one
 * thread, in turns: a round of one, a round of the other. Prints both speeds and their ratio
 * (oneDNN's time over Octet's, the median of the rounds; above 1 Octet is faster), and the
 * geometric mean over all convolutions of a network. Both results are compared: they may differ
 * by one, since oneDNN rounds a product that Octet rounds differently.
 *   bench_onednn [--json] [ROUNDS] */
#include <math.h>
#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "conv_layers.h"
#include "kernels/q8_conv_run.h"

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void stop(const char *what) {
    fprintf(stderr, "bench_onednn: %s\n", what);
    exit(1);
}

#define DNNL(call)                                                                                 \
    do {                                                                                           \
        if ((call) != dnnl_success) {                                                              \
            stop(#call);                                                                           \
        }                                                                                          \
    } while (0)

static void *allocate(size_t bytes) {
    void *data = oct_aligned_alloc(bytes + 64);
    if (!data) {
        stop("out of memory");
    }
    return data;
}

/* What both compute with. */
typedef struct Data {
    size_t out_size, depth, outputs;
    uint8_t *input;
    int8_t *weights; /* [out][kernel][kernel][depth] */
    int32_t *bias;
    float *multipliers;
    uint8_t *ours, *theirs;
} Data;

static void make_data(const Layer *layer, Data *data) {
    size_t pixels = layer->size * layer->size;
    size_t taps = layer->kernel * layer->kernel;
    uint32_t state = 1;
    data->out_size = (layer->size + layer->kernel / 2 * 2 - layer->kernel) / layer->stride + 1;
    data->depth = layer->in / layer->groups;
    data->outputs = data->out_size * data->out_size * layer->out;
    size_t weights = layer->out * taps * data->depth;
    data->input = allocate(pixels * layer->in);
    data->weights = allocate(weights);
    data->bias = allocate(layer->out * sizeof *data->bias);
    data->multipliers = allocate(layer->out * sizeof *data->multipliers);
    data->ours = allocate(data->outputs);
    data->theirs = allocate(data->outputs);
    for (size_t i = 0; i < pixels * layer->in; i++) {
        state = state * 1664525u + 1013904223u;
        data->input[i] = (uint8_t)(state >> 24);
    }
    for (size_t i = 0; i < weights; i++) {
        state = state * 1664525u + 1013904223u;
        data->weights[i] = (int8_t)(state >> 24);
    }
    for (size_t c = 0; c < layer->out; c++) {
        state = state * 1664525u + 1013904223u;
        data->bias[c] = (int32_t)(state >> 16) - 32768;
        /* results spread over 0 to 255 */
        data->multipliers[c] = 0.007f / sqrtf((float)(taps * data->depth));
    }
}

static void free_data(Data *data) {
    oct_aligned_free(data->input);
    oct_aligned_free(data->weights);
    oct_aligned_free(data->bias);
    oct_aligned_free(data->multipliers);
    oct_aligned_free(data->ours);
    oct_aligned_free(data->theirs);
}

enum { MAX_ROUNDS = 101 };

typedef struct Ours {
    OctQ8Conv *conv;
    OctQ8ConvSetup setup;
    void *workspace;
} Ours;

static void make_ours(const Layer *layer, const Data *data, Ours *ours) {
    OctQ8ConvParams params = oct_q8_conv_params(layer->in, layer->out);
    params.groups = layer->groups;
    params.kernel_h = params.kernel_w = layer->kernel;
    params.stride_h = params.stride_w = layer->stride;
    params.pad_top = params.pad_left = params.pad_bottom = params.pad_right = layer->kernel / 2;
    params.weights = data->weights;
    params.bias = data->bias;
    params.multipliers = data->multipliers;
    params.epilogue = oct_q8_epilogue_u8(0); /* which clamps at 0, as ReLU does */
    if (oct_q8_conv_create(&params, octet_get_cpu(), &ours->conv, NULL) != OCTET_OK ||
        oct_q8_conv_setup(ours->conv, 1, layer->size, layer->size, 0, 0, 0, &ours->setup, NULL) !=
            OCTET_OK) {
        stop("oct_q8_conv_create");
    }
    ours->workspace = allocate(ours->setup.workspace_bytes);
}

static void run_ours(const Ours *ours, const Data *data) {
    oct_q8_conv_run(ours->conv, &ours->setup, data->input, data->ours, NULL, ours->workspace, NULL);
}

static void free_ours(Ours *ours) {
    oct_q8_conv_free(ours->conv);
    oct_aligned_free(ours->workspace);
}

typedef struct Theirs {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive;
    dnnl_memory_t source, weights, bias, target;
    dnnl_exec_arg_t args[4];
    const char *kernel;
} Theirs;

static void describe(dnnl_memory_desc_t *desc, int rank, const dnnl_dim_t *dims,
                     dnnl_data_type_t type, dnnl_format_tag_t tag) {
    DNNL(dnnl_memory_desc_init_by_tag(desc, rank, dims, type, tag));
}

/* The weights in the layout that oneDNN asks for, converted once. */
static void give_weights(const Layer *layer, const Data *data, Theirs *theirs) {
    dnnl_dim_t g = (dnnl_dim_t)layer->groups;
    dnnl_dim_t k = (dnnl_dim_t)layer->kernel;
    dnnl_dim_t out = (dnnl_dim_t)layer->out / g;
    dnnl_dim_t depth = (dnnl_dim_t)data->depth;
    /* [g][out][k][k][depth] in memory; g is no dimension of its own where it is 1 */
    dnnl_dims_t dims = {g, out, depth, k, k};
    dnnl_dims_t strides = {out * k * k * depth, k * k * depth, 1, k * depth, depth};
    int first = g > 1 ? 0 : 1;
    dnnl_memory_desc_t plain;
    dnnl_memory_t plain_memory;
    dnnl_primitive_desc_t reorder_desc;
    dnnl_primitive_t reorder;
    DNNL(dnnl_memory_desc_init_by_strides(&plain, 5 - first, dims + first, dnnl_s8,
                                          strides + first));
    DNNL(dnnl_memory_create(&plain_memory, &plain, theirs->engine, data->weights));
    DNNL(dnnl_memory_create(&theirs->weights,
                            dnnl_primitive_desc_query_md(theirs->desc, dnnl_query_weights_md, 0),
                            theirs->engine, DNNL_MEMORY_ALLOCATE));
    DNNL(dnnl_reorder_primitive_desc_create(
        &reorder_desc, &plain, theirs->engine,
        dnnl_primitive_desc_query_md(theirs->desc, dnnl_query_weights_md, 0), theirs->engine,
        NULL));
    DNNL(dnnl_primitive_create(&reorder, reorder_desc));
    dnnl_exec_arg_t args[2] = {{DNNL_ARG_FROM, plain_memory}, {DNNL_ARG_TO, theirs->weights}};
    DNNL(dnnl_primitive_execute(reorder, theirs->stream, 2, args));
    DNNL(dnnl_stream_wait(theirs->stream));
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(reorder_desc);
    dnnl_memory_destroy(plain_memory);
}

static void make_theirs(const Layer *layer, const Data *data, Theirs *theirs) {
    dnnl_dim_t size = (dnnl_dim_t)layer->size;
    dnnl_dim_t out_size = (dnnl_dim_t)data->out_size;
    dnnl_dim_t in = (dnnl_dim_t)layer->in;
    dnnl_dim_t out = (dnnl_dim_t)layer->out;
    dnnl_dim_t g = (dnnl_dim_t)layer->groups;
    dnnl_dim_t k = (dnnl_dim_t)layer->kernel;
    dnnl_dims_t grouped = {g, out / g, (dnnl_dim_t)data->depth, k, k};
    dnnl_dims_t strides = {(dnnl_dim_t)layer->stride, (dnnl_dim_t)layer->stride};
    dnnl_dims_t pads = {k / 2, k / 2};
    dnnl_dim_t end = (out_size - 1) * strides[0] + k - size - k / 2;
    dnnl_dims_t end_pads = {end, end};
    dnnl_memory_desc_t source, weights, bias, target;
    dnnl_convolution_desc_t conv;
    dnnl_primitive_attr_t attributes;
    dnnl_post_ops_t post;
    DNNL(dnnl_engine_create(&theirs->engine, dnnl_cpu, 0));
    DNNL(dnnl_stream_create(&theirs->stream, theirs->engine, dnnl_stream_default_flags));
    describe(&source, 4, (dnnl_dims_t){1, in, size, size}, dnnl_u8, dnnl_nhwc);
    describe(&weights, g > 1 ? 5 : 4, g > 1 ? grouped : grouped + 1, dnnl_s8, dnnl_format_tag_any);
    describe(&bias, 1, (dnnl_dims_t){out}, dnnl_s32, dnnl_x);
    describe(&target, 4, (dnnl_dims_t){1, out, out_size, out_size}, dnnl_u8, dnnl_nhwc);
    DNNL(dnnl_convolution_forward_desc_init(&conv, dnnl_forward_inference, dnnl_convolution_auto,
                                            &source, &weights, &bias, &target, strides, pads,
                                            end_pads));
    DNNL(dnnl_primitive_attr_create(&attributes));
    DNNL(dnnl_primitive_attr_set_output_scales(attributes, out, 1 << 1, data->multipliers));
    DNNL(dnnl_post_ops_create(&post));
    DNNL(dnnl_post_ops_append_eltwise(post, 1, dnnl_eltwise_relu, 0, 0));
    DNNL(dnnl_primitive_attr_set_post_ops(attributes, post));
    DNNL(dnnl_primitive_desc_create(&theirs->desc, &conv, attributes, theirs->engine, NULL));
    DNNL(dnnl_primitive_desc_query(theirs->desc, dnnl_query_impl_info_str, 0, &theirs->kernel));
    DNNL(dnnl_primitive_create(&theirs->primitive, theirs->desc));
    dnnl_post_ops_destroy(post);
    dnnl_primitive_attr_destroy(attributes);
    give_weights(layer, data, theirs);
    DNNL(dnnl_memory_create(&theirs->source, &source, theirs->engine, data->input));
    DNNL(dnnl_memory_create(&theirs->bias, &bias, theirs->engine, data->bias));
    DNNL(dnnl_memory_create(&theirs->target, &target, theirs->engine, data->theirs));
    theirs->args[0] = (dnnl_exec_arg_t){DNNL_ARG_SRC, theirs->source};
    theirs->args[1] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, theirs->weights};
    theirs->args[2] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, theirs->bias};
    theirs->args[3] = (dnnl_exec_arg_t){DNNL_ARG_DST, theirs->target};
}

static void run_theirs(const Theirs *theirs) {
    DNNL(dnnl_primitive_execute(theirs->primitive, theirs->stream, 4, theirs->args));
    DNNL(dnnl_stream_wait(theirs->stream));
}

static void free_theirs(Theirs *theirs) {
    dnnl_memory_destroy(theirs->source);
    dnnl_memory_destroy(theirs->weights);
    dnnl_memory_destroy(theirs->bias);
    dnnl_memory_destroy(theirs->target);
    dnnl_primitive_destroy(theirs->primitive);
    dnnl_primitive_desc_destroy(theirs->desc);
    dnnl_stream_destroy(theirs->stream);
    dnnl_engine_destroy(theirs->engine);
}

static void expect_close(const Data *data) {
    for (size_t i = 0; i < data->outputs; i++) {
        if (abs(data->ours[i] - data->theirs[i]) > 1) {
            stop("the results differ");
        }
    }
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

typedef struct Timing {
    double ours, theirs, ratio, macs;
    const char *kernel;
} Timing;

static Timing time_layer(const Layer *layer, size_t rounds) {
    Data data;
    Ours ours;
    Theirs theirs;
    double mine[MAX_ROUNDS], others[MAX_ROUNDS], ratios[MAX_ROUNDS];
    make_data(layer, &data);
    make_ours(layer, &data, &ours);
    make_theirs(layer, &data, &theirs);
    run_theirs(&theirs);
    run_ours(&ours, &data);
    expect_close(&data);
    double macs = (double)(data.outputs * layer->kernel * layer->kernel * data.depth);
    /* a round takes about a millisecond, so that the clock does not matter */
    size_t runs = 1 + (size_t)(1e8 / macs);
    for (size_t round = 0; round < rounds; round++) {
        double start = seconds();
        for (size_t i = 0; i < runs; i++) {
            run_ours(&ours, &data);
        }
        double middle = seconds();
        for (size_t i = 0; i < runs; i++) {
            run_theirs(&theirs);
        }
        double end = seconds();
        mine[round] = (middle - start) / (double)runs;
        others[round] = (end - middle) / (double)runs;
        ratios[round] = others[round] / mine[round];
    }
    Timing timing = {median(mine, rounds), median(others, rounds), median(ratios, rounds), macs,
                     theirs.kernel};
    free_theirs(&theirs);
    free_ours(&ours);
    free_data(&data);
    return timing;
}

static void print_layer(const char *network, const Layer *layer, const Timing *timing, bool json) {
    char name[64];
    snprintf(name, sizeof name, "%s%zux%zu%s %zu-%zu @%zu", layer->groups > 1 ? "depthwise " : "",
             layer->kernel, layer->kernel, layer->stride > 1 ? "/2" : "", layer->in, layer->out,
             layer->size);
    double ours = timing->macs / timing->ours * 1e-9;
    double theirs = timing->macs / timing->theirs * 1e-9;
    printf(json ? "{\"section\": \"onednn\", \"network\": \"%s\", \"layer\": \"%s\", "
                  "\"count\": %d, \"octet_gmacs\": %.1f, \"onednn_gmacs\": %.1f, "
                  "\"ratio\": %.3f, \"kernel\": \"%s\"}\n"
                : "%-13s %-28s %2d x  Octet %6.1f  oneDNN %6.1f GMAC/s  ratio %.3f  %s\n",
           network, name, layer->count, ours, theirs, timing->ratio, timing->kernel);
    fflush(stdout);
}

static void time_network(const Network *network, size_t rounds, bool json) {
    double logs = 0;
    double ours = 0;
    double theirs = 0;
    int count = 0;
    for (size_t i = 0; i < network->count; i++) {
        const Layer *layer = &network->layers[i];
        Timing timing = time_layer(layer, rounds);
        print_layer(network->name, layer, &timing, json);
        logs += layer->count * log(timing.ratio);
        ours += layer->count * timing.ours;
        theirs += layer->count * timing.theirs;
        count += layer->count;
    }
    if (!json) {
        printf("%s: geometric mean of %d ratios %.3f; all together %.2f ms to %.2f ms\n\n",
               network->name, count, exp(logs / count), ours * 1e3, theirs * 1e3);
    }
}

int main(int argc, char **argv) {
    bool json = false;
    size_t rounds = 21;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else {
            rounds = (size_t)strtoul(argv[i], NULL, 10);
        }
    }
    if (rounds < 1 || rounds > MAX_ROUNDS) {
        stop("rounds are 1 to 101");
    }
    omp_set_num_threads(1);
    Network network;
    make_resnet50(&network);
    time_network(&network, rounds, json);
    make_mobilenet_v2(&network);
    time_network(&network, rounds, json);
    return 0;
}
