/* Resize (opset 10 to 22) and Upsample (7 to 9): attributes, shapes, preparation. */
#include "ops/resize.h"
#include "ops/layout.h"
#include "ops/table_u8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The place of an ONNX axis in memory. */
static int32_t place_of(int32_t axis, int32_t rank, bool channels_last) {
    if (!channels_last || axis == 0) {
        return axis;
    }
    return axis == 1 ? rank - 1 : axis - 1;
}

static OctetStatus check_resize(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    OctResizeRules rules;
    return oct_resize_rules(node, &rules, diagnostic);
}

static void onnx_order(const OctetShape *shape, bool channels_last, int64_t *in) {
    for (int32_t i = 0; i < shape->rank; i++) {
        in[i] = shape->dims[place_of(i, shape->rank, channels_last)];
    }
}

static OctetStatus infer_resize(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *x = oct_input_shape(node, 0);
    OctetShape y = *x;
    if (x->rank >= 0) {
        OctResizeRules rules;
        OctResizeRequest request;
        bool open;
        OCT_TRY(oct_resize_rules(node, &rules, diagnostic));
        OCT_TRY(oct_resize_known_request(node, &request, &open, diagnostic));
        OctResizeSizes sizes;
        int64_t in[OCTET_MAX_RANK];
        bool last = oct_channels_last(node) && x->rank > 2;
        onnx_order(x, last, in);
        y = oct_shape_of_rank(x->rank);
        if (!open) {
            OCT_TRY(
                oct_resize_output_sizes(node, &rules, &request, x->rank, in, &sizes, diagnostic));
            for (int32_t i = 0; i < x->rank; i++) {
                y.dims[place_of(i, x->rank, last)] = sizes.out[i];
            }
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &y);
    return OCTET_OK;
}

typedef struct Resize {
    const OctNode *node;
    OctResizeRules rules;
    OctetCpu cpu;
    OctElement x, y;
    size_t element_size;
    bool planned, channels_last, requantizes;
    uint8_t table[256]; /* nearest between two grids */
    uint8_t fill[8];
    OctResizePlan plan;
} Resize;

static void destroy(void *state) {
    Resize *resize = state;
    oct_resize_plan_clear(&resize->plan);
    oct_free(resize);
}

static OctetStatus make_plan(const Resize *resize, const OctetShape *input,
                             const OctResizeRequest *request, OctResizePlan *plan,
                             uint64_t *bytes_left, OctetDiagnostic *diagnostic) {
    int64_t in[OCTET_MAX_RANK];
    OctResizeSizes sizes;
    bool last = resize->channels_last;
    onnx_order(input, last, in);
    *plan = (OctResizePlan){.rules = resize->rules, .input = *input, .output = *input};
    OCT_TRY(oct_resize_output_sizes(resize->node, &resize->rules, request, input->rank, in, &sizes,
                                    diagnostic));
    for (int32_t i = 0; i < input->rank; i++) {
        int32_t place = place_of(i, input->rank, last);
        plan->output.dims[place] = sizes.out[i];
        if (in[i] == 0 && sizes.out[i] != 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, resize->node,
                               "can't make something from an empty input");
        }
    }
    /* an empty output may be of any length along its other axes: they get no tables */
    for (int32_t i = 0; i < input->rank && !oct_resize_is_empty(&plan->output); i++) {
        int32_t place = place_of(i, input->rank, last);
        OCT_TRY(oct_resize_axis(&resize->rules, in[i], sizes.out[i], sizes.scale[i], sizes.start[i],
                                sizes.end[i], &plan->axes[place], bytes_left, diagnostic));
    }
    size_t bytes;
    return oct_tensor_bytes(OCTET_F32, &plan->output, &bytes, diagnostic);
}

static void apply(const Resize *resize, const OctResizePlan *plan, const OctRun *run,
                  void *workspace) {
    const void *x = run->inputs[0].data;
    uint8_t *y = run->outputs[0].data;
    int64_t count = oct_view_count(&run->outputs[0]);
    if (count == 0) {
        return;
    }
    if (resize->rules.mode != OCT_RESIZE_NEAREST) {
        oct_resize_interpolate(plan, &resize->x, &resize->y, resize->cpu, x, y, workspace,
                               run->pool);
        return;
    }
    oct_resize_nearest(plan, resize->element_size, resize->fill, x, y, run->pool);
    if (resize->requantizes) {
        oct_table_apply(resize->cpu, resize->table, y, (size_t)count, run->pool);
    }
}

static OctetStatus run_resize(void *state, const OctRun *run) {
    const Resize *resize = state;
    if (resize->planned) {
        OCT_TRY(oct_run_output(run, 0, &resize->plan.output));
        apply(resize, &resize->plan, run, run->workspace);
        return OCTET_OK;
    }
    OctResizeRequest request;
    OCT_TRY(oct_resize_running_request(resize->node, run, &request));
    OctResizePlan plan = {0};
    size_t bytes = 0;
    void *workspace = NULL;
    uint64_t bytes_left = run->table_limit;
    OctetStatus status =
        make_plan(resize, &run->inputs[0].shape, &request, &plan, &bytes_left, run->diagnostic);
    if (status == OCTET_OK && (!oct_resize_workspace(&plan, &bytes) || bytes > bytes_left)) {
        status = oct_fail_op(run->diagnostic, OCTET_ERROR_LIMIT, resize->node, "is too large");
    }
    if (status == OCTET_OK && !(workspace = oct_aligned_alloc(bytes))) {
        status = oct_fail_memory(run->diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_run_output(run, 0, &plan.output);
    }
    if (status == OCTET_OK) {
        apply(resize, &plan, run, workspace);
    }
    oct_aligned_free(workspace);
    oct_resize_plan_clear(&plan);
    return status;
}

static OctetStatus bind_types(const OctPrepare *prepare, Resize *resize) {
    const OctValue *x = prepare->node->inputs[0], *y = prepare->node->outputs[0];
    resize->element_size = octet_dtype_size(oct_value_storage(x));
    if (resize->rules.mode != OCT_RESIZE_NEAREST || oct_value_quantized(x)) {
        OCT_TRY(oct_element_of(prepare, x, &resize->x));
        OCT_TRY(oct_element_of(prepare, y, &resize->y));
    }
    if (resize->rules.mode == OCT_RESIZE_NEAREST &&
        resize->element_size != octet_dtype_size(oct_value_storage(y))) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "input and output differ in type");
    }
    float fill = resize->rules.extrapolation;
    if (resize->x.quantized && resize->rules.mode == OCT_RESIZE_NEAREST) {
        resize->requantizes = !oct_table_same_grid(x, y);
        OCT_TRY(oct_table_requantize(prepare, x, y, resize->table));
        resize->fill[0] = (uint8_t)oct_table_quantize(&x->qparams, fill);
    } else if (oct_value_storage(x) == OCTET_F32) {
        memcpy(resize->fill, &fill, sizeof fill);
    }
    return OCTET_OK;
}

static OctetStatus prepare_resize(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    Resize *resize = oct_prepare_state(prepare, prepared, sizeof *resize);
    if (!resize) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_resize;
    prepared->destroy = destroy;
    prepared->kernel = "resize";
    prepared->cpu = resize->cpu = prepare->cpu;
    resize->node = node;
    resize->channels_last = oct_channels_last(node) && shape->rank > 2;
    OCT_TRY(oct_resize_rules(node, &resize->rules, diagnostic));
    OCT_TRY(bind_types(prepare, resize));
    OctResizeRequest request;
    bool open;
    OCT_TRY(oct_resize_known_request(node, &request, &open, diagnostic));
    bool crops = resize->rules.coordinates == OCT_RESIZE_TF_CROP_AND_RESIZE;
    if (open || (crops && request.roi.count < 0)) {
        return OCTET_OK;
    }
    uint64_t bytes_left = prepare->table_limit;
    OCT_TRY(make_plan(resize, shape, &request, &resize->plan, &bytes_left, diagnostic));
    prepared->table_bytes = prepare->table_limit - bytes_left;
    resize->planned = true;
    if (!oct_resize_workspace(&resize->plan, &prepared->workspace_bytes)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "is too large");
    }
    return OCTET_OK;
}

#define FLAGS (OCT_OP_INT8 | OCT_OP_LAYOUT | OCT_OP_DYNAMIC)

const OctOp oct_ops_resize[] = {
    {"", "Resize", 10, 0, FLAGS, 1, 4, 1, 1, check_resize, infer_resize, prepare_resize},
    {"", "Upsample", 7, 9, FLAGS, 1, 2, 1, 1, check_resize, infer_resize, prepare_resize},
};
OCT_OPS_COUNT(resize);
