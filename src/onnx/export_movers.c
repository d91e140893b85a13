/* QOperator form: operators that only move elements take and give the bytes themselves. */
#include "base/diag.h"
#include "octet/quant.h"
#include "onnx/export.h"
#include "onnx/fold.h"

#include <string.h>

enum { PAD_VALUE = 2 };

/* The number that a Pad fills in, as far as it is known. */
static bool read_fill(const OctNode *node, float *fill) {
    const OctValue *value = oct_node_input(node, PAD_VALUE);
    const OctetTensor *tensor = oct_constant_behind(value);
    *fill = 0;
    if (tensor && tensor->dtype == OCTET_F32 && tensor->bytes == sizeof *fill) {
        memcpy(fill, tensor->data, sizeof *fill);
        return true;
    }
    return !value;
}

static bool fills(const OctNode *node) {
    return strcmp(node->op_type, "Pad") == 0 &&
           strcmp(oct_node_string(node, "mode", "constant"), "constant") == 0;
}

static int32_t moved_inputs(const OctNode *node) {
    float fill;
    bool pads = fills(node) && !*node->domain && read_fill(node, &fill);
    return pads ? 1 : oct_moved_inputs(node);
}

bool oct_moves_bytes(const OctNode *node) {
    /* what ONNX Runtime has kernels of bytes for, which give the same bytes */
    static const char *const names[] = {
        "Reshape", "Transpose", "Flatten", "Squeeze",      "Unsqueeze",    "MaxPool",
        "Slice",   "Gather",    "Expand",  "Tile",         "Split",        "Identity",
        "Concat",  "Pad",       "Resize",  "DepthToSpace", "SpaceToDepth",
    };
    bool listed = false;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        listed = listed || strcmp(node->op_type, names[i]) == 0;
    }
    if (!listed || *node->domain || node->input_count == 0 || !oct_is_byte_value(node->inputs[0])) {
        return false;
    }
    int32_t moved = moved_inputs(node);
    const OctetQParams *grid = &node->inputs[0]->qparams;
    for (int32_t k = 0; k < moved && k < node->input_count; k++) {
        if (!node->inputs[k] || !octet_qparams_equal(grid, &node->inputs[k]->qparams)) {
            return false;
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && !octet_qparams_equal(grid, &node->outputs[k]->qparams)) {
            return false;
        }
    }
    return moved > 0;
}

/* What is filled in is rounded to the grid like every other element. */
static OctetStatus set_fill(OctGraph *graph, OctNode *node, const OctetQParams *grid,
                            OctetDiagnostic *diagnostic) {
    float fill;
    char name[256];
    OctetTensor *real;
    OctetTensor *integers = NULL;
    (void)read_fill(node, &fill);
    OCT_TRY(octet_tensor_wrap(OCTET_F32, &(OctetShape){0}, &fill, sizeof fill, &real, diagnostic));
    OctetStatus status =
        octet_quantize(real, grid, OCTET_QUANTIZE_DIVIDE, &integers, NULL, diagnostic);
    octet_tensor_free(real);
    if (status != OCTET_OK) {
        return status;
    }
    octet_qparams_clear(&integers->qparams);
    oct_export_name(name, sizeof name, node->name, "value");
    OctValue *value = oct_graph_add_constant(graph, name, integers);
    return value && oct_node_set_input(graph, node, PAD_VALUE, value) ? OCTET_OK
                                                                      : oct_fail_memory(diagnostic);
}

OctetStatus oct_make_mover(OctGraph *graph, OctNode *node, OctFindIntegers find, void *user,
                           OctetDiagnostic *diagnostic) {
    int32_t moved = moved_inputs(node);
    if (fills(node)) {
        OCT_TRY(set_fill(graph, node, &node->inputs[0]->qparams, diagnostic));
    }
    for (int32_t k = 0; k < moved && k < node->input_count; k++) {
        OctExportForm names;
        if (node->inputs[k] && find(user, node->inputs[k], &names)) {
            node->inputs[k] = names.integers;
        }
    }
    return OCTET_OK;
}
