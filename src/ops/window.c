#include "ops/window.h"
#include "ops/ops.h"

#include <inttypes.h>
#include <string.h>

static OctetStatus read_auto_pad(const OctNode *node, OctAutoPad *auto_pad,
                                 OctetDiagnostic *diagnostic) {
    const char *text = oct_node_string(node, "auto_pad", "NOTSET");
    if (strcmp(text, "NOTSET") == 0 || text[0] == '\0') {
        *auto_pad = OCT_PAD_EXPLICIT;
    } else if (strcmp(text, "VALID") == 0) {
        *auto_pad = OCT_PAD_VALID;
    } else if (strcmp(text, "SAME_UPPER") == 0) {
        *auto_pad = OCT_PAD_SAME_UPPER;
    } else if (strcmp(text, "SAME_LOWER") == 0) {
        *auto_pad = OCT_PAD_SAME_LOWER;
    } else {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "auto_pad \"%s\" does not exist",
                           text);
    }
    return OCTET_OK;
}

static OctetStatus check_ints(const OctNode *node, const char *name, int64_t minimum, int32_t *rank,
                              int32_t per_axis, OctetDiagnostic *diagnostic) {
    const int64_t *ints;
    int32_t count = oct_node_ints(node, name, &ints);
    if (count == 0) {
        return OCTET_OK;
    }
    if (count % per_axis != 0 || (*rank >= 0 && count / per_axis != *rank)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "attribute %s has %" PRId32 " numbers, which does not fit the "
                           "other attributes",
                           name, count);
    }
    *rank = count / per_axis;
    if (*rank > OCT_WINDOW_MAX) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "has %" PRId32 " spatial axes; Octet has up to %d", *rank,
                           OCT_WINDOW_MAX);
    }
    for (int32_t i = 0; i < count; i++) {
        if (ints[i] < minimum || ints[i] > INT32_MAX / 4) {
            return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                               "attribute %s holds %" PRId64 ", outside [%" PRId64 ", %d]", name,
                               ints[i], minimum, INT32_MAX / 4);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_window_check(const OctNode *node, OctetDiagnostic *diagnostic) {
    OctAutoPad auto_pad;
    int32_t rank = -1;
    OCT_TRY(read_auto_pad(node, &auto_pad, diagnostic));
    OCT_TRY(check_ints(node, "kernel_shape", 1, &rank, 1, diagnostic));
    OCT_TRY(check_ints(node, "strides", 1, &rank, 1, diagnostic));
    OCT_TRY(check_ints(node, "dilations", 1, &rank, 1, diagnostic));
    /* Exporters write negative pads now and then; they crop, which a Slice says better. */
    OCT_TRY(check_ints(node, "pads", 0, &rank, 2, diagnostic));
    OCT_TRY(check_ints(node, "output_padding", 0, &rank, 1, diagnostic));
    return OCTET_OK;
}

/* Copies an attribute of `rank` numbers, or fills with `fallback` where it is absent. */
static OctetStatus read_ints(const OctNode *node, const char *name, int32_t rank, int64_t fallback,
                             int64_t *values, OctetDiagnostic *diagnostic) {
    const int64_t *ints;
    int32_t count = oct_node_ints(node, name, &ints);
    if (count != 0 && count != rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "attribute %s has %" PRId32 " numbers, the input has %" PRId32
                           " spatial axes",
                           name, count, rank);
    }
    for (int32_t i = 0; i < rank; i++) {
        values[i] = count ? ints[i] : fallback;
    }
    return OCTET_OK;
}

OctetStatus oct_window_read(const OctNode *node, int32_t rank, const int64_t *kernel,
                            OctWindow *window, OctetDiagnostic *diagnostic) {
    *window = (OctWindow){.rank = rank, .ceil_mode = oct_node_int(node, "ceil_mode", 0) != 0};
    if (rank < 1 || rank > OCT_WINDOW_MAX) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs an input with 1 to %d spatial axes, it has %" PRId32,
                           OCT_WINDOW_MAX, rank);
    }
    OCT_TRY(read_auto_pad(node, &window->auto_pad, diagnostic));
    OCT_TRY(read_ints(node, "kernel_shape", rank, 0, window->kernel, diagnostic));
    OCT_TRY(read_ints(node, "strides", rank, 1, window->stride, diagnostic));
    OCT_TRY(read_ints(node, "dilations", rank, 1, window->dilation, diagnostic));
    OCT_TRY(read_ints(node, "output_padding", rank, 0, window->output_padding, diagnostic));
    const int64_t *ints;
    int32_t count = oct_node_ints(node, "pads", &ints);
    if (count != 0 && count != 2 * rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "attribute pads has %" PRId32 " numbers for %" PRId32 " spatial axes",
                           count, rank);
    }
    for (int32_t i = 0; i < rank; i++) {
        if (count && window->auto_pad == OCT_PAD_EXPLICIT) {
            window->pad_begin[i] = ints[i];
            window->pad_end[i] = ints[rank + i];
        }
        if (kernel && window->kernel[i] != 0 && window->kernel[i] != kernel[i]) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "kernel_shape says %" PRId64 ", the weights %" PRId64,
                               window->kernel[i], kernel[i]);
        }
        window->kernel[i] = kernel ? kernel[i] : window->kernel[i];
        if (window->kernel[i] < 1 || oct_window_extent(window, i) > INT32_MAX / 4) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "a kernel of size %" PRId64 " can't be used", window->kernel[i]);
        }
    }
    count = oct_node_ints(node, "output_shape", &ints);
    if (count != 0 && count != rank && count != rank + 2) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "attribute output_shape does not fit the input");
    }
    for (int32_t i = 0; i < rank && count; i++) {
        window->output_shape[i] = ints[count - rank + i];
    }
    return OCTET_OK;
}

static OctetStatus does_not_fit(const OctNode *node, int64_t in, int64_t extent,
                                OctetDiagnostic *diagnostic) {
    return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                       "a window of %" PRId64 " does not fit into an input of %" PRId64, extent,
                       in);
}

static void split_padding(OctWindow *window, int32_t axis, int64_t total, bool more_at_end) {
    int64_t less = total / 2;
    window->pad_begin[axis] = more_at_end ? less : total - less;
    window->pad_end[axis] = more_at_end ? total - less : less;
}

OctetStatus oct_window_output(OctWindow *window, const OctNode *node, const int64_t *in,
                              int64_t *out, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < window->rank; i++) {
        if (in[i] < 0) {
            out[i] = OCT_DIM_UNKNOWN;
            continue;
        }
        int64_t extent = oct_window_extent(window, i);
        int64_t stride = window->stride[i];
        if (in[i] > INT32_MAX / 4) {
            return does_not_fit(node, in[i], extent, diagnostic);
        }
        if (window->auto_pad == OCT_PAD_SAME_UPPER || window->auto_pad == OCT_PAD_SAME_LOWER) {
            out[i] = (in[i] + stride - 1) / stride;
            int64_t total = (out[i] - 1) * stride + extent - in[i];
            split_padding(window, i, total > 0 ? total : 0, window->auto_pad == OCT_PAD_SAME_UPPER);
            continue;
        }
        int64_t room = in[i] + window->pad_begin[i] + window->pad_end[i] - extent;
        if (room < 0) {
            return does_not_fit(node, in[i], extent, diagnostic);
        }
        out[i] = room / stride + 1;
        /* The last window must begin inside the input or the padding before it. */
        if (window->ceil_mode && room % stride != 0 &&
            out[i] * stride < in[i] + window->pad_begin[i]) {
            out[i]++;
        }
    }
    return OCTET_OK;
}

OctetStatus oct_window_transposed(OctWindow *window, const OctNode *node, const int64_t *in,
                                  int64_t *out, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < window->rank; i++) {
        int64_t extent = oct_window_extent(window, i);
        int64_t stride = window->stride[i];
        if (in[i] < 0) {
            out[i] = window->output_shape[i] > 0 ? window->output_shape[i] : OCT_DIM_UNKNOWN;
            continue;
        }
        int64_t full, scaled;
        if (!oct_mul_i64(stride, in[i] - 1, &full) || full > INT32_MAX / 4) {
            return does_not_fit(node, in[i], extent, diagnostic);
        }
        full += window->output_padding[i] + extent;
        if (window->output_shape[i] > 0 || window->auto_pad == OCT_PAD_SAME_UPPER ||
            window->auto_pad == OCT_PAD_SAME_LOWER) {
            bool given = window->output_shape[i] > 0;
            if (!oct_mul_i64(in[i], stride, &scaled)) {
                return does_not_fit(node, in[i], extent, diagnostic);
            }
            out[i] = given ? window->output_shape[i] : scaled;
            if (out[i] > INT32_MAX / 4) {
                return does_not_fit(node, in[i], extent, diagnostic);
            }
            int64_t total = full - out[i];
            /* A larger output than the windows reach gets its rest at the end: negative padding
             * there is output that only the bias fills. */
            if (total < 0) {
                window->pad_begin[i] = 0;
                window->pad_end[i] = total;
            } else {
                split_padding(window, i, total, window->auto_pad == OCT_PAD_SAME_UPPER);
            }
        } else {
            out[i] = full - window->pad_begin[i] - window->pad_end[i];
        }
        if (out[i] < 0 || in[i] == 0) {
            return does_not_fit(node, in[i], extent, diagnostic);
        }
    }
    return OCTET_OK;
}

bool oct_image_shape_split(const OctetShape *shape, bool channels_last, OctImageShape *image) {
    if (shape->rank < 2 || shape->rank > OCTET_MAX_RANK) {
        return false;
    }
    image->rank = shape->rank - 2;
    image->batch = shape->dims[0];
    image->channels = channels_last ? shape->dims[shape->rank - 1] : shape->dims[1];
    for (int32_t i = 0; i < image->rank; i++) {
        image->spatial[i] = shape->dims[i + (channels_last ? 1 : 2)];
    }
    return true;
}

OctetShape oct_image_shape_join(const OctImageShape *image, bool channels_last) {
    OctetShape shape = {.rank = image->rank + 2};
    shape.dims[0] = image->batch;
    shape.dims[channels_last ? image->rank + 1 : 1] = image->channels;
    for (int32_t i = 0; i < image->rank; i++) {
        shape.dims[i + (channels_last ? 1 : 2)] = image->spatial[i];
    }
    return shape;
}

int64_t oct_image_shape_area(const OctImageShape *image) {
    int64_t area = 1;
    for (int32_t i = 0; i < image->rank; i++) {
        area *= image->spatial[i];
    }
    return area;
}
