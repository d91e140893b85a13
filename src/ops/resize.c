/* Resize (opset 10 to 22) and Upsample (7 to 9): attributes, shapes, preparation. */
#include "ops/resize.h"
#include "ops/layout.h"
#include "ops/table_u8.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct Name {
    const char *text;
    int value;
} Name;

static const Name modes[] = {{"nearest", OCT_RESIZE_NEAREST},
                             {"linear", OCT_RESIZE_LINEAR},
                             {"bilinear", OCT_RESIZE_LINEAR},
                             {"cubic", OCT_RESIZE_CUBIC},
                             {NULL, 0}};
static const Name coordinates[] = {{"half_pixel", OCT_RESIZE_HALF_PIXEL},
                                   {"half_pixel_symmetric", OCT_RESIZE_HALF_PIXEL_SYMMETRIC},
                                   {"pytorch_half_pixel", OCT_RESIZE_PYTORCH_HALF_PIXEL},
                                   {"align_corners", OCT_RESIZE_ALIGN_CORNERS},
                                   {"asymmetric", OCT_RESIZE_ASYMMETRIC},
                                   {"tf_half_pixel_for_nn", OCT_RESIZE_TF_HALF_PIXEL_FOR_NN},
                                   {"tf_crop_and_resize", OCT_RESIZE_TF_CROP_AND_RESIZE},
                                   {NULL, 0}};
static const Name roundings[] = {{"round_prefer_floor", OCT_RESIZE_PREFER_FLOOR},
                                 {"round_prefer_ceil", OCT_RESIZE_PREFER_CEIL},
                                 {"floor", OCT_RESIZE_FLOOR},
                                 {"ceil", OCT_RESIZE_CEIL},
                                 {NULL, 0}};
static const Name policies[] = {{"stretch", OCT_RESIZE_STRETCH},
                                {"not_larger", OCT_RESIZE_NOT_LARGER},
                                {"not_smaller", OCT_RESIZE_NOT_SMALLER},
                                {NULL, 0}};

static OctetStatus read_name(const OctNode *node, const char *attribute, const char *fallback,
                             const Name *names, int *value, OctetDiagnostic *diagnostic) {
    const char *text = oct_node_string(node, attribute, fallback);
    for (const Name *name = names; name->text; name++) {
        if (strcmp(name->text, text) == 0) {
            *value = name->value;
            return OCTET_OK;
        }
    }
    return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "%s \"%s\" is not supported",
                       attribute, text);
}

static bool is_upsample(const OctNode *node) {
    return strcmp(node->op_type, "Upsample") == 0;
}

static OctetStatus read_rules(const OctNode *node, OctResizeRules *rules,
                              OctetDiagnostic *diagnostic) {
    int mode = 0, coordinate = 0, rounding = 0, policy = 0;
    bool old = is_upsample(node) || node->opset < 11;
    OCT_TRY(read_name(node, "mode", "nearest", modes, &mode, diagnostic));
    OCT_TRY(read_name(node, "coordinate_transformation_mode", old ? "asymmetric" : "half_pixel",
                      coordinates, &coordinate, diagnostic));
    OCT_TRY(
        read_name(node, "nearest_mode", "round_prefer_floor", roundings, &rounding, diagnostic));
    OCT_TRY(read_name(node, "keep_aspect_ratio_policy", "stretch", policies, &policy, diagnostic));
    *rules = (OctResizeRules){.mode = (OctResizeMode)mode,
                              .coordinates = (OctResizeCoordinates)coordinate,
                              .rounding = old ? OCT_RESIZE_SIMPLE : (OctResizeRounding)rounding,
                              .policy = (OctResizePolicy)policy,
                              .cubic_a = oct_node_float(node, "cubic_coeff_a", -0.75f),
                              .extrapolation = oct_node_float(node, "extrapolation_value", 0.0f),
                              .exclude_outside = oct_node_int(node, "exclude_outside", 0) != 0,
                              .antialias = oct_node_int(node, "antialias", 0) != 0};
    return OCTET_OK;
}

/* Where the operator's versions keep their inputs; -1 for none. */
typedef struct Places {
    int32_t roi, scales, sizes;
} Places;

static Places places_of(const OctNode *node) {
    if (is_upsample(node) || node->opset < 11) {
        return (Places){-1, 1, -1};
    }
    return (Places){1, 2, 3};
}

/* Floats of an attribute, a constant or a view; count -1: not known now. */
typedef struct Floats {
    const float *data;
    int64_t count; /* 0: absent */
} Floats;

static Floats known_floats(const OctNode *node, int32_t k) {
    const OctValue *value = k >= 0 ? oct_node_input(node, k) : NULL;
    const OctetTensor *tensor = oct_value_tensor(value);
    if (!value) {
        return (Floats){NULL, 0};
    }
    if (!tensor) {
        bool empty = value->shape.rank == 1 && value->shape.dims[0] == 0;
        return (Floats){NULL, empty ? 0 : -1};
    }
    bool usable = tensor->dtype == OCTET_F32;
    return (Floats){tensor->data, usable ? (int64_t)(tensor->bytes / sizeof(float)) : 0};
}

static Floats view_floats(const OctRun *run, int32_t k) {
    if (k < 0 || k >= run->input_count || !run->inputs[k].data ||
        run->inputs[k].dtype != OCTET_F32) {
        return (Floats){NULL, 0};
    }
    return (Floats){run->inputs[k].data, oct_view_count(&run->inputs[k])};
}

/* What decides the output's size, an ONNX axis each. */
typedef struct Request {
    Floats scales, roi;
    OctInts sizes;
} Request;

/* The ONNX axes that scales, sizes and roi are about: the attribute axes or all of them. */
static OctetStatus read_axes(const OctNode *node, int32_t rank, int32_t *axes, int32_t *count,
                             OctetDiagnostic *diagnostic) {
    const int64_t *given;
    *count = oct_node_ints(node, "axes", &given);
    if (*count > rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has more axes than its input");
    }
    for (int32_t i = 0; i < *count; i++) {
        OCT_TRY(oct_normalize_axis(node, given[i], rank, &axes[i], diagnostic));
    }
    for (int32_t i = 0; i < rank && *count == 0; i++) {
        axes[i] = i;
    }
    *count = *count == 0 ? rank : *count;
    return OCTET_OK;
}

/* Sizes and scales of all ONNX axes. Unknown input sizes give unknown output sizes. */
typedef struct Sizes {
    int64_t out[OCTET_MAX_RANK];
    float scale[OCTET_MAX_RANK], start[OCTET_MAX_RANK], end[OCTET_MAX_RANK];
} Sizes;

static OctetStatus sizes_from_scales(const OctNode *node, const Floats *scales, const int64_t *in,
                                     const int32_t *axes, int32_t count, Sizes *sizes,
                                     OctetDiagnostic *diagnostic) {
    if (scales->count != count) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has %" PRId64 " scales for %d axes", scales->count, (int)count);
    }
    for (int32_t i = 0; i < count; i++) {
        float scale = scales->data[i];
        if (!(scale > 0.0f) || !isfinite(scale)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "a scale of %g",
                               (double)scale);
        }
        int64_t size = in[axes[i]];
        if (size >= 0 && (double)size * (double)scale > 1e9) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "its output is too large");
        }
        sizes->scale[axes[i]] = scale;
        sizes->out[axes[i]] = size < 0        ? OCT_DIM_UNKNOWN
                              : scale == 1.0f ? size
                                              : (int64_t)floorf((float)size * scale);
    }
    return OCTET_OK;
}

static OctetStatus sizes_from_sizes(const OctNode *node, OctResizePolicy policy,
                                    const OctInts *given, const int64_t *in, const int32_t *axes,
                                    int32_t count, Sizes *sizes, OctetDiagnostic *diagnostic) {
    if (given->count != count) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has %d sizes for %d axes",
                           (int)given->count, (int)count);
    }
    float common = 0.0f;
    for (int32_t i = 0; i < count; i++) {
        int64_t out = given->v[i], size = in[axes[i]];
        if (out > 1000000000) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "its output is too large");
        }
        float scale = size > 0 && out >= 0 ? (float)out / (float)size : 1.0f;
        bool better = policy == OCT_RESIZE_NOT_LARGER ? scale < common : scale > common;
        common = i == 0 || better ? scale : common;
        sizes->scale[axes[i]] = scale;
        sizes->out[axes[i]] = out >= 0 ? out : OCT_DIM_UNKNOWN;
    }
    for (int32_t i = 0; i < count && policy != OCT_RESIZE_STRETCH; i++) {
        int64_t size = in[axes[i]];
        sizes->scale[axes[i]] = common;
        sizes->out[axes[i]] =
            size < 0 ? OCT_DIM_UNKNOWN : (int64_t)floorf(common * (float)size + 0.5f);
    }
    return OCTET_OK;
}

/* `in` in ONNX's order of axes. */
static OctetStatus output_sizes(const OctNode *node, const OctResizeRules *rules,
                                const Request *request, int32_t rank, const int64_t *in,
                                Sizes *sizes, OctetDiagnostic *diagnostic) {
    int32_t axes[OCTET_MAX_RANK], count;
    OCT_TRY(read_axes(node, rank, axes, &count, diagnostic));
    for (int32_t i = 0; i < rank; i++) {
        sizes->out[i] = in[i];
        sizes->scale[i] = sizes->end[i] = 1.0f;
        sizes->start[i] = 0.0f;
    }
    for (int32_t i = 0; i < count && request->roi.count == 2 * count; i++) {
        sizes->start[axes[i]] = request->roi.data[i];
        sizes->end[axes[i]] = request->roi.data[count + i];
    }
    if (request->sizes.present && request->sizes.count != 0) {
        return sizes_from_sizes(node, rules->policy, &request->sizes, in, axes, count, sizes,
                                diagnostic);
    }
    return sizes_from_scales(node, &request->scales, in, axes, count, sizes, diagnostic);
}

/* The place of an ONNX axis in memory. */
static int32_t place_of(int32_t axis, int32_t rank, bool channels_last) {
    if (!channels_last || axis == 0) {
        return axis;
    }
    return axis == 1 ? rank - 1 : axis - 1;
}

/* What is known before running; *open if that does not decide the output. */
static OctetStatus known_request(const OctNode *node, Request *request, bool *open,
                                 OctetDiagnostic *diagnostic) {
    Places places = places_of(node);
    *request = (Request){.scales = known_floats(node, places.scales),
                         .roi = known_floats(node, places.roi)};
    OCT_TRY(oct_node_int_list(node, NULL, places.sizes, &request->sizes, diagnostic));
    const OctAttribute *attribute = oct_node_attribute(node, "scales");
    if (attribute && attribute->type == OCT_ATTRIBUTE_FLOATS) {
        request->scales = (Floats){attribute->v.floats, attribute->count};
    }
    bool by_sizes = request->sizes.present && request->sizes.count != 0;
    *open = by_sizes ? oct_ints_open(&request->sizes) : request->scales.count < 0;
    return OCTET_OK;
}

static OctetStatus check_resize(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    OctResizeRules rules;
    return read_rules(node, &rules, diagnostic);
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
        Request request;
        bool open;
        OCT_TRY(read_rules(node, &rules, diagnostic));
        OCT_TRY(known_request(node, &request, &open, diagnostic));
        Sizes sizes;
        int64_t in[OCTET_MAX_RANK];
        bool last = oct_channels_last(node) && x->rank > 2;
        onnx_order(x, last, in);
        y = oct_shape_of_rank(x->rank);
        if (!open) {
            OCT_TRY(output_sizes(node, &rules, &request, x->rank, in, &sizes, diagnostic));
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

static OctetStatus make_plan(const Resize *resize, const OctetShape *input, const Request *request,
                             OctResizePlan *plan, OctetDiagnostic *diagnostic) {
    int64_t in[OCTET_MAX_RANK];
    Sizes sizes;
    bool last = resize->channels_last;
    onnx_order(input, last, in);
    *plan = (OctResizePlan){.rules = resize->rules, .input = *input, .output = *input};
    OCT_TRY(
        output_sizes(resize->node, &resize->rules, request, input->rank, in, &sizes, diagnostic));
    for (int32_t i = 0; i < input->rank; i++) {
        int32_t place = place_of(i, input->rank, last);
        plan->output.dims[place] = sizes.out[i];
        if (in[i] == 0 && sizes.out[i] != 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, resize->node,
                               "can't make something from an empty input");
        }
        OCT_TRY(oct_resize_axis(&resize->rules, in[i], sizes.out[i], sizes.scale[i], sizes.start[i],
                                sizes.end[i], &plan->axes[place], diagnostic));
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
    Places places = places_of(resize->node);
    Request request = {.scales = view_floats(run, places.scales),
                       .roi = view_floats(run, places.roi)};
    if (places.sizes >= 0 && places.sizes < run->input_count && run->inputs[places.sizes].data) {
        OCT_TRY(oct_view_int_list(&run->inputs[places.sizes], &request.sizes, run->diagnostic));
    }
    OctResizePlan plan = {0};
    size_t bytes = 0;
    void *workspace = NULL;
    OctetStatus status = make_plan(resize, &run->inputs[0].shape, &request, &plan, run->diagnostic);
    if (status == OCTET_OK && !oct_resize_workspace(&plan, &bytes)) {
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
    OCT_TRY(read_rules(node, &resize->rules, diagnostic));
    OCT_TRY(bind_types(prepare, resize));
    Request request;
    bool open;
    OCT_TRY(known_request(node, &request, &open, diagnostic));
    bool crops = resize->rules.coordinates == OCT_RESIZE_TF_CROP_AND_RESIZE;
    if (open || (crops && request.roi.count < 0)) {
        return OCTET_OK;
    }
    OCT_TRY(make_plan(resize, shape, &request, &resize->plan, diagnostic));
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
