/* RNN, GRU and LSTM. */
#include "ops/recurrent.h"
#include "base/patience.h"

#include <math.h>
#include <string.h>
#include <strings.h>

typedef struct Kind {
    const char *name;
    int32_t gates, recurrent_gates;
    int32_t activations;
    const char *defaults[OCT_RECURRENT_ACTIVATIONS];
    OctRecurrentStep step;
} Kind;

static const Kind kinds[] = {
    {"RNN", 1, 1, 1, {"Tanh"}, oct_recurrent_step_rnn},
    {"GRU", 3, 2, 2, {"Sigmoid", "Tanh"}, oct_recurrent_step_gru},
    {"LSTM", 4, 4, 3, {"Sigmoid", "Tanh", "Tanh"}, oct_recurrent_step_lstm},
};

static const Kind *kind_of(const OctNode *node) {
    const Kind *kind = kinds;
    while (strcmp(kind->name, node->op_type) != 0) {
        kind++;
    }
    return kind;
}

static int32_t directions_of(const OctNode *node) {
    return strcmp(oct_node_string(node, "direction", "forward"), "bidirectional") == 0 ? 2 : 1;
}

/* ---- attributes ---- */

static float listed(const OctAttribute *list, int32_t i, float fallback) {
    return list && list->type == OCT_ATTRIBUTE_FLOATS && i < list->count ? list->v.floats[i]
                                                                         : fallback;
}

/* How many of alpha and beta a function takes from the lists. */
static int parameter_count(const char *name) {
    static const char *const two[] = {"Affine", "ScaledTanh", "HardSigmoid"};
    static const char *const one[] = {"LeakyRelu", "ThresholdedRelu", "Elu"};
    for (int i = 0; i < 3; i++) {
        if (strcasecmp(name, two[i]) == 0) {
            return 2;
        }
        if (strcasecmp(name, one[i]) == 0) {
            return 1;
        }
    }
    return 0;
}

static OctetStatus read_activations(const OctNode *node, OctetCpu cpu, OctRecurrent *recurrent,
                                    OctetDiagnostic *diagnostic) {
    const Kind *kind = kind_of(node);
    const OctAttribute *names = oct_node_attribute(node, "activations");
    const OctAttribute *alphas = oct_node_attribute(node, "activation_alpha");
    const OctAttribute *betas = oct_node_attribute(node, "activation_beta");
    int32_t wanted = kind->activations * recurrent->direction_count;
    bool given = names && names->type == OCT_ATTRIBUTE_STRINGS && names->count > 0;
    if (given && names->count < wanted) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has too few activations");
    }
    int32_t alpha_at = 0;
    int32_t beta_at = 0;
    for (int32_t i = 0; i < wanted; i++) {
        const char *name = given ? names->v.strings[i] : kind->defaults[i % kind->activations];
        int parameters = parameter_count(name);
        OctUnary *unary =
            &recurrent->directions[i / kind->activations].activations[i % kind->activations];
        if (!oct_unary_by_name(name, cpu, NULL, NULL, unary)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "has activation '%s'",
                               name);
        }
        if (parameters >= 1) {
            unary->alpha = listed(alphas, alpha_at++, unary->alpha);
        }
        if (parameters == 2) {
            unary->beta = listed(betas, beta_at++, unary->beta);
        }
    }
    return OCTET_OK;
}

static OctetStatus describe(const OctNode *node, OctetCpu cpu, OctRecurrent *recurrent,
                            OctetDiagnostic *diagnostic) {
    const Kind *kind = kind_of(node);
    const char *direction = oct_node_string(node, "direction", "forward");
    *recurrent =
        (OctRecurrent){.node = node,
                       .cpu = cpu,
                       .gates = kind->gates,
                       .recurrent_gates = kind->recurrent_gates,
                       .direction_count = directions_of(node),
                       .batch_first = oct_node_int(node, "layout", 0) != 0,
                       .has_cell = kind->gates == 4,
                       .input_forget = oct_node_int(node, "input_forget", 0) != 0,
                       .linear_before_reset =
                           kind->gates == 3 && oct_node_int(node, "linear_before_reset", 0) != 0,
                       .clip = oct_node_float(node, "clip", INFINITY),
                       .step = kind->step};
    recurrent->directions[0].reverse = strcmp(direction, "reverse") == 0;
    recurrent->directions[1].reverse = true;
    if (strcmp(direction, "forward") != 0 && strcmp(direction, "reverse") != 0 &&
        strcmp(direction, "bidirectional") != 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has direction '%s'", direction);
    }
    return read_activations(node, cpu, recurrent, diagnostic);
}

static OctetStatus check_recurrent(const OctGraph *graph, const OctNode *node,
                                   OctetDiagnostic *diagnostic) {
    (void)graph;
    OctRecurrent recurrent;
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic));
    return describe(node, OCTET_CPU_PORTABLE, &recurrent, diagnostic);
}

/* ---- shapes ---- */

static OctetStatus infer_recurrent(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *x = oct_input_shape(node, 0);
    const OctetShape *r = oct_input_shape(node, 2);
    bool batch_first = oct_node_int(node, "layout", 0) != 0;
    int64_t directions = directions_of(node);
    int64_t hidden = r->rank == 3 ? r->dims[2] : oct_node_int(node, "hidden_size", OCT_DIM_UNKNOWN);
    int64_t time = x->rank == 3 ? x->dims[batch_first ? 1 : 0] : OCT_DIM_UNKNOWN;
    int64_t batch = x->rank == 3 ? x->dims[batch_first ? 0 : 1] : OCT_DIM_UNKNOWN;
    if ((x->rank >= 0 && x->rank != 3) || (r->rank >= 0 && r->rank != 3)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs X and R of rank 3");
    }
    const OctetShape all = batch_first ? (OctetShape){4, {batch, time, directions, hidden}}
                                       : (OctetShape){4, {time, directions, batch, hidden}};
    const OctetShape last = batch_first ? (OctetShape){3, {batch, directions, hidden}}
                                        : (OctetShape){3, {directions, batch, hidden}};
    OctetDType dtype = oct_input_dtype(node, 0);
    oct_set_output(node, 0, dtype, &all);
    oct_set_output(node, 1, dtype, &last);
    oct_set_output(node, 2, dtype, &last);
    return OCTET_OK;
}

/* Every input that there is has the shape that the others ask for. */
static OctetStatus check_shapes(const OctRecurrent *recurrent, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    int64_t directions = recurrent->direction_count;
    int64_t hidden = recurrent->hidden;
    int64_t batch = node->inputs[0]->shape.dims[recurrent->batch_first ? 0 : 1];
    int64_t rows = recurrent->gates * hidden;
    const OctetShape state = recurrent->batch_first ? (OctetShape){3, {batch, directions, hidden}}
                                                    : (OctetShape){3, {directions, batch, hidden}};
    const OctetShape wanted[8] = {
        node->inputs[0]->shape,
        {3, {directions, rows, recurrent->input_size}},
        {3, {directions, rows, hidden}},
        {2, {directions, 2 * rows}},
        {1, {batch}},
        state,
        state,
        {2, {directions, 3 * hidden}},
    };
    for (int32_t k = 1; k < node->input_count && k < 8; k++) {
        if (node->inputs[k] && !octet_shape_equal(&node->inputs[k]->shape, &wanted[k])) {
            char got[100];
            char needed[100];
            octet_shape_format(&node->inputs[k]->shape, got, sizeof got);
            octet_shape_format(&wanted[k], needed, sizeof needed);
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "has input %d of shape %s, not %s", (int)k, got, needed);
        }
    }
    return hidden > 0 && recurrent->input_size > 0
               ? OCTET_OK
               : oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has an empty state or input");
}

/* ---- running ---- */

/* One direction's buffers and sizes. */
typedef struct Pass {
    const OctRecurrent *recurrent;
    const OctRun *run;
    int32_t direction;
    int64_t time, batch;
    const float *x;        /* [time][batch][input]; batch-first inputs are addressed by strides */
    float *input_products; /* [time * batch][gates * hidden], in the order of x */
    float *recurrent_products; /* [batch][gates * hidden] */
    float *hidden, *cell;      /* [batch][hidden] */
} Pass;

static int64_t length_of(const Pass *pass, int64_t b) {
    const OctRun *run = pass->run;
    if (run->input_count <= 4 || !run->inputs[4].data) {
        return pass->time;
    }
    int64_t length = 0;
    size_t size = octet_dtype_size(run->inputs[4].dtype);
    /* integer to integer can't fail */
    (void)oct_convert(OCTET_S64, &length, run->inputs[4].dtype,
                      (const char *)run->inputs[4].data + (size_t)b * size, 1, NULL);
    return length < 0 ? 0 : length > pass->time ? pass->time : length;
}

/* Where a state of sequence b lies in initial states and last states. */
static int64_t state_place(const Pass *pass, int64_t b) {
    const OctRecurrent *recurrent = pass->recurrent;
    int64_t row = recurrent->batch_first ? b * recurrent->direction_count + pass->direction
                                         : pass->direction * pass->batch + b;
    return row * recurrent->hidden;
}

static void start_state(const Pass *pass, int32_t input, float *state) {
    int64_t n = pass->recurrent->hidden;
    const OctRun *run = pass->run;
    bool given = run->input_count > input && run->inputs[input].data;
    for (int64_t b = 0; b < pass->batch; b++) {
        size_t bytes = (size_t)n * sizeof(float);
        if (given) {
            memcpy(state + b * n, (const float *)run->inputs[input].data + state_place(pass, b),
                   bytes);
        } else {
            memset(state + b * n, 0, bytes);
        }
    }
}

static void end_state(const Pass *pass, int32_t output, const float *state) {
    int64_t n = pass->recurrent->hidden;
    if (pass->run->output_count <= output || !pass->run->outputs[output].data) {
        return;
    }
    float *to = pass->run->outputs[output].data;
    for (int64_t b = 0; b < pass->batch; b++) {
        memcpy(to + state_place(pass, b), state + b * n, (size_t)n * sizeof(float));
    }
}

static void multiply(const OctF32Gemm *gemm, int64_t rows, const float *a, int64_t k, float *output,
                     int64_t columns, OctetThreadPool *pool) {
    const OctF32GemmCall call = {.m = (size_t)rows,
                                 .a = a,
                                 .a_stride = (size_t)k,
                                 .output = output,
                                 .output_stride = (size_t)columns,
                                 .minimum = -INFINITY,
                                 .maximum = INFINITY};
    oct_f32_gemm_run(gemm, &call, pool);
}

static void write_step(const Pass *pass, int64_t t, int64_t b, const float *hidden) {
    const OctRecurrent *recurrent = pass->recurrent;
    int64_t n = recurrent->hidden;
    int64_t d = recurrent->direction_count;
    float *y = pass->run->outputs[0].data;
    if (!y) {
        return;
    }
    int64_t row = recurrent->batch_first ? (b * pass->time + t) * d + pass->direction
                                         : (t * d + pass->direction) * pass->batch + b;
    if (hidden) {
        memcpy(y + row * n, hidden, (size_t)n * sizeof(float));
    } else {
        memset(y + row * n, 0, (size_t)n * sizeof(float));
    }
}

static void run_direction(const Pass *pass) {
    const OctRecurrent *recurrent = pass->recurrent;
    const OctRecurrentDirection *way = &recurrent->directions[pass->direction];
    int64_t n = recurrent->hidden;
    int64_t columns = recurrent->gates * n;
    int64_t recurrent_columns = recurrent->recurrent_gates * n;
    multiply(way->input, pass->time * pass->batch, pass->x, recurrent->input_size,
             pass->input_products, columns, pass->run->pool);
    start_state(pass, 5, pass->hidden);
    if (recurrent->has_cell) {
        start_state(pass, 6, pass->cell);
    }
    for (int64_t s = 0; s < pass->time && !oct_is_over(); s++) {
        multiply(way->recurrent, pass->batch, pass->hidden, n, pass->recurrent_products,
                 recurrent_columns, pass->run->pool);
        for (int64_t b = 0; b < pass->batch; b++) {
            int64_t length = length_of(pass, b);
            if (s >= length) {
                write_step(pass, s, b, NULL);
                continue;
            }
            int64_t t = way->reverse ? length - 1 - s : s;
            int64_t row = recurrent->batch_first ? b * pass->time + t : t * pass->batch + b;
            float *gates = pass->input_products + row * columns;
            const float *products = pass->recurrent_products + b * recurrent_columns;
            for (int64_t i = 0; i < recurrent_columns; i++) {
                gates[i] += products[i];
            }
            recurrent->step(recurrent, pass->direction, gates, pass->hidden + b * n,
                            recurrent->has_cell ? pass->cell + b * n : NULL);
            write_step(pass, t, b, pass->hidden + b * n);
        }
    }
    end_state(pass, 1, pass->hidden);
    end_state(pass, 2, pass->cell);
}

static OctetStatus run_recurrent(void *state, const OctRun *run) {
    OctRecurrent *recurrent = state;
    const OctView none = {0};
    const OctView *bias = run->input_count > 3 ? &run->inputs[3] : &none;
    const OctView *peepholes = run->input_count > 7 ? &run->inputs[7] : &none;
    if (!recurrent->constant_weights) {
        OCT_TRY(oct_recurrent_pack(recurrent, &run->inputs[1], &run->inputs[2], bias, peepholes,
                                   run->diagnostic));
    }
    const OctetShape *x = &run->inputs[0].shape;
    Pass pass = {.recurrent = recurrent,
                 .run = run,
                 .time = x->dims[recurrent->batch_first ? 1 : 0],
                 .batch = x->dims[recurrent->batch_first ? 0 : 1],
                 .x = run->inputs[0].data};
    int64_t n = recurrent->hidden;
    pass.input_products = run->workspace;
    pass.recurrent_products = pass.input_products + pass.time * pass.batch * recurrent->gates * n;
    pass.hidden = pass.recurrent_products + pass.batch * recurrent->gates * n;
    pass.cell = pass.hidden + pass.batch * n;
    recurrent->scratch = pass.cell + pass.batch * n;
    for (int32_t d = 0; d < recurrent->direction_count; d++) {
        pass.direction = d;
        run_direction(&pass);
    }
    return OCTET_OK;
}

/* ---- prepare ---- */

static void destroy_recurrent(void *state) {
    oct_recurrent_unpack(state);
    oct_free(state);
}

static bool workspace_of(const OctRecurrent *recurrent, int64_t time, int64_t batch,
                         size_t *bytes) {
    int64_t rows;
    int64_t floats;
    /* a row for each step and three more, of all gates and a little */
    return oct_mul_i64(time + 3, batch + 1, &rows) &&
           oct_mul_i64(rows, (int64_t)recurrent->gates + 1, &floats) &&
           oct_mul_i64(floats, recurrent->hidden, &floats) &&
           oct_mul_size((size_t)floats, sizeof(float), bytes);
}

static OctView constant_view(const OctValue *value) {
    const OctetTensor *tensor = oct_value_tensor(value);
    return tensor ? (OctView){tensor->data, tensor->dtype, tensor->shape} : (OctView){0};
}

static OctetStatus prepare_recurrent(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    enum { SEQUENCE_LENGTHS = 4 };
    OCT_TRY(oct_check_f32(prepare, 1u << SEQUENCE_LENGTHS));
    OctRecurrent *recurrent = oct_prepare_state(prepare, prepared, sizeof *recurrent);
    if (!recurrent) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->destroy = destroy_recurrent;
    OCT_TRY(describe(node, prepare->cpu, recurrent, prepare->diagnostic));
    recurrent->hidden = node->inputs[2]->shape.dims[2];
    recurrent->input_size = node->inputs[0]->shape.dims[2];
    OCT_TRY(check_shapes(recurrent, node, prepare->diagnostic));
    int64_t time = node->inputs[0]->shape.dims[recurrent->batch_first ? 1 : 0];
    int64_t batch = node->inputs[0]->shape.dims[recurrent->batch_first ? 0 : 1];
    if (!workspace_of(recurrent, time, batch, &prepared->workspace_bytes)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_LIMIT, node, "is too large");
    }
    static const int32_t weights[] = {1, 2, 3, 7};
    recurrent->constant_weights = true;
    for (int i = 0; i < 4; i++) {
        const OctValue *value = oct_node_input(node, weights[i]);
        recurrent->constant_weights &= !value || value->constant;
    }
    prepared->run = run_recurrent;
    prepared->kernel = "f32_recurrent";
    prepared->cpu = prepare->cpu;
    prepared->macs = (double)time * (double)batch * recurrent->direction_count *
                     (double)recurrent->gates * (double)recurrent->hidden *
                     (double)(recurrent->hidden + recurrent->input_size);
    if (!recurrent->constant_weights) {
        return OCTET_OK;
    }
    const OctView w = constant_view(node->inputs[1]);
    const OctView r = constant_view(node->inputs[2]);
    const OctView bias = constant_view(oct_node_input(node, 3));
    const OctView peepholes = constant_view(oct_node_input(node, 7));
    return oct_recurrent_pack(recurrent, &w, &r, &bias, &peepholes, prepare->diagnostic);
}

const OctOp oct_ops_recurrent[] = {
    {"", "RNN", 7, 0, 0, 3, 6, 0, 2, check_recurrent, infer_recurrent, prepare_recurrent},
    {"", "GRU", 7, 0, 0, 3, 6, 0, 2, check_recurrent, infer_recurrent, prepare_recurrent},
    {"", "LSTM", 7, 0, 0, 3, 8, 0, 3, check_recurrent, infer_recurrent, prepare_recurrent},
};
OCT_OPS_COUNT(recurrent);
