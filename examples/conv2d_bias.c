/* The question that Octet began with, in Octet's own words: a convolution whose weights are all
 * zero and whose bias is 0.5 is quantized as PyTorch quantizes it. The integers come out right,
 * although nobody converts the bias. Who does, and to what?
 *
 *   Conv2d(5, 2, 3), weights 0, bias 0.5
 *   QConfig(activation=MinMaxObserver,
 *           weight=PerChannelMinMaxObserver.with_args(dtype=qint8, qscheme=per_channel_affine))
 *   prepare; 1000 passes over ones(2, 5, 7, 7); convert; model(ones(1, 5, 7, 7)) */
#include <octet/octet.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void check(OctetStatus status, const OctetDiagnostic *diagnostic) {
    if (status != OCTET_OK) {
        char text[1500];
        octet_diagnostic_format(diagnostic, text, sizeof text);
        fprintf(stderr, "conv2d_bias: %s\n", text);
        exit(1);
    }
}

static OctetTensor *ones(int64_t batch, OctetDiagnostic *diagnostic) {
    OctetTensor *tensor;
    check(octet_tensor_create(OCTET_F32, &(OctetShape){4, {batch, 5, 7, 7}}, &tensor, diagnostic),
          diagnostic);
    for (size_t i = 0; i < tensor->bytes / sizeof(float); i++) {
        ((float *)tensor->data)[i] = 1;
    }
    return tensor;
}

static OctetGraph *build(OctetDiagnostic *diagnostic) {
    static const float weight[2 * 5 * 3 * 3]; /* nn.init.zeros_ */
    static const float bias[2] = {.5f, .5f};
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &(OctetShape){4, {-1, 5, 7, 7}});
    OctetConvOptions options = {.out_channels = 2, .kernel = {3, 3}};
    OctetValue *y = octet_graph_conv(graph, "conv", x, &options, weight, bias);
    octet_graph_output(graph, y, "y");
    check(octet_graph_finish(graph, diagnostic), diagnostic);
    return graph;
}

static OctetGraph *quantize(const OctetGraph *graph, OctetDiagnostic *diagnostic) {
    OctetQConfig qconfig = {.quantize = true};
    OctetQConfigMapping *mapping;
    OctetPrepared *prepared;
    OctetGraph *quantized;
    qconfig.activation = octet_observer_options(OCTET_OBSERVER_MINMAX);
    qconfig.weight = octet_observer_options(OCTET_OBSERVER_PER_CHANNEL_MINMAX);
    qconfig.weight.spec.dtype = OCTET_S8;
    qconfig.weight.spec.qscheme = OCTET_PER_CHANNEL_AFFINE;
    check(octet_qconfig_mapping_create(&mapping, diagnostic), diagnostic);
    check(octet_qconfig_mapping_set_global(mapping, &qconfig, diagnostic), diagnostic);
    check(octet_prepare(graph, mapping, NULL, &prepared, diagnostic), diagnostic);
    OctetTensor *x = ones(2, diagnostic);
    for (int i = 0; i < 1000; i++) {
        check(octet_calibrate(prepared, (const OctetTensor *[]){x}, 1, diagnostic), diagnostic);
    }
    check(octet_convert(prepared, NULL, &quantized, NULL, diagnostic), diagnostic);
    octet_tensor_free(x);
    octet_prepared_free(prepared);
    octet_qconfig_mapping_free(mapping);
    return quantized;
}

static void tell(const OctetGraph *graph) {
    const OctetNode *conv = octet_graph_find_node(graph, "conv");
    const OctetQParams *x = octet_value_qparams(octet_node_input(conv, 0));
    const OctetQParams *w = octet_value_qparams(octet_node_input(conv, 1));
    const OctetQParams *y = octet_value_qparams(octet_node_output(conv, 0));
    const int32_t *bias = octet_value_tensor(octet_node_input(conv, 2))->data;
    double step = (double)x->scale[0] * (double)w->scale[0];
    printf("\nHow the bias became an int32, channel 0:\n"
           "  input    scale %.17g (1/255), zero point %d\n"
           "  weights  scale %.17g (2^%d, the least there is, since all are 0), zero point %d\n"
           "  The products that the convolution sums are steps of input scale * weight scale\n"
           "  = %.17g. The bias is added to that sum, so it must be counted in the same\n"
           "  steps: 0.5 / %.10g, rounded half to even, is the int32\n"
           "      %d\n"
           "  (%.1f%% of int32's range). The zero weights add exactly 0, whatever the input is.\n"
           "  The sum is multiplied by (input scale * weight scale) / output scale\n"
           "      %d * %.10g / %.17g = %.6f\n"
           "  and rounded: the byte %.0f, which stands for %.0f * %.17g = %g.\n",
           (double)x->scale[0], x->zero_point[0], (double)w->scale[0],
           (int)log2((double)w->scale[0]), w->zero_point[0], step, step, bias[0],
           100.0 * bias[0] / 2147483647.0, bias[0], step, (double)y->scale[0],
           bias[0] * step / (double)y->scale[0], rint(bias[0] * step / (double)y->scale[0]),
           rint(bias[0] * step / (double)y->scale[0]), (double)y->scale[0],
           rint(bias[0] * step / (double)y->scale[0]) * (double)y->scale[0]);
}

int main(int argc, char **argv) {
    OctetDiagnostic diagnostic = {0};
    OctetGraph *graph = build(&diagnostic);
    OctetGraph *quantized = quantize(graph, &diagnostic);
    OctetSession *session;
    OctetSessionOptions options = {.int8_outputs = true, .requantize = OCTET_REQUANTIZE_QNNPACK};
    check(octet_session_create(quantized, &options, &session, &diagnostic), &diagnostic);
    OctetTensor *x = ones(1, &diagnostic);
    const OctetTensor *y;
    OctetTensor *integers;
    check(octet_session_run(session, (const OctetTensor *[]){x}, 1, &y, 1, &diagnostic),
          &diagnostic);
    check(octet_int_repr(y, &integers, &diagnostic), &diagnostic);
    check(octet_tensor_print(integers, stdout, &diagnostic), &diagnostic);
    check(octet_tensor_print(y, stdout, &diagnostic), &diagnostic);
    tell(quantized);
    if (argc > 1) {
        check(octet_model_save(quantized, argv[1], NULL, &diagnostic), &diagnostic);
        printf("\nWritten to %s; octet explain tells more of it.\n", argv[1]);
    }
    octet_tensor_free(integers);
    octet_tensor_free(x);
    octet_session_free(session);
    octet_graph_free(quantized);
    octet_graph_free(graph);
    return 0;
}
