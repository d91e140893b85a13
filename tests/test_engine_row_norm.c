/* Layer normalizations that a model spells out become one step with the very bytes of the nine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "networks.h"

enum { ROWS = 5, WIDTH = 70 };

/* What a variant of the chain has that another has not. */
typedef struct Variant {
    bool product; /* d * d instead of Pow(d, 2) */
    bool scale, shift;
    bool used_inside; /* the centered rows are an output as well: no fusion */
    bool cubed;       /* Pow(d, 3): something else */
} Variant;

static Value mean_of(Net *net, Value x) {
    Value mean = OP(net, "ReduceMean", x);
    SET_INTS(net, mean, "axes", -1);
    return mean;
}

static OctetGraph *build(const Variant *variant) {
    Net net = {.graph = octet_graph_create(), .seed = 1};
    OctetDiagnostic diagnostic = {0};
    Value x = octet_graph_input(net.graph, "x", OCTET_F32, &(OctetShape){3, {2, ROWS, WIDTH}});
    Value centered = OP(&net, "Sub", x, mean_of(&net, x));
    Value square = variant->product
                       ? OP(&net, "Mul", centered, centered)
                       : OP(&net, "Pow", centered, scalar(&net, variant->cubed ? 3 : 2));
    Value variance = OP(&net, "Add", mean_of(&net, square), scalar(&net, 0.25f));
    Value y = OP(&net, "Div", centered, OP(&net, "Sqrt", variance));
    if (variant->scale) {
        y = OP(&net, "Mul", y, numbers(&net, (OctetShape){1, {WIDTH}}, 1, 0.5f));
    }
    if (variant->shift) {
        y = OP(&net, "Add", numbers(&net, (OctetShape){1, {WIDTH}}, 0, 0.2f), y);
    }
    octet_graph_output(net.graph, y, "y");
    if (variant->used_inside) {
        octet_graph_output(net.graph, centered, "centered");
    }
    assert_int_equal(octet_graph_finish(net.graph, &diagnostic), OCTET_OK);
    return net.graph;
}

static OctetStatus ignore(void *user, const OctetValue *value, const OctetTensor *tensor) {
    (void)user;
    (void)value;
    (void)tensor;
    return OCTET_OK;
}

/* Runs; says whether the fused step was there. */
static bool run(const OctetGraph *graph, bool observed, const OctetTensor *input, void *result) {
    OctetSessionOptions options = {.observe = observed ? ignore : NULL};
    OctetSession *session;
    const OctetTensor *outputs[2];
    OctetDiagnostic diagnostic = {0};
    bool fused = false;
    assert_int_equal(octet_session_create(graph, &options, &session, &diagnostic), OCTET_OK);
    if (octet_session_run(session, &input, 1, outputs, octet_graph_output_count(graph),
                          &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    for (size_t i = 0; i < octet_session_node_count(session); i++) {
        OctetNodeInfo info;
        octet_session_node_info(session, i, &info);
        fused = fused || strcmp(info.op_type, "NormalizeRows") == 0;
    }
    memcpy(result, outputs[0]->data, outputs[0]->bytes);
    octet_session_free(session);
    return fused;
}

static void check(const Variant *variant, bool fuses) {
    static float together[2 * ROWS * WIDTH], apart[2 * ROWS * WIDTH];
    OctetGraph *graph = build(variant);
    OctetTensor *input;
    uint32_t seed = 3;
    assert_int_equal(
        octet_tensor_create(OCTET_F32, &(OctetShape){3, {2, ROWS, WIDTH}}, &input, NULL), OCTET_OK);
    for (size_t i = 0; i < 2 * ROWS * WIDTH; i++) {
        ((float *)input->data)[i] = 3 * next_number(&seed);
    }
    assert_int_equal(run(graph, false, input, together), fuses);
    assert_false(run(graph, true, input, apart));
    assert_memory_equal(together, apart, sizeof apart);
    octet_tensor_free(input);
    octet_graph_free(graph);
}

static void test_variants(void **state) {
    (void)state;
    for (int bits = 0; bits < 8; bits++) {
        Variant variant = {.product = bits & 1, .scale = bits & 2, .shift = bits & 4};
        check(&variant, true);
    }
}

static void test_no_fusion(void **state) {
    (void)state;
    check(&(Variant){.scale = true, .used_inside = true}, false);
    check(&(Variant){.scale = true, .cubed = true}, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_variants),
                                       cmocka_unit_test(test_no_fusion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
