/* The four verbs on networks built in C: what becomes int8, on which grids, and what refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/graph.h"
#include "octet/octet.h"

static OctetDiagnostic diagnostic;

static void ok(OctetStatus status) {
    if (status != OCTET_OK) {
        fail_msg("%s: %s: %s", octet_status_name(status), diagnostic.node, diagnostic.message);
    }
}

#define OK(call) (memset(&diagnostic, 0, sizeof diagnostic), ok(call))

static const OctetShape image = {4, {-1, 3, 8, 8}};

static OctetValue *conv(OctetGraph *graph, const char *name, OctetValue *x, int64_t inputs,
                        int64_t outputs, float bias) {
    float weight[16 * 16 * 9];
    float biases[16];
    for (int64_t i = 0; i < inputs * outputs * 9; i++) {
        weight[i] = (float)((int)((i * 37 + outputs) % 29) - 14) * 0.02f;
    }
    for (int64_t i = 0; i < outputs; i++) {
        biases[i] = bias * (float)(i + 1);
    }
    OctetConvOptions options = {.out_channels = outputs, .kernel = {3, 3}, .padding = {1, 1}};
    return octet_graph_conv(graph, name, x, &options, weight, biases);
}

/* conv1 -> relu -> maxpool -> conv2 -> (+ pooled) -> relu -> mean -> linear -> softmax */
static OctetGraph *network(void) {
    float weight[5 * 8];
    float bias[5] = {0.1f, -0.2f, 0.3f, 0, 0.5f};
    for (size_t i = 0; i < 40; i++) {
        weight[i] = (float)((int)(i * 11 % 19) - 9) * 0.1f;
    }
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *a = octet_graph_relu(graph, "relu1", conv(graph, "conv1", x, 3, 8, 0.1f));
    OctetValue *pooled = octet_graph_operator(graph, "MaxPool", "pool", &a, 1);
    octet_graph_set_ints(graph, pooled, "kernel_shape", (int64_t[]){2, 2}, 2);
    octet_graph_set_ints(graph, pooled, "strides", (int64_t[]){2, 2}, 2);
    pooled->dtype = OCTET_F32;
    pooled->shape = (OctetShape){4, {a ? a->shape.dims[0] : -1, 8, 4, 4}};
    OctetValue *b = conv(graph, "conv2", pooled, 8, 8, -0.05f);
    OctetValue *sum = octet_graph_relu(graph, "relu2", octet_graph_add(graph, "add", b, pooled));
    OctetValue *mean = octet_graph_operator(graph, "GlobalAveragePool", "mean", &sum, 1);
    OctetValue *flat = octet_graph_operator(graph, "Flatten", "flatten", &mean, 1);
    flat->dtype = OCTET_F32;
    flat->shape = (OctetShape){2, {x->shape.dims[0], 8}};
    OctetValue *scores = octet_graph_linear(graph, "linear", flat, 8, 5, weight, bias);
    octet_graph_output(graph, octet_graph_operator(graph, "Softmax", "softmax", &scores, 1), "y");
    OK(octet_graph_finish(graph, &diagnostic));
    OK(octet_fuse(graph, &diagnostic));
    return graph;
}

/* A batch of pseudo-random samples, the same for the same seed and number. */
static OctetTensor *samples(uint32_t seed, int64_t first, int64_t count) {
    OctetTensor *tensor;
    OK(octet_tensor_create(OCTET_F32, &(OctetShape){4, {count, 3, 8, 8}}, &tensor, &diagnostic));
    for (int64_t n = 0; n < count; n++) {
        uint32_t h = (uint32_t)(first + n) * 2654435761u + seed;
        for (int64_t i = 0; i < 192; i++) {
            h = h * 1664525u + 1013904223u;
            ((float *)tensor->data)[n * 192 + i] = (float)(h >> 8) / 8388608.0f - 1;
        }
    }
    return tensor;
}

static void calibrate(OctetPrepared *prepared, int64_t count, int64_t batch) {
    for (int pass = 0; pass < octet_calibrate_passes(prepared); pass++) {
        if (pass > 0) {
            OK(octet_calibrate_next_pass(prepared, &diagnostic));
        }
        for (int64_t i = 0; i < count; i += batch) {
            OctetTensor *x = samples(1, i, batch);
            OK(octet_calibrate(prepared, (const OctetTensor *[]){x}, 1, &diagnostic));
            octet_tensor_free(x);
        }
    }
}

static OctetGraph *quantize(const OctetGraph *graph, const OctetQConfigMapping *mapping,
                            int64_t batch) {
    OctetPrepared *prepared;
    OctetGraph *quantized;
    OK(octet_prepare(graph, mapping, NULL, &prepared, &diagnostic));
    calibrate(prepared, 12, batch);
    OK(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic));
    octet_prepared_free(prepared);
    return quantized;
}

static const OctetQParams *output_grid(const OctetGraph *graph, const char *node) {
    const OctetNode *found = octet_graph_find_node(graph, node);
    assert_non_null(found);
    return octet_value_qparams(octet_node_output(found, 0));
}

static void assert_same_grids(const OctetGraph *a, const OctetGraph *b) {
    assert_int_equal(a->value_count, b->value_count);
    for (int32_t i = 0; i < a->value_count; i++) {
        assert_true(octet_qparams_equal(&a->values[i]->qparams, &b->values[i]->qparams));
    }
}

static void converts_a_residual_network(void **state) {
    (void)state;
    OctetGraph *graph = network();
    OctetGraph *quantized = quantize(graph, NULL, 4);
    const char *int8[] = {"conv1", "pool", "conv2", "add", "mean", "flatten"};
    for (size_t i = 0; i < sizeof int8 / sizeof int8[0]; i++) {
        const OctetNode *node = octet_graph_find_node(quantized, int8[i]);
        assert_non_null(node);
        if (!octet_node_is_int8(node)) {
            fail_msg("%s is not int8: %s", int8[i], octet_node_float_reason(node));
        }
    }
    /* the last product keeps its full precision, and what follows stays in float and says why */
    assert_null(output_grid(quantized, "linear"));
    assert_non_null(
        octet_value_qparams(octet_node_input(octet_graph_find_node(quantized, "linear"), 1)));
    assert_non_null(octet_node_float_reason(octet_graph_find_node(quantized, "softmax")));
    /* a mover shares its input's grid */
    assert_true(
        octet_qparams_equal(output_grid(quantized, "conv1"), output_grid(quantized, "pool")));
    /* weights are s8 per channel, the bias is s32 on the product of the scales */
    const OctetNode *layer = octet_graph_find_node(quantized, "conv2");
    const OctetQParams *x = octet_value_qparams(octet_node_input(layer, 0));
    const OctetQParams *w = octet_value_qparams(octet_node_input(layer, 1));
    const OctetQParams *b = octet_value_qparams(octet_node_input(layer, 2));
    assert_int_equal(w->dtype, OCTET_S8);
    assert_int_equal(w->count, 8);
    assert_int_equal(b->dtype, OCTET_S32);
    for (int64_t c = 0; c < 8; c++) {
        assert_true(b->scale[c] == x->scale[0] * w->scale[c]);
        assert_int_equal(w->zero_point[c], 0);
        float bias = -0.05f * (float)(c + 1);
        int32_t integer =
            ((const int32_t *)octet_value_tensor(octet_node_input(layer, 2))->data)[c];
        double exact = (double)bias / ((double)x->scale[0] * (double)w->scale[c]);
        assert_int_equal(integer, (int32_t)rint(exact));
    }
    octet_graph_free(quantized);
    octet_graph_free(graph);
}

static void int8_follows_float(void **state) {
    (void)state;
    OctetGraph *graph = network();
    OctetGraph *quantized = quantize(graph, NULL, 4);
    OctetSession *sessions[2];
    const OctetTensor *outputs[2];
    OctetTensor *x = samples(1, 0, 12);
    OK(octet_session_create(graph, NULL, &sessions[0], &diagnostic));
    OK(octet_session_create(quantized, NULL, &sessions[1], &diagnostic));
    for (int i = 0; i < 2; i++) {
        OK(octet_session_run(sessions[i], (const OctetTensor *[]){x}, 1, &outputs[i], 1,
                             &diagnostic));
    }
    double signal = 0;
    double noise = 0;
    for (size_t i = 0; i < outputs[0]->bytes / sizeof(float); i++) {
        double a = (double)((const float *)outputs[0]->data)[i];
        double b = (double)((const float *)outputs[1]->data)[i];
        signal += a * a;
        noise += (a - b) * (a - b);
    }
    assert_true(noise > 0);
    assert_true(10 * log10(signal / noise) > 30);
    octet_tensor_free(x);
    octet_session_free(sessions[0]);
    octet_session_free(sessions[1]);
    octet_graph_free(quantized);
    octet_graph_free(graph);
}

static void batches_change_nothing(void **state) {
    (void)state;
    static const OctetObserverType types[] = {OCTET_OBSERVER_MINMAX, OCTET_OBSERVER_HISTOGRAM,
                                              OCTET_OBSERVER_PERCENTILE, OCTET_OBSERVER_ENTROPY,
                                              OCTET_OBSERVER_MSE};
    OctetGraph *graph = network();
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        OctetQConfigMapping *mapping;
        OctetQConfig qconfig = octet_qconfig_default();
        qconfig.activation = octet_observer_options(types[i]);
        OK(octet_qconfig_mapping_create(&mapping, &diagnostic));
        OK(octet_qconfig_mapping_set_global(mapping, &qconfig, &diagnostic));
        OctetGraph *one = quantize(graph, mapping, 1);
        OctetGraph *all = quantize(graph, mapping, 12);
        assert_same_grids(one, all);
        octet_graph_free(one);
        octet_graph_free(all);
        octet_qconfig_mapping_free(mapping);
    }
    octet_graph_free(graph);
}

static void statistics_save_load_and_merge(void **state) {
    (void)state;
    char whole[] = "/tmp/octet_stats_XXXXXX";
    char shard[] = "/tmp/octet_stats_XXXXXX";
    close(mkstemp(whole));
    close(mkstemp(shard));
    OctetGraph *graph = network();
    OctetPrepared *prepared[4];
    OctetGraph *quantized[3];
    OctetTensor *x;
    for (int i = 0; i < 4; i++) {
        OK(octet_prepare(graph, NULL, NULL, &prepared[i], &diagnostic));
    }
    if (octet_calibrate_passes(prepared[0]) == 1) {
        calibrate(prepared[0], 12, 3);
        OK(octet_stats_save(prepared[0], whole, &diagnostic));
        OK(octet_stats_load(prepared[1], whole, &diagnostic));
        assert_int_equal(octet_calibrate_passes(prepared[1]), 0);
        /* two shards, one of them through a file */
        calibrate(prepared[2], 6, 3);
        x = samples(1, 6, 6);
        OK(octet_calibrate(prepared[3], (const OctetTensor *[]){x}, 1, &diagnostic));
        octet_tensor_free(x);
        OK(octet_stats_save(prepared[3], shard, &diagnostic));
        OK(octet_stats_merge(prepared[2], shard, &diagnostic));
        for (int i = 0; i < 3; i++) {
            OK(octet_convert(prepared[i], NULL, &quantized[i], NULL, &diagnostic));
        }
        assert_same_grids(quantized[0], quantized[1]);
        assert_same_grids(quantized[0], quantized[2]);
        for (int i = 0; i < 3; i++) {
            octet_graph_free(quantized[i]);
        }
    } else {
        fail_msg("the default observer needs two passes; this test wants one");
    }
    for (int i = 0; i < 4; i++) {
        octet_prepared_free(prepared[i]);
    }
    octet_graph_free(graph);
    unlink(whole);
    unlink(shard);
}

static void refuses_broken_statistics(void **state) {
    (void)state;
    char path[] = "/tmp/octet_stats_XXXXXX";
    unsigned char bytes[1 << 16];
    close(mkstemp(path));
    OctetGraph *graph = network();
    OctetPrepared *prepared;
    OK(octet_prepare(graph, NULL, NULL, &prepared, &diagnostic));
    calibrate(prepared, 4, 4);
    OK(octet_stats_save(prepared, path, &diagnostic));
    FILE *file = fopen(path, "rb");
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_true(size > 100 && size < sizeof bytes);
    for (size_t length = 0; length < size; length += 7) {
        OctetPrepared *other;
        file = fopen(path, "wb");
        fwrite(bytes, 1, length, file);
        fclose(file);
        OK(octet_prepare(graph, NULL, NULL, &other, &diagnostic));
        memset(&diagnostic, 0, sizeof diagnostic);
        assert_int_not_equal(octet_stats_load(other, path, &diagnostic), OCTET_OK);
        assert_true(diagnostic.message[0] != '\0' && diagnostic.file[0] != '\0');
        octet_prepared_free(other);
    }
    octet_prepared_free(prepared);
    octet_graph_free(graph);
    unlink(path);
}

static void says_when_calls_are_out_of_order(void **state) {
    (void)state;
    OctetGraph *graph = network();
    OctetPrepared *prepared;
    OctetPrepared *again;
    OctetGraph *quantized;
    OctetGraph *second;
    OK(octet_prepare(graph, NULL, NULL, &prepared, &diagnostic));
    memset(&diagnostic, 0, sizeof diagnostic);
    assert_int_equal(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic),
                     OCTET_ERROR_STATE);
    assert_non_null(strstr(diagnostic.message, "nothing was calibrated"));
    calibrate(prepared, 4, 2);
    OK(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic));
    memset(&diagnostic, 0, sizeof diagnostic);
    assert_int_equal(octet_convert(prepared, NULL, &second, NULL, &diagnostic), OCTET_ERROR_STATE);
    assert_null(second);
    OctetTensor *x = samples(1, 0, 1);
    assert_int_equal(octet_calibrate(prepared, (const OctetTensor *[]){x}, 1, NULL),
                     OCTET_ERROR_STATE);
    octet_tensor_free(x);
    assert_int_equal(octet_prepare(quantized, NULL, NULL, &again, NULL), OCTET_ERROR_STATE);
    assert_null(again);
    octet_graph_free(quantized);
    octet_prepared_free(prepared);
    octet_graph_free(graph);
}

static void leaves_what_it_is_told_to(void **state) {
    (void)state;
    OctetGraph *graph = network();
    OctetQConfigMapping *mapping;
    OctetQConfig none = octet_qconfig_none();
    OK(octet_qconfig_mapping_create(&mapping, &diagnostic));
    OK(octet_qconfig_mapping_set_name(mapping, "conv2", &none, &diagnostic));
    OK(octet_qconfig_mapping_set_type(mapping, "Gemm", &none, &diagnostic));
    OctetGraph *quantized = quantize(graph, mapping, 4);
    const OctetNode *layer = octet_graph_find_node(quantized, "conv2");
    assert_false(octet_node_is_int8(layer));
    assert_null(octet_value_qparams(octet_node_input(layer, 1)));
    assert_non_null(strstr(octet_node_float_reason(layer), "configuration"));
    assert_false(octet_node_is_int8(octet_graph_find_node(quantized, "linear")));
    assert_true(octet_node_is_int8(octet_graph_find_node(quantized, "conv1")));
    /* nothing int8 comes after the sum any more */
    assert_false(octet_node_is_int8(octet_graph_find_node(quantized, "add")));
    octet_graph_free(quantized);
    octet_qconfig_mapping_free(mapping);
    octet_graph_free(graph);
}

/* The network of the question: zero weights, and a bias that takes half of int32 or more. */
static OctetGraph *question(float bias) {
    float weight[2 * 5 * 9] = {0};
    float biases[2] = {bias, bias};
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &(OctetShape){4, {1, 5, 7, 7}});
    OctetConvOptions options = {.out_channels = 2, .kernel = {3, 3}};
    octet_graph_output(graph, octet_graph_conv(graph, "conv", x, &options, weight, biases), "y");
    OK(octet_graph_finish(graph, &diagnostic));
    return graph;
}

static void large_biases_come_out_right(void **state) {
    (void)state;
    static const float biases[] = {0.5f, 1.5f, 100, 1e6f, -1.5f, -1e6f};
    for (size_t i = 0; i < sizeof biases / sizeof biases[0]; i++) {
        OctetGraph *graph = question(biases[i]);
        OctetPrepared *prepared;
        OctetGraph *quantized;
        OctetConvertReport report;
        OctetSession *session;
        OctetTensor *x;
        const OctetTensor *y;
        OctetQConfigMapping *mapping;
        OctetQConfig qconfig;
        OK(octet_qconfig_by_name("onednn", &qconfig, &diagnostic));
        qconfig.activation = octet_observer_options(OCTET_OBSERVER_MINMAX);
        OK(octet_qconfig_mapping_create(&mapping, &diagnostic));
        OK(octet_qconfig_mapping_set_global(mapping, &qconfig, &diagnostic));
        OK(octet_tensor_create(OCTET_F32, &(OctetShape){4, {1, 5, 7, 7}}, &x, &diagnostic));
        for (size_t k = 0; k < x->bytes / sizeof(float); k++) {
            ((float *)x->data)[k] = 1;
        }
        OK(octet_prepare(graph, mapping, NULL, &prepared, &diagnostic));
        OK(octet_calibrate(prepared, (const OctetTensor *[]){x}, 1, &diagnostic));
        OK(octet_convert(prepared, NULL, &quantized, &report, &diagnostic));
        assert_int_equal(report.repair_count, fabsf(biases[i]) > 1 ? 2 : 0);
        OK(octet_session_create(quantized, NULL, &session, &diagnostic));
        OK(octet_session_run(session, (const OctetTensor *[]){x}, 1, &y, 1, &diagnostic));
        const OctetQParams *grid =
            octet_value_qparams(octet_node_output(octet_graph_find_node(quantized, "conv"), 0));
        assert_non_null(grid);
        for (size_t k = 0; k < y->bytes / sizeof(float); k++) {
            /* the end of the output's grid, to the bit */
            int32_t end = biases[i] > 0 ? 255 : 0;
            assert_true(((const float *)y->data)[k] ==
                        (float)(end - grid->zero_point[0]) * grid->scale[0]);
        }
        octet_session_free(session);
        octet_tensor_free(x);
        octet_graph_free(quantized);
        octet_prepared_free(prepared);
        octet_qconfig_mapping_free(mapping);
        octet_graph_free(graph);
    }
}

static void a_nan_bias_is_an_error_that_names_the_node(void **state) {
    (void)state;
    OctetGraph *graph = question(NAN);
    OctetPrepared *prepared;
    OctetGraph *quantized;
    OctetTensor *x;
    OK(octet_tensor_create(OCTET_F32, &(OctetShape){4, {1, 5, 7, 7}}, &x, &diagnostic));
    OK(octet_prepare(graph, NULL, NULL, &prepared, &diagnostic));
    OK(octet_calibrate(prepared, (const OctetTensor *[]){x}, 1, &diagnostic));
    memset(&diagnostic, 0, sizeof diagnostic);
    assert_int_equal(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic),
                     OCTET_ERROR_NUMERIC);
    assert_string_equal(diagnostic.node, "conv");
    octet_tensor_free(x);
    octet_prepared_free(prepared);
    octet_graph_free(graph);
}

static void a_shared_bias_is_duplicated(void **state) {
    (void)state;
    float weight[8 * 3 * 9];
    float bias[8];
    for (size_t i = 0; i < sizeof weight / sizeof weight[0]; i++) {
        weight[i] = (float)((int)(i % 13) - 6) * 0.1f;
    }
    for (size_t i = 0; i < 8; i++) {
        bias[i] = (float)i * 0.25f;
    }
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetConvOptions options = {.out_channels = 8, .kernel = {3, 3}, .padding = {1, 1}};
    OctetValue *a = octet_graph_conv(graph, "a", x, &options, weight, bias);
    float other[8 * 8 * 9] = {0.5f, -0.25f};
    OctetValue *b = octet_graph_conv(graph, "b", a, &options, other, bias);
    octet_graph_output(graph, b, "y");
    OK(octet_graph_finish(graph, &diagnostic));
    /* exporters share initializers: let both use the first one */
    OctetValue *shared = a->producer->inputs[2];
    b->producer->inputs[2] = shared;
    OctetGraph *quantized = quantize(graph, NULL, 4);
    const OctetNode *nodes[2] = {octet_graph_find_node(quantized, "a"),
                                 octet_graph_find_node(quantized, "b")};
    for (int i = 0; i < 2; i++) {
        const OctetQParams *in = octet_value_qparams(octet_node_input(nodes[i], 0));
        const OctetQParams *w = octet_value_qparams(octet_node_input(nodes[i], 1));
        const OctetQParams *q = octet_value_qparams(octet_node_input(nodes[i], 2));
        for (int64_t c = 0; c < 8; c++) {
            assert_true(q->scale[c] == in->scale[0] * w->scale[c]);
        }
    }
    assert_ptr_not_equal(octet_node_input(nodes[0], 2), octet_node_input(nodes[1], 2));
    octet_graph_free(quantized);
    octet_graph_free(graph);
}

/* x -> conv a -> relu -> conv b -> relu -> y, with stubs around what stands from..to. */
static OctetGraph *stubbed(bool quant_before_b, bool dequant_after_a) {
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    if (!quant_before_b) {
        x = octet_graph_quant_stub(graph, x);
    }
    OctetValue *a = octet_graph_relu(graph, "relu_a", conv(graph, "a", x, 3, 8, 0.1f));
    if (quant_before_b) {
        a = octet_graph_quant_stub(graph, a);
    }
    if (dequant_after_a) {
        a = octet_graph_dequant_stub(graph, a);
    }
    OctetValue *b = octet_graph_relu(graph, "relu_b", conv(graph, "b", a, 8, 8, 0.1f));
    octet_graph_output(graph, octet_graph_dequant_stub(graph, b), "y");
    OK(octet_graph_finish(graph, &diagnostic));
    OK(octet_fuse(graph, &diagnostic));
    return graph;
}

static void stubs_set_the_borders(void **state) {
    (void)state;
    for (int which = 0; which < 2; which++) {
        OctetGraph *graph = which ? stubbed(true, false) : stubbed(false, true);
        OctetGraph *quantized = quantize(graph, NULL, 4);
        const OctetNode *a = octet_graph_find_node(quantized, "a");
        const OctetNode *b = octet_graph_find_node(quantized, "b");
        assert_int_equal(octet_node_is_int8(a), which == 0);
        assert_int_equal(octet_node_is_int8(b), which == 1);
        assert_non_null(strstr(octet_node_float_reason(which ? a : b), "stubs"));
        octet_graph_free(quantized);
        octet_graph_free(graph);
    }
}

static void the_wrapper_is_stubs_around_everything(void **state) {
    (void)state;
    OctetGraph *graph = network();
    OctetGraph *wrapped;
    OK(octet_graph_clone(graph, &wrapped, &diagnostic));
    OK(octet_quant_wrapper(wrapped, &diagnostic));
    assert_int_equal(octet_graph_node_count(wrapped), octet_graph_node_count(graph) + 2);
    assert_string_equal(octet_value_name(octet_graph_output_at(wrapped, 0)), "y");
    OctetGraph *plain = quantize(graph, NULL, 4);
    OctetGraph *quantized = quantize(wrapped, NULL, 4);
    static const char *const nodes[] = {"conv1", "conv2", "add", "mean", "linear"};
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++) {
        const OctetQParams *p = output_grid(plain, nodes[i]);
        const OctetQParams *q = output_grid(quantized, nodes[i]);
        assert_true((p == NULL) == (q == NULL));
        assert_true(!p || octet_qparams_equal(p, q));
    }
    octet_graph_free(plain);
    octet_graph_free(quantized);
    octet_graph_free(wrapped);
    octet_graph_free(graph);
}

static void modules_fuse_by_name(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *a = octet_graph_relu(graph, "relu_a", conv(graph, "a", x, 3, 8, 0.1f));
    OctetValue *b = octet_graph_relu(graph, "relu_b", conv(graph, "b", a, 8, 8, 0.1f));
    octet_graph_output(graph, b, "y");
    OK(octet_graph_finish(graph, &diagnostic));
    OK(octet_fuse_modules(graph, (const char *[]){"b", "relu_b"}, 2, &diagnostic));
    assert_int_equal(octet_graph_node_count(graph), 3);
    assert_non_null(octet_graph_find_node(graph, "relu_a"));
    assert_string_equal(octet_node_activation(octet_graph_find_node(graph, "b")), "relu");
    assert_string_equal(octet_node_activation(octet_graph_find_node(graph, "a")), "");
    static const char *const wrong[][2] = {{"a", "b"}, {"relu_a", "b"}, {"a", "nobody"}};
    for (size_t i = 0; i < 3; i++) {
        memset(&diagnostic, 0, sizeof diagnostic);
        assert_int_equal(octet_fuse_modules(graph, wrong[i], 2, &diagnostic),
                         OCTET_ERROR_INVALID_ARGUMENT);
        assert_true(diagnostic.message[0] != 0);
        assert_int_equal(octet_graph_node_count(graph), 3);
    }
    OK(octet_fuse_modules(graph, (const char *[]){"a", "relu_a"}, 2, &diagnostic));
    assert_int_equal(octet_graph_node_count(graph), 2);
    octet_graph_free(graph);
}

/* conv -> softmax -> a 1x1 convolution -> softmax -> conv: an island of one layer. */
static void expect_island(int64_t outputs, bool int8) {
    float weight[8 * 16];
    for (size_t i = 0; i < 128; i++) {
        weight[i] = (float)((int)(i * 13 % 23) - 11) * 0.05f;
    }
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *a = conv(graph, "first", x, 3, 8, 0.1f);
    OctetValue *b = octet_graph_operator(graph, "Softmax", "before", &a, 1);
    b->dtype = OCTET_F32;
    b->shape = a->shape;
    OctetConvOptions options = {.out_channels = outputs, .kernel = {1, 1}};
    OctetValue *c = octet_graph_conv(graph, "island", b, &options, weight, NULL);
    OctetValue *d = octet_graph_operator(graph, "Softmax", "behind", &c, 1);
    d->dtype = OCTET_F32;
    d->shape = c->shape;
    octet_graph_output(graph, conv(graph, "last", d, outputs, 4, 0.1f), "y");
    OK(octet_graph_finish(graph, &diagnostic));
    OctetGraph *quantized = quantize(graph, NULL, 4);
    assert_true(octet_node_is_int8(octet_graph_find_node(quantized, "first")));
    assert_true(octet_node_is_int8(octet_graph_find_node(quantized, "last")));
    const OctetNode *island = octet_graph_find_node(quantized, "island");
    assert_int_equal(octet_node_is_int8(island), int8);
    if (!int8) {
        assert_non_null(strstr(octet_node_float_reason(island), "take longer than int8 saves"));
    }
    octet_graph_free(quantized);
    octet_graph_free(graph);
}

/* 8 inputs are converted for each pixel; each output saves 8 multiplications. */
static void an_island_must_pay_for_its_conversions(void **state) {
    (void)state;
    expect_island(2, false);
    expect_island(16, true);
}

static OctetValue *scalar(OctetGraph *graph, const char *name, float number) {
    OctetTensor *tensor;
    OK(octet_tensor_create(OCTET_F32, &(OctetShape){.rank = 0}, &tensor, &diagnostic));
    *(float *)tensor->data = number;
    OctetValue *value = octet_graph_constant(graph, name, tensor);
    octet_tensor_free(tensor);
    return value;
}

static OctetValue *apply(OctetGraph *graph, const char *op_type, const char *name, OctetValue *a,
                         OctetValue *b) {
    OctetValue *value =
        octet_graph_operator(graph, op_type, name, (OctetValue *[]){a, b}, b ? 2 : 1);
    value->dtype = OCTET_F32;
    value->shape = a->shape;
    return value;
}

/* conv -> function -> conv; "spelled": HardSwish in five nodes. */
static OctetGraph *with_function(const char *function) {
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *a = conv(graph, "first", x, 3, 8, -2), *b;
    if (strcmp(function, "spelled") == 0) {
        OctetValue *low = scalar(graph, "low", 0), *high = scalar(graph, "high", 6);
        OctetValue *sum = apply(graph, "Add", "add", a, scalar(graph, "three", 3));
        OctetValue *gate =
            octet_graph_operator(graph, "Clip", "clip", (OctetValue *[]){sum, low, high}, 3);
        gate->dtype = OCTET_F32;
        gate->shape = a->shape;
        b = apply(graph, "Div", "div", apply(graph, "Mul", "mul", a, gate),
                  scalar(graph, "six", 6));
    } else {
        b = apply(graph, function, "function", a, NULL);
    }
    octet_graph_output(graph, conv(graph, "last", b, 8, 4, 0.1f), "y");
    OK(octet_graph_finish(graph, &diagnostic));
    OK(octet_fuse(graph, &diagnostic));
    return graph;
}

/* The lowest and highest numbers of the first convolution's grid. */
static void ends_of(const OctetGraph *graph, const char *qconfig_name, float *low, float *high) {
    OctetQConfigMapping *mapping;
    OctetQConfig qconfig;
    OK(octet_qconfig_mapping_create(&mapping, &diagnostic));
    OK(octet_qconfig_by_name(qconfig_name, &qconfig, &diagnostic));
    qconfig.activation.type = OCTET_OBSERVER_MINMAX;
    OK(octet_qconfig_mapping_set_global(mapping, &qconfig, &diagnostic));
    OctetGraph *quantized = quantize(graph, mapping, 4);
    const OctetQParams *grid = output_grid(quantized, "first");
    *low = (float)(0 - grid->zero_point[0]) * grid->scale[0];
    *high = (float)(255 - grid->zero_point[0]) * grid->scale[0];
    octet_graph_free(quantized);
    octet_qconfig_mapping_free(mapping);
}

static void grids_end_where_functions_are_flat(void **state) {
    (void)state;
    static const struct {
        const char *name;
        float low;
    } functions[] = {{"HardSwish", -3}, {"spelled", -3}, {"HardSigmoid", -2.5f}};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        float low, high, torch_low, torch_high;
        OctetGraph *graph = with_function(functions[i].name);
        ends_of(graph, "octet", &low, &high);
        ends_of(graph, "onednn", &torch_low, &torch_high);
        octet_graph_free(graph);
        assert_true(torch_low < -10);
        /* the lowest integer lies in the flat part, by less than a step */
        assert_true(low <= functions[i].low);
        assert_true(low > functions[i].low - (high - low) / 255);
    }
    /* Tanh is flat nowhere */
    float low, high, torch_low, torch_high;
    OctetGraph *graph = with_function("Tanh");
    ends_of(graph, "octet", &low, &high);
    ends_of(graph, "onednn", &torch_low, &torch_high);
    octet_graph_free(graph);
    assert_true(low == torch_low && high == torch_high);
}

static void observers_that_compute_nothing(void **state) {
    (void)state;
    OctetGraph *graph = network();
    for (int type = OCTET_OBSERVER_PLACEHOLDER; type <= OCTET_OBSERVER_REUSE_INPUT; type++) {
        OctetQConfig qconfig = octet_qconfig_default();
        OctetQConfigMapping *mapping;
        OctetPrepared *prepared;
        qconfig.activation.type = (OctetObserverType)type;
        OK(octet_qconfig_mapping_create(&mapping, &diagnostic));
        memset(&diagnostic, 0, sizeof diagnostic);
        OctetStatus set = octet_qconfig_mapping_set_type(mapping, "Conv", &qconfig, &diagnostic);
        if (type != OCTET_OBSERVER_NOOP) {
            assert_int_equal(set, OCTET_ERROR_INVALID_ARGUMENT);
            assert_non_null(
                strstr(diagnostic.message, octet_observer_type_name((OctetObserverType)type)));
        } else {
            OctetGraph *quantized;
            OK(octet_prepare(graph, mapping, NULL, &prepared, &diagnostic));
            calibrate(prepared, 4, 2);
            OK(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic));
            const OctetNode *conv = octet_graph_find_node(quantized, "conv2");
            assert_false(octet_node_is_int8(conv));
            assert_non_null(strstr(octet_node_float_reason(conv), "noop"));
            octet_graph_free(quantized);
            octet_prepared_free(prepared);
        }
        octet_qconfig_mapping_free(mapping);
    }
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stubs_set_the_borders),
        cmocka_unit_test(the_wrapper_is_stubs_around_everything),
        cmocka_unit_test(modules_fuse_by_name),
        cmocka_unit_test(observers_that_compute_nothing),
        cmocka_unit_test(converts_a_residual_network),
        cmocka_unit_test(int8_follows_float),
        cmocka_unit_test(batches_change_nothing),
        cmocka_unit_test(statistics_save_load_and_merge),
        cmocka_unit_test(refuses_broken_statistics),
        cmocka_unit_test(says_when_calls_are_out_of_order),
        cmocka_unit_test(leaves_what_it_is_told_to),
        cmocka_unit_test(large_biases_come_out_right),
        cmocka_unit_test(a_nan_bias_is_an_error_that_names_the_node),
        cmocka_unit_test(a_shared_bias_is_duplicated),
        cmocka_unit_test(an_island_must_pay_for_its_conversions),
        cmocka_unit_test(grids_end_where_functions_are_flat),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
