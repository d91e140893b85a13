/* The bodies of the pooling kernels, included once a level after its vector abstraction, with
 * BUNDLE, BUNDLE_NAME and BUNDLE_CPU defined. No include guard. */
#include "kernels/q8_unroll.h"

/* As many vectors as OCT_EACH_VECTOR can name. */
enum { BLOCK = 4 };

/* Walks the box of taps with up to BLOCK vectors of channels; `part` lanes of the first one when
 * there is no whole vector. For each vector v the statement takes x in. */
#define FOLD(statement)                                                                            \
    for (size_t z = 0; z < box->count[0]; z++) {                                                   \
        for (size_t y = 0; y < box->count[1]; y++) {                                               \
            const float *tap = box->data + z * box->step[0] + y * box->step[1] + channel;          \
            for (size_t t = 0; t < box->count[2]; t++, tap += box->step[2]) {                      \
                OCT_EACH_VECTOR(v, vectors, {                                                      \
                    F x = part ? s_load_part(tap, part) : s_load(tap + v * LANES);                 \
                    statement;                                                                     \
                });                                                                                \
            }                                                                                      \
        }                                                                                          \
    }

#define STORE(value)                                                                               \
    OCT_EACH_VECTOR(v, vectors, {                                                                  \
        float *to = output + channel + v * LANES;                                                  \
        if (part) {                                                                                \
            s_store_part(to, value, part);                                                         \
        } else {                                                                                   \
            s_store(to, value);                                                                    \
        }                                                                                          \
    })

/* NaN is noted on the side, as the comparison drops it. */
OCT_SIMD void maximum_of(const OctF32PoolBox *box, size_t channel, size_t vectors, size_t part,
                         float *output) {
    F best[BLOCK];
    M any_nan[BLOCK];
    OCT_EACH_VECTOR(v, vectors, {
        best[v] = s_set(-INFINITY);
        any_nan[v] = s_is_nan(best[v]);
    });
    FOLD(any_nan[v] = m_or(any_nan[v], s_is_nan(x)); best[v] = s_max(x, best[v]))
    STORE(s_select(any_nan[v], s_set(NAN), best[v]));
}

OCT_SIMD void average_of(const OctF32PoolBox *box, size_t channel, size_t vectors, size_t part,
                         float divisor, float *output) {
    F sum[BLOCK];
    OCT_EACH_VECTOR(v, vectors, { sum[v] = s_set(0.0f); });
    FOLD(sum[v] = s_add(sum[v], x))
    STORE(s_div(sum[v], s_set(divisor)));
}

/* Sums of 64 pixels at a time, then of these sums. */
OCT_SIMD void column_average_of(const float *input, size_t pixels, size_t stride, size_t channel,
                                size_t vectors, size_t part, float *output) {
    F total[BLOCK];
    F sum[BLOCK];
    OCT_EACH_VECTOR(v, vectors, { total[v] = s_set(0.0f); });
    for (size_t first = 0; first < pixels; first += 64) {
        size_t end = pixels - first < 64 ? pixels : first + 64;
        OCT_EACH_VECTOR(v, vectors, { sum[v] = s_set(0.0f); });
        for (size_t pixel = first; pixel < end; pixel++) {
            const float *p = input + pixel * stride + channel;
            OCT_EACH_VECTOR(v, vectors, {
                F x = part ? s_load_part(p, part) : s_load(p + v * LANES);
                sum[v] = s_add(sum[v], x);
            });
        }
        OCT_EACH_VECTOR(v, vectors, { total[v] = s_add(total[v], sum[v]); });
    }
    STORE(s_div(total[v], s_set((float)pixels)));
}

/* All channels: whole blocks, whole vectors, and what is left. */
#define WALK(name, ...)                                                                            \
    size_t channel = 0;                                                                            \
    for (; channel + BLOCK * LANES <= channels; channel += BLOCK * LANES) {                        \
        size_t vectors = BLOCK;                                                                    \
        size_t part = 0;                                                                           \
        name(__VA_ARGS__);                                                                         \
    }                                                                                              \
    for (; channel + LANES <= channels; channel += LANES) {                                        \
        size_t vectors = 1;                                                                        \
        size_t part = 0;                                                                           \
        name(__VA_ARGS__);                                                                         \
    }                                                                                              \
    if (channel < channels) {                                                                      \
        size_t vectors = 1;                                                                        \
        size_t part = channels - channel;                                                          \
        name(__VA_ARGS__);                                                                         \
    }

static void maximum(const OctF32PoolBox *box, size_t channels, float *output) {
    WALK(maximum_of, box, channel, vectors, part, output)
}

static void average(const OctF32PoolBox *box, size_t channels, float divisor, float *output) {
    WALK(average_of, box, channel, vectors, part, divisor, output)
}

static void column_average(const float *input, size_t pixels, size_t stride, size_t channels,
                           float *output) {
    WALK(column_average_of, input, pixels, stride, channel, vectors, part, output)
}

const OctF32PoolBundle BUNDLE = {
    .name = BUNDLE_NAME,
    .cpu = BUNDLE_CPU,
    .maximum = maximum,
    .average = average,
    .column_average = column_average,
};
