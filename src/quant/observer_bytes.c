/* Observers as bytes: little-endian, the same on every machine. Layout: magic, version, options,
 * pass, axis, channels, counters; then for each channel its range; then, as the type has them, the
 * histogram, the weights of torch-histogram, or the occupied float bins as (index, count). */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const uint32_t magic = 0x4f54434f, version = 2; /* "OCTO" */
enum { FLOAT_BIN_COUNT = OCT_FLOAT_BIN_PAGES * OCT_FLOAT_BIN_PAGE };
/* More than anybody observes, and far from overflowing when many are added. */
static const int64_t MAX_COUNT = INT64_C(1) << 53;

typedef struct Writer {
    uint8_t *bytes;
    size_t size, capacity;
    bool failed;
} Writer;

static void put_u64(Writer *writer, uint64_t value, size_t width) {
    if (writer->capacity - writer->size < width && !writer->failed) {
        size_t capacity = writer->capacity ? 2 * writer->capacity : 256;
        uint8_t *grown = oct_realloc(writer->bytes, capacity);
        if (grown) {
            writer->bytes = grown;
            writer->capacity = capacity;
        }
        writer->failed = !grown;
    }
    for (size_t i = 0; !writer->failed && i < width; i++) {
        writer->bytes[writer->size++] = (uint8_t)(value >> (8 * i));
    }
}

static void put_i32(Writer *writer, int32_t value) {
    put_u64(writer, (uint32_t)value, 4);
}

static void put_i64(Writer *writer, int64_t value) {
    put_u64(writer, (uint64_t)value, 8);
}

static void put_f32(Writer *writer, float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(writer, bits, 4);
}

static void put_f64(Writer *writer, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    put_u64(writer, bits, 8);
}

static void put_options(Writer *writer, const OctetObserverOptions *options) {
    const OctetQSpec *spec = &options->spec;
    put_i32(writer, (int32_t)options->type);
    put_i32(writer, (int32_t)spec->dtype);
    put_i32(writer, (int32_t)spec->qscheme);
    put_i32(writer, (int32_t)spec->symmetry);
    put_i32(writer, spec->reduce_range);
    put_i32(writer, spec->custom_range);
    put_i32(writer, spec->quant_min);
    put_i32(writer, spec->quant_max);
    put_f32(writer, spec->eps);
    put_i32(writer, spec->power_of_two);
    put_i32(writer, options->axis);
    put_f32(writer, options->averaging_constant);
    put_i32(writer, options->bins);
    put_i32(writer, options->upsample_rate);
    put_f64(writer, options->percentile);
    put_f32(writer, options->scale);
    put_i32(writer, options->zero_point);
}

static void put_float_bins(Writer *writer, const OctFloatBins *bins) {
    int32_t occupied = 0;
    for (int32_t i = 0; i < FLOAT_BIN_COUNT; i++) {
        const int64_t *page = bins->pages[i / OCT_FLOAT_BIN_PAGE];
        occupied += page && page[i % OCT_FLOAT_BIN_PAGE] > 0;
    }
    put_i32(writer, occupied);
    for (int32_t i = 0; i < FLOAT_BIN_COUNT; i++) {
        const int64_t *page = bins->pages[i / OCT_FLOAT_BIN_PAGE];
        if (page && page[i % OCT_FLOAT_BIN_PAGE] > 0) {
            put_i32(writer, i);
            put_i64(writer, page[i % OCT_FLOAT_BIN_PAGE]);
        }
    }
}

OctetStatus octet_observer_serialize(const OctetObserver *observer, uint8_t **bytes, size_t *size,
                                     OctetDiagnostic *diagnostic) {
    Writer writer = {0};
    *bytes = NULL;
    *size = 0;
    if (observer->options.type == OCTET_OBSERVER_RECORDING) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "what a recording observer keeps is not written to files");
    }
    put_i32(&writer, (int32_t)magic);
    put_i32(&writer, (int32_t)version);
    put_options(&writer, &observer->options);
    put_i32(&writer, observer->pass);
    put_i32(&writer, observer->axis);
    put_i64(&writer, observer->channels);
    put_i64(&writer, observer->batches);
    put_i64(&writer, observer->values);
    put_i64(&writer, observer->nan);
    put_i64(&writer, observer->infinite);
    for (int64_t c = 0; c < observer->channels; c++) {
        put_f32(&writer, observer->minimum[c]);
        put_f32(&writer, observer->maximum[c]);
    }
    for (int64_t i = 0; observer->histogram && i < observer->channels * observer->options.bins;
         i++) {
        put_i64(&writer, observer->histogram[i]);
    }
    for (int32_t i = 0; observer->torch_histogram && i < observer->options.bins; i++) {
        put_f32(&writer, observer->torch_histogram[i]);
    }
    for (int64_t c = 0; observer->float_bins && c < observer->channels; c++) {
        put_float_bins(&writer, &observer->float_bins[c]);
    }
    if (writer.failed) {
        oct_free(writer.bytes);
        return oct_fail_memory(diagnostic);
    }
    *bytes = writer.bytes;
    *size = writer.size;
    return OCTET_OK;
}

void octet_bytes_free(uint8_t *bytes) {
    oct_free(bytes);
}

/* Reads zeros behind the end and remembers that it did. */
typedef struct Reader {
    const uint8_t *bytes;
    size_t size, at;
    bool failed, no_memory;
} Reader;

static uint64_t get_u64(Reader *reader, size_t width) {
    uint64_t value = 0;
    if (reader->failed || reader->size - reader->at < width) {
        reader->failed = true;
        return 0;
    }
    for (size_t i = 0; i < width; i++) {
        value |= (uint64_t)reader->bytes[reader->at++] << (8 * i);
    }
    return value;
}

static int32_t get_i32(Reader *reader) {
    return (int32_t)(uint32_t)get_u64(reader, 4);
}

static int64_t get_i64(Reader *reader) {
    return (int64_t)get_u64(reader, 8);
}

/* A count: never negative. */
static int64_t get_count(Reader *reader) {
    int64_t count = get_i64(reader);
    if (count < 0 || count > MAX_COUNT) {
        reader->failed = true;
        return 0;
    }
    return count;
}

static bool get_bool(Reader *reader) {
    int32_t value = get_i32(reader);
    reader->failed = reader->failed || value < 0 || value > 1;
    return value == 1;
}

static float get_f32(Reader *reader) {
    uint32_t bits = (uint32_t)get_u64(reader, 4);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static double get_f64(Reader *reader) {
    uint64_t bits = get_u64(reader, 8);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static OctetObserverOptions get_options(Reader *reader) {
    OctetObserverOptions options = {0};
    options.type = (OctetObserverType)get_i32(reader);
    options.spec.dtype = (OctetDType)get_i32(reader);
    options.spec.qscheme = (OctetQScheme)get_i32(reader);
    options.spec.symmetry = (OctetSymmetry)get_i32(reader);
    options.spec.reduce_range = get_bool(reader);
    options.spec.custom_range = get_bool(reader);
    options.spec.quant_min = get_i32(reader);
    options.spec.quant_max = get_i32(reader);
    options.spec.eps = get_f32(reader);
    options.spec.power_of_two = get_bool(reader);
    options.axis = get_i32(reader);
    options.averaging_constant = get_f32(reader);
    options.bins = get_i32(reader);
    options.upsample_rate = get_i32(reader);
    options.percentile = get_f64(reader);
    options.scale = get_f32(reader);
    options.zero_point = get_i32(reader);
    return options;
}

/* A channel's range: both ends finite and in order, or nothing seen. */
static bool get_range(Reader *reader, float *minimum, float *maximum) {
    float low = get_f32(reader), high = get_f32(reader);
    bool nothing = low == INFINITY && high == -INFINITY;
    if (!nothing && !(isfinite(low) && isfinite(high) && low <= high)) {
        return false;
    }
    *minimum = low;
    *maximum = high;
    return true;
}

static bool get_histogram(Reader *reader, int64_t *counts, int64_t number) {
    int64_t total = 0;
    for (int64_t i = 0; i < number; i++) {
        counts[i] = get_count(reader);
        if (counts[i] > MAX_COUNT - total) {
            return false;
        }
        total += counts[i];
    }
    return !reader->failed;
}

static bool get_weights(Reader *reader, float *weights, int32_t number) {
    for (int32_t i = 0; i < number; i++) {
        weights[i] = get_f32(reader);
        if (!(weights[i] >= 0) || isinf(weights[i])) {
            return false;
        }
    }
    return true;
}

static bool get_float_bins(Reader *reader, OctFloatBins *bins) {
    int32_t occupied = get_i32(reader), last = -1;
    int64_t total = 0;
    for (int32_t i = 0; i < occupied && !reader->failed; i++) {
        int32_t index = get_i32(reader);
        int64_t count = get_count(reader);
        if (index <= last || index >= FLOAT_BIN_COUNT || count > MAX_COUNT - total) {
            return false;
        }
        if (!oct_float_bins_add_count(bins, index, count)) {
            reader->no_memory = true;
            return false;
        }
        last = index;
        total += count;
    }
    return occupied >= 0;
}

/* Makes room for `channels` channels after checking that the bytes can hold that many. */
static OctetStatus reserve(OctetObserver *observer, Reader *reader, int64_t channels,
                           OctetDiagnostic *diagnostic) {
    bool per_channel = octet_qscheme_is_per_channel(observer->options.spec.qscheme);
    size_t left = reader->size - reader->at, needed = 0;
    size_t each = 2 * sizeof(float);
    if (observer->pass > 0) {
        each += (size_t)observer->options.bins * sizeof(int64_t);
    }
    if (channels < 0 || (!per_channel && channels != 1) ||
        !oct_mul_size((size_t)channels, each, &needed) || needed > left) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                        "saved observer: it can't have %" PRId64 " channels", channels);
    }
    if (per_channel && channels > 0) {
        OCT_TRY(oct_observer_reserve(observer, channels, diagnostic));
    }
    if (observer->pass > 0) {
        observer->histogram = oct_calloc((size_t)channels * (size_t)observer->options.bins,
                                         sizeof *observer->histogram);
        if (!observer->histogram) {
            return oct_fail_memory(diagnostic);
        }
    }
    return OCTET_OK;
}

static OctetStatus read_state(OctetObserver *observer, Reader *reader,
                              OctetDiagnostic *diagnostic) {
    observer->pass = get_i32(reader);
    observer->axis = get_i32(reader);
    int64_t channels = get_i64(reader);
    observer->batches = get_count(reader);
    observer->values = get_count(reader);
    observer->nan = get_count(reader);
    observer->infinite = get_count(reader);
    int32_t passes = octet_observer_passes(observer);
    bool fits = observer->pass >= 0 && observer->pass < (passes > 0 ? passes : 1) &&
                observer->axis >= -1 && observer->axis < OCTET_MAX_RANK && !reader->failed;
    if (fits) {
        OCT_TRY(reserve(observer, reader, channels, diagnostic));
    }
    for (int64_t c = 0; fits && c < channels; c++) {
        fits = get_range(reader, &observer->minimum[c], &observer->maximum[c]);
    }
    if (fits && observer->histogram) {
        fits = get_histogram(reader, observer->histogram, channels * observer->options.bins);
    }
    if (fits && observer->torch_histogram) {
        fits = get_weights(reader, observer->torch_histogram, observer->options.bins);
    }
    for (int64_t c = 0; fits && observer->float_bins && c < channels; c++) {
        fits = get_float_bins(reader, &observer->float_bins[c]);
    }
    if (reader->no_memory) {
        return oct_fail_memory(diagnostic);
    }
    if (!fits || reader->failed || reader->at != reader->size) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "saved observer: the state is malformed");
    }
    return OCTET_OK;
}

OctetStatus octet_observer_deserialize(const uint8_t *bytes, size_t size, OctetObserver **observer,
                                       OctetDiagnostic *diagnostic) {
    Reader reader = {.bytes = bytes, .size = size};
    *observer = NULL;
    if ((uint32_t)get_i32(&reader) != magic || (uint32_t)get_i32(&reader) != version) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "this is no saved observer");
    }
    OctetObserverOptions options = get_options(&reader);
    OctetObserver *made;
    if (reader.failed || options.type == OCTET_OBSERVER_RECORDING) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                        "saved observer: the options are malformed");
    }
    OctetStatus status = octet_observer_create(&options, &made, diagnostic);
    if (status == OCTET_ERROR_INVALID_ARGUMENT) {
        return OCTET_ERROR_FORMAT;
    }
    OCT_TRY(status);
    status = read_state(made, &reader, diagnostic);
    if (status != OCTET_OK) {
        octet_observer_free(made);
        return status;
    }
    *observer = made;
    return OCTET_OK;
}
