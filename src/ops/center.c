/* CenterCropPad: cuts or fills with zeros on both sides, so that axes get the sizes asked for. */
#include "ops/ops.h"
#include "ops/strided.h"

#include <string.h>

/* The output's shape as far as it is known; axes are all, or those of the attribute. */
static OctetStatus centered_shape(const OctNode *node, const OctetShape *input,
                                  const OctInts *sizes, OctetShape *output,
                                  OctetDiagnostic *diagnostic) {
    const int64_t *axes = NULL;
    int32_t count = oct_node_ints(node, "axes", &axes);
    *output = *input;
    if (input->rank < 0) {
        return OCTET_OK;
    }
    if (!axes) {
        count = input->rank;
    }
    if (sizes->count >= 0 && sizes->count != count) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has %d sizes for %d axes",
                           (int)sizes->count, (int)count);
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t axis;
        OCT_TRY(oct_normalize_axis(node, axes ? axes[i] : i, input->rank, &axis, diagnostic));
        bool number = sizes->known && oct_known_is_number(sizes->v[i]);
        if (number && sizes->v[i] < 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative size");
        }
        output->dims[axis] = sizes->known ? oct_dim_of_known(sizes->v[i]) : OCT_DIM_UNKNOWN;
    }
    return OCTET_OK;
}

static OctetStatus infer_center(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctInts sizes;
    OctetShape shape;
    OCT_TRY(oct_node_int_list(node, NULL, 1, &sizes, diagnostic));
    OCT_TRY(centered_shape(node, oct_input_shape(node, 0), &sizes, &shape, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

static OctetStatus run_center(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *input = &run->inputs[0].shape;
    OctInts sizes;
    OctetShape shape;
    OCT_TRY(oct_run_int_list(node, NULL, 1, run, &sizes));
    OCT_TRY(centered_shape(node, input, &sizes, &shape, run->diagnostic));
    OCT_TRY(oct_run_output(run, 0, &shape));
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    int64_t count = oct_view_count(&run->outputs[0]);
    OctStrided copy = {.rank = input->rank};
    oct_fill(run->outputs[0].data, size, count, 0);
    oct_strides(input, copy.source_strides);
    oct_strides(&shape, copy.destination_strides);
    for (int32_t i = 0; i < input->rank; i++) {
        int64_t more = shape.dims[i] - input->dims[i];
        copy.dims[i] = more < 0 ? shape.dims[i] : input->dims[i];
        copy.destination_offset += more > 0 ? more / 2 * copy.destination_strides[i] : 0;
        copy.source_offset += more < 0 ? -more / 2 * copy.source_strides[i] : 0;
        count = copy.dims[i] == 0 ? 0 : count;
    }
    if (count > 0) {
        oct_strided_simplify(&copy);
        oct_strided_copy(&copy, size, run->inputs[0].data, run->outputs[0].data, run->pool);
    }
    return OCTET_OK;
}

static OctetStatus prepare_center(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_center;
    prepared->kernel = "pad";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

const OctOp oct_ops_center[] = {
    {"", "CenterCropPad", 18, 0, OCT_OP_DYNAMIC, 2, 2, 1, 1, NULL, infer_center, prepare_center},
};
OCT_OPS_COUNT(center);
