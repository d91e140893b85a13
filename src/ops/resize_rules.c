/* The attributes of Resize and Upsample in all their versions, and the sizes that they ask for. */
#include "ops/resize.h"

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

OctetStatus oct_resize_rules(const OctNode *node, OctResizeRules *rules,
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

static OctResizeFloats known_floats(const OctNode *node, int32_t k) {
    const OctValue *value = k >= 0 ? oct_node_input(node, k) : NULL;
    const OctetTensor *tensor = oct_value_tensor(value);
    if (!value) {
        return (OctResizeFloats){NULL, 0};
    }
    if (!tensor) {
        bool empty = value->shape.rank == 1 && value->shape.dims[0] == 0;
        return (OctResizeFloats){NULL, empty ? 0 : -1};
    }
    bool usable = tensor->dtype == OCTET_F32;
    return (OctResizeFloats){tensor->data, usable ? (int64_t)(tensor->bytes / sizeof(float)) : 0};
}

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

static OctetStatus sizes_from_scales(const OctNode *node, const OctResizeFloats *scales,
                                     const int64_t *in, const int32_t *axes, int32_t count,
                                     OctResizeSizes *sizes, OctetDiagnostic *diagnostic) {
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
                                    int32_t count, OctResizeSizes *sizes,
                                    OctetDiagnostic *diagnostic) {
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
OctetStatus oct_resize_output_sizes(const OctNode *node, const OctResizeRules *rules,
                                    const OctResizeRequest *request, int32_t rank,
                                    const int64_t *in, OctResizeSizes *sizes,
                                    OctetDiagnostic *diagnostic) {
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

/* What is known before running; *open if that does not decide the output. */
OctetStatus oct_resize_known_request(const OctNode *node, OctResizeRequest *request, bool *open,
                                     OctetDiagnostic *diagnostic) {
    Places places = places_of(node);
    *request = (OctResizeRequest){.scales = known_floats(node, places.scales),
                                  .roi = known_floats(node, places.roi)};
    OCT_TRY(oct_node_int_list(node, NULL, places.sizes, &request->sizes, diagnostic));
    const OctAttribute *attribute = oct_node_attribute(node, "scales");
    if (attribute && attribute->type == OCT_ATTRIBUTE_FLOATS) {
        request->scales = (OctResizeFloats){attribute->v.floats, attribute->count};
    }
    bool by_sizes = request->sizes.present && request->sizes.count != 0;
    *open = by_sizes ? oct_ints_open(&request->sizes) : request->scales.count < 0;
    return OCTET_OK;
}

static OctResizeFloats view_floats(const OctRun *run, int32_t k) {
    if (k < 0 || k >= run->input_count || !run->inputs[k].data ||
        run->inputs[k].dtype != OCTET_F32) {
        return (OctResizeFloats){NULL, 0};
    }
    return (OctResizeFloats){run->inputs[k].data, oct_view_count(&run->inputs[k])};
}

OctetStatus oct_resize_running_request(const OctNode *node, const OctRun *run,
                                       OctResizeRequest *request) {
    Places places = places_of(node);
    *request = (OctResizeRequest){.scales = view_floats(run, places.scales),
                                  .roi = view_floats(run, places.roi)};
    if (places.sizes < 0 || places.sizes >= run->input_count || !run->inputs[places.sizes].data) {
        return OCTET_OK;
    }
    return oct_view_int_list(&run->inputs[places.sizes], &request->sizes, run->diagnostic);
}
