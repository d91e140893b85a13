/* What the recurrent operators (RNN, GRU, LSTM) share: the loop over time and directions. */
#ifndef OCT_OPS_RECURRENT_H
#define OCT_OPS_RECURRENT_H

#include "kernels/f32_matmul.h"
#include "ops/ops.h"
#include "ops/unary.h"

enum { OCT_RECURRENT_DIRECTIONS = 2, OCT_RECURRENT_ACTIVATIONS = 3 };

typedef struct OctRecurrent OctRecurrent;

/* One step of one sequence: `gates` holds x * W + bias + h * R for all gates of the sequence (the
 * gates that `recurrent_gates` leaves out without h * R) and may be overwritten; hidden and cell
 * are updated in place. */
typedef void (*OctRecurrentStep)(const OctRecurrent *recurrent, int32_t direction, float *gates,
                                 float *hidden, float *cell);

/* Activations of one direction, in the operator's order. */
typedef struct OctRecurrentDirection {
    OctUnary activations[OCT_RECURRENT_ACTIVATIONS];
    bool reverse;
    OctF32Gemm *input;     /* [I] to [gates * H], bias included; NULL until the weights are known */
    OctF32Gemm *recurrent; /* [H] to [recurrent_gates * H] */
    OctF32Gemm *last;      /* of GRU: [H] to [H], for the gate that is left out */
    float *peephole;       /* of LSTM: input, output, forget gates; NULL if absent */
} OctRecurrentDirection;

struct OctRecurrent {
    const OctNode *node;
    OctetCpu cpu;
    int32_t gates, recurrent_gates;
    int32_t direction_count;
    int64_t hidden, input_size;
    bool batch_first;
    bool has_cell;
    bool input_forget;        /* of LSTM */
    bool linear_before_reset; /* of GRU */
    bool constant_weights;
    float clip; /* INFINITY: none */
    OctRecurrentStep step;
    float *scratch; /* hidden floats for step; set while running */
    OctRecurrentDirection directions[OCT_RECURRENT_DIRECTIONS];
};

/* The steps; see the formulas of the ONNX operators. */
void oct_recurrent_step_rnn(const OctRecurrent *recurrent, int32_t direction, float *gates,
                            float *hidden, float *cell);
void oct_recurrent_step_gru(const OctRecurrent *recurrent, int32_t direction, float *gates,
                            float *hidden, float *cell);
void oct_recurrent_step_lstm(const OctRecurrent *recurrent, int32_t direction, float *gates,
                             float *hidden, float *cell);

/* Packs the weights of all directions; frees what was packed before. The views may be absent
 * (data NULL) for bias and peepholes. */
OctetStatus oct_recurrent_pack(OctRecurrent *recurrent, const OctView *w, const OctView *r,
                               const OctView *bias, const OctView *peepholes,
                               OctetDiagnostic *diagnostic);
void oct_recurrent_unpack(OctRecurrent *recurrent);

#endif
