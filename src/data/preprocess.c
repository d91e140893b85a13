#include "octet/data.h"

#include "base/diag.h"
#include "base/file.h"
#include "base/float8.h"
#include "base/mem.h"
#include "base/tensor.h"
#include "data/rows.h"

#include <string.h>

enum { IMAGE_BYTES_MAX = 512 << 20 };

/* Where the channels and sides of an image lie in the model's input; 0 where unknown. */
typedef struct Layout {
    bool channels_last;
    int32_t channels;
    int32_t width;
    int32_t height;
    int32_t rank; /* 4 with the batch, 3 without */
} Layout;

static bool is_channels(int64_t dim) {
    return dim == 1 || dim == 3;
}

static int32_t side(int64_t dim) {
    return dim > 0 && dim <= OCTET_MAX_PIXELS ? (int32_t)dim : 0;
}

static OctetStatus find_layout(const OctetDataInput *input, Layout *layout,
                               OctetDiagnostic *diagnostic) {
    const OctetShape *shape = &input->shape;
    *layout = (Layout){.rank = 4};
    if (shape->rank < 0) {
        return OCTET_OK;
    }
    const int64_t *dims = shape->rank == 4 ? shape->dims + 1 : shape->dims;
    bool first = is_channels(dims[0]);
    bool last = is_channels(dims[2]);
    bool open = dims[0] < 0; /* a model that leaves even the channels open */
    if ((shape->rank != 4 && shape->rank != 3) || (!first && !last && !open)) {
        char text[128];
        octet_shape_format(shape, text, sizeof text);
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "input '%s' of shape %s takes no image (Nx3xHxW, Nx1xHxW, NxHxWx3 or "
                        "NxHxWx1 does); give it an array",
                        input->name, text);
    }
    layout->channels_last = !first && last;
    layout->rank = shape->rank;
    const int64_t *sides = layout->channels_last ? dims : dims + 1;
    layout->channels = first || last ? (int32_t)(layout->channels_last ? dims[2] : dims[0]) : 0;
    layout->height = side(sides[0]);
    layout->width = side(sides[1]);
    return OCTET_OK;
}

/* What an image of a certain size goes through. */
typedef struct Fit {
    const OctetPreprocess *preprocess;
    const OctetDataInput *input;
    Layout layout;
    int32_t channels;
    int32_t width, height; /* to resize to */
    bool then_to_model;    /* after a crop, scale to the model's size */
} Fit;

static OctetStatus choose_size(Fit *fit, int32_t width, int32_t height,
                               OctetDiagnostic *diagnostic) {
    const OctetPreprocess *preprocess = fit->preprocess;
    bool model_has_size = fit->layout.width > 0 && fit->layout.height > 0;
    fit->width = width;
    fit->height = height;
    if (preprocess->resize_short > 0) {
        if (!oct_image_short_side_size(width, height, preprocess->resize_short, &fit->width,
                                       &fit->height)) {
            return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                            "%d x %d pixels are too narrow to be resized to a short side of %d",
                            width, height, preprocess->resize_short);
        }
    } else if (preprocess->resize_width > 0) {
        fit->width = preprocess->resize_width;
        fit->height = preprocess->resize_height;
    } else if (model_has_size && preprocess->crop > 0) {
        fit->then_to_model = true;
    } else if (model_has_size) {
        fit->width = fit->layout.width;
        fit->height = fit->layout.height;
    }
    return OCTET_OK;
}

/* Rows are resampled as they are decoded, and what the crop will cut off is not computed. */
static OctetStatus plan_rows(void *user, int32_t width, int32_t height, OctRowPlan *plan,
                             OctetDiagnostic *diagnostic) {
    Fit *fit = user;
    int32_t crop = fit->preprocess->crop;
    OCT_TRY(choose_size(fit, width, height, diagnostic));
    bool cuts = crop > 0 && fit->width > crop;
    *plan = (OctRowPlan){.channels = fit->channels,
                         .length = fit->width,
                         .first = cuts ? (fit->width - crop) / 2 : 0,
                         .count = cuts ? crop : fit->width};
    return OCTET_OK;
}

/* The other axis, and padding. */
static OctetStatus finish_size(const Fit *fit, OctImage *image, OctetDiagnostic *diagnostic) {
    int32_t crop = fit->preprocess->crop;
    bool cuts = crop > 0 && fit->height > crop;
    if (fit->height != image->height) {
        OCT_TRY(oct_image_resize_columns(image, fit->height, cuts ? (fit->height - crop) / 2 : 0,
                                         cuts ? crop : fit->height, diagnostic));
    }
    if (crop > 0) {
        OCT_TRY(oct_image_center_crop(image, crop, crop, diagnostic));
    }
    if (fit->then_to_model) {
        OCT_TRY(oct_image_resize(image, fit->layout.width, fit->layout.height, diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus check_size(const Layout *layout, const OctImage *image, const char *name,
                              OctetDiagnostic *diagnostic) {
    if ((layout->width > 0 && layout->width != image->width) ||
        (layout->height > 0 && layout->height != image->height)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "after preprocessing the image is %d wide and %d high; input '%s' needs "
                        "%d x %d (change resize or crop)",
                        image->width, image->height, name, layout->width, layout->height);
    }
    return OCTET_OK;
}

static OctetStatus check_counts(const OctetPreprocess *preprocess, int64_t channels,
                                const char *name, OctetDiagnostic *diagnostic) {
    if ((preprocess->mean_count > 1 && preprocess->mean_count != channels) ||
        (preprocess->std_count > 1 && preprocess->std_count != channels)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "mean and std have %d and %d numbers, input '%s' has %lld channels",
                        preprocess->mean_count, preprocess->std_count, name, (long long)channels);
    }
    return OCTET_OK;
}

/* One value, each step rounded to f32. */
static float scale_value(const OctetPreprocess *preprocess, int64_t channel, float value) {
    float mean = preprocess->mean[preprocess->mean_count > 1 ? channel : 0];
    float deviation = preprocess->std[preprocess->std_count > 1 ? channel : 0];
    value = value / preprocess->divide;
    value = value - mean;
    return value / deviation;
}

/* Interleaved bytes to f32 of the model's layout, by a table a channel. */
static void store(const OctetPreprocess *preprocess, const OctImage *image, const Layout *layout,
                  bool reverse, float *out) {
    size_t pixels = (size_t)image->width * (size_t)image->height;
    size_t channels = (size_t)image->channels;
    for (size_t c = 0; c < channels; c++) {
        float table[256];
        for (int value = 0; value < 256; value++) {
            table[value] = scale_value(preprocess, (int64_t)c, (float)value);
        }
        const uint8_t *from = image->pixels + (reverse ? channels - 1 - c : c);
        size_t step = layout->channels_last ? channels : 1;
        float *to = layout->channels_last ? out + c : out + c * pixels;
        for (size_t i = 0; i < pixels; i++) {
            to[i * step] = table[from[i * channels]];
        }
    }
}

static OctetStatus choose_channels(const OctetPreprocess *preprocess, const Layout *layout,
                                   const char *name, int32_t *channels,
                                   OctetDiagnostic *diagnostic) {
    if (preprocess->channels == OCTET_CHANNELS_AUTO) {
        *channels = layout->channels > 0 ? layout->channels : 3;
    } else {
        *channels = preprocess->channels == OCTET_CHANNELS_GRAY ? 1 : 3;
    }
    if (layout->channels > 0 && layout->channels != *channels) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "preprocessing makes %d channels, input '%s' has %d", *channels, name,
                        layout->channels);
    }
    return OCTET_OK;
}

/* The finished pixels as a tensor of the model's layout and type. */
static OctetStatus make_tensor(const Fit *fit, const OctImage *image, OctetTensor **tensor,
                               OctetDiagnostic *diagnostic) {
    const Layout *layout = &fit->layout;
    OctetShape shape = {.rank = layout->rank, .dims = {1}};
    int64_t *dims = layout->rank == 4 ? shape.dims + 1 : shape.dims;
    dims[layout->channels_last ? 2 : 0] = fit->channels;
    dims[layout->channels_last ? 0 : 1] = image->height;
    dims[layout->channels_last ? 1 : 2] = image->width;
    OctetTensor *made;
    OCT_TRY(octet_tensor_create(OCTET_F32, &shape, &made, diagnostic));
    store(fit->preprocess, image, layout, fit->preprocess->channels == OCTET_CHANNELS_BGR,
          made->data);
    if (fit->input->dtype != OCTET_F32) {
        OctetTensor *cast = NULL;
        OctetStatus status = octet_tensor_cast(made, fit->input->dtype, &cast, diagnostic);
        octet_tensor_free(made);
        OCT_TRY(status);
        made = cast;
    }
    *tensor = made;
    return OCTET_OK;
}

static OctetStatus read_image(const char *path, Fit *fit, OctImage *image,
                              OctetDiagnostic *diagnostic) {
    const char *name = fit->input->name;
    OctRowPlanner planner = {.plan = plan_rows, .user = fit};
    uint8_t *data;
    size_t bytes;
    OCT_TRY(find_layout(fit->input, &fit->layout, diagnostic));
    OCT_TRY(choose_channels(fit->preprocess, &fit->layout, name, &fit->channels, diagnostic));
    OCT_TRY(check_counts(fit->preprocess, fit->channels, name, diagnostic));
    OCT_TRY(oct_file_read(path, IMAGE_BYTES_MAX, &data, &bytes, diagnostic));
    OctetStatus status = oct_image_decode(data, bytes, &planner, image, diagnostic);
    oct_free(data);
    OCT_TRY(status);
    OCT_TRY(finish_size(fit, image, diagnostic));
    return check_size(&fit->layout, image, name, diagnostic);
}

OctetStatus octet_image_read(const char *path, const OctetPreprocess *preprocess,
                             const OctetDataInput *input, OctetTensor **tensor,
                             OctetDiagnostic *diagnostic) {
    Fit fit = {.preprocess = preprocess, .input = input};
    OctImage image = {0};
    *tensor = NULL;
    OctetStatus status = read_image(path, &fit, &image, diagnostic);
    if (status == OCTET_OK) {
        status = make_tensor(&fit, &image, tensor, diagnostic);
    }
    oct_image_free(&image);
    return oct_fail_in_file(diagnostic, status, path);
}

static bool is_float(OctetDType dtype) {
    return dtype == OCTET_F32 || dtype == OCTET_F64 || dtype == OCTET_F16 || dtype == OCTET_BF16 ||
           oct_dtype_is_float8(dtype);
}

static bool is_identity(const OctetPreprocess *preprocess) {
    bool identity = preprocess->divide == 1.0f;
    for (int32_t i = 0; i < preprocess->mean_count; i++) {
        identity = identity && preprocess->mean[i] == 0.0f;
    }
    for (int32_t i = 0; i < preprocess->std_count; i++) {
        identity = identity && preprocess->std[i] == 1.0f;
    }
    return identity;
}

/* Scales in place; the channels are the second axis, or the last where only that one fits. */
static OctetStatus scale_array(const OctetPreprocess *preprocess, OctetTensor *tensor,
                               const char *name, OctetDiagnostic *diagnostic) {
    const OctetShape *shape = &tensor->shape;
    int32_t wanted = preprocess->mean_count > preprocess->std_count ? preprocess->mean_count
                                                                    : preprocess->std_count;
    int32_t axis = shape->rank > 1 ? 1 : 0;
    if (shape->rank > 2 && shape->dims[1] != wanted && shape->dims[shape->rank - 1] == wanted) {
        axis = shape->rank - 1;
    }
    int64_t channels = shape->rank > 0 ? shape->dims[axis] : 1;
    OCT_TRY(check_counts(preprocess, channels, name, diagnostic));
    int64_t count, inner = 1;
    if (!octet_shape_count(shape, &count) || count == 0) {
        return OCTET_OK;
    }
    for (int32_t d = axis + 1; d < shape->rank; d++) {
        inner *= shape->dims[d];
    }
    float *values = tensor->data;
    for (int64_t i = 0, channel = 0; i < count; i += inner) {
        for (int64_t k = 0; k < inner; k++) {
            values[i + k] = scale_value(preprocess, channel, values[i + k]);
        }
        channel = channel + 1 < channels ? channel + 1 : 0;
    }
    return OCTET_OK;
}

static bool dims_fit(const OctetShape *have, const OctetShape *want, int32_t from) {
    if (have->rank != want->rank) {
        return false;
    }
    for (int32_t d = from; d < want->rank; d++) {
        if (want->dims[d] >= 0 && want->dims[d] != have->dims[d]) {
            return false;
        }
    }
    return true;
}

/* The dimensions behind the batch that are not 1. */
static int32_t squeeze(const OctetShape *shape, int32_t from, int64_t *dims) {
    int32_t count = 0;
    for (int32_t d = from; d < shape->rank; d++) {
        if (shape->dims[d] != 1) {
            dims[count++] = shape->dims[d];
        }
    }
    return count;
}

/* True if two groupings of one sample's values have them in the same order: equal but for
 * dimensions of 1, or one of the two flat. NHWC for NCHW is not. */
static bool same_order(const OctetShape *have, int32_t have_from, const OctetShape *want) {
    int64_t have_dims[OCTET_MAX_RANK], want_dims[OCTET_MAX_RANK];
    int32_t have_count = squeeze(have, have_from, have_dims);
    int32_t want_count = squeeze(want, 1, want_dims);
    if (have_count <= 1 || want_count <= 1) {
        return true;
    }
    return have_count == want_count &&
           memcmp(have_dims, want_dims, (size_t)have_count * sizeof(int64_t)) == 0;
}

/* The model's shape for data that only groups its dimensions otherwise. The data's first axis is
 * the batch, or the data is one sample without a batch. */
static bool regroup(const OctetShape *have, const OctetShape *want, OctetShape *shape) {
    int64_t count, inner = 1;
    if (want->rank < 1 || !octet_shape_count(have, &count)) {
        return false;
    }
    for (int32_t d = 1; d < want->rank; d++) {
        if (want->dims[d] < 1 || !oct_mul_i64(inner, want->dims[d], &inner)) {
            return false;
        }
    }
    bool batched = have->rank > 0 && have->dims[0] > 0 && count % inner == 0 &&
                   count / inner == have->dims[0] && same_order(have, 1, want);
    bool single = count == inner && same_order(have, 0, want);
    if (!batched && !single) {
        return false;
    }
    *shape = *want;
    shape->dims[0] = count / inner;
    return true;
}

static OctetStatus fit_shape(OctetTensor *tensor, const OctetDataInput *input,
                             OctetDiagnostic *diagnostic) {
    OctetShape shape;
    if (input->shape.rank < 0 || dims_fit(&tensor->shape, &input->shape, 1)) {
        return OCTET_OK;
    }
    if (regroup(&tensor->shape, &input->shape, &shape)) {
        tensor->shape = shape;
        return OCTET_OK;
    }
    char have[128], want[128];
    octet_shape_format(&tensor->shape, have, sizeof have);
    octet_shape_format(&input->shape, want, sizeof want);
    return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                    "the data has shape %s, input '%s' needs %s (the first dimension being the "
                    "batch)",
                    have, input->name, want);
}

/* Floats are taken for integers only where nothing is lost. */
static OctetStatus check_whole(const OctetTensor *given, const OctetTensor *made, const char *name,
                               OctetDiagnostic *diagnostic) {
    OctetTensor *again;
    OCT_TRY(octet_tensor_cast(made, given->dtype, &again, diagnostic));
    bool same = again->bytes == given->bytes &&
                (again->bytes == 0 || memcmp(again->data, given->data, given->bytes) == 0);
    octet_tensor_free(again);
    return same ? OCTET_OK
                : oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                           "the data are real numbers, input '%s' takes integers of type %s", name,
                           octet_dtype_name(made->dtype));
}

OctetStatus octet_array_prepare(OctetTensor **tensor, const OctetPreprocess *preprocess,
                                const OctetDataInput *input, OctetDiagnostic *diagnostic) {
    OctetTensor *made = NULL;
    OctetTensor *given = *tensor;
    bool scales = input->dtype == OCTET_F32 && !is_identity(preprocess) &&
                  (preprocess->float_arrays || !is_float(given->dtype));
    OctetStatus status = given->dtype == input->dtype
                             ? octet_tensor_copy(given, &made, diagnostic)
                             : octet_tensor_cast(given, input->dtype, &made, diagnostic);
    if (status == OCTET_OK && is_float(given->dtype) && !is_float(input->dtype)) {
        status = check_whole(given, made, input->name, diagnostic);
    }
    if (status == OCTET_OK) {
        status = fit_shape(made, input, diagnostic);
    }
    if (status == OCTET_OK && scales) {
        status = scale_array(preprocess, made, input->name, diagnostic);
    }
    if (status != OCTET_OK) {
        octet_tensor_free(made);
        return status;
    }
    octet_tensor_free(given);
    *tensor = made;
    return OCTET_OK;
}
