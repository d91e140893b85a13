/* The rewrites of a plan: each pattern is found, and gives the bytes that the nodes give by
 * themselves. Observing every value leaves all fusions out, so that an observed session is the
 * reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/observe.h"
#include "ir/op.h"
#include "octet/octet.h"

static uint32_t seed;

static float random_float(float low, float high) {
    seed = seed * 1664525u + 1013904223u;
    return low + (high - low) * (float)(seed >> 8) / 16777216.0f;
}

static void fill(float *data, size_t count, float low, float high) {
    for (size_t i = 0; i < count; i++) {
        data[i] = random_float(low, high);
    }
}

static OctetValue *vector(OctetGraph *graph, const char *name, int64_t count, float low,
                          float high) {
    OctetTensor *tensor;
    OctetShape shape = {.rank = 1, .dims = {count}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &tensor, NULL), OCTET_OK);
    fill(tensor->data, (size_t)count, low, high);
    OctetValue *value = octet_graph_constant(graph, name, tensor);
    octet_tensor_free(tensor);
    return value;
}

static OctetValue *image(OctetGraph *graph, const char *name, int64_t channels, int64_t size) {
    OctetShape shape = {.rank = 4, .dims = {2, channels, size, size}};
    return octet_graph_input(graph, name, OCTET_F32, &shape);
}

static OctetValue *apply(OctetGraph *graph, const char *op_type, OctetValue *a, OctetValue *b) {
    OctetValue *inputs[] = {a, b};
    return octet_graph_operator(graph, op_type, op_type, inputs, b ? 2 : 1);
}

static OctetValue *conv(OctetGraph *graph, const char *name, OctetValue *x, int64_t from,
                        int64_t to, int64_t kernel) {
    OctetShape shape = {.rank = 4, .dims = {to, from, kernel, kernel}};
    OctetTensor *weight;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &weight, NULL), OCTET_OK);
    fill(weight->data, weight->bytes / sizeof(float), -0.3f, 0.3f);
    OctetValue *inputs[] = {x, octet_graph_constant(graph, "weight", weight),
                            vector(graph, "bias", to, -0.5f, 0.5f)};
    octet_tensor_free(weight);
    const int64_t pads[] = {kernel / 2, kernel / 2, kernel / 2, kernel / 2};
    OctetValue *y = octet_graph_operator(graph, "Conv", name, inputs, 3);
    octet_graph_set_ints(graph, y, "pads", pads, 4);
    return y;
}

static void finish(OctetGraph *graph, OctetValue *y) {
    OctetDiagnostic diagnostic = {0};
    octet_graph_output(graph, y, "result");
    if (octet_graph_finish(graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
}

static void on_grid(OctetGraph *graph, OctetValue *value, float scale, int32_t zero_point) {
    OctetQParams q = {
        .dtype = OCTET_U8, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    assert_true(oct_graph_set_qparams(graph, value, &q));
    graph->quantized = true;
}

static void quantize_weights(OctetGraph *graph) {
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctetValue *value = graph->values[i];
        if (value->constant && value->shape.rank > 1 && !oct_value_quantized(value)) {
            float scale = 0.003f;
            int32_t zero_point = 0;
            OctetTensor *integers;
            OctetQParams q = {.dtype = OCTET_S8,
                              .axis = -1,
                              .count = 1,
                              .scale = &scale,
                              .zero_point = &zero_point};
            assert_int_equal(octet_quantize(oct_value_tensor(value), &q, OCTET_QUANTIZE_DIVIDE,
                                            &integers, NULL, NULL),
                             OCTET_OK);
            assert_true(oct_value_set_constant(value, integers));
        }
    }
    graph->quantized = true;
}

/* Weights to s8, what is not a constant and has no grid yet to u8. */
static void quantize_all(OctetGraph *graph) {
    quantize_weights(graph);
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctetValue *value = graph->values[i];
        if (value->dtype == OCTET_F32 && !value->constant && !oct_value_quantized(value)) {
            on_grid(graph, value, 0.04f + 0.001f * (float)(i % 7), 100 + i % 50);
        }
    }
}

/* ---- comparing ---- */

static OctetStatus see(void *user, const OctetValue *value, const OctetTensor *tensor) {
    (void)user;
    (void)value;
    (void)tensor;
    return OCTET_OK;
}

static int count_type(const OctetSession *session, const char *op_type) {
    int count = 0;
    for (size_t i = 0; i < octet_session_node_count(session); i++) {
        OctetNodeInfo info;
        assert_int_equal(octet_session_node_info(session, i, &info), OCTET_OK);
        count += strcmp(info.op_type, op_type) == 0;
    }
    return count;
}

static uint64_t arena_bytes; /* of the last run */

/* Runs on random inputs; the caller frees the result. *found: how many nodes of a type there were.
 */
static OctetTensor *run(const OctetGraph *graph, bool observed, const char *op_type, int *found) {
    OctetSessionOptions options = {.observe = observed ? see : NULL};
    OctetSession *session = NULL;
    OctetTensor *inputs[4];
    OctetTensor *copy;
    const OctetTensor *output;
    OctetDiagnostic diagnostic = {0};
    size_t count = octet_graph_input_count(graph);
    seed = 77;
    for (size_t i = 0; i < count; i++) {
        OctetShape shape = octet_value_shape(octet_graph_input_at(graph, i));
        assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &inputs[i], NULL), OCTET_OK);
        fill(inputs[i]->data, inputs[i]->bytes / sizeof(float), -3, 4);
    }
    OctetStatus status = octet_session_create(graph, &options, &session, &diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_run(session, (const OctetTensor *const *)inputs, count, &output, 1,
                                   &diagnostic);
    }
    if (status != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(octet_tensor_copy(output, &copy, NULL), OCTET_OK);
    *found = count_type(session, op_type);
    OctetMemoryInfo memory;
    assert_int_equal(octet_session_memory(session, &memory), OCTET_OK);
    arena_bytes = memory.arena_bytes;
    for (size_t i = 0; i < count; i++) {
        octet_tensor_free(inputs[i]);
    }
    octet_session_free(session);
    return copy;
}

/* The fused plan has `fused` nodes of the type and the other one `plain`; the bytes are the same,
 * at every CPU level. Frees the graph. */
static void compare(OctetGraph *graph, const char *op_type, int fused, int plain) {
    static const OctetCpu levels[] = {OCTET_CPU_PORTABLE, OCTET_CPU_AVX2, OCTET_CPU_AVX512_VNNI};
    OctetCpu best = octet_get_cpu();
    int found;
    OctetTensor *expected = run(graph, true, op_type, &found);
    assert_int_equal(found, plain);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (levels[i] > best || octet_set_cpu(levels[i]) != OCTET_OK) {
            continue;
        }
        OctetTensor *output = run(graph, false, op_type, &found);
        assert_int_equal(found, fused);
        assert_true(octet_shape_equal(&output->shape, &expected->shape));
        assert_memory_equal(output->data, expected->data, expected->bytes);
        octet_tensor_free(output);
        assert_int_equal(octet_set_cpu(best), OCTET_OK);
    }
    octet_tensor_free(expected);
    octet_graph_free(graph);
}

/* ---- patterns ---- */

/* Two tensors on different grids and one float, joined, normalized, clamped, rounded: without an
 * observer of what is joined, straight from the bytes. */
static void test_normalize(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *parts[] = {image(graph, "a", 40, 5), image(graph, "b", 3, 5),
                           image(graph, "c", 33, 5)};
    OctetValue *joined = octet_graph_operator(graph, "Concat", "join", parts, 3);
    octet_graph_set_int(graph, joined, "axis", 1);
    OctetValue *operands[] = {joined, vector(graph, "scale", 76, 0.5f, 1.5f),
                              vector(graph, "bias", 76, -1, 1), vector(graph, "mean", 76, -1, 1),
                              vector(graph, "variance", 76, 0.1f, 2)};
    OctetValue *norm = octet_graph_operator(graph, "BatchNormalization", "norm", operands, 5);
    OctetValue *y = octet_graph_relu(graph, "relu", norm);
    finish(graph, y);
    on_grid(graph, parts[0], 0.03f, 120);
    on_grid(graph, parts[1], 0.05f, 90);
    on_grid(graph, y, 0.02f, 7);
    compare(graph, "Concat", 0, 1);
}

/* x * sigmoid(x) behind a convolution is a table in its epilogue. */
static void test_silu(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = conv(graph, "conv", image(graph, "x", 8, 6), 8, 24, 3);
    OctetValue *y = apply(graph, "Mul", x, apply(graph, "Sigmoid", x, NULL));
    finish(graph, y);
    quantize_all(graph);
    compare(graph, "Mul", 0, 1);
}

/* A function written as several float nodes between two grids. */
static void test_float_function(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = image(graph, "x", 5, 7);
    OctetValue *half = vector(graph, "half", 1, 0.5f, 0.5f);
    OctetValue *one = vector(graph, "one", 1, 1, 1);
    OctetValue *erf = apply(graph, "Erf", apply(graph, "Mul", x, half), NULL);
    OctetValue *y =
        apply(graph, "Mul", apply(graph, "Mul", x, apply(graph, "Add", erf, one)), half);
    finish(graph, y);
    on_grid(graph, x, 0.03f, 120);
    on_grid(graph, y, 0.02f, 7);
    compare(graph, "Table", 1, 0);
}

static void residual(bool first, bool quantized) {
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = image(graph, "x", 16, 6);
    OctetValue *a = conv(graph, "a", x, 16, 16, 1);
    OctetValue *b = conv(graph, "b", a, 16, 16, 3);
    OctetValue *sum = first ? apply(graph, "Add", a, b) : apply(graph, "Add", b, a);
    OctetValue *y = octet_graph_relu(graph, "relu", sum);
    finish(graph, y);
    if (quantized) {
        on_grid(graph, x, 0.03f, 100);
        on_grid(graph, a, 0.05f, 131);
        on_grid(graph, b, 0.04f, 120);
        on_grid(graph, y, 0.06f, 3);
        /* the sum has no grid of its own: its activation is fused */
        for (int32_t i = 0; i < graph->value_count; i++) {
            OctetValue *value = graph->values[i];
            if (value->constant && value->shape.rank == 4) {
                float scale = 0.003f;
                int32_t zero_point = 0;
                OctetTensor *integers;
                OctetQParams q = {.dtype = OCTET_U8,
                                  .axis = -1,
                                  .count = 1,
                                  .scale = &scale,
                                  .zero_point = &zero_point};
                zero_point = 128;
                assert_int_equal(octet_quantize(oct_value_tensor(value), &q, OCTET_QUANTIZE_DIVIDE,
                                                &integers, NULL, NULL),
                                 OCTET_OK);
                assert_true(oct_value_set_constant(value, integers));
            }
        }
    }
    compare(graph, "Add", 0, 1);
}

/* Two expansions of a squeezed image, joined: written to their places at once. */
static void test_join(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = conv(graph, "squeeze", image(graph, "x", 5, 9), 5, 16, 1);
    OctetValue *parts[] = {conv(graph, "a", x, 16, 33, 1), conv(graph, "b", x, 16, 70, 3),
                           conv(graph, "c", x, 16, 3, 3), conv(graph, "depthwise", x, 1, 16, 3)};
    octet_graph_set_int(graph, parts[3], "group", 16);
    OctetValue *joined = octet_graph_operator(graph, "Concat", "join", parts, 4);
    octet_graph_set_int(graph, joined, "axis", 1);
    OctetValue *y = conv(graph, "last", joined, 122, 8, 3);
    finish(graph, y);
    for (int k = 0; k < 4; k++) {
        on_grid(graph, parts[k], 0.05f, 110);
    }
    on_grid(graph, joined, 0.05f, 110);
    quantize_all(graph);
    compare(graph, "Concat", 0, 1);
}

/* An int8 convolution whose result is float adds no float residual. */
static void test_float_residual(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = image(graph, "x", 16, 6);
    OctetValue *r = image(graph, "r", 16, 6);
    OctetValue *y = apply(graph, "Add", conv(graph, "a", x, 16, 16, 1), r);
    finish(graph, y);
    on_grid(graph, x, 0.03f, 100);
    quantize_weights(graph);
    compare(graph, "Add", 1, 1);
}

static void test_residual(void **state) {
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        seed = (uint32_t)variant;
        residual(variant & 1, variant & 2);
    }
}

/* A sum takes its residual's memory, but where the convolution that adds is depthwise. */
static void test_residual_in_place(void **state) {
    (void)state;
    for (int variant = 0; variant < 4; variant++) {
        bool depthwise = variant & 1, quantized = variant & 2;
        OctetGraph *graph = octet_graph_create();
        OctetValue *x = image(graph, "x", 32, 14);
        OctetValue *a = conv(graph, "a", x, 32, 32, 1);
        OctetValue *b = conv(graph, "b", a, 32, 32, 3);
        OctetValue *c = conv(graph, "c", b, depthwise ? 1 : 32, 32, 3);
        if (depthwise) {
            octet_graph_set_int(graph, c, "group", 32);
        }
        OctetValue *sum = octet_graph_relu(graph, "relu", apply(graph, "Add", c, a));
        finish(graph, conv(graph, "d", sum, 32, 1, 1));
        if (quantized) {
            quantize_all(graph);
        }
        compare(graph, "Add", 0, 1);
        uint64_t tensor = (uint64_t)2 * 14 * 14 * 32 * (quantized ? 1 : 4);
        uint64_t tensors = depthwise && quantized ? 3 : 2;
        assert_in_range(arena_bytes, tensors * tensor, tensors * tensor + tensor / 2);
    }
}

/* Reshape, exchange, Reshape: channels-last it is one small Transpose. */
static void test_shuffle(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = conv(graph, "conv", image(graph, "x", 8, 6), 8, 24, 1);
    const int64_t apart[] = {2, 3, 8, 6, 6}, together[] = {2, 24, 6, 6}, perm[] = {0, 2, 1, 3, 4};
    OctetShape five = {.rank = 1, .dims = {5}}, four = {.rank = 1, .dims = {4}};
    OctetTensor *sizes;
    assert_int_equal(
        octet_tensor_wrap(OCTET_S64, &five, (void *)(uintptr_t)apart, sizeof apart, &sizes, NULL),
        OCTET_OK);
    OctetValue *split = apply(graph, "Reshape", x, octet_graph_constant(graph, "apart", sizes));
    octet_tensor_free(sizes);
    OctetValue *exchanged = apply(graph, "Transpose", split, NULL);
    octet_graph_set_ints(graph, exchanged, "perm", perm, 5);
    assert_int_equal(octet_tensor_wrap(OCTET_S64, &four, (void *)(uintptr_t)together,
                                       sizeof together, &sizes, NULL),
                     OCTET_OK);
    OctetValue *joined =
        apply(graph, "Reshape", exchanged, octet_graph_constant(graph, "together", sizes));
    octet_tensor_free(sizes);
    OctetValue *y = conv(graph, "conv2", joined, 24, 4, 3);
    finish(graph, y);
    /* in and out of channels-last at the ends, the shuffle between them */
    compare(graph, "Transpose", 3, 5);
}

/* A network written channels-last by its exporter loses its Transposes. */
static void test_exported_channels_last(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    const int64_t in[] = {0, 3, 1, 2}, out[] = {0, 2, 3, 1};
    OctetShape shape = {.rank = 4, .dims = {2, 9, 7, 5}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *first = apply(graph, "Transpose", x, NULL);
    octet_graph_set_ints(graph, first, "perm", in, 4);
    OctetValue *y = apply(graph, "Transpose", conv(graph, "conv", first, 5, 6, 3), NULL);
    octet_graph_set_ints(graph, y, "perm", out, 4);
    OctetValue *z = apply(graph, "Neg", y, NULL);
    finish(graph, z);
    compare(graph, "Transpose", 0, 2);
}

/* The network's own Transpose has the engine's order, and so has the one that the pool brings with
 * it: Quantize can write only one of them by itself. */
static void test_two_transposes(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    const int64_t order[] = {0, 2, 3, 1};
    OctetShape shape = {.rank = 4, .dims = {2, 3, 7, 5}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *t = apply(graph, "Transpose", x, NULL);
    octet_graph_set_ints(graph, t, "perm", order, 4);
    OctetValue *y = apply(graph, "GlobalMaxPool", t, NULL);
    on_grid(graph, x, 0.03f, 120);
    on_grid(graph, t, 0.03f, 120);
    on_grid(graph, y, 0.03f, 120);
    finish(graph, y);
    compare(graph, "Transpose", 1, 1);
}

/* ---- observing ---- */

typedef struct Ranges {
    int count;
    int64_t last_dim[8];
    float low[8], high[8];
} Ranges;

static OctetStatus note_range(void *user, const OctetValue *value, const OctetTensor *tensor) {
    Ranges *ranges = user;
    int i = ranges->count++;
    const float *data = tensor->data;
    (void)value;
    assert_true(i < 8);
    ranges->low[i] = ranges->high[i] = data[0];
    for (size_t k = 0; k < tensor->bytes / sizeof *data; k++) {
        ranges->low[i] = fminf(ranges->low[i], data[k]);
        ranges->high[i] = fmaxf(ranges->high[i], data[k]);
    }
    ranges->last_dim[i] = tensor->shape.dims[tensor->shape.rank - 1];
    return OCTET_OK;
}

static Ranges observe_ranges(const OctetGraph *graph, bool any_layout) {
    Ranges ranges = {0};
    OctetSessionOptions options = {.observe = note_range, .observe_user = &ranges};
    OctetSession *session;
    OctetTensor *input;
    const OctetTensor *output;
    OctetShape shape = octet_value_shape(octet_graph_input_at(graph, 0));
    assert_int_equal(octet_session_create(graph, &options, &session, NULL), OCTET_OK);
    if (any_layout) {
        oct_session_observe_any_layout(session);
    }
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &input, NULL), OCTET_OK);
    seed = 3;
    fill(input->data, input->bytes / sizeof(float), -1, 1);
    assert_int_equal(
        octet_session_run(session, (const OctetTensor *const *)&input, 1, &output, 1, NULL),
        OCTET_OK);
    octet_tensor_free(input);
    octet_session_free(session);
    return ranges;
}

/* Values come in the graph's order of axes, or, to who asks for it, as they are stored. */
static void test_observed_layouts(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = conv(graph, "a", image(graph, "x", 3, 8), 3, 5, 3);
    finish(graph, conv(graph, "b", octet_graph_relu(graph, "relu", x), 5, 7, 1));
    Ranges ordered = observe_ranges(graph, false);
    Ranges stored = observe_ranges(graph, true);
    assert_int_equal(ordered.count, 3);
    assert_int_equal(stored.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ordered.last_dim[i], 8);
        assert_int_equal(stored.last_dim[i], i < 2 ? 5 : 7);
        assert_true(ordered.low[i] == stored.low[i] && ordered.high[i] == stored.high[i]);
    }
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normalize),
        cmocka_unit_test(test_silu),
        cmocka_unit_test(test_float_function),
        cmocka_unit_test(test_residual),
        cmocka_unit_test(test_float_residual),
        cmocka_unit_test(test_residual_in_place),
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_exported_channels_last),
        cmocka_unit_test(test_two_transposes),
        cmocka_unit_test(test_observed_layouts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
