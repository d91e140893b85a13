/* The bodies of f32_rows.h, included once a level after its vector abstraction, with BUNDLE,
 * BUNDLE_NAME and BUNDLE_CPU defined. No include guard. */
#include "kernels/f32_rows.h"
#include "kernels/vmath_scalar.h"

#include "kernels/vmath_functions.h"

/* 16 partial results, as many vectors as that takes. */
enum { PARTIAL = 16, VECTORS = PARTIAL / LANES };

static float combine_sums(const float *lanes) {
    float sums[PARTIAL / 2];
    for (size_t i = 0; i < 8; i++) {
        sums[i] = lanes[i] + lanes[i + 8];
    }
    for (size_t half = 4; half > 0; half /= 2) {
        for (size_t i = 0; i < half; i++) {
            sums[i] += sums[i + half];
        }
    }
    return sums[0];
}

/* NaN wins, and among equal zeros the earlier operand. */
OCT_SIMD F larger(F best, F x) {
    return s_select(s_is_nan(x), x, s_max(x, best));
}
OCT_SIMD F lesser(F best, F x) {
    return s_select(s_is_nan(x), x, s_min(x, best));
}
OCT_SIMD float larger_value(float best, float x) {
    return isnan(x) || x > best ? x : best;
}
OCT_SIMD float lesser_value(float best, float x) {
    return isnan(x) || x < best ? x : best;
}

/* `step` folds a vector x into a partial result, `step_value` a single value; `first` starts. */
#define REDUCE(name, parameters, first, step, step_value)                                          \
    OCT_SIMD void name parameters {                                                                \
        F partial[VECTORS];                                                                        \
        for (size_t v = 0; v < VECTORS; v++) {                                                     \
            partial[v] = s_set(first);                                                             \
        }                                                                                          \
        size_t i = 0;                                                                              \
        for (; i + PARTIAL <= count; i += PARTIAL) {                                               \
            for (size_t v = 0; v < VECTORS; v++) {                                                 \
                F x = s_load(row + i + v * LANES);                                                 \
                partial[v] = step;                                                                 \
            }                                                                                      \
        }                                                                                          \
        for (size_t v = 0; v < VECTORS; v++) {                                                     \
            s_store(lanes + v * LANES, partial[v]);                                                \
        }                                                                                          \
        for (size_t lane = 0; i < count; i++, lane++) {                                            \
            float x = row[i];                                                                      \
            lanes[lane] = step_value;                                                              \
        }                                                                                          \
    }

#define ROW (const float *row, size_t count, float *lanes)
REDUCE(add_up, ROW, 0.0f, s_add(partial[v], x), lanes[lane] + x)
REDUCE(add_squares, ROW, 0.0f, s_fma(x, x, partial[v]), fmaf(x, x, lanes[lane]))
REDUCE(add_deviations, (const float *row, size_t count, float mean, float *lanes), 0.0f,
       s_fma(s_sub(x, s_set(mean)), s_sub(x, s_set(mean)), partial[v]),
       fmaf(x - mean, x - mean, lanes[lane]))
REDUCE(find_largest, ROW, -INFINITY, larger(partial[v], x), larger_value(lanes[lane], x))
REDUCE(find_least, ROW, INFINITY, lesser(partial[v], x), lesser_value(lanes[lane], x))

static float sum(const float *row, size_t count) {
    float lanes[PARTIAL];
    add_up(row, count, lanes);
    return combine_sums(lanes);
}

static float sum_of_squares(const float *row, size_t count) {
    float lanes[PARTIAL];
    add_squares(row, count, lanes);
    return combine_sums(lanes);
}

static float maximum(const float *row, size_t count) {
    float lanes[PARTIAL];
    find_largest(row, count, lanes);
    for (size_t i = 1; i < PARTIAL; i++) {
        lanes[0] = larger_value(lanes[0], lanes[i]);
    }
    return lanes[0];
}

static float minimum(const float *row, size_t count) {
    float lanes[PARTIAL];
    find_least(row, count, lanes);
    for (size_t i = 1; i < PARTIAL; i++) {
        lanes[0] = lesser_value(lanes[0], lanes[i]);
    }
    return lanes[0];
}

#define MAP(name, parameters, expression)                                                          \
    static void name parameters {                                                                  \
        size_t i = 0;                                                                              \
        for (; i + LANES <= count; i += LANES) {                                                   \
            F x = s_load(row + i);                                                                 \
            s_store(output + i, expression);                                                       \
        }                                                                                          \
        if (i < count) {                                                                           \
            F x = s_load_part(row + i, count - i);                                                 \
            s_store_part(output + i, expression, count - i);                                       \
        }                                                                                          \
    }
MAP(exp_of_difference, (const float *row, float *output, size_t count, float subtrahend),
    v_exp(s_sub(x, s_set(subtrahend))))
MAP(multiply, (const float *row, float *output, size_t count, float factor),
    s_mul(x, s_set(factor)))
MAP(subtract, (const float *row, float *output, size_t count, float subtrahend),
    s_sub(x, s_set(subtrahend)))
MAP(normalize, (const float *row, float *output, size_t count, float mean, float inverse),
    s_mul(s_sub(x, s_set(mean)), s_set(inverse)))

static void softmax(const float *row, float *output, size_t count) {
    float largest = maximum(row, count);
    exp_of_difference(row, output, count, largest);
    multiply(output, output, count, 1.0f / sum(output, count));
}

static float log_of(float value) {
    float lanes[LANES];
    s_store(lanes, v_log(s_set(value)));
    return lanes[0];
}

/* Sums the exponentials with the partial sums of `sum`, but holds no more of them than a block. */
static void log_softmax(const float *row, float *output, size_t count) {
    enum { BLOCK = 256 };
    float largest = maximum(row, count);
    float lanes[PARTIAL] = {0};
    float block[BLOCK];
    for (size_t i = 0; i < count; i += BLOCK) {
        size_t size = count - i < BLOCK ? count - i : BLOCK;
        exp_of_difference(row + i, block, size, largest);
        for (size_t k = 0; k < size; k++) {
            lanes[k % PARTIAL] += block[k];
        }
    }
    float logarithm = log_of(combine_sums(lanes));
    subtract(row, output, count, largest);
    subtract(output, output, count, logarithm);
}

static void scale_and_shift(const float *scale, const float *shift, float *output, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        F factor = scale ? s_load(scale + i) : s_set(1.0f);
        F term = shift ? s_load(shift + i) : s_set(0.0f);
        s_store(output + i, s_fma(s_load(output + i), factor, term));
    }
    if (i < count) {
        size_t rest = count - i;
        F factor = scale ? s_load_part(scale + i, rest) : s_set(1.0f);
        F term = shift ? s_load_part(shift + i, rest) : s_set(0.0f);
        s_store_part(output + i, s_fma(s_load_part(output + i, rest), factor, term), rest);
    }
}

static void layer_norm(const float *row, const float *scale, const float *shift, float epsilon,
                       float *output, size_t count, float *mean_output, float *inverse_output) {
    float lanes[PARTIAL];
    float mean = sum(row, count) / (float)count;
    add_deviations(row, count, mean, lanes);
    float variance = combine_sums(lanes) / (float)count;
    float inverse = 1.0f / sqrtf(variance + epsilon);
    normalize(row, output, count, mean, inverse);
    if (scale || shift) {
        scale_and_shift(scale, shift, output, count);
    }
    if (mean_output) {
        *mean_output = mean;
    }
    if (inverse_output) {
        *inverse_output = inverse;
    }
}

static void accumulate(const float *row, float *total, size_t count) {
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        s_store(total + i, s_add(s_load(total + i), s_load(row + i)));
    }
    if (i < count) {
        size_t rest = count - i;
        F value = s_add(s_load_part(total + i, rest), s_load_part(row + i, rest));
        s_store_part(total + i, value, rest);
    }
}

const OctF32RowsBundle BUNDLE = {
    .name = BUNDLE_NAME,
    .cpu = BUNDLE_CPU,
    .sum = sum,
    .sum_of_squares = sum_of_squares,
    .maximum = maximum,
    .minimum = minimum,
    .softmax = softmax,
    .log_softmax = log_softmax,
    .layer_norm = layer_norm,
    .accumulate = accumulate,
};
