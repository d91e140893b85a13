/* One step of each recurrent cell, and the packing of their weights. */
#include "ops/recurrent.h"

#include <math.h>
#include <string.h>

static void activate(const OctRecurrent *recurrent, const OctUnary *activation, float *values,
                     size_t count) {
    if (recurrent->clip < INFINITY) {
        activation->vector->clamp(values, values, count, -recurrent->clip, recurrent->clip);
    }
    activation->f32(activation, values, values, count);
}

void oct_recurrent_step_rnn(const OctRecurrent *recurrent, int32_t direction, float *gates,
                            float *hidden, float *cell) {
    (void)cell;
    size_t n = (size_t)recurrent->hidden;
    activate(recurrent, &recurrent->directions[direction].activations[0], gates, n);
    memcpy(hidden, gates, n * sizeof *hidden);
}

/* Gates z, r, h: H = (1 - z) * h~ + z * H, with h~ = g(xW + (r * H) R + b), or, reset after the
 * product, g(xW + b + r * (H R + b_r)). */
void oct_recurrent_step_gru(const OctRecurrent *recurrent, int32_t direction, float *gates,
                            float *hidden, float *cell) {
    (void)cell;
    const OctRecurrentDirection *way = &recurrent->directions[direction];
    size_t n = (size_t)recurrent->hidden;
    float *z = gates;
    float *r = gates + n;
    float *h = gates + 2 * n;
    float *product = recurrent->scratch;
    activate(recurrent, &way->activations[0], z, 2 * n);
    OctF32GemmCall call = {.m = 1,
                           .a = hidden,
                           .a_stride = n,
                           .output = product,
                           .output_stride = n,
                           .minimum = -INFINITY,
                           .maximum = INFINITY};
    if (recurrent->linear_before_reset) {
        oct_f32_gemm_run(way->last, &call, NULL);
        for (size_t i = 0; i < n; i++) {
            h[i] += r[i] * product[i];
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            r[i] *= hidden[i];
        }
        call.a = r;
        oct_f32_gemm_run(way->last, &call, NULL);
        for (size_t i = 0; i < n; i++) {
            h[i] += product[i];
        }
    }
    activate(recurrent, &way->activations[1], h, n);
    for (size_t i = 0; i < n; i++) {
        hidden[i] = (1 - z[i]) * h[i] + z[i] * hidden[i];
    }
}

static void add_peephole(float *gate, const float *weights, const float *cell, size_t n) {
    for (size_t i = 0; weights && i < n; i++) {
        gate[i] += weights[i] * cell[i];
    }
}

/* Gates i, o, f, c: C = f * C + i * c, H = o * h(C). */
void oct_recurrent_step_lstm(const OctRecurrent *recurrent, int32_t direction, float *gates,
                             float *hidden, float *cell) {
    const OctRecurrentDirection *way = &recurrent->directions[direction];
    size_t n = (size_t)recurrent->hidden;
    float *in = gates;
    float *out = gates + n;
    float *forget = gates + 2 * n;
    float *candidate = gates + 3 * n;
    const float *peephole = way->peephole;
    add_peephole(in, peephole, cell, n);
    activate(recurrent, &way->activations[0], in, n);
    if (recurrent->input_forget) {
        for (size_t i = 0; i < n; i++) {
            forget[i] = 1 - in[i];
        }
    } else {
        add_peephole(forget, peephole ? peephole + 2 * n : NULL, cell, n);
        activate(recurrent, &way->activations[0], forget, n);
    }
    activate(recurrent, &way->activations[1], candidate, n);
    for (size_t i = 0; i < n; i++) {
        cell[i] = forget[i] * cell[i] + in[i] * candidate[i];
    }
    add_peephole(out, peephole ? peephole + n : NULL, cell, n);
    activate(recurrent, &way->activations[0], out, n);
    memcpy(hidden, cell, n * sizeof *hidden);
    way->activations[2].f32(&way->activations[2], hidden, hidden, n);
    for (size_t i = 0; i < n; i++) {
        hidden[i] *= out[i];
    }
}

/* ---- packing ---- */

static OctetStatus pack_matrix(const OctRecurrent *recurrent, const float *weights, int64_t rows,
                               int64_t columns, const float *bias, OctF32Gemm **gemm,
                               OctetDiagnostic *diagnostic) {
    const OctF32GemmSpec spec = {.k = (size_t)columns,
                                 .n = (size_t)rows,
                                 .b = weights,
                                 .b_stride = (size_t)columns,
                                 .b_transposed = true,
                                 .bias = bias};
    return oct_f32_gemm_create(&spec, recurrent->cpu, gemm, diagnostic);
}

static OctetStatus pack_direction(OctRecurrent *recurrent, int32_t d, const float *w,
                                  const float *r, const float *bias, float *sums,
                                  OctetDiagnostic *diagnostic) {
    OctRecurrentDirection *way = &recurrent->directions[d];
    int64_t n = recurrent->hidden;
    int64_t rows = recurrent->gates * n;
    int64_t recurrent_rows = recurrent->recurrent_gates * n;
    bool separate = recurrent->linear_before_reset; /* its recurrent bias stays apart */
    for (int64_t i = 0; bias && i < rows; i++) {
        sums[i] = separate && i >= recurrent_rows ? bias[i] : bias[i] + bias[rows + i];
    }
    OCT_TRY(pack_matrix(recurrent, w, rows, recurrent->input_size, bias ? sums : NULL, &way->input,
                        diagnostic));
    OCT_TRY(pack_matrix(recurrent, r, recurrent_rows, n, NULL, &way->recurrent, diagnostic));
    if (recurrent_rows == rows) {
        return OCTET_OK;
    }
    const float *last_bias = bias && separate ? bias + rows + recurrent_rows : NULL;
    return pack_matrix(recurrent, r + recurrent_rows * n, n, n, last_bias, &way->last, diagnostic);
}

static OctetStatus copy_peephole(OctRecurrent *recurrent, int32_t d, const float *from,
                                 OctetDiagnostic *diagnostic) {
    size_t bytes = (size_t)recurrent->hidden * 3 * sizeof(float);
    float *copy = oct_alloc(bytes);
    if (!copy) {
        return oct_fail_memory(diagnostic);
    }
    memcpy(copy, from, bytes);
    recurrent->directions[d].peephole = copy;
    return OCTET_OK;
}

OctetStatus oct_recurrent_pack(OctRecurrent *recurrent, const OctView *w, const OctView *r,
                               const OctView *bias, const OctView *peepholes,
                               OctetDiagnostic *diagnostic) {
    int64_t n = recurrent->hidden;
    int64_t rows = recurrent->gates * n;
    oct_recurrent_unpack(recurrent);
    float *sums = oct_calloc((size_t)rows, sizeof *sums);
    OctetStatus status = sums ? OCTET_OK : oct_fail_memory(diagnostic);
    for (int32_t d = 0; d < recurrent->direction_count && status == OCTET_OK; d++) {
        const float *own_bias = bias->data ? (const float *)bias->data + d * 2 * rows : NULL;
        status =
            pack_direction(recurrent, d, (const float *)w->data + d * rows * recurrent->input_size,
                           (const float *)r->data + d * rows * n, own_bias, sums, diagnostic);
        if (status == OCTET_OK && peepholes->data) {
            status =
                copy_peephole(recurrent, d, (const float *)peepholes->data + d * 3 * n, diagnostic);
        }
    }
    oct_free(sums);
    return status;
}

void oct_recurrent_unpack(OctRecurrent *recurrent) {
    for (int32_t d = 0; d < OCT_RECURRENT_DIRECTIONS; d++) {
        OctRecurrentDirection *way = &recurrent->directions[d];
        oct_f32_gemm_free(way->input);
        oct_f32_gemm_free(way->recurrent);
        oct_f32_gemm_free(way->last);
        oct_free(way->peephole);
        way->input = NULL;
        way->recurrent = NULL;
        way->last = NULL;
        way->peephole = NULL;
    }
}
