/* Pad: constant, reflect, edge, wrap; negative pads cut. */
#include "ops/ops.h"
#include "ops/strided.h"
#include "ops/table_u8.h"

#include <string.h>

typedef enum PadMode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } PadMode;

typedef struct Pad {
    const OctNode *node;
    PadMode mode;
    bool open; /* the pads are read when running */
    int64_t begin[OCTET_MAX_RANK], end[OCTET_MAX_RANK];
    uint64_t value;  /* the fill's bytes */
    bool value_open; /* read when running */
} Pad;

static bool read_mode(const OctNode *node, PadMode *mode) {
    const char *name = oct_node_string(node, "mode", "constant");
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(name, names[i]) == 0) {
            *mode = (PadMode)i;
            return true;
        }
    }
    return false;
}

static OctetStatus check_pad(const OctGraph *graph, const OctNode *node,
                             OctetDiagnostic *diagnostic) {
    (void)graph;
    PadMode mode;
    if (!read_mode(node, &mode)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "has mode '%s'",
                           oct_node_string(node, "mode", ""));
    }
    return OCTET_OK;
}

/* Spreads the list over all axes of the input. */
static OctetStatus spread_pads(const OctNode *node, int32_t rank, const OctInts *pads,
                               const OctInts *axes, Pad *pad, OctetDiagnostic *diagnostic) {
    int32_t count = axes->present ? axes->count : rank;
    memset(pad->begin, 0, sizeof pad->begin);
    memset(pad->end, 0, sizeof pad->end);
    if (pads->count != 2 * count || count > rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has %d pads for %d axes, not two for each", (int)pads->count,
                           (int)count);
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t axis;
        OCT_TRY(oct_normalize_axis(node, axes->present ? axes->v[i] : i, rank, &axis, diagnostic));
        pad->begin[axis] = pads->v[i];
        pad->end[axis] = pads->v[i + count];
    }
    return OCTET_OK;
}

static OctetStatus padded_shape(const OctNode *node, const OctetShape *input, const Pad *pad,
                                OctetShape *output, OctetDiagnostic *diagnostic) {
    const int64_t limit = (int64_t)1 << 40;
    *output = *input;
    for (int32_t i = 0; i < input->rank; i++) {
        int64_t begin = pad->begin[i];
        int64_t end = pad->end[i];
        int64_t dim = input->dims[i];
        if (begin == 0 && end == 0) {
            continue;
        }
        if (begin < -limit || begin > limit || end < -limit || end > limit || dim > limit) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "pads too far");
        }
        if (dim < 0) {
            output->dims[i] = OCT_DIM_UNKNOWN;
            continue;
        }
        output->dims[i] = dim + begin + end;
        bool inside = pad->mode != PAD_REFLECT || (begin < dim && end < dim);
        bool source = pad->mode == PAD_CONSTANT || dim > 0 || output->dims[i] == 0;
        bool cut = begin >= -dim && end >= -dim;
        if (output->dims[i] < 0 || !inside || !source || !cut) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "pads axis %d, of size %d, by %d and %d", (int)i, (int)dim,
                               (int)begin, (int)end);
        }
    }
    return OCTET_OK;
}

static const char *pads_attribute(const OctNode *node) {
    return node->opset == 1 ? "paddings" : "pads";
}

static OctetStatus infer_pad(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    bool inputs = node->opset >= 11;
    Pad pad = {.node = node};
    OctInts pads;
    OctInts axes;
    read_mode(node, &pad.mode);
    OCT_TRY(oct_node_int_list(node, pads_attribute(node), inputs ? 1 : -1, &pads, diagnostic));
    OCT_TRY(oct_node_int_list(node, NULL, inputs ? 3 : -1, &axes, diagnostic));
    OctetShape shape = *input;
    if (input->rank >= 0 && (oct_ints_open(&pads) || oct_ints_open(&axes))) {
        shape = oct_shape_of_rank(input->rank);
    } else if (input->rank >= 0) {
        OCT_TRY(spread_pads(node, input->rank, &pads, &axes, &pad, diagnostic));
        OCT_TRY(padded_shape(node, input, &pad, &shape, diagnostic));
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* Where index i of the output's axis comes from; only for indices that have a source. */
static int64_t source_index(PadMode mode, int64_t i, int64_t dim) {
    switch (mode) {
    case PAD_REFLECT:
        i = i < 0 ? -i : i;
        return i >= dim ? 2 * (dim - 1) - i : i;
    case PAD_EDGE:
        return i < 0 ? 0 : i >= dim ? dim - 1 : i;
    case PAD_WRAP:
        i %= dim;
        return i < 0 ? i + dim : i;
    default:
        return i;
    }
}

static void pad_constant(const Pad *pad, const OctRun *run) {
    const OctetShape *input = &run->inputs[0].shape;
    const OctetShape *output = &run->outputs[0].shape;
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    OctStrided copy = {.rank = input->rank};
    oct_fill(run->outputs[0].data, size, oct_view_count(&run->outputs[0]), pad->value);
    oct_strides(input, copy.source_strides);
    oct_strides(output, copy.destination_strides);
    for (int32_t i = 0; i < input->rank; i++) {
        int64_t cut_begin = pad->begin[i] < 0 ? -pad->begin[i] : 0;
        int64_t cut_end = pad->end[i] < 0 ? -pad->end[i] : 0;
        copy.dims[i] = input->dims[i] - cut_begin - cut_end;
        if (copy.dims[i] <= 0) {
            return;
        }
        copy.source_offset += cut_begin * copy.source_strides[i];
        copy.destination_offset +=
            (pad->begin[i] > 0 ? pad->begin[i] : 0) * copy.destination_strides[i];
    }
    oct_strided_simplify(&copy);
    oct_strided_copy(&copy, size, run->inputs[0].data, run->outputs[0].data, run->pool);
}

/* One row of the last axis at a time: its middle is copied, its ends element by element. */
static void pad_mapped(const Pad *pad, const OctRun *run) {
    const OctetShape *input = &run->inputs[0].shape;
    const OctetShape *output = &run->outputs[0].shape;
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    int64_t strides[OCTET_MAX_RANK];
    int64_t index[OCTET_MAX_RANK] = {0};
    int32_t last = input->rank - 1;
    int64_t rows = oct_view_count(&run->outputs[0]);
    if (rows == 0) {
        return;
    }
    oct_strides(input, strides);
    int64_t width = last >= 0 ? output->dims[last] : 1;
    int64_t dim = last >= 0 ? input->dims[last] : 1;
    int64_t begin = last >= 0 ? pad->begin[last] : 0;
    char *to = run->outputs[0].data;
    for (rows /= width; rows > 0; rows--) {
        const char *from = run->inputs[0].data;
        for (int32_t i = 0; i < last; i++) {
            int64_t at = source_index(pad->mode, index[i] - pad->begin[i], input->dims[i]);
            from += (size_t)(at * strides[i]) * size;
        }
        int64_t first = begin > 0 ? begin : 0;
        int64_t end = begin + dim < width ? begin + dim : width;
        for (int64_t i = 0; i < width; i++) {
            if (i == first && end > first) {
                memcpy(to + (size_t)i * size, from + (size_t)(i - begin) * size,
                       (size_t)(end - first) * size);
                i = end - 1;
                continue;
            }
            size_t at = (size_t)source_index(pad->mode, i - begin, dim);
            memcpy(to + (size_t)i * size, from + at * size, size);
        }
        to += (size_t)width * size;
        for (int32_t i = last - 1; i >= 0 && ++index[i] == output->dims[i]; i--) {
            index[i] = 0;
        }
    }
}

/* The fill in the output's storage, from the value input or attribute. */
static OctetStatus convert_value(const OctValue *output, OctetDType dtype, const void *data,
                                 Pad *pad, OctetDiagnostic *diagnostic) {
    pad->value = 0;
    if (oct_value_quantized(output)) {
        float real = 0.0f;
        if (data) {
            OCT_TRY(oct_convert(OCTET_F32, &real, dtype, data, 1, diagnostic));
        }
        int64_t q = oct_table_quantize(&output->qparams, real);
        return oct_convert(output->qparams.dtype, &pad->value, OCTET_S64, &q, 1, diagnostic);
    }
    return data ? oct_convert(output->dtype, &pad->value, dtype, data, 1, diagnostic) : OCTET_OK;
}

static OctetStatus run_pad(void *state, const OctRun *run) {
    Pad *pad = state;
    const OctetShape *input = &run->inputs[0].shape;
    if (pad->open) {
        OctInts pads;
        OctInts axes;
        OctetShape shape;
        OCT_TRY(oct_run_int_list(pad->node, pads_attribute(pad->node), 1, run, &pads));
        OCT_TRY(oct_run_int_list(pad->node, NULL, 3, run, &axes));
        OCT_TRY(spread_pads(pad->node, input->rank, &pads, &axes, pad, run->diagnostic));
        OCT_TRY(padded_shape(pad->node, input, pad, &shape, run->diagnostic));
        OCT_TRY(oct_run_output(run, 0, &shape));
    }
    if (pad->value_open && oct_view_count(&run->inputs[2]) == 1) {
        OCT_TRY(convert_value(pad->node->outputs[0], run->inputs[2].dtype, run->inputs[2].data, pad,
                              run->diagnostic));
    }
    if (pad->mode == PAD_CONSTANT) {
        pad_constant(pad, run);
    } else {
        pad_mapped(pad, run);
    }
    return OCTET_OK;
}

static OctetStatus prepare_value(const OctPrepare *prepare, Pad *pad) {
    const OctNode *node = prepare->node;
    const OctValue *input = node->opset >= 11 ? oct_node_input(node, 2) : NULL;
    const OctetTensor *tensor = oct_value_tensor(input);
    float attribute = oct_node_float(node, "value", 0.0f);
    OctetDType dtype = OCTET_F32;
    const void *data = node->opset < 11 ? &attribute : NULL;
    if (input && oct_value_quantized(input)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "has a quantized fill value");
    }
    if (tensor && tensor->bytes > 0) {
        data = tensor->data;
        dtype = tensor->dtype;
    }
    pad->value_open = input && !tensor;
    return convert_value(node->outputs[0], dtype, data, pad, prepare->diagnostic);
}

static OctetStatus prepare_pad(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    Pad *pad = oct_prepare_state(prepare, prepared, sizeof *pad);
    if (!pad) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_pad;
    prepared->kernel = "pad";
    pad->node = node;
    read_mode(node, &pad->mode);
    OCT_TRY(prepare_value(prepare, pad));
    bool inputs = node->opset >= 11;
    OctInts pads;
    OctInts axes;
    OCT_TRY(
        oct_node_int_list(node, pads_attribute(node), inputs ? 1 : -1, &pads, prepare->diagnostic));
    OCT_TRY(oct_node_int_list(node, NULL, inputs ? 3 : -1, &axes, prepare->diagnostic));
    pad->open = oct_ints_open(&pads) || oct_ints_open(&axes);
    return pad->open ? OCTET_OK
                     : spread_pads(node, node->inputs[0]->shape.rank, &pads, &axes, pad,
                                   prepare->diagnostic);
}

#define FLAGS (OCT_OP_FLOAT8 | OCT_OP_MOVES_DATA | OCT_OP_INT8)

const OctOp oct_ops_pad[] = {
    {"", "Pad", 1, 10, FLAGS, 1, 1, 1, 1, check_pad, infer_pad, prepare_pad},
    {"", "Pad", 11, 0, FLAGS | OCT_OP_DYNAMIC, 2, 4, 1, 1, check_pad, infer_pad, prepare_pad},
};
OCT_OPS_COUNT(pad);
