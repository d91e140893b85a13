#include "ptq/layer.h"

#include "base/diag.h"
#include "quant/bias.h"

#include <string.h>

static OctetStatus weight_qparams(const OctNode *node, const OctetQConfig *qconfig,
                                  OctetQParams *qparams, OctetDiagnostic *diagnostic) {
    const OctetTensor *weight = oct_value_tensor(node->inputs[1]);
    OctetObserverOptions options = qconfig->weight;
    options.axis = oct_weight_axis(node);
    return octet_observe_tensor(&options, weight->data, &weight->shape, qparams, diagnostic);
}

/* The grid of the layer's input, with the integers that it can hold. */
static void describe_layer(const OctNode *node, OctBiasLayer *layer) {
    const OctetTensor *weight = oct_value_tensor(node->inputs[1]);
    const OctetTensor *bias = oct_value_tensor(oct_node_input(node, 2));
    const OctetQParams *input = &node->inputs[0]->qparams;
    int64_t lowest;
    int64_t highest;
    octet_dtype_range(input->dtype, &lowest, &highest);
    *layer = (OctBiasLayer){.name = node->name,
                            .weight = weight->data,
                            .layout = {.shape = weight->shape,
                                       .axis = oct_weight_axis(node),
                                       .groups = 1,
                                       .input_zero_point = input->zero_point[0],
                                       .input_min = (int32_t)lowest,
                                       .input_max = (int32_t)highest},
                            .bias = bias ? bias->data : NULL,
                            .input_scale = input->scale[0]};
    if (strcmp(node->op_type, "ConvTranspose") == 0) {
        layer->layout.groups = oct_node_int(node, "group", 1);
    }
}

static OctetStatus set_weight(OctGraph *graph, OctNode *node, const OctBiasResult *result,
                              OctetDiagnostic *diagnostic) {
    OctetTensor *tensor = NULL;
    const OctValue *old = node->inputs[1];
    OCT_TRY(octet_tensor_create(result->qparams.dtype, &old->shape, &tensor, diagnostic));
    memcpy(tensor->data, result->weight, tensor->bytes);
    OctetStatus status = octet_tensor_set_qparams(tensor, &result->qparams, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(tensor);
        return status;
    }
    node->inputs[1] = oct_graph_add_constant(graph, old->name, tensor);
    return node->inputs[1] ? OCTET_OK : oct_fail_memory(diagnostic);
}

/* The bias' scales are the products of input and weight scale, its zero points 0. Per-tensor
 * weights give a per-tensor bias. ConvTranspose repeats its weight scales for each group. */
static OctetStatus set_bias(OctGraph *graph, OctNode *node, const OctBiasLayer *layer,
                            const OctBiasResult *result, OctetDiagnostic *diagnostic) {
    OctetQParams qparams = {0};
    OctetTensor *tensor = NULL;
    const OctValue *old = node->inputs[2];
    bool per_channel = result->qparams.count > 1 || result->qparams.axis >= 0;
    OctetShape shape = {1, {result->channels}};
    OctetStatus status = octet_qparams_create(
        OCTET_S32, per_channel ? 0 : -1, per_channel ? result->channels : 1, &qparams, diagnostic);
    for (int64_t c = 0; status == OCTET_OK && c < qparams.count; c++) {
        qparams.scale[c] = layer->input_scale * result->qparams.scale[c % result->qparams.count];
    }
    if (status == OCTET_OK) {
        status = octet_tensor_create(OCTET_S32, &shape, &tensor, diagnostic);
    }
    if (status == OCTET_OK) {
        memcpy(tensor->data, result->bias, tensor->bytes);
        status = octet_tensor_set_qparams(tensor, &qparams, diagnostic);
    }
    octet_qparams_clear(&qparams);
    if (status != OCTET_OK) {
        octet_tensor_free(tensor);
        return status;
    }
    node->inputs[2] = oct_graph_add_constant(graph, old->name, tensor);
    return node->inputs[2] ? OCTET_OK : oct_fail_memory(diagnostic);
}

static OctetStatus record_repairs(OctetPrepared *prepared, const OctNode *node,
                                  const OctBiasResult *result, OctetDiagnostic *diagnostic) {
    for (int64_t i = 0; i < result->repair_count; i++) {
        const OctBiasRepair *repair = &result->repairs[i];
        const char *name = oct_arena_strdup(prepared->arena, node->name);
        if (!name || !oct_grow(&prepared->repairs, &prepared->repair_capacity,
                               prepared->repair_count + 1, sizeof *prepared->repairs)) {
            return oct_fail_memory(diagnostic);
        }
        prepared->repairs[prepared->repair_count++] =
            (OctetBiasRepair){.node = name,
                              .channel = repair->channel,
                              .bias = repair->bias,
                              .scale_before = repair->old_scale,
                              .scale_after = repair->new_scale,
                              .bias_before = repair->bias_before,
                              .bias_after = repair->bias_after};
        oct_log(OCTET_LOG_INFO, "%s: the bias %g of channel %lld needed the int32 %.0f; %s",
                node->name, (double)repair->bias, (long long)repair->channel, repair->bias_before,
                repair->old_scale == repair->new_scale ? "saturated"
                                                       : "its weight scale was raised");
    }
    return OCTET_OK;
}

OctetStatus oct_convert_layer(OctetPrepared *prepared, OctGraph *graph, OctNode *node,
                              const OctetQConfig *qconfig, const OctetConvertOptions *options,
                              OctetDiagnostic *diagnostic) {
    OctetQParams qparams = {0};
    OctBiasLayer layer;
    OctBiasResult result = {0};
    describe_layer(node, &layer);
    layer.mode = qconfig->requantize;
    layer.power_of_two = qconfig->weight.spec.power_of_two;
    OctetStatus status = weight_qparams(node, qconfig, &qparams, diagnostic);
    if (status == OCTET_OK) {
        status = oct_bias_quantize(&layer, &qparams, options->bias, &result, diagnostic);
    }
    if (status == OCTET_OK) {
        status = record_repairs(prepared, node, &result, diagnostic);
    }
    if (status == OCTET_OK && result.leave_float) {
        node->float_reason = "its bias does not fit into int32, and --bias float was asked for";
    } else if (status == OCTET_OK) {
        status = set_weight(graph, node, &result, diagnostic);
        if (status == OCTET_OK && layer.bias && !options->float_bias) {
            status = set_bias(graph, node, &layer, &result, diagnostic);
        }
    }
    oct_bias_clear(&result);
    octet_qparams_clear(&qparams);
    return oct_fail_in_node(diagnostic, status, node->name);
}
