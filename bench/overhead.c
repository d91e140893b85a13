/* What a node costs besides its kernel: chains of nodes that do next to nothing, of two lengths,
 * whose times are subtracted from one another. Prints nanoseconds a node, kernel included.
 *   bench_overhead [--json] */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "octet/octet.h"

enum { SHORT = 8, LONG = 1032, CHANNELS = 16, ROUNDS = 41, RUNS = 25 };

static OctetDiagnostic diagnostic;

static void ok(OctetStatus status) {
    if (status != OCTET_OK) {
        fprintf(stderr, "bench_overhead: %s: %s\n", diagnostic.node, diagnostic.message);
        exit(1);
    }
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static const OctetShape pixel = {4, {1, CHANNELS, 1, 1}};

/* Sin and Neg in turns, on 16 numbers. */
static OctetGraph *elementwise_chain(int length) {
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &pixel);
    for (int i = 0; i < length; i++) {
        char name[16];
        snprintf(name, sizeof name, "node%d", i);
        x = octet_graph_operator(graph, i % 2 ? "Neg" : "Sin", name, &x, 1);
    }
    octet_graph_output(graph, x, "y");
    ok(octet_graph_finish(graph, &diagnostic));
    return graph;
}

/* 1x1 convolutions of one pixel with 16 channels, which become int8. */
static OctetGraph *conv_chain(int length) {
    float weight[CHANNELS * CHANNELS];
    float bias[CHANNELS];
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &pixel);
    OctetConvOptions options = {.out_channels = CHANNELS, .kernel = {1, 1}};
    for (int i = 0; i < length; i++) {
        char name[16];
        snprintf(name, sizeof name, "node%d", i);
        for (int k = 0; k < CHANNELS * CHANNELS; k++) {
            weight[k] = (float)((k * 37 + i * 11) % 41 - 20) / 40.0f;
        }
        for (int k = 0; k < CHANNELS; k++) {
            bias[k] = (float)(k - 8) / 8.0f;
        }
        x = octet_graph_relu(graph, NULL, octet_graph_conv(graph, name, x, &options, weight, bias));
    }
    octet_graph_output(graph, x, "y");
    ok(octet_graph_finish(graph, &diagnostic));
    return graph;
}

static OctetTensor *make_input(void) {
    OctetTensor *input;
    ok(octet_tensor_create(OCTET_F32, &pixel, &input, &diagnostic));
    for (int i = 0; i < CHANNELS; i++) {
        ((float *)input->data)[i] = (float)i / 8.0f - 0.9f;
    }
    return input;
}

static OctetGraph *quantize(OctetGraph *graph, const OctetTensor *input) {
    OctetPrepared *prepared;
    OctetGraph *quantized;
    ok(octet_fuse(graph, &diagnostic));
    ok(octet_prepare(graph, NULL, NULL, &prepared, &diagnostic));
    for (int pass = 0; pass < octet_calibrate_passes(prepared); pass++) {
        if (pass > 0) {
            ok(octet_calibrate_next_pass(prepared, &diagnostic));
        }
        ok(octet_calibrate(prepared, &input, 1, &diagnostic));
    }
    ok(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic));
    octet_prepared_free(prepared);
    octet_graph_free(graph);
    return quantized;
}

static double run_seconds(OctetSession *session, const OctetTensor *input) {
    const OctetTensor *output;
    double start = seconds();
    for (int i = 0; i < RUNS; i++) {
        ok(octet_session_run(session, &input, 1, &output, 1, &diagnostic));
    }
    return (seconds() - start) / RUNS;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

typedef OctetGraph *(*MakeChain)(int length);

/* Nanoseconds a node: the median over rounds in which both chains ran in turns. */
static double node_cost(MakeChain make, bool int8, const OctetTensor *input) {
    OctetGraph *graphs[2] = {make(SHORT), make(LONG)};
    OctetSession *sessions[2];
    double costs[ROUNDS];
    for (int i = 0; i < 2; i++) {
        graphs[i] = int8 ? quantize(graphs[i], input) : graphs[i];
        ok(octet_session_create(graphs[i], NULL, &sessions[i], &diagnostic));
        run_seconds(sessions[i], input);
    }
    size_t nodes = octet_session_node_count(sessions[1]) - octet_session_node_count(sessions[0]);
    for (int round = 0; round < ROUNDS; round++) {
        double less = run_seconds(sessions[0], input);
        costs[round] = (run_seconds(sessions[1], input) - less) / (double)nodes;
    }
    qsort(costs, ROUNDS, sizeof *costs, compare_doubles);
    for (int i = 0; i < 2; i++) {
        octet_session_free(sessions[i]);
        octet_graph_free(graphs[i]);
    }
    if (nodes != LONG - SHORT) {
        fprintf(stderr, "bench_overhead: the engine made %zu nodes of %d\n", nodes, LONG - SHORT);
        exit(1);
    }
    return costs[ROUNDS / 2] * 1e9;
}

int main(int argc, char **argv) {
    bool json = argc > 1 && strcmp(argv[1], "--json") == 0;
    OctetTensor *input = make_input();
    const struct {
        const char *name;
        MakeChain make;
        bool int8;
    } chains[] = {{"float elementwise, 16 numbers", elementwise_chain, false},
                  {"int8 1x1 convolution, 16 to 16 channels, 1 pixel", conv_chain, true}};
    for (size_t i = 0; i < sizeof chains / sizeof chains[0]; i++) {
        double cost = node_cost(chains[i].make, chains[i].int8, input);
        printf(json ? "{\"section\": \"overhead\", \"chain\": \"%s\", \"nanoseconds\": %.1f}\n"
                    : "%-50s %7.1f ns a node\n",
               chains[i].name, cost);
    }
    octet_tensor_free(input);
    return 0;
}
