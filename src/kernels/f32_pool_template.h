/* The bodies of the pooling kernels, included once a level after its vector abstraction, with
 * BUNDLE, BUNDLE_NAME and BUNDLE_CPU defined. No include guard. */

enum { BLOCK = 4 };

/* Walks the box of taps with up to BLOCK vectors of channels; `part` lanes of the first one when
 * there is no whole vector. `folded` is x folded into best[v]. */
#define FOLD(name, first, folded)                                                                  \
    OCT_SIMD void name(const OctF32PoolBox *box, size_t channel, size_t vectors, size_t part,      \
                       F *best) {                                                                  \
        for (size_t v = 0; v < vectors; v++) {                                                     \
            best[v] = s_set(first);                                                                \
        }                                                                                          \
        for (size_t z = 0; z < box->count[0]; z++) {                                               \
            for (size_t y = 0; y < box->count[1]; y++) {                                           \
                const float *tap = box->data + z * box->step[0] + y * box->step[1] + channel;      \
                for (size_t t = 0; t < box->count[2]; t++, tap += box->step[2]) {                  \
                    for (size_t v = 0; v < vectors; v++) {                                         \
                        F x = part ? s_load_part(tap, part) : s_load(tap + v * LANES);             \
                        best[v] = folded;                                                          \
                    }                                                                              \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
FOLD(fold_maximum, -INFINITY, s_select(s_is_nan(x), x, s_max(x, best[v])))
FOLD(fold_sum, 0.0f, s_add(best[v], x))

#define WALK(name, parameters, fold, finish)                                                       \
    static void name parameters {                                                                  \
        size_t channel = 0;                                                                        \
        F best[BLOCK];                                                                             \
        for (; channel + BLOCK * LANES <= channels; channel += BLOCK * LANES) {                    \
            fold(box, channel, BLOCK, 0, best);                                                    \
            for (size_t v = 0; v < BLOCK; v++) {                                                   \
                F x = best[v];                                                                     \
                s_store(output + channel + v * LANES, finish);                                     \
            }                                                                                      \
        }                                                                                          \
        for (; channel < channels; channel += LANES) {                                             \
            size_t rest = channels - channel;                                                      \
            fold(box, channel, 1, rest < LANES ? rest : 0, best);                                  \
            F x = best[0];                                                                         \
            if (rest < LANES) {                                                                    \
                s_store_part(output + channel, finish, rest);                                      \
            } else {                                                                               \
                s_store(output + channel, finish);                                                 \
            }                                                                                      \
        }                                                                                          \
    }
WALK(maximum, (const OctF32PoolBox *box, size_t channels, float *output), fold_maximum, x)
WALK(average, (const OctF32PoolBox *box, size_t channels, float divisor, float *output), fold_sum,
     s_div(x, s_set(divisor)))

/* Sums of 64 pixels at a time, then of these sums, for `vectors` vectors of channels. */
OCT_SIMD void sum_columns(const float *input, size_t pixels, size_t stride, size_t vectors,
                          size_t part, F *total) {
    for (size_t v = 0; v < vectors; v++) {
        total[v] = s_set(0.0f);
    }
    for (size_t first = 0; first < pixels; first += 64) {
        size_t end = pixels - first < 64 ? pixels : first + 64;
        F sum[BLOCK];
        for (size_t v = 0; v < vectors; v++) {
            sum[v] = s_set(0.0f);
        }
        for (size_t pixel = first; pixel < end; pixel++) {
            const float *p = input + pixel * stride;
            for (size_t v = 0; v < vectors; v++) {
                sum[v] = s_add(sum[v], part ? s_load_part(p, part) : s_load(p + v * LANES));
            }
        }
        for (size_t v = 0; v < vectors; v++) {
            total[v] = s_add(total[v], sum[v]);
        }
    }
}

static void column_average(const float *input, size_t pixels, size_t stride, size_t channels,
                           float *output) {
    F divisor = s_set((float)pixels);
    F total[BLOCK];
    size_t channel = 0;
    for (; channel + BLOCK * LANES <= channels; channel += BLOCK * LANES) {
        sum_columns(input + channel, pixels, stride, BLOCK, 0, total);
        for (size_t v = 0; v < BLOCK; v++) {
            s_store(output + channel + v * LANES, s_div(total[v], divisor));
        }
    }
    for (; channel < channels; channel += LANES) {
        size_t rest = channels - channel;
        sum_columns(input + channel, pixels, stride, 1, rest < LANES ? rest : 0, total);
        F value = s_div(total[0], divisor);
        if (rest < LANES) {
            s_store_part(output + channel, value, rest);
        } else {
            s_store(output + channel, value);
        }
    }
}

const OctF32PoolBundle BUNDLE = {
    .name = BUNDLE_NAME,
    .cpu = BUNDLE_CPU,
    .maximum = maximum,
    .average = average,
    .column_average = column_average,
};
