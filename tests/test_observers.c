/* What holds for observers beyond PyTorch's numbers: batches, order and merging don't matter, files
 * can be hostile, searches find what they promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "octet/observer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 12, CHANNELS = 5, HEIGHT = 9, WIDTH = 7, SAMPLE = CHANNELS * HEIGHT * WIDTH };
static float data[SAMPLES * SAMPLE];
static const OctetShape sample_shape = {.rank = 4, .dims = {1, CHANNELS, HEIGHT, WIDTH}};

static void quiet(OctetLogLevel level, const char *message, void *user) {
    (void)level;
    (void)message;
    ++*(int *)user;
}

static double uniform(void) {
    return (rand() + 0.5) / ((double)RAND_MAX + 1);
}

static float gaussian(void) {
    return (float)(sqrt(-2 * log(uniform())) * cos(2 * 3.14159265358979 * uniform()));
}

static int warnings;

static int fill(void **state) {
    (void)state;
    srand(11);
    for (int i = 0; i < SAMPLES * SAMPLE; i++) {
        data[i] = gaussian() * (float)(1 + i / (HEIGHT * WIDTH) % CHANNELS);
        data[i] = i % 5 == 0 ? 0.0F : data[i];
        data[i] = i % 7 == 0 ? -0.0F : data[i];
    }
    data[100] = 37.5F;
    data[2000] = NAN;
    data[2001] = INFINITY;
    data[2002] = -INFINITY;
    octet_set_log_callback(quiet, &warnings, OCTET_LOG_WARNING);
    return 0;
}

static int restore(void **state) {
    (void)state;
    octet_set_log_callback(NULL, NULL, OCTET_LOG_WARNING);
    return 0;
}

static OctetObserver *make(const OctetObserverOptions *options) {
    OctetObserver *observer;
    assert_int_equal(octet_observer_create(options, &observer, NULL), OCTET_OK);
    return observer;
}

static void observe(OctetObserver *observer, int first, int samples) {
    OctetShape shape = sample_shape;
    shape.dims[0] = samples;
    assert_int_equal(octet_observer_observe(observer, data + first * SAMPLE, &shape, NULL),
                     OCTET_OK);
}

static void next_pass(OctetObserver *observer) {
    assert_int_equal(octet_observer_next_pass(observer, NULL), OCTET_OK);
}

/* All options that an order-independent observer can be run with here. */
static int independent(OctetObserverOptions *list) {
    static const OctetObserverType types[] = {
        OCTET_OBSERVER_MINMAX,    OCTET_OBSERVER_PER_CHANNEL_MINMAX,
        OCTET_OBSERVER_HISTOGRAM, OCTET_OBSERVER_PERCENTILE,
        OCTET_OBSERVER_ENTROPY,   OCTET_OBSERVER_MSE};
    int count = 0;
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        for (int scheme = 0; scheme < 4; scheme++) {
            OctetObserverOptions options = octet_observer_options(types[t]);
            options.spec.qscheme = (OctetQScheme)scheme;
            options.spec.dtype = scheme % 2 ? OCTET_S8 : OCTET_U8;
            options.axis = 1;
            options.bins = 512;
            if (octet_observer_options_check(&options, NULL) == OCTET_OK) {
                list[count++] = options;
            }
        }
    }
    return count;
}

/* The bytes of a state hold all that was seen; counters of batches are evened out first. */
static void assert_same(const OctetObserver *a, const OctetObserver *b) {
    OctetQParams first, second;
    OctetObserverStats of_a, of_b;
    octet_observer_stats(a, &of_a);
    octet_observer_stats(b, &of_b);
    assert_int_equal(of_a.channels, of_b.channels);
    assert_int_equal(of_a.values, of_b.values);
    assert_int_equal(of_a.nan, of_b.nan);
    assert_int_equal(of_a.infinite, of_b.infinite);
    assert_memory_equal(of_a.minimum, of_b.minimum, of_a.channels * sizeof(float));
    assert_memory_equal(of_a.maximum, of_b.maximum, of_a.channels * sizeof(float));
    assert_int_equal(octet_observer_calculate_qparams(a, &first, NULL), OCTET_OK);
    assert_int_equal(octet_observer_calculate_qparams(b, &second, NULL), OCTET_OK);
    assert_true(octet_qparams_equal(&first, &second));
    octet_qparams_clear(&first);
    octet_qparams_clear(&second);
}

static void batches_and_order_do_not_matter(void **state) {
    (void)state;
    OctetObserverOptions list[32];
    int count = independent(list);
    assert_true(count >= 16);
    for (int i = 0; i < count; i++) {
        OctetObserver *whole = make(&list[i]), *backward = make(&list[i]);
        for (int pass = 0; pass < octet_observer_passes(whole); pass++) {
            if (pass > 0) {
                next_pass(whole);
                next_pass(backward);
            }
            observe(whole, 0, SAMPLES);
            for (int s = SAMPLES - 3; s >= 0; s -= 3) {
                observe(backward, s, 3);
            }
        }
        assert_same(whole, backward);
        OctetObserverStats stats;
        octet_observer_stats(whole, &stats);
        assert_int_equal(stats.nan, 1);
        assert_int_equal(stats.infinite, 2);
        assert_int_equal(stats.values, SAMPLES * SAMPLE - 3);
        octet_observer_free(whole);
        octet_observer_free(backward);
    }
    assert_true(warnings > 0);
}

/* Writes and reads an observer, and gives the copy. */
static OctetObserver *through_bytes(OctetObserver *observer) {
    uint8_t *bytes, *again;
    size_t size, size_again;
    OctetObserver *copy;
    assert_int_equal(octet_observer_serialize(observer, &bytes, &size, NULL), OCTET_OK);
    assert_int_equal(octet_observer_deserialize(bytes, size, &copy, NULL), OCTET_OK);
    assert_int_equal(octet_observer_serialize(copy, &again, &size_again, NULL), OCTET_OK);
    assert_int_equal(size, size_again);
    assert_memory_equal(bytes, again, size);
    octet_bytes_free(bytes);
    octet_bytes_free(again);
    octet_observer_free(observer);
    return copy;
}

/* Two shards, each in its own observer, saved, loaded and merged after every pass. */
static void shards_merge_to_the_whole(void **state) {
    (void)state;
    OctetObserverOptions list[32];
    int count = independent(list);
    for (int i = 0; i < count; i++) {
        OctetObserver *whole = make(&list[i]), *left = make(&list[i]), *right = make(&list[i]);
        for (int pass = 0; pass < octet_observer_passes(whole); pass++) {
            if (pass > 0) {
                next_pass(whole);
                next_pass(left);
                octet_observer_free(right);
                assert_int_equal(octet_observer_clone(left, &right, NULL), OCTET_OK);
            }
            observe(whole, 0, SAMPLES);
            observe(left, 0, 5);
            observe(right, 5, 4);
            observe(right, 9, SAMPLES - 9);
            left = through_bytes(left);
            right = through_bytes(right);
            assert_int_equal(octet_observer_merge(left, right, NULL), OCTET_OK);
        }
        assert_same(whole, left);
        octet_observer_free(whole);
        octet_observer_free(left);
        octet_observer_free(right);
    }
}

/* A tensor observed channel by channel gives what one observer of all channels gives. */
static void tensors_are_observed_like_batches(void **state) {
    (void)state;
    OctetObserverOptions list[32];
    OctetShape shape = sample_shape;
    shape.dims[0] = SAMPLES;
    int count = independent(list);
    for (int i = 0; i < count; i++) {
        for (int axis = -3; axis < 4; axis++) {
            OctetQParams all, found;
            list[i].axis = axis;
            OctetObserver *observer = make(&list[i]);
            for (int pass = 0; pass < octet_observer_passes(observer); pass++) {
                if (pass > 0) {
                    next_pass(observer);
                }
                observe(observer, 0, SAMPLES);
            }
            assert_int_equal(octet_observer_calculate_qparams(observer, &all, NULL), OCTET_OK);
            assert_int_equal(octet_observe_tensor(&list[i], data, &shape, &found, NULL), OCTET_OK);
            assert_true(octet_qparams_equal(&all, &found));
            octet_qparams_clear(&all);
            octet_qparams_clear(&found);
            octet_observer_free(observer);
        }
    }
}

static void what_depends_on_order_can_not_be_merged(void **state) {
    (void)state;
    const OctetObserverType types[] = {OCTET_OBSERVER_MOVING_AVERAGE_MINMAX,
                                       OCTET_OBSERVER_MOVING_AVERAGE_PER_CHANNEL_MINMAX,
                                       OCTET_OBSERVER_TORCH_HISTOGRAM};
    for (int t = 0; t < 3; t++) {
        OctetObserverOptions options = octet_observer_options(types[t]);
        options.axis = 1;
        OctetObserver *a = make(&options), *b = make(&options), *clone;
        observe(a, 0, 3);
        observe(a, 3, 3);
        observe(b, 3, 3);
        assert_int_equal(octet_observer_merge(a, b, NULL), OCTET_ERROR_UNSUPPORTED);
        assert_int_equal(octet_observer_clone(a, &clone, NULL), OCTET_OK);
        observe(clone, 6, 6);
        observe(a, 6, 6);
        a = through_bytes(a);
        assert_same(a, clone);
        octet_observer_free(a);
        octet_observer_free(b);
        octet_observer_free(clone);
    }
}

static void mergers_that_do_not_fit_are_refused(void **state) {
    (void)state;
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_HISTOGRAM);
    OctetObserver *a = make(&options), *b = make(&options);
    observe(a, 0, 1);
    observe(b, 1, 1);
    next_pass(a);
    assert_int_equal(octet_observer_merge(a, b, NULL), OCTET_ERROR_STATE); /* pass */
    next_pass(b);
    assert_int_equal(octet_observer_merge(a, b, NULL), OCTET_ERROR_STATE); /* range */
    octet_observer_free(b);
    options.bins = 100;
    b = make(&options);
    assert_int_equal(octet_observer_merge(a, b, NULL), OCTET_ERROR_STATE); /* options */
    octet_observer_free(a);
    octet_observer_free(b);
}

static void calls_out_of_order_are_refused(void **state) {
    (void)state;
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_ENTROPY);
    OctetObserver *observer = make(&options);
    OctetQParams qparams;
    observe(observer, 0, 1);
    assert_int_equal(octet_observer_calculate_qparams(observer, &qparams, NULL), OCTET_ERROR_STATE);
    next_pass(observer);
    assert_int_equal(octet_observer_calculate_qparams(observer, &qparams, NULL),
                     OCTET_ERROR_STATE); /* nothing seen in this pass */
    observe(observer, 0, 1);
    assert_int_equal(octet_observer_next_pass(observer, NULL), OCTET_ERROR_STATE);
    assert_int_equal(octet_observer_calculate_qparams(observer, &qparams, NULL), OCTET_OK);
    octet_qparams_clear(&qparams);
    octet_observer_free(observer);

    options = octet_observer_options(OCTET_OBSERVER_PER_CHANNEL_MINMAX);
    options.axis = 1;
    observer = make(&options);
    observe(observer, 0, 1);
    const OctetShape other = {.rank = 2, .dims = {1, CHANNELS + 1}},
                     flat = {.rank = 1, .dims = {3}};
    assert_int_equal(octet_observer_observe(observer, data, &other, NULL), OCTET_ERROR_SHAPE);
    assert_int_equal(octet_observer_observe(observer, data, &flat, NULL), OCTET_ERROR_SHAPE);
    octet_observer_free(observer);
}

static void observers_that_compute_nothing(void **state) {
    (void)state;
    const OctetObserverType types[] = {OCTET_OBSERVER_PLACEHOLDER, OCTET_OBSERVER_RECORDING,
                                       OCTET_OBSERVER_NOOP, OCTET_OBSERVER_REUSE_INPUT};
    for (int t = 0; t < 4; t++) {
        OctetObserverOptions options = octet_observer_options(types[t]);
        OctetObserver *observer = make(&options);
        OctetQParams qparams;
        const OctetTensor *tensor;
        observe(observer, 0, 1);
        observe(observer, 1, 2);
        assert_int_equal(octet_observer_calculate_qparams(observer, &qparams, NULL),
                         OCTET_ERROR_STATE);
        if (types[t] == OCTET_OBSERVER_RECORDING) {
            assert_int_equal(octet_observer_recorded(observer, 1, &tensor, NULL), OCTET_OK);
            assert_int_equal(tensor->shape.dims[0], 2);
            assert_memory_equal(tensor->data, data + SAMPLE, 2 * SAMPLE * sizeof(float));
            assert_int_equal(octet_observer_recorded(observer, 2, &tensor, NULL),
                             OCTET_ERROR_INVALID_ARGUMENT);
        }
        octet_observer_free(observer);
    }
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_FIXED_QPARAMS);
    options.scale = 1.0F / 256;
    options.zero_point = 7;
    OctetObserver *observer = make(&options);
    OctetQParams qparams;
    observe(observer, 0, 2);
    assert_int_equal(octet_observer_passes(observer), 0);
    assert_int_equal(octet_observer_calculate_qparams(observer, &qparams, NULL), OCTET_OK);
    assert_true(qparams.scale[0] == 1.0F / 256);
    assert_int_equal(qparams.zero_point[0], 7);
    octet_qparams_clear(&qparams);
    octet_observer_free(observer);
}

static void nothing_observed_is_scale_1(void **state) {
    (void)state;
    const OctetShape empty = {.rank = 2, .dims = {0, 3}}, odd_shape = {.rank = 1, .dims = {2}};
    const float odd[] = {NAN, INFINITY};
    OctetObserverOptions list[32];
    int count = independent(list);
    for (int i = 0; i < count; i++) {
        OctetObserver *observer = make(&list[i]);
        OctetQParams qparams;
        int before = warnings;
        for (int pass = 0; pass < octet_observer_passes(observer); pass++) {
            if (pass > 0) {
                next_pass(observer);
            }
            assert_int_equal(octet_observer_observe(observer, data, &empty, NULL), OCTET_OK);
            if (!octet_qscheme_is_per_channel(list[i].spec.qscheme)) {
                assert_int_equal(octet_observer_observe(observer, odd, &odd_shape, NULL), OCTET_OK);
            }
        }
        assert_int_equal(octet_observer_calculate_qparams(observer, &qparams, NULL), OCTET_OK);
        assert_true(qparams.scale[0] == 1.0F);
        assert_int_equal(qparams.zero_point[0], 0);
        assert_true(warnings > before);
        octet_qparams_clear(&qparams);
        octet_observer_free(observer);
    }
}

/* Channels along every axis, against loops that are written without any thought of speed. */
static void ranges_along_every_axis(void **state) {
    (void)state;
    const OctetShape shapes[] = {{.rank = 4, .dims = {3, 5, 6, 7}},
                                 {.rank = 3, .dims = {40, 3, 2}},
                                 {.rank = 2, .dims = {17, 50}},
                                 {.rank = 3, .dims = {2, 3, 200}}};
    for (int s = 0; s < 4; s++) {
        for (int axis = -shapes[s].rank; axis < shapes[s].rank; axis++) {
            int from_start = axis < 0 ? axis + shapes[s].rank : axis;
            OctetObserverOptions options =
                octet_observer_options(OCTET_OBSERVER_PER_CHANNEL_MINMAX);
            options.axis = axis;
            OctetObserver *observer = make(&options);
            float low[256], high[256];
            int64_t channels = shapes[s].dims[from_start], inner = 1, total = 1;
            for (int d = 0; d < shapes[s].rank; d++) {
                total *= shapes[s].dims[d];
                inner *= d > from_start ? shapes[s].dims[d] : 1;
            }
            for (int c = 0; c < channels; c++) {
                low[c] = INFINITY;
                high[c] = -INFINITY;
            }
            const float *values = data + 1500; /* holds the values that are not finite */
            for (int i = 0; i < total; i++) {
                int c = i / inner % channels;
                if (isfinite(values[i])) {
                    low[c] = fminf(low[c], values[i] + 0.0F);
                    high[c] = fmaxf(high[c], values[i] + 0.0F);
                }
            }
            assert_int_equal(octet_observer_observe(observer, values, &shapes[s], NULL), OCTET_OK);
            OctetObserverStats stats;
            octet_observer_stats(observer, &stats);
            assert_int_equal(stats.channels, channels);
            for (int c = 0; c < channels; c++) {
                assert_true(stats.minimum[c] == low[c]);
                assert_true(stats.maximum[c] == high[c]);
            }
            octet_observer_free(observer);
        }
    }
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return x < y ? -1 : x > y;
}

static void percentiles_are_those_of_the_sorted_values(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    static float values[COUNT], sorted[COUNT];
    const double percentiles[] = {100.0, 99.9, 99.0, 90.0, 50.0};
    const OctetShape shape = {.rank = 1, .dims = {COUNT}};
    for (int i = 0; i < COUNT; i++) {
        values[i] = gaussian() * expf(gaussian());
    }
    for (int symmetric = 0; symmetric < 2; symmetric++) {
        for (int i = 0; i < COUNT; i++) {
            sorted[i] = symmetric ? fabsf(values[i]) : values[i];
        }
        qsort(sorted, COUNT, sizeof *sorted, compare);
        for (int p = 0; p < 5; p++) {
            OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_PERCENTILE);
            options.percentile = percentiles[p];
            options.spec.dtype = OCTET_S8;
            options.spec.qscheme = symmetric ? OCTET_PER_TENSOR_SYMMETRIC : OCTET_PER_TENSOR_AFFINE;
            OctetObserver *observer = make(&options);
            float low, high;
            int inside = 0;
            assert_int_equal(octet_observer_observe(observer, values, &shape, NULL), OCTET_OK);
            assert_int_equal(octet_observer_range(observer, &low, &high, NULL), OCTET_OK);
            double kept = symmetric ? percentiles[p] : 50 + percentiles[p] / 2;
            int rank = (int)ceil(kept * COUNT / 100) - 1;
            float limit = sorted[rank];
            /* the far end of the bin that the value is in, at most 1/256 of it further out */
            assert_true(high >= limit || high == sorted[COUNT - 1]);
            assert_true(high <= limit + fabsf(limit) / 256);
            for (int i = 0; i < COUNT; i++) {
                inside += values[i] >= low && values[i] <= high;
            }
            assert_true(inside >= (int)ceil(percentiles[p] * COUNT / 100) || symmetric);
            octet_observer_free(observer);
        }
    }
}

/* The true squared error of quantizing values by parameters. */
static double squared_error(const float *values, int count, const OctetQParams *qparams) {
    const OctetShape shape = {.rank = 1, .dims = {count}};
    OctetTensor *real, *result;
    double error = 0;
    assert_int_equal(
        octet_tensor_wrap(OCTET_F32, &shape, (void *)values, count * sizeof(float), &real, NULL),
        OCTET_OK);
    assert_int_equal(octet_fake_quantize(real, qparams, OCTET_QUANTIZE_DIVIDE, &result, NULL),
                     OCTET_OK);
    for (int i = 0; i < count; i++) {
        double difference = (double)values[i] - ((float *)result->data)[i];
        error += difference * difference;
    }
    octet_tensor_free(real);
    octet_tensor_free(result);
    return error;
}

/* The error after the MSE observer is at most a little above the best of a fine grid of ranges. */
static void mse_finds_the_least_error(void **state) {
    (void)state;
    enum { COUNT = 20000 };
    static float values[COUNT];
    const OctetShape shape = {.rank = 1, .dims = {COUNT}};
    for (int kind = 0; kind < 6; kind++) {
        float low = 0, high = 0;
        for (int i = 0; i < COUNT; i++) {
            float x = gaussian();
            values[i] = kind % 3 == 0   ? x
                        : kind % 3 == 1 ? fmaxf(x, 0) * expf(gaussian())
                                        : x * expf(1.5F * gaussian()) * (x < 0 ? 0.3F : 1.0F);
            low = fminf(low, values[i]);
            high = fmaxf(high, values[i]);
        }
        OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_MSE);
        options.spec.dtype = kind < 3 ? OCTET_U8 : OCTET_S8;
        options.spec.qscheme = kind < 3 ? OCTET_PER_TENSOR_AFFINE : OCTET_PER_TENSOR_SYMMETRIC;
        OctetQParams found, tried;
        assert_int_equal(octet_observe_tensor(&options, values, &shape, &found, NULL), OCTET_OK);
        double error = squared_error(values, COUNT, &found), best = INFINITY;
        assert_int_equal(octet_qparams_create(options.spec.dtype, -1, 1, &tried, NULL), OCTET_OK);
        for (int l = 1; l <= 24; l++) {
            for (int h = 1; h <= 24; h++) {
                assert_int_equal(octet_choose_qparams(&options.spec, low * l / 24, high * h / 24,
                                                      tried.scale, tried.zero_point, NULL),
                                 OCTET_OK);
                best = fmin(best, squared_error(values, COUNT, &tried));
            }
        }
        assert_true(error <= best * 1.03);
        octet_qparams_clear(&found);
        octet_qparams_clear(&tried);
    }
}

/* Outliers that hardly ever occur are cut off; data without a tail is kept whole. */
static void entropy_cuts_outliers(void **state) {
    (void)state;
    enum { COUNT = 50000 };
    static float values[COUNT];
    const OctetShape shape = {.rank = 1, .dims = {COUNT}};
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_ENTROPY);
    for (int outliers = 0; outliers < 2; outliers++) {
        for (int i = 0; i < COUNT; i++) {
            values[i] = outliers ? fabsf(gaussian()) : (float)uniform();
        }
        values[77] = outliers ? 100.0F : 1.0F;
        OctetObserver *observer = make(&options);
        float low, high;
        assert_int_equal(octet_observer_observe(observer, values, &shape, NULL), OCTET_OK);
        next_pass(observer);
        assert_int_equal(octet_observer_observe(observer, values, &shape, NULL), OCTET_OK);
        assert_int_equal(octet_observer_range(observer, &low, &high, NULL), OCTET_OK);
        assert_true(outliers ? high < 20.0F : high > 0.9F);
        octet_observer_free(observer);
    }
}

/* Every way of cutting a saved state short and of changing a byte gives an error or an observer
 * that still works. */
static void hostile_states_do_no_harm(void **state) {
    (void)state;
    OctetObserverOptions list[32];
    int count = independent(list);
    list[count++] = octet_observer_options(OCTET_OBSERVER_TORCH_HISTOGRAM);
    list[count++] = octet_observer_options(OCTET_OBSERVER_MOVING_AVERAGE_MINMAX);
    for (int i = 0; i < count; i++) {
        uint8_t *bytes;
        size_t size;
        list[i].bins = 40;
        OctetObserver *observer = make(&list[i]), *read;
        OctetQParams qparams;
        observe(observer, 0, 2);
        if (octet_observer_passes(observer) > 1) {
            next_pass(observer);
            observe(observer, 0, 2);
        }
        assert_int_equal(octet_observer_serialize(observer, &bytes, &size, NULL), OCTET_OK);
        for (size_t cut = 0; cut < size; cut += 1 + cut / 200) {
            assert_int_not_equal(octet_observer_deserialize(bytes, cut, &read, NULL), OCTET_OK);
            assert_null(read);
        }
        for (int flip = 0; flip < 400; flip++) {
            size_t at = flip < 200 ? flip % size : (size_t)rand() % size;
            uint8_t before = bytes[at];
            bytes[at] ^= (uint8_t)(1 << rand() % 8);
            if (octet_observer_deserialize(bytes, size, &read, NULL) == OCTET_OK) {
                if (octet_observer_calculate_qparams(read, &qparams, NULL) == OCTET_OK) {
                    octet_qparams_clear(&qparams);
                }
                (void)octet_observer_merge(read, observer, NULL);
                (void)octet_observer_observe(read, data, &sample_shape, NULL);
                octet_observer_free(read);
            }
            bytes[at] = before;
        }
        octet_bytes_free(bytes);
        octet_observer_free(observer);
    }
}

static int allocations_left;
static int64_t blocks;

static void *failing_reallocate(void *pointer, size_t size, void *user) {
    (void)user;
    if (allocations_left-- <= 0) {
        return NULL;
    }
    blocks += pointer == NULL;
    return realloc(pointer, size);
}

static void counted_release(void *pointer, void *user) {
    (void)user;
    blocks -= pointer != NULL;
    free(pointer);
}

/* A whole life of an observer. */
static OctetStatus live(const OctetObserverOptions *options) {
    OctetObserver *observer = NULL, *clone = NULL, *read = NULL;
    uint8_t *bytes = NULL;
    size_t size;
    OctetQParams qparams = {.axis = -1};
    OctetStatus status = octet_observer_create(options, &observer, NULL);
    if (status == OCTET_OK) {
        status = octet_observer_observe(observer, data, &sample_shape, NULL);
    }
    if (status == OCTET_OK && octet_observer_passes(observer) > 1) {
        status = octet_observer_next_pass(observer, NULL);
        if (status == OCTET_OK) {
            status = octet_observer_observe(observer, data, &sample_shape, NULL);
        }
    }
    if (status == OCTET_OK) {
        status = octet_observer_clone(observer, &clone, NULL);
    }
    if (status == OCTET_OK) {
        status = octet_observer_merge(observer, clone, NULL);
    }
    if (status == OCTET_OK) {
        status = octet_observer_serialize(observer, &bytes, &size, NULL);
    }
    if (status == OCTET_OK) {
        status = octet_observer_deserialize(bytes, size, &read, NULL);
    }
    if (status == OCTET_OK) {
        status = octet_observer_calculate_qparams(read, &qparams, NULL);
    }
    octet_qparams_clear(&qparams);
    octet_bytes_free(bytes);
    octet_observer_free(observer);
    octet_observer_free(clone);
    octet_observer_free(read);
    return status;
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    OctetObserverOptions list[32];
    int count = independent(list);
    for (int i = 0; i < count; i++) {
        OctetStatus status = OCTET_ERROR_OUT_OF_MEMORY;
        list[i].bins = 16;
        octet_set_allocator(failing_reallocate, counted_release, NULL);
        /* the float bins' pages are many: later ones are tried at growing distances */
        for (int n = 0; status != OCTET_OK; n += 1 + n / 40) {
            allocations_left = n;
            status = live(&list[i]);
            assert_true(status == OCTET_OK || status == OCTET_ERROR_OUT_OF_MEMORY);
            assert_int_equal(blocks, 0);
        }
        octet_set_allocator(NULL, NULL, NULL);
    }
}

static void options_that_make_no_sense_are_refused(void **state) {
    (void)state;
    OctetObserverOptions options = octet_observer_options(OCTET_OBSERVER_MINMAX);
#define REFUSED(change)                                                                            \
    do {                                                                                           \
        OctetObserverOptions changed = options;                                                    \
        change;                                                                                    \
        assert_int_equal(octet_observer_options_check(&changed, NULL),                             \
                         OCTET_ERROR_INVALID_ARGUMENT);                                            \
    } while (0)
    REFUSED(changed.type = (OctetObserverType)99);
    REFUSED(changed.spec.dtype = OCTET_F32);
    REFUSED(changed.spec.qscheme = OCTET_PER_CHANNEL_AFFINE);
    REFUSED(changed.spec.qscheme = (OctetQScheme)9);
    REFUSED(changed.spec.eps = NAN);
    REFUSED(changed.spec.eps = -1);
    REFUSED(changed.bins = 1);
    REFUSED(changed.bins = 1 << 30);
    REFUSED(changed.upsample_rate = 0);
    REFUSED(changed.percentile = 0);
    REFUSED(changed.percentile = 100.5);
    REFUSED(changed.averaging_constant = 2);
    REFUSED((changed.spec.custom_range = true, changed.spec.quant_min = 3,
             changed.spec.quant_max = 10));
    REFUSED((changed.spec.custom_range = true, changed.spec.quant_min = -1,
             changed.spec.quant_max = 10));
    REFUSED((changed.spec.custom_range = true, changed.spec.quant_max = 300));
    REFUSED((changed.spec.qscheme = OCTET_PER_TENSOR_SYMMETRIC, changed.spec.reduce_range = true));
    REFUSED((changed.type = OCTET_OBSERVER_FIXED_QPARAMS, changed.scale = 0));
    REFUSED((changed.type = OCTET_OBSERVER_FIXED_QPARAMS, changed.zero_point = 256));
#undef REFUSED
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_and_order_do_not_matter),
        cmocka_unit_test(shards_merge_to_the_whole),
        cmocka_unit_test(tensors_are_observed_like_batches),
        cmocka_unit_test(what_depends_on_order_can_not_be_merged),
        cmocka_unit_test(mergers_that_do_not_fit_are_refused),
        cmocka_unit_test(calls_out_of_order_are_refused),
        cmocka_unit_test(observers_that_compute_nothing),
        cmocka_unit_test(nothing_observed_is_scale_1),
        cmocka_unit_test(ranges_along_every_axis),
        cmocka_unit_test(percentiles_are_those_of_the_sorted_values),
        cmocka_unit_test(mse_finds_the_least_error),
        cmocka_unit_test(entropy_cuts_outliers),
        cmocka_unit_test(hostile_states_do_no_harm),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(options_that_make_no_sense_are_refused),
    };
    return cmocka_run_group_tests(tests, fill, restore);
}
