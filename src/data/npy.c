#include "data/npy.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/tensor.h"

#include <pthread.h>
#include <string.h>

enum { HEADER_MAX = 1 << 16, MAGIC_SIZE = 8 };

struct OctNpy {
    OctSource *source;
    OctetDType dtype;
    OctetShape shape;
    bool swap;    /* the other byte order */
    bool fortran; /* the first axis is the fastest */
    uint64_t data_offset;
    /* Rows of a Fortran array are scattered over the file, so it is read whole, once. */
    pthread_mutex_t mutex;
    OctetTensor *whole;
};

/* A cursor over the header, which is the text of a Python dictionary. */
typedef struct Cursor {
    const char *at;
    const char *end;
} Cursor;

static void skip_space(Cursor *cursor) {
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\t' ||
                                        *cursor->at == '\n' || *cursor->at == '\r')) {
        cursor->at++;
    }
}

static bool take(Cursor *cursor, char wanted) {
    skip_space(cursor);
    if (cursor->at < cursor->end && *cursor->at == wanted) {
        cursor->at++;
        return true;
    }
    return false;
}

static bool take_word(Cursor *cursor, const char *word) {
    skip_space(cursor);
    size_t length = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < length || memcmp(cursor->at, word, length) != 0) {
        return false;
    }
    cursor->at += length;
    return true;
}

static bool take_string(Cursor *cursor, char *text, size_t size) {
    skip_space(cursor);
    if (cursor->at >= cursor->end || (*cursor->at != '\'' && *cursor->at != '"')) {
        return false;
    }
    char quote = *cursor->at++;
    size_t length = 0;
    while (cursor->at < cursor->end && *cursor->at != quote) {
        if (length + 1 >= size) {
            return false;
        }
        text[length++] = *cursor->at++;
    }
    text[length] = '\0';
    return take(cursor, quote);
}

static bool take_dim(Cursor *cursor, int64_t *dim) {
    skip_space(cursor);
    int64_t value = 0;
    const char *start = cursor->at;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        int digit = *cursor->at++ - '0';
        if (value > (INT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *dim = value;
    bool any = cursor->at > start;
    (void)take(cursor, 'L'); /* as Python 2 wrote long integers */
    return any;
}

static bool take_shape(Cursor *cursor, OctetShape *shape) {
    if (!take(cursor, '(')) {
        return false;
    }
    shape->rank = 0;
    while (!take(cursor, ')')) {
        if (shape->rank == OCTET_MAX_RANK || !take_dim(cursor, &shape->dims[shape->rank])) {
            return false;
        }
        shape->rank++;
        if (!take(cursor, ',')) {
            return take(cursor, ')');
        }
    }
    return true;
}

static bool parse_dtype(const char *text, OctetDType *dtype, bool *swap) {
    static const struct {
        const char *name;
        OctetDType dtype;
    } kinds[] = {{"f4", OCTET_F32}, {"f8", OCTET_F64}, {"f2", OCTET_F16}, {"u1", OCTET_U8},
                 {"i1", OCTET_S8},  {"u2", OCTET_U16}, {"i2", OCTET_S16}, {"u4", OCTET_U32},
                 {"i4", OCTET_S32}, {"u8", OCTET_U64}, {"i8", OCTET_S64}, {"b1", OCTET_BOOL}};
    bool big_here = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__;
    bool big = big_here;
    if (*text == '<' || *text == '>') {
        big = *text++ == '>';
    } else if (*text == '|' || *text == '=') {
        text++;
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(text, kinds[i].name) == 0) {
            *dtype = kinds[i].dtype;
            *swap = big != big_here && octet_dtype_size(*dtype) > 1;
            return true;
        }
    }
    return false;
}

static OctetStatus fail_header(OctetDiagnostic *diagnostic) {
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                    "this is no NumPy array: its header is malformed");
}

static OctetStatus parse_header(OctNpy *npy, const char *text, size_t length,
                                OctetDiagnostic *diagnostic) {
    Cursor cursor = {text, text + length};
    bool has_dtype = false, has_order = false, has_shape = false;
    char key[32], value[32];
    if (!take(&cursor, '{')) {
        return fail_header(diagnostic);
    }
    while (!take(&cursor, '}')) {
        if (!take_string(&cursor, key, sizeof key) || !take(&cursor, ':')) {
            return fail_header(diagnostic);
        }
        if (strcmp(key, "descr") == 0) {
            has_dtype = take_string(&cursor, value, sizeof value);
            if (!has_dtype || !parse_dtype(value, &npy->dtype, &npy->swap)) {
                return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                                "arrays of type %s can't be read; convert it to numbers",
                                has_dtype ? value : "struct");
            }
        } else if (strcmp(key, "fortran_order") == 0) {
            npy->fortran = take_word(&cursor, "True");
            has_order = npy->fortran || take_word(&cursor, "False");
        } else if (strcmp(key, "shape") == 0) {
            has_shape = take_shape(&cursor, &npy->shape);
        } else {
            return fail_header(diagnostic);
        }
        if (!take(&cursor, ',') && (cursor.at >= cursor.end || *cursor.at != '}')) {
            return fail_header(diagnostic);
        }
    }
    return has_dtype && has_order && has_shape ? OCTET_OK : fail_header(diagnostic);
}

static OctetStatus load_header(OctNpy *npy, OctetDiagnostic *diagnostic) {
    uint8_t head[MAGIC_SIZE + 4] = {0};
    uint64_t size = oct_source_size(npy->source);
    if (size < sizeof head) {
        return fail_header(diagnostic);
    }
    OCT_TRY(oct_source_read_at(npy->source, 0, head, sizeof head, diagnostic));
    if (memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3) {
        return fail_header(diagnostic);
    }
    size_t start = head[6] == 1 ? MAGIC_SIZE + 2 : MAGIC_SIZE + 4;
    size_t length = (size_t)head[8] | (size_t)head[9] << 8;
    if (head[6] > 1) {
        length |= (size_t)head[10] << 16 | (size_t)head[11] << 24;
    }
    if (length > HEADER_MAX || length > size - start) {
        return fail_header(diagnostic);
    }
    char *text = oct_alloc(length);
    if (!text) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = oct_source_read_at(npy->source, start, text, length, diagnostic);
    if (status == OCTET_OK) {
        status = parse_header(npy, text, length, diagnostic);
    }
    oct_free(text);
    npy->data_offset = start + length;
    size_t bytes = 0;
    if (status == OCTET_OK) {
        status = oct_tensor_bytes(npy->dtype, &npy->shape, &bytes, diagnostic);
    }
    if (status == OCTET_OK && bytes > size - npy->data_offset) {
        char shape[128];
        octet_shape_format(&npy->shape, shape, sizeof shape);
        status = oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                          "the file is cut off: its shape %s needs %zu bytes, %llu are there",
                          shape, bytes, (unsigned long long)(size - npy->data_offset));
    }
    return status;
}

OctetStatus oct_npy_open(OctSource *source, OctNpy **npy, OctetDiagnostic *diagnostic) {
    *npy = NULL;
    OctNpy *made = oct_calloc(1, sizeof(*made));
    if (!made) {
        oct_source_free(source);
        return oct_fail_memory(diagnostic);
    }
    made->source = source;
    pthread_mutex_init(&made->mutex, NULL);
    OctetStatus status = load_header(made, diagnostic);
    if (status != OCTET_OK) {
        oct_fail_in_file(diagnostic, status, oct_source_name(source));
        oct_npy_free(made);
        return status;
    }
    *npy = made;
    return OCTET_OK;
}

OctetDType oct_npy_dtype(const OctNpy *npy) {
    return npy->dtype;
}

const OctetShape *oct_npy_shape(const OctNpy *npy) {
    return &npy->shape;
}

const char *oct_npy_name(const OctNpy *npy) {
    return oct_source_name(npy->source);
}

static void swap_bytes(uint8_t *data, size_t bytes, size_t element) {
    for (size_t i = 0; i < bytes; i += element) {
        for (size_t low = i, high = i + element - 1; low < high; low++, high--) {
            uint8_t kept = data[low];
            data[low] = data[high];
            data[high] = kept;
        }
    }
}

/* Booleans are 0 or 1, whatever the file holds. */
static void finish(const OctNpy *npy, OctetTensor *tensor) {
    if (npy->swap) {
        swap_bytes(tensor->data, tensor->bytes, octet_dtype_size(npy->dtype));
    }
    if (npy->dtype == OCTET_BOOL) {
        uint8_t *values = tensor->data;
        for (size_t i = 0; i < tensor->bytes; i++) {
            values[i] = values[i] != 0;
        }
    }
}

/* Copies a Fortran-ordered array to C order. */
static void reorder(const OctetShape *shape, size_t element, const uint8_t *from, uint8_t *to,
                    size_t bytes) {
    int64_t index[OCTET_MAX_RANK] = {0};
    size_t stride[OCTET_MAX_RANK];
    size_t step = element;
    for (int32_t d = 0; d < shape->rank; d++) {
        stride[d] = step;
        step *= (size_t)shape->dims[d];
    }
    size_t at = 0;
    for (size_t done = 0; done < bytes; done += element) {
        memcpy(to + done, from + at, element);
        for (int32_t d = shape->rank - 1; d >= 0; d--) {
            at += stride[d];
            if (++index[d] < shape->dims[d]) {
                break;
            }
            at -= stride[d] * (size_t)shape->dims[d];
            index[d] = 0;
        }
    }
}

OctetStatus oct_npy_read_all(OctNpy *npy, OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    OctetTensor *raw = NULL;
    OctetTensor *ordered = NULL;
    *tensor = NULL;
    OCT_TRY(octet_tensor_create(npy->dtype, &npy->shape, &raw, diagnostic));
    OctetStatus status =
        oct_source_read_at(npy->source, npy->data_offset, raw->data, raw->bytes, diagnostic);
    if (status == OCTET_OK && npy->fortran && npy->shape.rank > 1) {
        status = octet_tensor_create(npy->dtype, &npy->shape, &ordered, diagnostic);
        if (status == OCTET_OK) {
            reorder(&npy->shape, octet_dtype_size(npy->dtype), raw->data, ordered->data,
                    raw->bytes);
            octet_tensor_free(raw);
            raw = ordered;
        }
    }
    if (status != OCTET_OK) {
        octet_tensor_free(raw);
        return oct_fail_in_file(diagnostic, status, oct_source_name(npy->source));
    }
    finish(npy, raw);
    *tensor = raw;
    return OCTET_OK;
}

static OctetStatus copy_rows(OctNpy *npy, uint64_t offset, OctetTensor *tensor,
                             OctetDiagnostic *diagnostic) {
    if (!npy->fortran) {
        OCT_TRY(oct_source_read_at(npy->source, npy->data_offset + offset, tensor->data,
                                   tensor->bytes, diagnostic));
        finish(npy, tensor);
        return OCTET_OK;
    }
    OctetStatus status = OCTET_OK;
    pthread_mutex_lock(&npy->mutex);
    if (!npy->whole) {
        status = oct_npy_read_all(npy, &npy->whole, diagnostic);
    }
    pthread_mutex_unlock(&npy->mutex);
    if (status == OCTET_OK) {
        memcpy(tensor->data, (const uint8_t *)npy->whole->data + offset, tensor->bytes);
    }
    return status;
}

OctetStatus oct_npy_read_rows(OctNpy *npy, int64_t first, int64_t count, OctetTensor **tensor,
                              OctetDiagnostic *diagnostic) {
    *tensor = NULL;
    OctetShape shape = npy->shape;
    if (shape.rank < 1 || first < 0 || count < 0 || count > shape.dims[0] ||
        first > shape.dims[0] - count) {
        OctetStatus status =
            oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "the array has no rows %lld to %lld",
                     (long long)first, (long long)first + (long long)count - 1);
        return oct_fail_in_file(diagnostic, status, oct_source_name(npy->source));
    }
    shape.dims[0] = 1;
    size_t row;
    OCT_TRY(oct_tensor_bytes(npy->dtype, &shape, &row, diagnostic));
    shape.dims[0] = count;
    OctetTensor *made;
    OCT_TRY(octet_tensor_create(npy->dtype, &shape, &made, diagnostic));
    OctetStatus status = copy_rows(npy, (uint64_t)first * row, made, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(made);
        return oct_fail_in_file(diagnostic, status, oct_source_name(npy->source));
    }
    *tensor = made;
    return OCTET_OK;
}

void oct_npy_free(OctNpy *npy) {
    if (!npy) {
        return;
    }
    octet_tensor_free(npy->whole);
    oct_source_free(npy->source);
    pthread_mutex_destroy(&npy->mutex);
    oct_free(npy);
}
