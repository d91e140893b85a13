#include "ops/conv.h"
#include "ops/q8_layer.h"
#include "ops/through_float.h"

#include <inttypes.h>
#include <string.h>

static OctetStatus check_channels(const OctNode *node, bool transposed, const OctetShape *w,
                                  int64_t channels, int64_t groups, OctetDiagnostic *diagnostic) {
    int64_t input = transposed ? w->dims[0] : w->dims[1];
    int64_t output = transposed ? w->dims[1] : w->dims[0];
    if (groups < 1 || (!transposed && output >= 0 && output % groups != 0) ||
        (transposed && input >= 0 && input % groups != 0)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "%" PRId64 " groups do not divide the channels", groups);
    }
    if (input == 0 || output == 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "the weights are empty");
    }
    if (channels >= 0 && input >= 0) {
        int64_t expected = input;
        if ((!transposed && !oct_mul_i64(input, groups, &expected)) || expected != channels) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "the input has %" PRId64 " channels, the weights are for %" PRId64
                               " in %" PRId64 " groups",
                               channels, input, groups);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_conv_shape(const OctNode *node, bool transposed, const OctetShape *x,
                           const OctetShape *w, OctetShape *y, OctConvGeometry *geometry,
                           bool *complete, OctetDiagnostic *diagnostic) {
    bool channels_last = oct_channels_last(node);
    int64_t groups = oct_node_int(node, "group", 1);
    OctImageShape in, out;
    OctWindow window;
    *complete = false;
    *y = oct_shape_unknown();
    if (x->rank < 0) {
        return OCTET_OK;
    }
    if (!oct_image_shape_split(x, channels_last, &in) || in.rank < 1 ||
        (w->rank >= 0 && w->rank != x->rank)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "an input of rank %d and weights of rank %d do not go together",
                           (int)x->rank, (int)w->rank);
    }
    out = in;
    out.channels = OCT_DIM_UNKNOWN;
    bool kernel_known = w->rank >= 0;
    for (int32_t i = 0; i < in.rank; i++) {
        out.spatial[i] = OCT_DIM_UNKNOWN;
        kernel_known = kernel_known && w->dims[2 + i] >= 0;
    }
    if (w->rank >= 0) {
        OCT_TRY(check_channels(node, transposed, w, in.channels, groups, diagnostic));
        out.channels = w->dims[0];
        if (transposed && (w->dims[1] < 0 || !oct_mul_i64(w->dims[1], groups, &out.channels))) {
            out.channels = OCT_DIM_UNKNOWN;
        }
    }
    const int64_t *attribute;
    if (kernel_known || oct_node_ints(node, "kernel_shape", &attribute) > 0) {
        OCT_TRY(
            oct_window_read(node, in.rank, kernel_known ? w->dims + 2 : NULL, &window, diagnostic));
        OCT_TRY(transposed
                    ? oct_window_transposed(&window, node, in.spatial, out.spatial, diagnostic)
                    : oct_window_output(&window, node, in.spatial, out.spatial, diagnostic));
    }
    *y = oct_image_shape_join(&out, channels_last);
    *complete = kernel_known && oct_shape_is_static(x) && oct_shape_is_static(y);
    int64_t counts[3];
    if (*complete && (!octet_shape_count(x, &counts[0]) || !octet_shape_count(w, &counts[1]) ||
                      !octet_shape_count(y, &counts[2]))) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "its tensors are too large");
    }
    if (*complete && geometry) {
        *geometry = (OctConvGeometry){.window = window,
                                      .input = in,
                                      .output = out,
                                      .groups = groups,
                                      .transposed = transposed,
                                      .channels_last = channels_last};
    }
    return OCTET_OK;
}

static bool is_transposed(const OctNode *node) {
    return strcmp(node->op_type, "ConvTranspose") == 0;
}

OctetStatus oct_conv_geometry(const OctNode *node, OctConvGeometry *geometry,
                              OctetDiagnostic *diagnostic) {
    OctetShape y;
    bool complete;
    OCT_TRY(oct_conv_shape(node, is_transposed(node), &node->inputs[0]->shape,
                           &node->inputs[1]->shape, &y, geometry, &complete, diagnostic));
    if (!complete) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "its shapes are not known");
    }
    return OCTET_OK;
}

int64_t oct_conv_taps(const OctConvGeometry *geometry) {
    int64_t taps = 1;
    for (int32_t i = 0; i < geometry->window.rank; i++) {
        taps *= geometry->window.kernel[i];
    }
    return taps;
}

double oct_conv_macs(const OctConvGeometry *geometry) {
    const OctImageShape *many = geometry->transposed ? &geometry->input : &geometry->output;
    const OctImageShape *other = geometry->transposed ? &geometry->output : &geometry->input;
    return (double)many->batch * (double)oct_image_shape_area(many) * (double)many->channels *
           (double)oct_conv_taps(geometry) * (double)other->channels / (double)geometry->groups;
}

static OctetStatus check_conv(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t groups = oct_node_int(node, "group", 1);
    if (groups < 1 || groups > INT32_MAX) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "%" PRId64 " groups are not possible", groups);
    }
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic));
    return oct_window_check(node, diagnostic);
}

static OctetStatus infer_conv(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape y;
    bool complete;
    OCT_TRY(oct_conv_shape(node, is_transposed(node), oct_input_shape(node, 0),
                           oct_input_shape(node, 1), &y, NULL, &complete, diagnostic));
    oct_set_output(node, 0, OCTET_F32, &y);
    return OCTET_OK;
}

static bool is_float(const OctNode *node) {
    return !oct_value_quantized(node->inputs[0]) && !oct_value_quantized(node->outputs[0]);
}

static bool fits_q8(const OctNode *node) {
    const OctValue *bias = oct_layer_bias(node);
    bool transposed = is_transposed(node);
    int64_t outputs = node->inputs[1]->shape.dims[transposed ? 1 : 0];
    const OctValue *y = node->outputs[0];
    return oct_is_u8(node->inputs[0]) && (!bias || bias->constant) &&
           (oct_is_u8(y) || !oct_value_quantized(y)) &&
           oct_q8_weights_usable(node->inputs[1], transposed ? 1 : 0, (size_t)outputs);
}

static OctetStatus prepare_conv(const OctPrepare *prepare, OctPreparedOp *prepared) {
    if (is_float(prepare->node)) {
        return oct_conv_prepare_f32(prepare, prepared);
    }
    return fits_q8(prepare->node)
               ? oct_conv_prepare_q8(prepare, prepared)
               : oct_prepare_through_float(prepare, prepared, oct_conv_prepare_f32);
}

bool oct_conv_adds_in_place(const OctNode *node) {
    if (oct_node_int(node, "output_stride", 0) != 0) {
        return false; /* a slice of something else */
    }
    if (is_float(node)) {
        return oct_node_input(node, 3) != NULL;
    }
    return node->fusion && node->fusion->has_residual && fits_q8(node) &&
           oct_conv_q8_adds_in_place(node);
}

#define CONV_FLAGS (OCT_OP_INT8 | OCT_OP_LAYOUT)

const OctOp oct_ops_conv[] = {
    {"", "Conv", 1, 0, CONV_FLAGS, 2, 3, 1, 1, check_conv, infer_conv, prepare_conv},
    {"", "ConvTranspose", 1, 0, CONV_FLAGS, 2, 3, 1, 1, check_conv, infer_conv, prepare_conv},
    {"com.microsoft", "FusedConv", 1, 0, 0, 2, 4, 1, 1, check_conv, infer_conv,
     oct_conv_prepare_f32},
};
OCT_OPS_COUNT(conv);
