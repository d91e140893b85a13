/* Raising nodes to a newer operator set: attributes that became inputs, operators that were
 * replaced, defaults that changed. Changes that only add (new types, new optional attributes with
 * the old meaning as default) need nothing. Source: ONNX's Changelog.md. */
#include "base/diag.h"
#include "base/float8.h"
#include "onnx/export.h"

#include <math.h>
#include <string.h>

/* The oldest version that runtimes promise to read; the first ones that have per-channel scales,
 * 8-bit floats, and 4-bit and 16-bit integers. */
enum { OPSET_OLDEST = 7, OPSET_PER_AXIS = 13, OPSET_FLOAT8 = 19, OPSET_ALL_WIDTHS = 21 };

typedef struct Raise {
    OctGraph *graph;
    OctNode *node;
    int32_t to;
    OctetDiagnostic *diagnostic;
} Raise;

static OctetStatus memory_or_ok(const Raise *raise, bool done) {
    return done ? OCTET_OK : oct_fail_memory(raise->diagnostic);
}

static OctetStatus fail_raise(const Raise *raise, const char *reason) {
    return oct_fail_node(raise->diagnostic, OCTET_ERROR_UNSUPPORTED, raise->node->name,
                         "%s of opset %d can't be written at opset %d: %s", raise->node->op_type,
                         (int)raise->node->opset, (int)raise->to, reason);
}

static bool crosses(const Raise *raise, int32_t version) {
    return raise->node->opset < version && raise->to >= version;
}

/* Moves a list of integers from an attribute to input k. */
static bool ints_to_input(const Raise *raise, const char *attribute, int32_t k) {
    const int64_t *ints;
    int32_t count = oct_node_ints(raise->node, attribute, &ints);
    if (!oct_node_attribute(raise->node, attribute) || oct_node_input(raise->node, k)) {
        return true;
    }
    OctValue *value = oct_export_ints(raise->graph, raise->node, attribute, ints, count, false);
    oct_node_remove_attribute(raise->node, attribute);
    return value && oct_node_set_input(raise->graph, raise->node, k, value);
}

static bool float_to_input(const Raise *raise, const char *attribute, int32_t k) {
    const OctAttribute *found = oct_node_attribute(raise->node, attribute);
    if (!found || oct_node_input(raise->node, k)) {
        return true;
    }
    OctValue *value = oct_export_float(raise->graph, raise->node->name, attribute,
                                       oct_node_float(raise->node, attribute, 0));
    oct_node_remove_attribute(raise->node, attribute);
    return value && oct_node_set_input(raise->graph, raise->node, k, value);
}

static OctetStatus raise_batch_norm(const Raise *raise) {
    if (crosses(raise, 9)) {
        if (oct_node_int(raise->node, "spatial", 1) == 0) {
            return fail_raise(raise, "it is not spatial");
        }
        oct_node_remove_attribute(raise->node, "spatial");
    }
    if (crosses(raise, 14) && raise->node->output_count > 1) {
        raise->node->output_count = 1; /* the others were of training, and are different ones now */
    }
    return OCTET_OK;
}

static OctetStatus raise_scan(const Raise *raise) {
    return crosses(raise, 9) ? fail_raise(raise, "it scans batches, which newer ones don't")
                             : OCTET_OK;
}

static OctetStatus raise_clip(const Raise *raise) {
    bool done =
        !crosses(raise, 11) || (float_to_input(raise, "min", 1) && float_to_input(raise, "max", 2));
    return memory_or_ok(raise, done);
}

static OctetStatus raise_dropout(const Raise *raise) {
    if (crosses(raise, 12)) {
        oct_node_remove_attribute(raise->node, "ratio");
    }
    return OCTET_OK;
}

static OctetStatus raise_squeeze(const Raise *raise) {
    return memory_or_ok(raise, !crosses(raise, 13) || ints_to_input(raise, "axes", 1));
}

static OctetStatus raise_reduce(const Raise *raise) {
    int32_t version = strcmp(raise->node->op_type, "ReduceSum") == 0 ? 13 : 18;
    return memory_or_ok(raise, !crosses(raise, version) || ints_to_input(raise, "axes", 1));
}

static OctetStatus raise_split(const Raise *raise) {
    bool done = !crosses(raise, 13) || ints_to_input(raise, "split", 1);
    if (done && crosses(raise, 18) && !oct_node_input(raise->node, 1)) {
        done =
            oct_node_set_int(raise->graph, raise->node, "num_outputs", raise->node->output_count);
    }
    return memory_or_ok(raise, done);
}

static OctetStatus raise_slice(const Raise *raise) {
    bool done =
        !crosses(raise, 10) || (ints_to_input(raise, "starts", 1) &&
                                ints_to_input(raise, "ends", 2) && ints_to_input(raise, "axes", 3));
    return memory_or_ok(raise, done);
}

static OctetStatus raise_pad(const Raise *raise) {
    bool done = !crosses(raise, 11) ||
                (ints_to_input(raise, "pads", 1) && float_to_input(raise, "value", 2));
    return memory_or_ok(raise, done);
}

static OctetStatus raise_topk(const Raise *raise) {
    const OctAttribute *k = oct_node_attribute(raise->node, "k");
    if (!crosses(raise, 10) || !k) {
        return OCTET_OK;
    }
    int64_t count = oct_node_int(raise->node, "k", 0);
    OctValue *value = oct_export_ints(raise->graph, raise->node, "k", &count, 1, false);
    oct_node_remove_attribute(raise->node, "k");
    return memory_or_ok(raise, value && oct_node_set_input(raise->graph, raise->node, 1, value));
}

/* Before opset 11 both computed source = place / scale, rounded down for nearest. */
static OctetStatus raise_resize(const Raise *raise) {
    OctNode *node = raise->node;
    if (!crosses(raise, 11) || node->input_count == 0) {
        return OCTET_OK;
    }
    const OctAttribute *attribute = oct_node_attribute(node, "scales");
    OctValue *scales = oct_node_input(node, 1);
    if (attribute && attribute->type == OCT_ATTRIBUTE_FLOATS) {
        OctetTensor *tensor;
        char name[256];
        OctetShape shape = {.rank = 1, .dims = {attribute->count}};
        OCT_TRY(octet_tensor_create(OCTET_F32, &shape, &tensor, raise->diagnostic));
        if (attribute->count > 0) {
            memcpy(tensor->data, attribute->v.floats, tensor->bytes);
        }
        oct_export_name(name, sizeof name, node->name, "scales");
        scales = oct_graph_add_constant(raise->graph, name, tensor);
        oct_node_remove_attribute(node, "scales");
    }
    /* the region of interest may be left out since 13 only */
    OctetTensor *none;
    char name[256];
    OCT_TRY(octet_tensor_create(OCTET_F32, &(OctetShape){.rank = 1}, &none, raise->diagnostic));
    oct_export_name(name, sizeof name, node->name, "roi");
    OctValue *roi = oct_graph_add_constant(raise->graph, name, none);
    const char *mode = oct_node_string(node, "mode", "nearest");
    bool nearest = strcmp(mode, "nearest") == 0;
    bool done =
        scales && roi && oct_node_set_input(raise->graph, node, 2, scales) &&
        oct_node_set_input(raise->graph, node, 1, roi) &&
        oct_node_set_string(raise->graph, node, "mode", nearest ? "nearest" : "linear") &&
        oct_node_set_string(raise->graph, node, "coordinate_transformation_mode", "asymmetric") &&
        (!nearest || oct_node_set_string(raise->graph, node, "nearest_mode", "floor"));
    node->op_type = "Resize";
    return memory_or_ok(raise, done);
}

static OctValue *add_value_like(const Raise *raise, const OctValue *like, const char *suffix) {
    char name[256];
    oct_export_name(name, sizeof name, raise->node->name, suffix);
    OctValue *value = oct_graph_add_value(raise->graph, name);
    if (value && like) {
        value->dtype = like->dtype;
    }
    return value;
}

/* Softmax over all axes from `axis` on, as it was: flattened to a matrix and back. */
static OctetStatus flatten_around(const Raise *raise, int64_t axis) {
    OctGraph *graph = raise->graph;
    OctNode *node = raise->node;
    OctValue *input = node->inputs[0];
    OctValue *output = node->outputs[0];
    OctValue *flat = add_value_like(raise, input, "flat");
    OctValue *soft = add_value_like(raise, input, "soft");
    OctValue *shape = add_value_like(raise, NULL, "shape");
    if (!flat || !soft || !shape) {
        return oct_fail_memory(raise->diagnostic);
    }
    OctNode *flatten = oct_graph_add_node(graph, "Flatten", "", NULL, &input, 1, &flat, 1);
    OctNode *measure = oct_graph_add_node(graph, "Shape", "", NULL, &input, 1, &shape, 1);
    node->inputs[0] = flat;
    node->outputs[0] = soft;
    soft->producer = node;
    soft->qparams = (OctetQParams){.axis = -1};
    OctNode *back =
        oct_graph_add_node(graph, "Reshape", "", NULL, (OctValue *[]){soft, shape}, 2, &output, 1);
    if (!flatten || !measure || !back) {
        return oct_fail_memory(raise->diagnostic);
    }
    flatten->opset = measure->opset = back->opset = raise->to;
    return memory_or_ok(raise, oct_node_set_int(graph, flatten, "axis", axis) &&
                                   oct_node_set_int(graph, node, "axis", -1));
}

static OctetStatus raise_softmax(const Raise *raise) {
    OctNode *node = raise->node;
    if (!crosses(raise, 13) || node->input_count == 0 || !node->inputs[0] ||
        node->output_count == 0 || !node->outputs[0]) {
        return OCTET_OK;
    }
    const OctetShape *shape = &node->inputs[0]->shape;
    int64_t axis = oct_node_int(node, "axis", 1);
    if (axis < 0 && shape->rank >= 0) {
        axis += shape->rank;
    }
    bool single = axis >= 0 && axis < shape->rank;
    for (int32_t i = shape->rank - 1; single && i > axis; i--) {
        single = shape->dims[i] == 1;
    }
    if (!single) {
        return flatten_around(raise, axis);
    }
    return memory_or_ok(raise, oct_node_set_int(raise->graph, node, "axis", axis));
}

static OctetStatus raise_scatter(const Raise *raise) {
    if (crosses(raise, 11)) {
        raise->node->op_type = "ScatterElements";
    }
    return OCTET_OK;
}

static OctetStatus raise_roi_align(const Raise *raise) {
    bool done = !crosses(raise, 16) ||
                oct_node_set_string(raise->graph, raise->node, "coordinate_transformation_mode",
                                    "output_half_pixel");
    return memory_or_ok(raise, done);
}

static OctetStatus raise_grid_sample(const Raise *raise) {
    const char *mode = oct_node_string(raise->node, "mode", "bilinear");
    const char *renamed = strcmp(mode, "bilinear") == 0  ? "linear"
                          : strcmp(mode, "bicubic") == 0 ? "cubic"
                                                         : mode;
    bool done =
        !crosses(raise, 20) || oct_node_set_string(raise->graph, raise->node, "mode", renamed);
    return memory_or_ok(raise, done);
}

static OctetStatus raise_dft(const Raise *raise) {
    if (!crosses(raise, 20)) {
        return OCTET_OK;
    }
    int64_t axis = oct_node_int(raise->node, "axis", 1);
    OctValue *value = oct_export_ints(raise->graph, raise->node, "axis", &axis, 1, true);
    oct_node_remove_attribute(raise->node, "axis");
    return memory_or_ok(raise, value && oct_node_set_input(raise->graph, raise->node, 2, value));
}

static OctetStatus raise_group_norm(const Raise *raise) {
    return crosses(raise, 21) ? fail_raise(raise, "its scale has another shape there") : OCTET_OK;
}

static OctetStatus raise_node(const Raise *raise) {
    static const struct {
        const char *op_type;
        OctetStatus (*run)(const Raise *raise);
    } table[] = {
        {"BatchNormalization", raise_batch_norm},
        {"Clip", raise_clip},
        {"Dropout", raise_dropout},
        {"Squeeze", raise_squeeze},
        {"Unsqueeze", raise_squeeze},
        {"ReduceSum", raise_reduce},
        {"ReduceMean", raise_reduce},
        {"ReduceMax", raise_reduce},
        {"ReduceMin", raise_reduce},
        {"ReduceProd", raise_reduce},
        {"ReduceL1", raise_reduce},
        {"ReduceL2", raise_reduce},
        {"ReduceLogSum", raise_reduce},
        {"ReduceLogSumExp", raise_reduce},
        {"ReduceSumSquare", raise_reduce},
        {"Split", raise_split},
        {"Slice", raise_slice},
        {"Pad", raise_pad},
        {"TopK", raise_topk},
        {"Upsample", raise_resize},
        {"Resize", raise_resize},
        {"Softmax", raise_softmax},
        {"LogSoftmax", raise_softmax},
        {"Hardmax", raise_softmax},
        {"Scatter", raise_scatter},
        {"RoiAlign", raise_roi_align},
        {"GridSample", raise_grid_sample},
        {"DFT", raise_dft},
        {"Scan", raise_scan},
        {"GroupNormalization", raise_group_norm},
    };
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(raise->node->op_type, table[i].op_type) == 0) {
            return table[i].run(raise);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_export_raise_opset(OctGraph *graph, int32_t opset, OctetDiagnostic *diagnostic) {
    int32_t count = graph->node_count;
    for (int32_t i = 0; i < count; i++) {
        OctNode *node = graph->nodes[i];
        if (*node->domain || node->opset >= opset) {
            continue;
        }
        OCT_TRY(raise_node(&(Raise){graph, node, opset, diagnostic}));
        node->opset = opset;
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(oct_export_raise_opset(graph->children[i], opset, diagnostic));
    }
    return oct_graph_compact(graph, diagnostic);
}

static int64_t needed_by_value(const OctValue *value, const OctetSaveOptions *options) {
    if (!oct_value_quantized(value)) {
        return oct_dtype_is_float8(value->dtype) ? OPSET_FLOAT8 : 0;
    }
    switch (oct_value_storage(value)) {
    case OCTET_U4:
    case OCTET_S4:
        return OPSET_ALL_WIDTHS;
    case OCTET_U16:
    case OCTET_S16:
        return options->microsoft_int16 ? OPSET_PER_AXIS : OPSET_ALL_WIDTHS;
    default:
        return value->qparams.block_size > 0 ? OPSET_ALL_WIDTHS : OPSET_PER_AXIS;
    }
}

int64_t oct_export_target_opset(const OctGraph *graph, const OctetSaveOptions *options) {
    int64_t needed = oct_graph_opset(graph, "");
    needed = needed <= 0 ? OPSET_PER_AXIS : needed < OPSET_OLDEST ? OPSET_OLDEST : needed;
    for (int32_t i = 0; i < graph->value_count; i++) {
        int64_t value = needed_by_value(graph->values[i], options);
        needed = value > needed ? value : needed;
    }
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        needed = !*node->domain && node->opset > needed ? node->opset : needed;
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        int64_t child = oct_export_target_opset(graph->children[i], options);
        needed = child > needed ? child : needed;
    }
    return needed;
}
