/* Every allocation of a session's life fails once: an error each time, nothing lost, and the next
 * attempt works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "ir/op.h"
#include "octet/octet.h"

static long countdown; /* allocations until one fails; below 0: none does */
static long living;

static void *failing_reallocate(void *pointer, size_t size, void *user) {
    (void)user;
    if (countdown == 0) {
        return NULL;
    }
    countdown--;
    living += pointer == NULL;
    return realloc(pointer, size);
}

static void counting_release(void *pointer, void *user) {
    (void)user;
    living -= pointer != NULL;
    free(pointer);
}

/* Two convolutions with a residual addition and a dense layer, on grids, as a quantized file gives
 * it after import. */
static OctetGraph *network(bool quantized) {
    enum { CHANNELS = 4, SIZE = 6 };
    static float weight[CHANNELS * CHANNELS * 9];
    static float bias[CHANNELS];
    static float dense[3 * CHANNELS * SIZE * SIZE];
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 4, .dims = {-1, CHANNELS, SIZE, SIZE}};
    OctetConvOptions options = {.out_channels = CHANNELS, .kernel = {3, 3}, .padding = {1, 1}};
    for (size_t i = 0; i < sizeof weight / sizeof *weight; i++) {
        weight[i] = (float)((int)(i * 7 % 11) - 5) * 0.05f;
    }
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++) {
        dense[i] = (float)((int)(i * 5 % 13) - 6) * 0.02f;
    }
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *a = octet_graph_conv(graph, "a", x, &options, weight, bias);
    OctetValue *r = octet_graph_relu(graph, "r", a);
    OctetValue *b = octet_graph_conv(graph, "b", r, &options, weight, NULL);
    OctetValue *s = octet_graph_add(graph, "s", b, r);
    OctetValue *h = octet_graph_operator(graph, "HardSwish", "h", &s, 1);
    OctetValue *f = octet_graph_operator(graph, "Flatten", "f", &h, 1);
    OctetValue *y = octet_graph_linear(graph, "y", f, CHANNELS * SIZE * SIZE, 3, dense, NULL);
    OctetDiagnostic diagnostic = {0};
    octet_graph_output(graph, y, "y");
    if (octet_graph_finish(graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    for (int32_t i = 0; quantized && i < graph->value_count; i++) {
        OctValue *value = graph->values[i];
        float scale = 0.05f;
        int32_t zero_point = 3;
        OctetQParams q = {
            .dtype = OCTET_S8, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
        if (!value->constant && value->dtype == OCTET_F32) {
            assert_true(oct_graph_set_qparams(graph, value, &q));
        } else if (value->constant && value->shape.rank > 1) {
            OctetTensor *integers;
            zero_point = 0;
            scale = 0.01f;
            assert_int_equal(octet_quantize(oct_value_tensor(value), &q, OCTET_QUANTIZE_DIVIDE,
                                            &integers, NULL, NULL),
                             OCTET_OK);
            assert_true(oct_value_set_constant(value, integers));
        }
    }
    graph->quantized = quantized;
    return graph;
}

static OctetStatus life(const OctetGraph *graph, const OctetTensor *input, float *result) {
    OctetSession *session = NULL;
    const OctetTensor *output;
    OctetDiagnostic diagnostic = {0};
    OctetStatus status = octet_session_create(graph, NULL, &session, &diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_run(session, &input, 1, &output, 1, &diagnostic);
    }
    if (status == OCTET_OK) {
        memcpy(result, output->data, 3 * sizeof *result);
    }
    octet_session_free(session);
    return status;
}

static void check(bool quantized) {
    float expected[3];
    float result[3];
    OctetTensor *input;
    OctetShape shape = {.rank = 4, .dims = {1, 4, 6, 6}};
    octet_set_allocator(failing_reallocate, counting_release, NULL);
    countdown = -1;
    OctetGraph *graph = network(quantized);
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &input, NULL), OCTET_OK);
    for (size_t i = 0; i < input->bytes / sizeof(float); i++) {
        ((float *)input->data)[i] = (float)(i % 17) * 0.1f - 0.6f;
    }
    assert_int_equal(life(graph, input, expected), OCTET_OK);
    long before = living;
    OctetStatus status = OCTET_ERROR_OUT_OF_MEMORY;
    long failures = 0;
    for (long n = 0; status != OCTET_OK; n++) {
        countdown = n;
        status = life(graph, input, result);
        countdown = -1;
        assert_int_equal(living, before);
        if (status != OCTET_OK) {
            assert_int_equal(status, OCTET_ERROR_OUT_OF_MEMORY);
            failures++;
        }
    }
    assert_true(failures > 50);
    assert_memory_equal(result, expected, sizeof expected);
    octet_tensor_free(input);
    octet_graph_free(graph);
    octet_set_allocator(NULL, NULL, NULL);
}

static void test_float(void **state) {
    (void)state;
    check(false);
}

static void test_quantized(void **state) {
    (void)state;
    check(true);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_float),
        cmocka_unit_test(test_quantized),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
