#include "base/float8.h"
#include "kernels/q8_vector.h"
#include "ops/quantize.h"

#include <inttypes.h>
#include <math.h>

bool oct_grid_dtype(OctetDType dtype) {
    return dtype == OCTET_U8 || dtype == OCTET_S8 || dtype == OCTET_U16 || dtype == OCTET_S16 ||
           dtype == OCTET_U4 || dtype == OCTET_S4 || dtype == OCTET_S32 ||
           oct_dtype_is_float8(dtype);
}

static OctetStatus misfit(const OctNode *node, const OctetShape *shape, const OctetShape *scales,
                          OctetDiagnostic *diagnostic) {
    char tensor[96], parameters[96];
    octet_shape_format(shape, tensor, sizeof tensor);
    octet_shape_format(scales, parameters, sizeof parameters);
    return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                       "scales of shape %s do not fit a tensor of shape %s", parameters, tensor);
}

/* Blocks that cover `length` elements; the size comes from a file and may be anything. */
static int64_t blocks_of(int64_t length, int64_t block_size) {
    return length > 0 && block_size > 0 ? (length - 1) / block_size + 1 : 0;
}

OctetStatus oct_grid_make(const OctNode *node, OctetDType dtype, const OctetShape *shape,
                          int64_t axis, int64_t block_size, const OctetShape *scales, OctGrid *grid,
                          OctetDiagnostic *diagnostic) {
    int64_t count, parameters;
    if (!octet_shape_count(shape, &count) || !octet_shape_count(scales, &parameters)) {
        return misfit(node, shape, scales, diagnostic);
    }
    *grid = (OctGrid){.dtype = dtype,
                      .outer = 1,
                      .axis = 1,
                      .inner = 1,
                      .block = 1,
                      .parameter_count = (size_t)parameters};
    if (parameters == 1 && block_size == 0) {
        grid->inner = (size_t)count;
        return OCTET_OK;
    }
    int32_t at;
    OCT_TRY(oct_normalize_axis(node, axis, shape->rank, &at, diagnostic));
    for (int32_t i = 0; i < shape->rank; i++) {
        *(i < at ? &grid->outer : i == at ? &grid->axis : &grid->inner) *= (size_t)shape->dims[i];
    }
    grid->axis_stride = 1;
    if (block_size == 0) {
        return parameters == shape->dims[at] && scales->rank == 1
                   ? OCTET_OK
                   : misfit(node, shape, scales, diagnostic);
    }
    int64_t blocks = blocks_of(shape->dims[at], block_size);
    bool fits = scales->rank == shape->rank && block_size > 0;
    for (int32_t i = 0; i < shape->rank && fits; i++) {
        fits = scales->dims[i] == (i == at ? blocks : shape->dims[i]);
    }
    grid->block = (size_t)block_size;
    grid->inner_stride = 1;
    grid->axis_stride = grid->inner;
    grid->outer_stride = (size_t)blocks * grid->inner;
    return fits ? OCTET_OK : misfit(node, shape, scales, diagnostic);
}

OctetStatus oct_grid_of_value(const OctNode *node, const OctValue *value, OctGrid *grid,
                              OctetDiagnostic *diagnostic) {
    const OctetQParams *qparams = &value->qparams;
    OctetShape scales = {.rank = 1, .dims = {qparams->count}};
    if (qparams->block_size > 0) {
        scales = value->shape;
        if (qparams->axis < 0 || qparams->axis >= scales.rank) {
            return misfit(node, &value->shape, &scales, diagnostic);
        }
        scales.dims[qparams->axis] = blocks_of(scales.dims[qparams->axis], qparams->block_size);
    }
    OCT_TRY(oct_grid_make(node, qparams->dtype, &value->shape,
                          qparams->axis < 0 ? 0 : qparams->axis, qparams->block_size, &scales, grid,
                          diagnostic));
    return (int64_t)grid->parameter_count == qparams->count
               ? OCTET_OK
               : misfit(node, &value->shape, &scales, diagnostic);
}

typedef struct Work {
    const OctGrid *grid;
    OctetCpu cpu;
    const float *scale;
    const int32_t *zero_point;
    const void *integers_in;
    void *integers_out;
    const float *reals_in;
    float *reals_out;
    size_t chunk; /* elements of a task within a row */
    size_t chunks;
    int64_t minimum, maximum;
} Work;

static int32_t quantize_one(float x, float scale, int32_t zero_point, int64_t minimum,
                            int64_t maximum) {
    if (isnan(x)) {
        return zero_point;
    }
    float level = rintf(x / scale);
    /* Beyond 2^40 everything saturates; below it float to int64 is exact. */
    int64_t whole = (int64_t)fminf(fmaxf(level, -0x1p40f), 0x1p40f) + zero_point;
    return (int32_t)(whole < minimum ? minimum : whole > maximum ? maximum : whole);
}

static int32_t load(OctetDType dtype, const void *data, size_t i) {
    switch (dtype) {
    case OCTET_U8:
    case OCTET_U4:
        return ((const uint8_t *)data)[i];
    case OCTET_S8:
    case OCTET_S4:
        return ((const int8_t *)data)[i];
    case OCTET_U16:
        return ((const uint16_t *)data)[i];
    case OCTET_S16:
        return ((const int16_t *)data)[i];
    default:
        return ((const int32_t *)data)[i];
    }
}

static void store(OctetDType dtype, void *data, size_t i, int32_t value) {
    switch (dtype) {
    case OCTET_U8:
    case OCTET_U4:
        ((uint8_t *)data)[i] = (uint8_t)value;
        break;
    case OCTET_S8:
    case OCTET_S4:
        ((int8_t *)data)[i] = (int8_t)value;
        break;
    case OCTET_U16:
        ((uint16_t *)data)[i] = (uint16_t)value;
        break;
    case OCTET_S16:
        ((int16_t *)data)[i] = (int16_t)value;
        break;
    default:
        ((int32_t *)data)[i] = value;
    }
}

/* A piece of one (outer, axis) row: elements [*begin, *end), parameters from *parameter on. */
static void locate(const Work *work, size_t index, size_t *begin, size_t *end, size_t *parameter) {
    const OctGrid *grid = work->grid;
    size_t row = index / work->chunks, piece = index % work->chunks;
    size_t from = piece * work->chunk;
    size_t to = from + work->chunk < grid->inner ? from + work->chunk : grid->inner;
    *begin = row * grid->inner + from;
    *end = row * grid->inner + to;
    *parameter = row / grid->axis * grid->outer_stride +
                 row % grid->axis / grid->block * grid->axis_stride + from * grid->inner_stride;
}

static void quantize_float8(const Work *work, size_t begin, size_t end, size_t parameter) {
    const OctGrid *grid = work->grid;
    for (size_t i = begin; i < end; i++, parameter += grid->inner_stride) {
        float value = work->reals_in[i] / work->scale[parameter];
        ((uint8_t *)work->integers_out)[i] =
            oct_float8_encode(grid->dtype, (double)value, !grid->overflows);
    }
}

static void dequantize_float8(const Work *work, size_t begin, size_t end, size_t parameter) {
    const OctGrid *grid = work->grid;
    for (size_t i = begin; i < end; i++, parameter += grid->inner_stride) {
        uint8_t code = ((const uint8_t *)work->integers_in)[i];
        work->reals_out[i] = oct_float8_decode(grid->dtype, code) * work->scale[parameter];
    }
}

static void quantize_piece(void *user, size_t index) {
    const Work *work = user;
    const OctGrid *grid = work->grid;
    size_t begin, end, parameter;
    locate(work, index, &begin, &end, &parameter);
    if (oct_dtype_is_float8(grid->dtype)) {
        quantize_float8(work, begin, end, parameter);
        return;
    }
    if (grid->dtype == OCTET_U8 && grid->inner_stride == 0) {
        int32_t zero_point = work->zero_point ? work->zero_point[parameter] : 0;
        oct_q8_vector_ops(work->cpu)->quantize(work->reals_in + begin, work->scale[parameter],
                                               (uint8_t)zero_point,
                                               (uint8_t *)work->integers_out + begin, end - begin);
        return;
    }
    for (size_t i = begin; i < end; i++, parameter += grid->inner_stride) {
        int32_t zero_point = work->zero_point ? work->zero_point[parameter] : 0;
        store(grid->dtype, work->integers_out, i,
              quantize_one(work->reals_in[i], work->scale[parameter], zero_point, work->minimum,
                           work->maximum));
    }
}

static void dequantize_piece(void *user, size_t index) {
    const Work *work = user;
    const OctGrid *grid = work->grid;
    size_t begin, end, parameter;
    locate(work, index, &begin, &end, &parameter);
    if (oct_dtype_is_float8(grid->dtype)) {
        dequantize_float8(work, begin, end, parameter);
        return;
    }
    if (grid->dtype == OCTET_U8 && grid->inner_stride == 0) {
        int32_t zero_point = work->zero_point ? work->zero_point[parameter] : 0;
        oct_q8_vector_ops(work->cpu)->dequantize((const uint8_t *)work->integers_in + begin,
                                                 work->scale[parameter], (uint8_t)zero_point,
                                                 work->reals_out + begin, end - begin);
        return;
    }
    for (size_t i = begin; i < end; i++, parameter += grid->inner_stride) {
        int64_t zero_point = work->zero_point ? work->zero_point[parameter] : 0;
        int64_t level = load(grid->dtype, work->integers_in, i);
        work->reals_out[i] = (float)(level - zero_point) * work->scale[parameter];
    }
}

enum { CHUNK = 16384 };

static void run(Work *work, OctetParallelWork piece, OctetThreadPool *pool) {
    const OctGrid *grid = work->grid;
    work->chunk = CHUNK;
    work->chunks = (grid->inner + CHUNK - 1) / CHUNK;
    octet_dtype_range(grid->dtype, &work->minimum, &work->maximum);
    oct_parallel_for(pool, piece, work, grid->outer * grid->axis * work->chunks);
}

void oct_grid_quantize(const OctGrid *grid, OctetCpu cpu, const float *scale,
                       const int32_t *zero_point, const float *x, void *y, OctetThreadPool *pool) {
    Work work = {.grid = grid,
                 .cpu = cpu,
                 .scale = scale,
                 .zero_point = zero_point,
                 .reals_in = x,
                 .integers_out = y};
    run(&work, quantize_piece, pool);
}

void oct_grid_dequantize(const OctGrid *grid, OctetCpu cpu, const float *scale,
                         const int32_t *zero_point, const void *x, float *y,
                         OctetThreadPool *pool) {
    Work work = {.grid = grid,
                 .cpu = cpu,
                 .scale = scale,
                 .zero_point = zero_point,
                 .integers_in = x,
                 .reals_out = y};
    run(&work, dequantize_piece, pool);
}
