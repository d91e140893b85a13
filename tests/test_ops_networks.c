/* Operators with a life of their own: recurrent cells, einsum, detection, sampling, signals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"

static const float ramp[24] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                               12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* ---- recurrent ---- */

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

enum { TIME = 3, BATCH = 2, INPUT = 2, HIDDEN = 3 };

/* Small numbers that differ. */
static void fill(float *values, int count, int seed) {
    for (int i = 0; i < count; i++) {
        values[i] = (float)((i * 37 + seed * 17) % 41 - 20) / 25.0f;
    }
}

typedef struct Cell {
    float x[TIME * BATCH * INPUT];
    float w[2 * 4 * HIDDEN * INPUT], r[2 * 4 * HIDDEN * HIDDEN], b[2 * 8 * HIDDEN];
    float h0[2 * BATCH * HIDDEN], c0[2 * BATCH * HIDDEN], p[2 * 3 * HIDDEN];
} Cell;

static void make_cell(Cell *cell) {
    fill(cell->x, TIME * BATCH * INPUT, 1);
    fill(cell->w, 2 * 4 * HIDDEN * INPUT, 2);
    fill(cell->r, 2 * 4 * HIDDEN * HIDDEN, 3);
    fill(cell->b, 2 * 8 * HIDDEN, 4);
    fill(cell->h0, 2 * BATCH * HIDDEN, 5);
    fill(cell->c0, 2 * BATCH * HIDDEN, 6);
    fill(cell->p, 2 * 3 * HIDDEN, 7);
}

/* x * W + bias and h * R of one gate's unit, apart. */
static double input_part(const Cell *cell, int d, int gates, int row, int t, int n) {
    double sum = cell->b[d * 2 * gates * HIDDEN + row];
    for (int i = 0; i < INPUT; i++) {
        sum += (double)cell->x[(t * BATCH + n) * INPUT + i] *
               cell->w[(d * gates * HIDDEN + row) * INPUT + i];
    }
    return sum;
}

static double state_part(const Cell *cell, int d, int gates, int row, const double *h) {
    double sum = 0;
    for (int i = 0; i < HIDDEN; i++) {
        sum += h[i] * cell->r[(d * gates * HIDDEN + row) * HIDDEN + i];
    }
    return sum;
}

static double state_bias(const Cell *cell, int d, int gates, int row) {
    return cell->b[(d * 2 + 1) * gates * HIDDEN + row];
}

static void lstm_step(const Cell *cell, int d, int t, int n, double *h, double *c) {
    double next_h[HIDDEN];
    for (int u = 0; u < HIDDEN; u++) {
        double gate[4];
        for (int g = 0; g < 4; g++) {
            int row = g * HIDDEN + u;
            gate[g] = input_part(cell, d, 4, row, t, n) + state_bias(cell, d, 4, row) +
                      state_part(cell, d, 4, row, h);
        }
        const float *p = cell->p + d * 3 * HIDDEN;
        double in = sigmoid(gate[0] + p[u] * c[u]);
        double forget = sigmoid(gate[2] + p[2 * HIDDEN + u] * c[u]);
        c[u] = forget * c[u] + in * tanh(gate[3]);
        double out = sigmoid(gate[1] + p[HIDDEN + u] * c[u]);
        next_h[u] = out * tanh(c[u]);
    }
    memcpy(h, next_h, sizeof next_h);
}

static void gru_step(const Cell *cell, int d, int t, int n, bool after, double *h) {
    double z[HIDDEN];
    double rh[HIDDEN];
    double r[HIDDEN];
    double next[HIDDEN];
    for (int u = 0; u < HIDDEN; u++) {
        int row = HIDDEN + u;
        z[u] = sigmoid(input_part(cell, d, 3, u, t, n) + state_bias(cell, d, 3, u) +
                       state_part(cell, d, 3, u, h));
        r[u] = sigmoid(input_part(cell, d, 3, row, t, n) + state_bias(cell, d, 3, row) +
                       state_part(cell, d, 3, row, h));
        rh[u] = r[u] * h[u];
    }
    for (int u = 0; u < HIDDEN; u++) {
        int row = 2 * HIDDEN + u;
        double x = input_part(cell, d, 3, row, t, n);
        double g = after ? r[u] * (state_part(cell, d, 3, row, h) + state_bias(cell, d, 3, row))
                         : state_part(cell, d, 3, row, rh) + state_bias(cell, d, 3, row);
        next[u] = (1 - z[u]) * tanh(x + g) + z[u] * h[u];
    }
    memcpy(h, next, sizeof next);
}

/* Both directions, sequences of 3 and 2 steps. kind: 0 LSTM, 1 GRU, 2 GRU reset after. */
static void expected_states(const Cell *cell, int kind, const int32_t *lengths, float *y, float *yh,
                            float *yc) {
    memset(y, 0, sizeof(float) * TIME * 2 * BATCH * HIDDEN);
    for (int d = 0; d < 2; d++) {
        for (int n = 0; n < BATCH; n++) {
            double h[HIDDEN];
            double c[HIDDEN];
            for (int u = 0; u < HIDDEN; u++) {
                h[u] = cell->h0[(d * BATCH + n) * HIDDEN + u];
                c[u] = cell->c0[(d * BATCH + n) * HIDDEN + u];
            }
            for (int s = 0; s < lengths[n]; s++) {
                int t = d ? lengths[n] - 1 - s : s;
                if (kind == 0) {
                    lstm_step(cell, d, t, n, h, c);
                } else {
                    gru_step(cell, d, t, n, kind == 2, h);
                }
                for (int u = 0; u < HIDDEN; u++) {
                    y[((t * 2 + d) * BATCH + n) * HIDDEN + u] = (float)h[u];
                }
            }
            for (int u = 0; u < HIDDEN; u++) {
                yh[(d * BATCH + n) * HIDDEN + u] = (float)h[u];
                yc[(d * BATCH + n) * HIDDEN + u] = (float)c[u];
            }
        }
    }
}

static void recurrent_cells_in_both_directions(void **state) {
    (void)state;
    Cell cell;
    make_cell(&cell);
    const int32_t lengths[] = {3, 2};
    for (int kind = 0; kind < 3; kind++) {
        for (int constant = 0; constant < 2; constant++) {
            float y[TIME * 2 * BATCH * HIDDEN];
            float yh[2 * BATCH * HIDDEN];
            float yc[2 * BATCH * HIDDEN];
            int gates = kind ? 3 : 4;
            OctValue *(*weight)(OpHarness *, OctetDType, const OctetShape *, const void *) =
                constant ? op_constant : op_input;
            expected_states(&cell, kind, lengths, y, yh, yc);
            OpHarness h;
            op_begin(&h, "", kind ? "GRU" : "LSTM", 14, kind ? 2 : 3);
            op_input(&h, OCTET_F32, SHAPE(TIME, BATCH, INPUT), cell.x);
            weight(&h, OCTET_F32, SHAPE(2, gates * HIDDEN, INPUT), cell.w);
            weight(&h, OCTET_F32, SHAPE(2, gates * HIDDEN, HIDDEN), cell.r);
            weight(&h, OCTET_F32, SHAPE(2, 2 * gates * HIDDEN), cell.b);
            op_input(&h, OCTET_S32, SHAPE(BATCH), lengths);
            op_input(&h, OCTET_F32, SHAPE(2, BATCH, HIDDEN), cell.h0);
            if (kind == 0) {
                op_input(&h, OCTET_F32, SHAPE(2, BATCH, HIDDEN), cell.c0);
                weight(&h, OCTET_F32, SHAPE(2, 3 * HIDDEN), cell.p);
            }
            oct_node_set_int(h.graph, h.node, "hidden_size", HIDDEN);
            oct_node_set_string(h.graph, h.node, "direction", "bidirectional");
            oct_node_set_int(h.graph, h.node, "linear_before_reset", kind == 2);
            op_run_ok(&h);
            op_expect_f32(&h, 0, SHAPE(TIME, 2, BATCH, HIDDEN), y, 1e-6f);
            op_expect_f32(&h, 1, SHAPE(2, BATCH, HIDDEN), yh, 1e-6f);
            if (kind == 0) {
                op_expect_f32(&h, 2, SHAPE(2, BATCH, HIDDEN), yc, 1e-6f);
            }
            op_end(&h);
        }
    }
}

static void rnn_with_an_activation_and_batch_first(void **state) {
    (void)state;
    /* h = relu(2 x - h) over x = 1, 3, 1 */
    const float x[] = {1, 3, 1};
    const float w[] = {2};
    const float r[] = {-1};
    const float y[] = {2, 4, 0};
    const float last = 0;
    OpHarness h;
    op_begin(&h, "", "RNN", 14, 2);
    op_input(&h, OCTET_F32, SHAPE(1, 3, 1), x);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 1), w);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 1), r);
    oct_node_set_int(h.graph, h.node, "layout", 1);
    const char *names[] = {"relu"};
    OctAttribute *attributes = oct_arena_alloc(h.graph->arena, 8 * sizeof(OctAttribute));
    memcpy(attributes, h.node->attributes, (size_t)h.node->attribute_count * sizeof(OctAttribute));
    attributes[h.node->attribute_count++] = (OctAttribute){
        .name = "activations", .type = OCT_ATTRIBUTE_STRINGS, .count = 1, .v.strings = names};
    h.node->attributes = attributes;
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 3, 1, 1), y, 0);
    op_expect_f32(&h, 1, SHAPE(1, 1, 1), &last, 0);
    op_end(&h);
}

static void recurrent_refuses_weights_that_do_not_fit(void **state) {
    (void)state;
    OpHarness h;
    op_begin(&h, "", "LSTM", 14, 3);
    op_input(&h, OCTET_F32, SHAPE(2, 1, 2), ramp);
    op_constant(&h, OCTET_F32, SHAPE(1, 8, 2), ramp);
    op_constant(&h, OCTET_F32, SHAPE(1, 8, 3), ramp);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

/* ---- Einsum ---- */

static void einsum(const char *equation, const OctetShape *a, const OctetShape *b,
                   const OctetShape *shape, const float *expected) {
    OpHarness h;
    op_begin(&h, "", "Einsum", 12, 1);
    op_input(&h, OCTET_F32, a, ramp);
    if (b) {
        op_input(&h, OCTET_F32, b, ramp + 1);
    }
    oct_node_set_string(h.graph, h.node, "equation", equation);
    op_run_ok(&h);
    op_expect_f32(&h, 0, shape, expected, 0);
    op_end(&h);
}

static void einsum_equations(void **state) {
    (void)state;
    /* a = [[0 1 2] [3 4 5]], b = [[1 2] [3 4] [5 6]] */
    einsum("ij,jk->ik", SHAPE(2, 3), SHAPE(3, 2), SHAPE(2, 2), (const float[]){13, 16, 40, 52});
    einsum("ij,jk", SHAPE(2, 3), SHAPE(3, 2), SHAPE(2, 2), (const float[]){13, 16, 40, 52});
    einsum("ij->ji", SHAPE(2, 3), NULL, SHAPE(3, 2), (const float[]){0, 3, 1, 4, 2, 5});
    einsum("ij->i", SHAPE(2, 3), NULL, SHAPE(2), (const float[]){3, 12});
    einsum("ii->", SHAPE(3, 3), NULL, SCALAR, (const float[]){12});
    einsum("...ii->...i", SHAPE(2, 2, 2), NULL, SHAPE(2, 2), (const float[]){0, 3, 4, 7});
    einsum("b i , b j -> b i j", SHAPE(2, 2), SHAPE(2, 1), SHAPE(2, 2, 1),
           (const float[]){0, 1, 4, 6});
    einsum("...i,i->...", SHAPE(2, 3), SHAPE(3), SHAPE(2), (const float[]){8, 26});
    /* batches, and permutations of both operands and the result: a[i][b] * c[j][b] */
    einsum("ib,jb->bji", SHAPE(2, 2), SHAPE(3, 2), SHAPE(2, 3, 2),
           (const float[]){0, 2, 0, 6, 0, 10, 2, 6, 4, 12, 6, 18});
    OpHarness h;
    op_begin(&h, "", "Einsum", 12, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), ramp);
    oct_node_set_string(h.graph, h.node, "equation", "ij->k");
    assert_int_equal(op_run(&h), OCTET_ERROR_FORMAT);
    op_end(&h);
}

/* ---- detection ---- */

static void suppression_keeps_the_best_apart(void **state) {
    (void)state;
    const float boxes[] = {0, 0, 1, 1, 0, 0.1f, 1, 1.1f, 0, 10, 1, 11, 1, 101, 0, 100};
    const float scores[] = {0.9f, 0.75f, 0.6f, 0.95f};
    const int64_t limit = 3;
    const float overlap = 0.5f;
    const float least = 0.7f;
    const int64_t all[] = {0, 0, 3, 0, 0, 0, 0, 0, 2};
    for (int with_score = 0; with_score < 2; with_score++) {
        OpHarness h;
        op_begin(&h, "", "NonMaxSuppression", 11, 1);
        op_input(&h, OCTET_F32, SHAPE(1, 4, 4), boxes);
        op_input(&h, OCTET_F32, SHAPE(1, 1, 4), scores);
        op_input(&h, OCTET_S64, SCALAR, &limit);
        op_input(&h, OCTET_F32, SCALAR, &overlap);
        if (with_score) {
            op_input(&h, OCTET_F32, SCALAR, &least);
        }
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_S64, SHAPE(with_score ? 2 : 3, 3), all);
        op_end(&h);
    }
}

static void regions_are_aligned(void **state) {
    (void)state;
    /* one bin over the whole of a 4 x 4 ramp: the mean of four points */
    const float roi[] = {0, 0, 4, 4};
    const int64_t batch = 0;
    const float middle = 7.5f;
    OpHarness h;
    op_begin(&h, "", "RoiAlign", 16, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 4, 4), ramp);
    op_input(&h, OCTET_F32, SHAPE(1, 4), roi);
    op_input(&h, OCTET_S64, SHAPE(1), &batch);
    oct_node_set_int(h.graph, h.node, "sampling_ratio", 2);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 1, 1), &middle, 0);
    op_end(&h);
    const int64_t outside = 1;
    op_begin(&h, "", "RoiAlign", 16, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 4, 4), ramp);
    op_input(&h, OCTET_F32, SHAPE(1, 4), roi);
    op_input(&h, OCTET_S64, SHAPE(1), &outside);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
    op_begin(&h, "", "RoiAlign", 16, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 4, 4), ramp);
    op_input(&h, OCTET_F32, SHAPE(1, 4), roi);
    op_input(&h, OCTET_S64, SHAPE(1), &batch);
    oct_node_set_int(h.graph, h.node, "output_height", (int64_t)1 << 62);
    assert_int_equal(op_run(&h), OCTET_ERROR_FORMAT);
    op_end(&h);
    const float pooled_roi[] = {0, 0, 0, 3, 3};
    const int64_t two[] = {2, 2};
    const float largest[] = {5, 7, 13, 15};
    op_begin(&h, "", "MaxRoiPool", 1, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 4, 4), ramp);
    op_input(&h, OCTET_F32, SHAPE(1, 5), pooled_roi);
    oct_node_set_ints(h.graph, h.node, "pooled_shape", two, 2);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 1, 2, 2), largest);
    op_end(&h);
}

static void grids_are_sampled(void **state) {
    (void)state;
    /* 2 x 2 pixels 0 1 2 3; the center, a corner, far outside */
    const float places[] = {0, 0, -1, -1, 5, 5};
    const struct {
        const char *mode, *padding;
        int64_t align;
        float expected[3];
    } cases[] = {
        {"bilinear", "zeros", 1, {1.5f, 0, 0}},  {"bilinear", "zeros", 0, {1.5f, 0, 0}},
        {"bilinear", "border", 0, {1.5f, 0, 3}}, {"nearest", "border", 1, {0, 0, 3}},
        {"bicubic", "border", 1, {1.5f, 0, 3}},  {"linear", "reflection", 1, {1.5f, 0, 3}}};
    for (size_t i = 0; i < 6; i++) {
        OpHarness h;
        op_begin(&h, "", "GridSample", 16, 1);
        op_input(&h, OCTET_F32, SHAPE(1, 1, 2, 2), ramp);
        op_input(&h, OCTET_F32, SHAPE(1, 1, 3, 2), places);
        oct_node_set_string(h.graph, h.node, "mode", cases[i].mode);
        oct_node_set_string(h.graph, h.node, "padding_mode", cases[i].padding);
        oct_node_set_int(h.graph, h.node, "align_corners", cases[i].align);
        op_run_ok(&h);
        op_expect_f32(&h, 0, SHAPE(1, 1, 1, 3), cases[i].expected, 1e-6f);
        op_end(&h);
    }
    const int64_t size[] = {1, 1, 2, 2};
    const float identity[] = {1, 0, 0, 0, 1, 0};
    const float corners[] = {-1, -1, 1, -1, -1, 1, 1, 1};
    OpHarness h;
    op_begin(&h, "", "AffineGrid", 20, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 2, 3), identity);
    op_input(&h, OCTET_S64, SHAPE(4), size);
    oct_node_set_int(h.graph, h.node, "align_corners", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 2, 2, 2), corners);
    op_end(&h);
}

static void pooling_is_undone(void **state) {
    (void)state;
    const float x[] = {5, 6};
    const int64_t at[] = {1, 6};
    const int64_t kernel[] = {2, 2};
    const float expected[] = {0, 5, 0, 0, 0, 0, 6, 0};
    OpHarness h;
    op_begin(&h, "", "MaxUnpool", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 1, 2), x);
    op_input(&h, OCTET_S64, SHAPE(1, 1, 1, 2), at);
    oct_node_set_ints(h.graph, h.node, "kernel_shape", kernel, 2);
    oct_node_set_ints(h.graph, h.node, "strides", kernel, 2);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 1, 2, 4), expected);
    op_end(&h);
}

/* ---- signals ---- */

static void transforms_match_the_definition(void **state) {
    (void)state;
    const int64_t lengths[] = {8, 6};
    for (int form = 0; form < 4; form++) {
        int64_t n = lengths[form % 2];
        bool inverse = form >= 2;
        float expected[16];
        for (int k = 0; k < n; k++) {
            double re = 0;
            double im = 0;
            for (int i = 0; i < n; i++) {
                double angle = (inverse ? 1 : -1) * 2 * M_PI * k * i / (double)n;
                re += (double)ramp[2 * i] * cos(angle) - (double)ramp[2 * i + 1] * sin(angle);
                im += (double)ramp[2 * i] * sin(angle) + (double)ramp[2 * i + 1] * cos(angle);
            }
            expected[2 * k] = (float)(inverse ? re / (double)n : re);
            expected[2 * k + 1] = (float)(inverse ? im / (double)n : im);
        }
        OpHarness h;
        op_begin(&h, "", "DFT", 17, 1);
        op_input(&h, OCTET_F32, SHAPE(1, n, 2), ramp);
        oct_node_set_int(h.graph, h.node, "inverse", inverse);
        op_run_ok(&h);
        op_expect_f32(&h, 0, SHAPE(1, n, 2), expected, 1e-6f);
        op_end(&h);
    }
    /* one side of a longer transform of a real line along the first axis: sums and differences */
    const int64_t four = 4;
    const float padded[] = {2, 0, 0, -2, -2, 0};
    const float line[] = {0, 2};
    OpHarness h;
    op_begin(&h, "", "DFT", 17, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 1), line);
    op_input(&h, OCTET_S64, SCALAR, &four);
    oct_node_set_int(h.graph, h.node, "axis", 0);
    oct_node_set_int(h.graph, h.node, "onesided", 1);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(3, 2), padded, 1e-7f);
    op_end(&h);
}

/* A network that transforms a known line of n complex numbers, forwards and back: each number is
 * the sum of the definition, and coming back gives the line. */
static void check_length(int64_t n) {
    float *line = calloc((size_t)(2 * n), sizeof *line);
    float *expected = calloc((size_t)(2 * n), sizeof *expected);
    double *turns = calloc((size_t)(2 * n), sizeof *turns);
    double largest = 0;
    for (int64_t i = 0; i < 2 * n; i++) {
        line[i] = (float)((i * 7919 + i * i % 613) % 2000 - 1000) / 512;
        turns[i] = i % 2 ? -sin(2 * M_PI * (double)(i / 2) / (double)n)
                         : cos(2 * M_PI * (double)(i / 2) / (double)n);
    }
    for (int64_t k = 0; k < n; k++) {
        double re = 0;
        double im = 0;
        for (int64_t i = 0; i < n; i++) {
            const double *turn = &turns[2 * (k * i % n)];
            re += (double)line[2 * i] * turn[0] - (double)line[2 * i + 1] * turn[1];
            im += (double)line[2 * i] * turn[1] + (double)line[2 * i + 1] * turn[0];
        }
        expected[2 * k] = (float)re;
        expected[2 * k + 1] = (float)im;
        largest = fmax(largest, fmax(fabs(re), fabs(im)));
    }
    for (int inverse = 0; inverse < 2; inverse++) {
        OpHarness h;
        op_begin(&h, "", "DFT", 17, 1);
        op_constant(&h, OCTET_F32, SHAPE(1, n, 2), inverse ? expected : line);
        oct_node_set_int(h.graph, h.node, "inverse", inverse);
        op_run_ok(&h);
        const float *made = h.outputs[0].data;
        double scale = inverse ? 2 : largest;
        for (int64_t i = 0; i < 2 * n; i++) {
            double wanted = (double)(inverse ? line : expected)[i];
            if (!(fabs((double)made[i] - wanted) <= 1e-6 * scale)) {
                fail_msg("length %d, number %d: %.9g, not %.9g", (int)n, (int)i, (double)made[i],
                         wanted);
            }
        }
        op_end(&h);
    }
    free(line);
    free(expected);
    free(turns);
}

static void transforms_of_any_length(void **state) {
    (void)state;
    /* 1 to 70: by definition, by halving, by convolution; then primes, and products of few */
    const int64_t longer[] = {127, 128, 400, 509, 1000, 1021, 2039, 2048, 3072, 4093};
    for (int64_t n = 1; n <= 70; n++) {
        check_length(n);
    }
    for (size_t i = 0; i < sizeof longer / sizeof *longer; i++) {
        check_length(longer[i]);
    }
}

static void frames_and_windows(void **state) {
    (void)state;
    const int64_t step = 2;
    const float window[] = {1, 1, 0, 0};
    /* frames 0 1 . . and 2 3 . . and 4 5 . . */
    const float expected[] = {1, 0, 0, -1, -1, 0, 5, 0, 2, -3, -1, 0, 9, 0, 4, -5, -1, 0};
    OpHarness h;
    op_begin(&h, "", "STFT", 17, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 8, 1), ramp);
    op_input(&h, OCTET_S64, SCALAR, &step);
    op_input(&h, OCTET_F32, SHAPE(4), window);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 3, 3, 2), expected, 1e-6f);
    op_end(&h);
    const int32_t four = 4;
    const float hann[] = {0, 0.5f, 1, 0.5f};
    const float symmetric[] = {0, 0.75f, 0.75f, 0};
    for (int64_t periodic = 0; periodic < 2; periodic++) {
        op_begin(&h, "", "HannWindow", 17, 1);
        op_input(&h, OCTET_S32, SCALAR, &four);
        oct_node_set_int(h.graph, h.node, "periodic", periodic);
        op_run_ok(&h);
        op_expect_f32(&h, 0, SHAPE(4), periodic ? hann : symmetric, 1e-7f);
        op_end(&h);
    }
}

/* ---- the rest ---- */

static void determinants(void **state) {
    (void)state;
    const float data[] = {0, 2, 3, 4, 1, 2, 2, 4};
    const float expected[] = {-6, 0};
    OpHarness h;
    op_begin(&h, "", "Det", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2, 2), data);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2), expected);
    op_end(&h);
}

static void blocks_are_summed(void **state) {
    (void)state;
    const int64_t image[] = {1, 4};
    const int64_t block[] = {1, 2};
    /* blocks (0 3) (1 4) (2 5) at 0, 1, 2 */
    const float expected[] = {0, 3 + 1, 4 + 2, 5};
    OpHarness h;
    op_begin(&h, "", "Col2Im", 18, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 2, 3), ramp);
    op_constant(&h, OCTET_S64, SHAPE(2), image);
    op_constant(&h, OCTET_S64, SHAPE(2), block);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 1, 1, 4), expected);
    op_end(&h);
}

/* Taps moved by nothing, by a whole pixel, by half of one, and masked. */
static void taps_are_moved(void **state) {
    (void)state;
    const float one = 2;
    const float mask[] = {1, 0.5f, 1, 1};
    /* pixels 0 1 2 3 in a row; dx 0 1 1 0.5: 0, 2, 3, and half of 3 */
    const float offsets[] = {0, 0, 0, 0, 0, 1, 1, 0.5f};
    const float expected[] = {0, 0.5f * 2 * 2, 2 * 3, 2 * 1.5f};
    OpHarness h;
    op_begin(&h, "", "DeformConv", 19, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 1, 4), ramp);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 1, 1), &one);
    op_input(&h, OCTET_F32, SHAPE(1, 2, 1, 4), offsets);
    op_absent(&h);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 1, 4), mask);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 1, 4), expected, 0);
    op_end(&h);
}

static void the_center_is_cut_or_padded(void **state) {
    (void)state;
    const int64_t sizes[] = {4, 1};
    /* 3 x 3 to 4 x 1: one row of zeros behind (the odd one), the middle column */
    const float expected[] = {1, 4, 7, 0};
    OpHarness h;
    op_begin(&h, "", "CenterCropPad", 18, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 3), ramp);
    op_input(&h, OCTET_S64, SHAPE(2), sizes);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(4, 1), expected);
    op_end(&h);
}

static void ngrams_are_counted(void **state) {
    (void)state;
    /* the tokens 2, 3 and 5, and the pair (5, 4) */
    const int64_t pool[] = {2, 3, 5, 5, 4};
    const int64_t starts[] = {0, 3};
    const int64_t columns[] = {0, 1, 2, 3};
    const int64_t outside[] = {0, 1, 2, INT64_MAX};
    const int64_t tokens[] = {5, 4, 2, 5, 4};
    const float expected[] = {1, 0, 2, 2};
    for (int legal = 0; legal < 2; legal++) {
        OpHarness h;
        op_begin(&h, "", "TfIdfVectorizer", 9, 1);
        op_input(&h, OCTET_S64, SHAPE(5), tokens);
        oct_node_set_ints(h.graph, h.node, "pool_int64s", pool, 5);
        oct_node_set_ints(h.graph, h.node, "ngram_counts", starts, 2);
        oct_node_set_ints(h.graph, h.node, "ngram_indexes", legal ? columns : outside, 4);
        oct_node_set_int(h.graph, h.node, "max_gram_length", 2);
        if (legal) {
            op_run_ok(&h);
            op_expect(&h, 0, OCTET_F32, SHAPE(4), expected);
        } else {
            assert_int_equal(op_run(&h), OCTET_ERROR_FORMAT);
        }
        op_end(&h);
    }
}

static void losses(void **state) {
    (void)state;
    const float scores[] = {1, 1, 0, 2};
    const int64_t labels[] = {1, 0};
    const float first = 0.6931472f;
    const float second = 2.126928f;
    const float mean = (first + second) / 2;
    const float each[] = {first, second};
    OpHarness h;
    op_begin(&h, "", "SoftmaxCrossEntropyLoss", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), scores);
    op_input(&h, OCTET_S64, SHAPE(2), labels);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SCALAR, &mean, 1e-6f);
    op_end(&h);
    op_begin(&h, "", "SoftmaxCrossEntropyLoss", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), scores);
    op_input(&h, OCTET_S64, SHAPE(2), labels);
    oct_node_set_string(h.graph, h.node, "reduction", "none");
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(2), each, 1e-6f);
    op_end(&h);
    const int64_t outside[] = {2, 0};
    op_begin(&h, "", "NegativeLogLikelihoodLoss", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), scores);
    op_input(&h, OCTET_S64, SHAPE(2), outside);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

static void random_numbers_have_their_moments(void **state) {
    (void)state;
    enum { N = 20000 };
    const int64_t shape[] = {N};
    const char *const names[] = {"RandomNormal", "RandomUniform"};
    for (int i = 0; i < 2; i++) {
        float first[2];
        for (int again = 0; again < 2; again++) {
            OpHarness h;
            op_begin(&h, "", names[i], 1, 1);
            oct_node_set_ints(h.graph, h.node, "shape", shape, 1);
            oct_node_set_float(h.graph, h.node, "seed", 7);
            op_run_ok(&h);
            const float *x = h.outputs[0].data;
            double mean = 0;
            double square = 0;
            for (int k = 0; k < N; k++) {
                mean += (double)x[k] / N;
                square += (double)x[k] * x[k] / N;
            }
            assert_true(fabs(mean - (i ? 0.5 : 0)) < 0.03);
            assert_true(fabs(square - mean * mean - (i ? 1.0 / 12 : 1)) < 0.05);
            first[again] = x[0];
            op_end(&h);
        }
        assert_true(first[0] == first[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recurrent_cells_in_both_directions),
        cmocka_unit_test(rnn_with_an_activation_and_batch_first),
        cmocka_unit_test(recurrent_refuses_weights_that_do_not_fit),
        cmocka_unit_test(einsum_equations),
        cmocka_unit_test(suppression_keeps_the_best_apart),
        cmocka_unit_test(regions_are_aligned),
        cmocka_unit_test(grids_are_sampled),
        cmocka_unit_test(pooling_is_undone),
        cmocka_unit_test(transforms_match_the_definition),
        cmocka_unit_test(transforms_of_any_length),
        cmocka_unit_test(frames_and_windows),
        cmocka_unit_test(determinants),
        cmocka_unit_test(blocks_are_summed),
        cmocka_unit_test(taps_are_moved),
        cmocka_unit_test(the_center_is_cut_or_padded),
        cmocka_unit_test(ngrams_are_counted),
        cmocka_unit_test(losses),
        cmocka_unit_test(random_numbers_have_their_moments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
