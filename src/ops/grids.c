/* The engine's own operators (domain "octet"): between real numbers and grids, and functions of one
 * 8-bit tensor. Grids are properties of their values.
 *
 *   Quantize    f32 -> grid:   clamp(RNE(x / scale) + zero_point), NaN gives the zero point; in
 *                              PyTorch's modes x * (1 / scale), by loops that are not in a hurry.
 * With attribute channels_last 1 the input is N, C, spatial..., the output channels-last (u8 only)
 *   Dequantize  grid -> f32:   (q - zero_point) * scale
 *   Requantize  grid -> grid:  Dequantize, then Quantize; 8 bits, per tensor
 *   Join        grid -> grid:  a Concat whose inputs lie in the output's memory: does nothing
 *   Table       grid -> grid:  attribute "table", a tensor of 256 bytes: y = table[byte of x] */
#include "kernels/q8_vector.h"
#include "ops/ops.h"
#include "quant/quantize_values.h"
#include "quant/requantize.h"

#include <string.h>

enum {
    CHUNK = 16 * 1024, /* elements that one thread takes at a time */
    PIXELS = 4 * 1024  /* likewise */
};

typedef struct Grid {
    OctetQParams qparams;    /* of the quantized side; arrays belong to the graph */
    int64_t count, inner;    /* elements; elements that share an index along the axis, in a row */
    int64_t batch, channels; /* of Quantize from planes; `inner` are the pixels then */
    uint8_t table[256];
    const OctQ8VectorOps *vector;
    OctetQuantizeRule rule;
} Grid;

/* ---- scalar definitions ---- */

static int32_t load(OctetDType dtype, const void *data, int64_t i) {
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

static void store(OctetDType dtype, void *data, int64_t i, int32_t q) {
    switch (octet_dtype_size(dtype)) {
    case 1:
        ((uint8_t *)data)[i] = (uint8_t)q;
        break;
    case 2:
        ((uint16_t *)data)[i] = (uint16_t)q;
        break;
    default:
        ((int32_t *)data)[i] = q;
        break;
    }
}

/* Which of the grid's parameters element i has. */
static int64_t parameter_of(const Grid *grid, int64_t i) {
    return grid->qparams.count == 1 ? 0 : i / grid->inner % grid->qparams.count;
}

/* ---- running ---- */

typedef struct Job {
    const Grid *grid;
    const OctView *input;
    const OctView *output;
    void (*work)(const struct Job *job, int64_t first, int64_t count);
} Job;

static void run_chunk(void *user, size_t index) {
    const Job *job = user;
    int64_t first = (int64_t)index * CHUNK;
    int64_t left = job->grid->count - first;
    job->work(job, first, left < CHUNK ? left : CHUNK);
}

static OctetStatus run_chunks(const OctRun *run, Job *job) {
    OCT_TRY(oct_run_output(run, 0, &run->inputs[0].shape));
    Grid grid = *job->grid; /* on the stack: the count may differ where shapes are dynamic */
    grid.count = oct_view_count(&run->inputs[0]);
    job->grid = &grid;
    job->input = &run->inputs[0];
    job->output = &run->outputs[0];
    oct_parallel_for(run->pool, run_chunk, job, (size_t)((grid.count + CHUNK - 1) / CHUNK));
    return OCTET_OK;
}

static void quantize_u8(const Job *job, int64_t first, int64_t count) {
    const OctetQParams *q = &job->grid->qparams;
    if (job->grid->rule == OCTET_QUANTIZE_RECIPROCAL) {
        OctQuantizeTarget target =
            oct_quantize_target(q->dtype, q->scale[0], q->zero_point[0], job->grid->rule);
        oct_quantize_values((const float *)job->input->data + first, count, &target,
                            (uint8_t *)job->output->data + first);
        return;
    }
    job->grid->vector->quantize((const float *)job->input->data + first, q->scale[0],
                                (uint8_t)q->zero_point[0], (uint8_t *)job->output->data + first,
                                (size_t)count);
}

static void quantize_any(const Job *job, int64_t first, int64_t count) {
    const Grid *grid = job->grid;
    const float *x = job->input->data;
    for (int64_t i = first; i < first + count; i++) {
        int64_t p = parameter_of(grid, i);
        OctQuantizeTarget target = oct_quantize_target(grid->qparams.dtype, grid->qparams.scale[p],
                                                       grid->qparams.zero_point[p], grid->rule);
        store(grid->qparams.dtype, job->output->data, i, (int32_t)oct_quantize_one(x[i], &target));
    }
}

static void dequantize_u8(const Job *job, int64_t first, int64_t count) {
    const OctetQParams *q = &job->grid->qparams;
    job->grid->vector->dequantize((const uint8_t *)job->input->data + first, q->scale[0],
                                  (uint8_t)q->zero_point[0], (float *)job->output->data + first,
                                  (size_t)count);
}

static void dequantize_any(const Job *job, int64_t first, int64_t count) {
    const Grid *grid = job->grid;
    float *y = job->output->data;
    for (int64_t i = first; i < first + count; i++) {
        int64_t p = parameter_of(grid, i);
        int64_t q = load(grid->qparams.dtype, job->input->data, i);
        y[i] = (float)(q - grid->qparams.zero_point[p]) * grid->qparams.scale[p];
    }
}

static void look_up(const Job *job, int64_t first, int64_t count) {
    job->grid->vector->lookup(job->grid->table, (const uint8_t *)job->input->data + first,
                              (uint8_t *)job->output->data + first, (size_t)count);
}

static OctetStatus run_quantize(void *state, const OctRun *run) {
    const Grid *grid = state;
    bool fast = grid->qparams.dtype == OCTET_U8 && grid->qparams.count == 1;
    Job job = {.grid = grid, .work = fast ? quantize_u8 : quantize_any};
    return run_chunks(run, &job);
}

/* Planes of floats to pixels of bytes: `inner` pixels of `channels` each, a batch after another. */
static void quantize_planes(void *user, size_t index) {
    const Job *job = user;
    const Grid *grid = job->grid;
    const OctetQParams *q = &grid->qparams;
    size_t pixels = (size_t)grid->inner;
    size_t channels = (size_t)grid->channels;
    size_t pieces = (pixels + PIXELS - 1) / PIXELS;
    size_t first = index % pieces * PIXELS;
    size_t image = index / pieces * pixels * channels;
    grid->vector->quantize_planes((const float *)job->input->data + image + first, pixels,
                                  q->scale[0], (uint8_t)q->zero_point[0],
                                  (uint8_t *)job->output->data + image + first * channels, channels,
                                  channels, pixels - first < PIXELS ? pixels - first : PIXELS);
}

/* The same by the reciprocal, one image at a time. */
static void quantize_planes_slowly(void *user, size_t index) {
    const Job *job = user;
    const Grid *grid = job->grid;
    const size_t channels = (size_t)grid->channels, pixels = (size_t)grid->inner;
    const float *x = (const float *)job->input->data + index * pixels * channels;
    uint8_t *y = (uint8_t *)job->output->data + index * pixels * channels;
    OctQuantizeTarget target = oct_quantize_target(grid->qparams.dtype, grid->qparams.scale[0],
                                                   grid->qparams.zero_point[0], grid->rule);
    for (size_t c = 0; c < channels; c++) {
        for (size_t i = 0; i < pixels; i++) {
            y[i * channels + c] = (uint8_t)oct_quantize_one(x[c * pixels + i], &target);
        }
    }
}

static OctetStatus run_quantize_planes(void *state, const OctRun *run) {
    const Grid *grid = state;
    Job job = {.grid = grid, .input = &run->inputs[0], .output = &run->outputs[0]};
    size_t pieces = (size_t)((grid->inner + PIXELS - 1) / PIXELS);
    if (grid->rule == OCTET_QUANTIZE_RECIPROCAL) {
        oct_parallel_for(run->pool, quantize_planes_slowly, &job, (size_t)grid->batch);
        return OCTET_OK;
    }
    oct_parallel_for(run->pool, quantize_planes, &job, (size_t)grid->batch * pieces);
    return OCTET_OK;
}

static OctetStatus run_dequantize(void *state, const OctRun *run) {
    const Grid *grid = state;
    bool fast = grid->qparams.dtype == OCTET_U8 && grid->qparams.count == 1;
    Job job = {.grid = grid, .work = fast ? dequantize_u8 : dequantize_any};
    return run_chunks(run, &job);
}

static OctetStatus run_table(void *state, const OctRun *run) {
    Job job = {.grid = state, .work = look_up};
    return run_chunks(run, &job);
}

/* ---- preparing ---- */

static OctetStatus prepare_grid(const OctPrepare *prepare, const OctValue *value, Grid **grid,
                                OctPreparedOp *prepared) {
    const OctetQParams *q = &value->qparams;
    if (q->dtype == OCTET_DTYPE_NONE || q->block_size != 0 ||
        octet_dtype_size(q->dtype) > sizeof(int32_t)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "has no form for this grid");
    }
    *grid = oct_prepare_state(prepare, prepared, sizeof **grid);
    if (!*grid) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    (*grid)->qparams = *q;
    (*grid)->vector = oct_q8_vector_ops(prepare->cpu);
    (*grid)->inner = 1;
    for (int32_t i = q->axis + 1; q->count > 1 && i < value->shape.rank; i++) {
        (*grid)->inner *= value->shape.dims[i];
    }
    prepared->cpu = (*grid)->vector->cpu;
    return OCTET_OK;
}

static OctetStatus prepare_quantize(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Grid *grid = NULL;
    OCT_TRY(prepare_grid(prepare, prepare->node->outputs[0], &grid, prepared));
    grid->rule = oct_requantize_quantize_rule(prepare->requantize);
    prepared->run = run_quantize;
    prepared->kernel = "quantize";
    if (!oct_node_int(prepare->node, "channels_last", 0)) {
        return OCTET_OK;
    }
    const OctetShape *shape = &prepare->node->inputs[0]->shape;
    bool fits = shape->rank >= 3 && grid->qparams.dtype == OCTET_U8 && grid->qparams.count == 1;
    if (!fits || !oct_shape_product(shape, 2, shape->rank, &grid->inner)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_INTERNAL, prepare->node,
                           "can't make this tensor channels-last");
    }
    grid->batch = shape->dims[0];
    grid->channels = shape->dims[1];
    prepared->run = run_quantize_planes;
    prepared->kernel = "quantize_planes";
    return OCTET_OK;
}

static OctetStatus prepare_dequantize(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Grid *grid = NULL;
    OCT_TRY(prepare_grid(prepare, prepare->node->inputs[0], &grid, prepared));
    prepared->run = run_dequantize;
    prepared->kernel = "dequantize";
    return OCTET_OK;
}

static bool is_byte(const OctetQParams *q) {
    return (q->dtype == OCTET_U8 || q->dtype == OCTET_S8) && q->count == 1;
}

static OctetStatus prepare_requantize(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctetQParams *from = &prepare->node->inputs[0]->qparams;
    const OctetQParams *to = &prepare->node->outputs[0]->qparams;
    if (!is_byte(from) || !is_byte(to)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "is for 8-bit grids only");
    }
    Grid *grid = NULL;
    OCT_TRY(prepare_grid(prepare, prepare->node->outputs[0], &grid, prepared));
    OctQuantizeTarget target =
        oct_quantize_target(to->dtype, to->scale[0], to->zero_point[0],
                            oct_requantize_quantize_rule(prepare->requantize));
    for (int32_t byte = 0; byte < 256; byte++) {
        int32_t q = from->dtype == OCTET_S8 ? (int8_t)byte : byte;
        float real = (float)(q - from->zero_point[0]) * from->scale[0];
        /* on the same grid nothing is rounded, however large the scale */
        int32_t shifted = q - from->zero_point[0] + to->zero_point[0];
        bool same = from->scale[0] == to->scale[0] && shifted >= target.minimum &&
                    shifted <= target.maximum;
        grid->table[byte] = (uint8_t)(same ? shifted : oct_quantize_one(real, &target));
    }
    prepared->run = run_table;
    prepared->kernel = "requantize";
    return OCTET_OK;
}

static OctetStatus prepare_table(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctAttribute *table = oct_node_attribute(prepare->node, "table");
    if (!table || table->type != OCT_ATTRIBUTE_TENSOR ||
        oct_constant_tensor(table->v.tensor)->bytes != 256) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_INTERNAL, prepare->node,
                           "has no table");
    }
    Grid *grid = NULL;
    OCT_TRY(prepare_grid(prepare, prepare->node->outputs[0], &grid, prepared));
    memcpy(grid->table, oct_constant_tensor(table->v.tensor)->data, sizeof grid->table);
    prepared->run = run_table;
    prepared->kernel = "table";
    return OCTET_OK;
}

/* Inputs are slices of the output already. */
static OctetStatus prepare_join(const OctPrepare *prepare, OctPreparedOp *prepared) {
    (void)prepared;
    return oct_fail_op(prepare->diagnostic, OCTET_ERROR_INTERNAL, prepare->node,
                       "was planned where it can't be");
}

static OctetStatus infer_join(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetShape shape = *oct_input_shape(node, 0);
    for (int32_t k = 1; k < node->input_count && shape.rank > 0; k++) {
        const OctetShape *other = oct_input_shape(node, k);
        shape.dims[shape.rank - 1] += other->dims[other->rank - 1];
    }
    oct_set_output(node, 0, OCTET_F32, &shape);
    return OCTET_OK;
}

/* ---- the table ---- */

static OctetStatus infer_real(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetShape shape = *oct_input_shape(node, 0);
    if (oct_node_int(node, "channels_last", 0) && shape.rank >= 3) {
        int64_t channels = shape.dims[1];
        memmove(shape.dims + 1, shape.dims + 2, (size_t)(shape.rank - 2) * sizeof *shape.dims);
        shape.dims[shape.rank - 1] = channels;
    }
    oct_set_output(node, 0, OCTET_F32, &shape);
    return OCTET_OK;
}

#define FLAGS (OCT_OP_ELEMENTWISE | OCT_OP_INPLACE | OCT_OP_INT8)

const OctOp oct_ops_grids[] = {
    {"octet", "Quantize", 1, 0, FLAGS, 1, 1, 1, 1, oct_check_inner, infer_real, prepare_quantize},
    {"octet", "Dequantize", 1, 0, FLAGS, 1, 1, 1, 1, oct_check_inner, infer_real,
     prepare_dequantize},
    {"octet", "Requantize", 1, 0, FLAGS, 1, 1, 1, 1, oct_check_inner, infer_real,
     prepare_requantize},
    {"octet", "Join", 1, 0, OCT_OP_INT8, 1, -1, 1, 1, oct_check_inner, infer_join, prepare_join},
    {"octet", "Table", 1, 0, FLAGS, 1, 1, 1, 1, oct_check_inner, infer_real, prepare_table},
};
OCT_OPS_COUNT(grids);
