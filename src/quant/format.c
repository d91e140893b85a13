/* Tensors as text, laid out as Python lays out PyTorch's (torch/_tensor_str.py, 1.13): four digits,
 * 80 columns, shortened above 1000 elements to three at each end of every dimension. */
#include "base/diag.h"
#include "base/mem.h"
#include "octet/quant.h"
#include "quant/text.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LINE = 80, THRESHOLD = 1000, EDGE = 3, PRECISION = 4 };
static const char prefix[] = "tensor(";
enum { INDENT = sizeof prefix - 1 };

/* The values to show, f64 for floats and s64 for integers, and how all of them are written. */
typedef struct Layout {
    const double *real; /* one of these */
    const int64_t *integer;
    bool is_bool, is_unsigned64;
    const OctetShape *shape;
    bool shortened, whole, scientific;
    int width;
} Layout;

static int format_value(const Layout *layout, int64_t index, char buffer[64]) {
    if (!layout->real) {
        int64_t value = layout->integer[index];
        if (layout->is_bool) {
            return snprintf(buffer, 64, "%s", value ? "True" : "False");
        }
        return layout->is_unsigned64 ? snprintf(buffer, 64, "%" PRIu64, (uint64_t)value)
                                     : snprintf(buffer, 64, "%" PRId64, value);
    }
    double value = layout->real[index];
    if (!isfinite(value)) {
        return snprintf(buffer, 64, "%s", isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
    }
    if (layout->scientific) {
        return snprintf(buffer, 64, "%.*e", PRECISION, value);
    }
    /* whole numbers are below 1e8 here */
    return layout->whole ? snprintf(buffer, 64, "%.0f.", value)
                         : snprintf(buffer, 64, "%.*f", PRECISION, value);
}

/* Called for the index of each value that is shown, in order. */
typedef void (*ShownWork)(void *user, int64_t index);

static void for_each_shown(const Layout *layout, int32_t axis, int64_t first, int64_t stride,
                           ShownWork work, void *user) {
    if (axis == layout->shape->rank) {
        work(user, first);
        return;
    }
    int64_t length = layout->shape->dims[axis];
    stride /= length;
    for (int64_t i = 0; i < length; i++) {
        if (layout->shortened && length > 2 * EDGE && i == EDGE) {
            i = length - EDGE;
        }
        for_each_shown(layout, axis + 1, first + i * stride, stride, work, user);
    }
}

typedef struct Extent {
    Layout *layout;
    double least, greatest;
    bool whole;
} Extent;

static void measure(void *user, int64_t index) {
    Extent *extent = user;
    double value = extent->layout->real[index];
    if (isfinite(value) && value != 0) {
        extent->least = fmin(extent->least, fabs(value));
        extent->greatest = fmax(extent->greatest, fabs(value));
        extent->whole = extent->whole && value == ceil(value);
    }
}

static void widen(void *user, int64_t index) {
    Layout *layout = ((Extent *)user)->layout;
    char buffer[64];
    if (layout->real && (!isfinite(layout->real[index]) || layout->real[index] == 0)) {
        return;
    }
    int width = format_value(layout, index, buffer);
    layout->width = width > layout->width ? width : layout->width;
}

/* Chooses the notation and the width, as torch's _Formatter does. */
static void choose_notation(Layout *layout, int64_t count) {
    Extent extent = {.layout = layout, .least = INFINITY, .whole = true};
    layout->width = 1;
    layout->whole = true;
    if (layout->real) {
        for_each_shown(layout, 0, 0, count, measure, &extent);
        layout->whole = extent.whole;
        if (extent.greatest > 0) {
            layout->scientific = extent.greatest / extent.least > 1000.0 ||
                                 extent.greatest > 1.0e8 ||
                                 (!extent.whole && extent.least < 1.0e-4);
        }
    }
    for_each_shown(layout, 0, 0, count, widen, &extent);
}

static void put_value(OctText *text, const Layout *layout, int64_t index) {
    char buffer[64];
    int width = format_value(layout, index, buffer);
    oct_text_repeat(text, ' ', layout->width - width);
    oct_text_put(text, buffer);
}

static void put_vector(OctText *text, const Layout *layout, int64_t first, int64_t length,
                       int64_t indent) {
    int64_t per_line = (LINE - indent) / (layout->width + 2);
    per_line = LINE - indent > 0 && per_line > 1 ? per_line : 1;
    bool cut = layout->shortened && length > 2 * EDGE;
    oct_text_put(text, "[");
    for (int64_t i = 0, shown = 0; i < length; i++, shown++) {
        if (shown > 0 && shown % per_line == 0) {
            oct_text_put(text, ",\n");
            oct_text_repeat(text, ' ', indent + 1);
        } else if (shown > 0) {
            oct_text_put(text, ", ");
        }
        if (cut && i == EDGE) {
            oct_text_put(text, " ...");
            i = length - EDGE - 1;
        } else {
            put_value(text, layout, first + i);
        }
    }
    oct_text_put(text, "]");
}

static void put_values(OctText *text, const Layout *layout, int32_t axis, int64_t first,
                       int64_t count, int64_t indent) {
    int32_t below = layout->shape->rank - axis;
    if (below == 0) {
        put_value(text, layout, first);
        return;
    }
    int64_t length = layout->shape->dims[axis];
    if (below == 1) {
        put_vector(text, layout, first, length, indent);
        return;
    }
    bool cut = layout->shortened && length > 2 * EDGE;
    int64_t stride = count / length;
    oct_text_put(text, "[");
    for (int64_t i = 0; i < length; i++) {
        if (i > 0) {
            oct_text_put(text, ",");
            oct_text_repeat(text, '\n', below - 1);
            oct_text_repeat(text, ' ', indent + 1);
        }
        if (cut && i == EDGE) {
            oct_text_put(text, "...");
            i = length - EDGE - 1;
        } else {
            put_values(text, layout, axis + 1, first + i * stride, stride, indent + 1);
        }
    }
    oct_text_put(text, "]");
}

/* The values of a tensor without quantization, in brackets. */
static OctetStatus put_array(OctText *text, const OctetTensor *tensor,
                             OctetDiagnostic *diagnostic) {
    OctetTensor *wide = NULL;
    int64_t low, high, count;
    octet_dtype_range(tensor->dtype, &low, &high);
    bool integer = high != 0;
    if (!octet_shape_count(&tensor->shape, &count)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "a tensor without a known size");
    }
    if (count == 0) {
        oct_text_put(text, "[]");
        return OCTET_OK;
    }
    OCT_TRY(octet_tensor_cast(tensor, integer ? OCTET_S64 : OCTET_F64, &wide, diagnostic));
    Layout layout = {.real = integer ? NULL : wide->data,
                     .integer = integer ? wide->data : NULL,
                     .is_bool = tensor->dtype == OCTET_BOOL,
                     .is_unsigned64 = tensor->dtype == OCTET_U64,
                     .shape = &tensor->shape,
                     .shortened = count > THRESHOLD};
    choose_notation(&layout, count);
    put_values(text, &layout, 0, 0, count, INDENT);
    octet_tensor_free(wide);
    return OCTET_OK;
}

/* Appends ", suffix", on a new line where this one would get too long. */
typedef struct Suffixes {
    OctText *text;
    size_t line;
} Suffixes;

static void put_suffix(Suffixes *suffixes, const char *suffix) {
    size_t length = strlen(suffix);
    if (suffixes->line + length + 2 > LINE) {
        oct_text_put(suffixes->text, ",\n");
        oct_text_repeat(suffixes->text, ' ', INDENT);
        suffixes->line = INDENT + length;
    } else {
        oct_text_put(suffixes->text, ", ");
        suffixes->line += length + 2;
    }
    oct_text_put(suffixes->text, suffix);
}

static Suffixes start_suffixes(OctText *text) {
    const char *newline = text->chars ? strrchr(text->chars, '\n') : NULL;
    size_t before = newline ? (size_t)(newline - text->chars) : 0;
    return (Suffixes){.text = text, .line = text->length - before + (newline ? 1 : 2)};
}

static void put_size(Suffixes *suffixes, const OctetShape *shape) {
    OctText size = {0};
    oct_text_put(&size, "size=(");
    for (int32_t i = 0; i < shape->rank; i++) {
        oct_text_format(&size, "%s%" PRId64, i > 0 ? ", " : "", shape->dims[i]);
    }
    oct_text_put(&size, shape->rank == 1 ? ",)" : ")");
    put_suffix(suffixes, size.failed ? "" : size.chars);
    oct_free(size.chars);
}

static const char *torch_dtype_name(const OctetTensor *tensor) {
    static const struct {
        OctetDType dtype;
        const char *name;
    } names[] = {{OCTET_U8, "uint8"},
                 {OCTET_S8, "int8"},
                 {OCTET_U16, "uint16"},
                 {OCTET_S16, "int16"},
                 {OCTET_S32, "int32"},
                 {OCTET_U32, "uint32"},
                 {OCTET_U64, "uint64"},
                 {OCTET_F16, "float16"},
                 {OCTET_BF16, "bfloat16"},
                 {OCTET_F64, "float64"},
                 {OCTET_U4, "uint4"},
                 {OCTET_S4, "int4"},
                 {OCTET_F8E4M3FN, "float8_e4m3fn"},
                 {OCTET_F8E4M3FNUZ, "float8_e4m3fnuz"},
                 {OCTET_F8E5M2, "float8_e5m2"},
                 {OCTET_F8E5M2FNUZ, "float8_e5m2fnuz"}};
    if (tensor->qparams.dtype != OCTET_DTYPE_NONE) {
        return octet_qdtype_name(tensor->qparams.dtype);
    }
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (names[i].dtype == tensor->dtype) {
            return names[i].name;
        }
    }
    return NULL; /* float32, int64 and bool go without saying */
}

static void put_dtype(Suffixes *suffixes, const OctetTensor *tensor) {
    char buffer[48];
    const char *name = torch_dtype_name(tensor);
    if (name) {
        snprintf(buffer, sizeof buffer, "dtype=torch.%s", name);
        put_suffix(suffixes, buffer);
    }
}

static OctetStatus put_tensor(OctText *text, const OctetTensor *tensor,
                              OctetDiagnostic *diagnostic);

/* A list of parameters, printed as the tensor of f64 or s64 that torch keeps them in. */
static OctetStatus put_list(Suffixes *suffixes, const char *name, OctetDType dtype,
                            const void *data, int64_t count, OctetDiagnostic *diagnostic) {
    OctText text = {0};
    OctetTensor *wide, *narrow;
    const OctetShape shape = {.rank = 1, .dims = {count}};
    OctetStatus status =
        octet_tensor_wrap(dtype, &shape, (void *)data, (size_t)count * 4, &narrow, diagnostic);
    OCT_TRY(status);
    status =
        octet_tensor_cast(narrow, dtype == OCTET_F32 ? OCTET_F64 : OCTET_S64, &wide, diagnostic);
    octet_tensor_free(narrow);
    OCT_TRY(status);
    oct_text_put(&text, name);
    status = put_tensor(&text, wide, diagnostic);
    octet_tensor_free(wide);
    if (status == OCTET_OK) {
        put_suffix(suffixes, text.failed ? "" : text.chars);
        suffixes->text->failed = suffixes->text->failed || text.failed;
    }
    oct_free(text.chars);
    return status;
}

static OctetStatus put_quantization(Suffixes *suffixes, const OctetTensor *tensor,
                                    OctetDiagnostic *diagnostic) {
    const OctetQParams *qparams = &tensor->qparams;
    char buffer[64];
    put_size(suffixes, &tensor->shape);
    put_dtype(suffixes, tensor);
    if (qparams->axis < 0) {
        OctText scale = {0};
        put_suffix(suffixes, "quantization_scheme=torch.per_tensor_affine");
        oct_text_put(&scale, "scale=");
        oct_text_repr(&scale, (double)qparams->scale[0]);
        put_suffix(suffixes, scale.failed ? "" : scale.chars);
        oct_free(scale.chars);
        snprintf(buffer, sizeof buffer, "zero_point=%" PRId32, qparams->zero_point[0]);
        put_suffix(suffixes, buffer);
        return OCTET_OK;
    }
    put_suffix(suffixes, "quantization_scheme=torch.per_channel_affine");
    OCT_TRY(put_list(suffixes, "scale=", OCTET_F32, qparams->scale, qparams->count, diagnostic));
    OCT_TRY(put_list(suffixes, "zero_point=", OCTET_S32, qparams->zero_point, qparams->count,
                     diagnostic));
    snprintf(buffer, sizeof buffer, "axis=%" PRId32, qparams->axis);
    put_suffix(suffixes, buffer);
    return OCTET_OK;
}

static OctetStatus put_tensor(OctText *text, const OctetTensor *tensor,
                              OctetDiagnostic *diagnostic) {
    bool quantized = tensor->qparams.dtype != OCTET_DTYPE_NONE;
    OctetTensor *real = NULL;
    if (quantized) {
        OCT_TRY(octet_dequantize(tensor, &real, diagnostic));
    }
    OctText values = {0};
    oct_text_put(&values, prefix);
    OctetStatus status = put_array(&values, quantized ? real : tensor, diagnostic);
    octet_tensor_free(real);
    Suffixes suffixes = start_suffixes(&values);
    if (status == OCTET_OK && quantized) {
        status = put_quantization(&suffixes, tensor, diagnostic);
    } else if (status == OCTET_OK) {
        if (tensor->bytes == 0 && tensor->shape.rank != 1) {
            put_size(&suffixes, &tensor->shape);
        }
        put_dtype(&suffixes, tensor);
    }
    oct_text_put(&values, ")");
    if (status == OCTET_OK && values.chars) {
        oct_text_add(text, values.chars, values.length);
    }
    text->failed = text->failed || values.failed;
    oct_free(values.chars);
    return status;
}

OctetStatus octet_tensor_format(const OctetTensor *tensor, char **text,
                                OctetDiagnostic *diagnostic) {
    OctText made = {0};
    *text = NULL;
    OctetStatus status = put_tensor(&made, tensor, diagnostic);
    if (status == OCTET_OK && made.failed) {
        status = oct_fail_memory(diagnostic);
    }
    if (status != OCTET_OK) {
        oct_free(made.chars);
        return status;
    }
    *text = made.chars;
    return OCTET_OK;
}

OctetStatus octet_tensor_print(const OctetTensor *tensor, FILE *stream,
                               OctetDiagnostic *diagnostic) {
    char *text;
    OCT_TRY(octet_tensor_format(tensor, &text, diagnostic));
    bool written = fputs(text, stream) >= 0 && fputc('\n', stream) != EOF;
    octet_string_free(text);
    return written ? OCTET_OK
                   : oct_fail(diagnostic, OCTET_ERROR_IO, "a tensor can't be written to a stream");
}

void octet_string_free(char *text) {
    oct_free(text);
}
