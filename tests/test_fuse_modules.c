/* Every chain that torch.ao.quantization.fuse_modules takes becomes one node and computes the same:
 * to the bit, since all numbers here are small multiples of powers of two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "octet/octet.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        OctetDiagnostic diagnostic = {0};                                                          \
        if ((call) != OCTET_OK) {                                                                  \
            fail_msg("%s: %s: %s", #call, diagnostic.node, diagnostic.message);                    \
        }                                                                                          \
    } while (0)

enum { CHANNELS = 4, SIDE = 3, MOST = 2 * CHANNELS * SIDE * SIDE };

static OctetValue *constant(OctetGraph *graph, const char *name, const float *values, int count) {
    OctetTensor *tensor;
    OK(octet_tensor_create(OCTET_F32, &(OctetShape){1, {count}}, &tensor, &diagnostic));
    memcpy(tensor->data, values, tensor->bytes);
    OctetValue *value = octet_graph_constant(graph, name, tensor);
    octet_tensor_free(tensor);
    return value;
}

/* y = 4 * (x - mean) * scale + shift: the variance is a sixteenth, epsilon 0. */
static OctetValue *norm(OctetGraph *graph, OctetValue *x) {
    static const float numbers[4][CHANNELS] = {{0.5f, 1, -1, 2},
                                               {0.25f, -3, 0, 1},
                                               {0.5f, -1, 0.25f, 2},
                                               {0.0625f, 0.0625f, 0.0625f, 0.0625f}};
    static const char *const names[4] = {"scale", "shift", "mean", "variance"};
    OctetValue *inputs[5] = {x};
    for (int i = 0; i < 4; i++) {
        inputs[i + 1] = constant(graph, names[i], numbers[i], CHANNELS);
    }
    OctetValue *y = octet_graph_operator(graph, "BatchNormalization", "bn", inputs, 5);
    OK(octet_graph_set_float(graph, y, "epsilon", 0));
    return y;
}

/* A chain of "conv", "linear", "add", "bn" and "relu", which are the nodes' names, too. */
static OctetGraph *chain_of(const char *const *names, size_t count) {
    float weight[CHANNELS * CHANNELS * 9];
    static const float bias[CHANNELS] = {1, -2, 0.5f, 3};
    for (size_t i = 0; i < sizeof weight / sizeof *weight; i++) {
        weight[i] = (float)((int)(i * 7 % 11) - 5) * 0.25f;
    }
    OctetGraph *graph = octet_graph_create();
    bool linear = strcmp(names[0], "linear") == 0;
    OctetShape shape = {linear ? 2 : 4, {2, CHANNELS, SIDE, SIDE}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape), *y = x;
    OctetConvOptions options = {.out_channels = CHANNELS, .kernel = {3, 3}, .padding = {1, 1}};
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i];
        y = strcmp(name, "conv") == 0 ? octet_graph_conv(graph, name, y, &options, weight, bias)
            : strcmp(name, "linear") == 0
                ? octet_graph_linear(graph, name, y, CHANNELS, CHANNELS, weight, bias)
            : strcmp(name, "add") == 0 ? octet_graph_add(graph, name, y, x)
            : strcmp(name, "bn") == 0  ? norm(graph, y)
                                       : octet_graph_relu(graph, name, y);
    }
    octet_graph_output(graph, y, "y");
    OK(octet_graph_finish(graph, &diagnostic));
    return graph;
}

static size_t run(const OctetGraph *graph, const OctetTensor *x, float *result) {
    OctetSession *session;
    const OctetTensor *y;
    OK(octet_session_create(graph, NULL, &session, &diagnostic));
    OK(octet_session_run(session, &x, 1, &y, 1, &diagnostic));
    size_t bytes = y->bytes;
    assert_true(bytes <= MOST * sizeof(float));
    memcpy(result, y->data, bytes);
    octet_session_free(session);
    return bytes;
}

static void check(const char *const *names, size_t count) {
    float before[MOST], after[MOST];
    OctetGraph *graph = chain_of(names, count);
    OctetTensor *x;
    bool linear = strcmp(names[0], "linear") == 0, relu = strcmp(names[count - 1], "relu") == 0;
    OctetShape shape = {linear ? 2 : 4, {2, CHANNELS, SIDE, SIDE}};
    OK(octet_tensor_create(OCTET_F32, &shape, &x, &diagnostic));
    for (size_t i = 0; i < x->bytes / sizeof(float); i++) {
        ((float *)x->data)[i] = (float)((int)(i * 5 % 13) - 6);
    }
    size_t bytes = run(graph, x, before);
    assert_int_equal(octet_graph_node_count(graph), count);
    OK(octet_fuse_modules(graph, names, count, &diagnostic));
    assert_int_equal(octet_graph_node_count(graph), 1);
    assert_string_equal(octet_node_activation(octet_graph_find_node(graph, names[0])),
                        relu ? "relu" : "");
    assert_int_equal(run(graph, x, after), bytes);
    assert_memory_equal(before, after, bytes);
    octet_tensor_free(x);
    octet_graph_free(graph);
}

#define CHAIN(...)                                                                                 \
    check((const char *const[]){__VA_ARGS__},                                                      \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void every_chain_of_pytorch(void **state) {
    (void)state;
    CHAIN("conv", "bn");
    CHAIN("conv", "bn", "relu");
    CHAIN("conv", "relu");
    CHAIN("linear", "relu");
    CHAIN("linear", "bn");
    CHAIN("linear", "bn", "relu");
    CHAIN("bn", "relu");
    CHAIN("add", "relu");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_chain_of_pytorch)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
