/* Elementwise int8 kernels with AVX2. Ragged ends go through a block on the stack. */
#include <immintrin.h>
#include <string.h>

#include "kernels/q8_unroll.h"
#include "kernels/q8_vector_c.h"
#include "kernels/x86/q8_x86.h"

OCT_INLINE __m256i load(const void *bytes) {
    return _mm256_loadu_si256((const __m256i *)bytes);
}

OCT_INLINE void store(void *bytes, __m256i value) {
    _mm256_storeu_si256((__m256i *)bytes, value);
}

/* Eight bytes as integers and as floats. */
OCT_INLINE __m256i widen(const uint8_t *bytes) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)bytes));
}

OCT_INLINE __m256 widen_float(const uint8_t *bytes) {
    return _mm256_cvtepi32_ps(widen(bytes));
}

OCT_INLINE __m256 clamp(__m256 value, __m256 low, __m256 high) {
    return _mm256_min_ps(_mm256_max_ps(value, low), high);
}

/* Four vectors of integers inside [0, 255] to 32 bytes. */
OCT_INLINE void store_narrow(uint8_t *y, const __m256i *q) {
    __m256i low = _mm256_packs_epi32(q[0], q[1]), high = _mm256_packs_epi32(q[2], q[3]);
    __m256i bytes = _mm256_packus_epi16(low, high);
    const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    store(y, _mm256_permutevar8x32_epi32(bytes, order));
}

/* Eight integers inside [0, 255] to bytes. */
OCT_INLINE void store_eight(uint8_t *y, __m256i q) {
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64((__m128i *)(void *)y, _mm_packus_epi16(words, words));
}

/* Applies `eight` (eight elements of a and b to eight integers inside [0, 255]) to `count`
 * elements. */
#define FOR_EIGHTS(count, a, b, y, eight)                                                          \
    do {                                                                                           \
        size_t done = 0;                                                                           \
        for (; done + 32 <= (count); done += 32) {                                                 \
            __m256i q[4];                                                                          \
            OCT_EACH_VECTOR(i, 4, q[i] = eight((a) + done + 8 * i, (b) + done + 8 * i););          \
            store_narrow((y) + done, q);                                                           \
        }                                                                                          \
        for (; done + 8 <= (count); done += 8) {                                                   \
            store_eight((y) + done, eight((a) + done, (b) + done));                                \
        }                                                                                          \
        if (done < (count)) {                                                                      \
            uint8_t rest_a[8] = {0}, rest_b[8] = {0}, rest_y[8];                                   \
            memcpy(rest_a, (a) + done, (count)-done);                                              \
            memcpy(rest_b, (b) + done, (count)-done);                                              \
            store_eight(rest_y, eight(rest_a, rest_b));                                            \
            memcpy((y) + done, rest_y, (count)-done);                                              \
        }                                                                                          \
    } while (0)

void oct_q8_add_avx2(const OctQ8Add *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                     size_t count) {
    const __m256 ratio_a = _mm256_set1_ps(params->ratio_a);
    const __m256 ratio_b = _mm256_set1_ps(params->ratio_b);
    const __m256 fixed = _mm256_set1_ps(params->fixed);
    const __m256 low = _mm256_set1_ps(params->minimum), high = _mm256_set1_ps(params->maximum);
#define ADD_EIGHT(a, b)                                                                            \
    _mm256_cvtps_epi32(clamp(                                                                      \
        _mm256_fmadd_ps(widen_float(a), ratio_a, _mm256_fmadd_ps(widen_float(b), ratio_b, fixed)), \
        low, high))
    FOR_EIGHTS(count, a, b, y, ADD_EIGHT);
}

void oct_q8_add_scalar_avx2(const OctQ8Add *params, const uint8_t *a, uint8_t b, bool scalar_is_a,
                            uint8_t *y, size_t count) {
    uint8_t table[256];
    if (count >= 512) { /* a table costs 256 additions and then saves most of the work */
        for (int x = 0; x < 256; x++) {
            table[x] = scalar_is_a ? oct_q8_add_one(params, b, (uint8_t)x)
                                   : oct_q8_add_one(params, (uint8_t)x, b);
        }
        oct_q8_lookup_avx2(table, a, y, count);
        return;
    }
    memset(table, b, 32);
    for (size_t done = 0; done < count; done += 32) {
        size_t here = count - done < 32 ? count - done : 32;
        oct_q8_add_avx2(params, scalar_is_a ? table : a + done, scalar_is_a ? a + done : table,
                        y + done, here);
    }
}

/* Products of integers to the output's grid. */
OCT_INLINE __m256i multiply(__m256i product, __m256 ratio, __m256 zero_y, __m256 low, __m256 high) {
    __m256 value = _mm256_mul_ps(_mm256_cvtepi32_ps(product), ratio);
    return _mm256_cvtps_epi32(clamp(_mm256_add_ps(value, zero_y), low, high));
}

void oct_q8_mul_avx2(const OctQ8Mul *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                     size_t count) {
    const __m256i zero_a = _mm256_set1_epi32(params->zero_a);
    const __m256i zero_b = _mm256_set1_epi32(params->zero_b);
    const __m256 ratio = _mm256_set1_ps(params->ratio), zero_y = _mm256_set1_ps(params->zero_y);
    const __m256 low = _mm256_set1_ps(params->minimum), high = _mm256_set1_ps(params->maximum);
#define MUL_EIGHT(a, b)                                                                            \
    multiply(_mm256_mullo_epi32(_mm256_sub_epi32(widen(a), zero_a),                                \
                                _mm256_sub_epi32(widen(b), zero_b)),                               \
             ratio, zero_y, low, high)
    FOR_EIGHTS(count, a, b, y, MUL_EIGHT);
}

void oct_q8_mul_scalar_avx2(const OctQ8Mul *params, const uint8_t *a, uint8_t b, uint8_t *y,
                            size_t count) {
    const __m256i zero_a = _mm256_set1_epi32(params->zero_a);
    const __m256i factor = _mm256_set1_epi32(b - params->zero_b);
    const __m256 ratio = _mm256_set1_ps(params->ratio), zero_y = _mm256_set1_ps(params->zero_y);
    const __m256 low = _mm256_set1_ps(params->minimum), high = _mm256_set1_ps(params->maximum);
#define MUL_SCALAR_EIGHT(a, unused)                                                                \
    multiply(_mm256_mullo_epi32(_mm256_sub_epi32(widen(a), zero_a), factor), ratio, zero_y, low,   \
             high)
    FOR_EIGHTS(count, a, a, y, MUL_SCALAR_EIGHT);
}

/* For part i of the table, x - 16i is below 16 exactly where the part has the answer; adding 0x70
 * with saturation sets the highest bit elsewhere, for which the shuffle gives 0. */
static __m256i look_up(const __m256i *parts, __m256i x) {
    const __m256i sixteen = _mm256_set1_epi8(16), limit = _mm256_set1_epi8(0x70);
    __m256i result = _mm256_setzero_si256();
    for (int i = 0; i < 16; i++) {
        __m256i index = _mm256_adds_epu8(x, limit);
        result = _mm256_or_si256(result, _mm256_shuffle_epi8(parts[i], index));
        x = _mm256_sub_epi8(x, sixteen);
    }
    return result;
}

void oct_q8_lookup_avx2(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count) {
    if (count < 32) {
        oct_q8_vector_c.lookup(table, x, y, count);
        return;
    }
    __m256i parts[16];
    for (int i = 0; i < 16; i++) {
        parts[i] = _mm256_broadcastsi128_si256(
            _mm_loadu_si128((const __m128i *)(const void *)(table + 16 * i)));
    }
    size_t done = 0;
    for (; done + 32 <= count; done += 32) {
        store(y + done, look_up(parts, load(x + done)));
    }
    oct_q8_vector_c.lookup(table, x + done, y + done, count - done);
}

OCT_INLINE __m256i quantize_eight(const float *x, __m256 scale, __m256 low, __m256 high,
                                  __m256i zero_point) {
    __m256 value = _mm256_div_ps(_mm256_loadu_ps(x), scale);
    value = _mm256_and_ps(value, _mm256_cmp_ps(value, value, _CMP_ORD_Q));
    return _mm256_add_epi32(_mm256_cvtps_epi32(clamp(value, low, high)), zero_point);
}

void oct_q8_quantize_avx2(const float *x, float scale, uint8_t zero_point, uint8_t *y,
                          size_t count) {
    const __m256 scales = _mm256_set1_ps(scale);
    const __m256 low = _mm256_set1_ps((float)(0 - zero_point));
    const __m256 high = _mm256_set1_ps((float)(255 - zero_point));
    const __m256i zero = _mm256_set1_epi32(zero_point);
    size_t done = 0;
    for (; done + 32 <= count; done += 32) {
        __m256i q[4];
        OCT_EACH_VECTOR(i, 4, q[i] = quantize_eight(x + done + 8 * i, scales, low, high, zero););
        store_narrow(y + done, q);
    }
    for (; done < count; done++) {
        y[done] = oct_q8_quantize_one(x[done], scale, zero_point);
    }
}

void oct_q8_dequantize_avx2(const uint8_t *x, float scale, uint8_t zero_point, float *y,
                            size_t count) {
    const __m256i zero = _mm256_set1_epi32(zero_point);
    const __m256 scales = _mm256_set1_ps(scale);
    size_t done = 0;
    for (; done + 8 <= count; done += 8) {
        __m256i value = _mm256_sub_epi32(widen(x + done), zero);
        _mm256_storeu_ps(y + done, _mm256_mul_ps(_mm256_cvtepi32_ps(value), scales));
    }
    for (; done < count; done++) {
        y[done] = (float)(x[done] - zero_point) * scale;
    }
}

OCT_INLINE void max_some(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels) {
    size_t c = 0;
    for (; c + 32 <= channels; c += 32) {
        __m256i highest = load(rows[0] + c);
        for (size_t p = 1; p < count; p++) {
            highest = _mm256_max_epu8(highest, load(rows[p] + c));
        }
        store(y + c, highest);
    }
    for (; c + 8 <= channels; c += 8) {
        __m128i highest = _mm_setzero_si128();
        for (size_t p = 0; p < count; p++) {
            highest = _mm_max_epu8(highest,
                                   _mm_loadl_epi64((const __m128i *)(const void *)(rows[p] + c)));
        }
        _mm_storel_epi64((__m128i *)(void *)(y + c), highest);
    }
    for (; c < channels; c++) {
        uint8_t highest = 0;
        for (size_t p = 0; p < count; p++) {
            highest = rows[p][c] > highest ? rows[p][c] : highest;
        }
        y[c] = highest;
    }
}

void oct_q8_max_rows_avx2(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels) {
    if (count == 9) { /* 3 x 3, unrolled */
        max_some(rows, 9, y, channels);
    } else if (count == 4) {
        max_some(rows, 4, y, channels);
    } else {
        max_some(rows, count, y, channels);
    }
}

/* The row p of what is summed: either an array of pointers or a stride. */
typedef struct Rows {
    const uint8_t *const *pointers;
    const uint8_t *first;
    size_t stride;
} Rows;

OCT_INLINE const uint8_t *row_of(const Rows *rows, size_t p) {
    return rows->pointers ? rows->pointers[p] : rows->first + p * rows->stride;
}

/* Sixteen channels at a time in 16 bits, emptied into 32 bits after every 256 rows. */
OCT_INLINE void sum_any(const Rows *rows, size_t count, int32_t *sums, size_t channels) {
    size_t c = 0;
    for (; c + 16 <= channels; c += 16) {
        __m256i low = load(sums + c), high = load(sums + c + 8);
        for (size_t p = 0; p < count;) {
            size_t end = count - p < 256 ? count : p + 256;
            __m256i sum = _mm256_setzero_si256();
            for (; p < end; p++) {
                __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(row_of(rows, p) + c));
                sum = _mm256_add_epi16(sum, _mm256_cvtepu8_epi16(x));
            }
            low = _mm256_add_epi32(low, _mm256_cvtepu16_epi32(_mm256_castsi256_si128(sum)));
            high = _mm256_add_epi32(high, _mm256_cvtepu16_epi32(_mm256_extracti128_si256(sum, 1)));
        }
        store(sums + c, low);
        store(sums + c + 8, high);
    }
    for (size_t p = 0; c < channels && p < count; p++) {
        const uint8_t *row = row_of(rows, p);
        for (size_t i = c; i < channels; i++) {
            sums[i] += row[i];
        }
    }
}

void oct_q8_sum_rows_avx2(const uint8_t *x, size_t stride, size_t count, int32_t *sums,
                          size_t channels) {
    const Rows rows = {.first = x, .stride = stride};
    sum_any(&rows, count, sums, channels);
}

void oct_q8_sum_pointers_avx2(const uint8_t *const *pointers, size_t count, int32_t *sums,
                              size_t channels) {
    const Rows rows = {.pointers = pointers};
    sum_any(&rows, count, sums, channels);
}

void oct_q8_average_avx2(const OctQ8Average *params, const int32_t *sums, uint8_t *y,
                         size_t channels) {
    const __m256i bias = _mm256_set1_epi32(params->bias);
    const __m256i zero = _mm256_set1_epi32(params->zero_point);
    const __m256 multiplier = _mm256_set1_ps(params->multiplier);
    const __m256 low = _mm256_set1_ps((float)(params->minimum - params->zero_point));
    const __m256 high = _mm256_set1_ps((float)(params->maximum - params->zero_point));
    size_t c = 0;
    for (; c + 32 <= channels; c += 32) {
        __m256i q[4];
        OCT_EACH_VECTOR(i, 4, {
            __m256 sum = _mm256_cvtepi32_ps(_mm256_add_epi32(load(sums + c + 8 * i), bias));
            __m256 value = clamp(_mm256_mul_ps(sum, multiplier), low, high);
            q[i] = _mm256_add_epi32(_mm256_cvtps_epi32(value), zero);
        });
        store_narrow(y + c, q);
    }
    for (; c < channels; c++) {
        y[c] = oct_q8_average_one(params, sums[c]);
    }
}

int32_t oct_q8_sum_avx2(const uint8_t *x, size_t count) {
    __m256i sums = _mm256_setzero_si256();
    size_t done = 0;
    for (; done + 32 <= count; done += 32) {
        sums = _mm256_add_epi64(sums, _mm256_sad_epu8(load(x + done), _mm256_setzero_si256()));
    }
    int64_t parts[4];
    store(parts, sums);
    int64_t total = parts[0] + parts[1] + parts[2] + parts[3];
    for (; done < count; done++) {
        total += x[done];
    }
    return (int32_t)total;
}

void oct_q8_flip_avx2(const uint8_t *x, uint8_t *y, size_t count) {
    const __m256i bit = _mm256_set1_epi8((char)0x80);
    size_t done = 0;
    for (; done + 32 <= count; done += 32) {
        store(y + done, _mm256_xor_si256(load(x + done), bit));
    }
    for (; done < count; done++) {
        y[done] = x[done] ^ 0x80;
    }
}

/* Which byte of plane c goes to place i of 48: those of a shuffle, -1 for none. */
static const int8_t three_picks[3][48] = {
    {0, -1, -1, 1, -1, -1, 2,  -1, -1, 3,  -1, -1, 4,  -1, -1, 5,  -1, -1, 6,  -1, -1, 7,  -1, -1,
     8, -1, -1, 9, -1, -1, 10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1},
    {-1, 0, -1, -1, 1, -1, -1, 2,  -1, -1, 3,  -1, -1, 4,  -1, -1, 5,  -1, -1, 6,  -1, -1, 7,  -1,
     -1, 8, -1, -1, 9, -1, -1, 10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1},
    {-1, -1, 0, -1, -1, 1, -1, -1, 2,  -1, -1, 3,  -1, -1, 4,  -1, -1, 5,  -1, -1, 6,  -1, -1, 7,
     -1, -1, 8, -1, -1, 9, -1, -1, 10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15}};

/* 16 pixels of three channels: 48 bytes of output from three planes. */
OCT_INLINE void interleave_three(const uint8_t *planes, size_t plane_stride, uint8_t *y) {
    for (int part = 0; part < 3; part++) {
        __m128i bytes = _mm_setzero_si128();
        for (int c = 0; c < 3; c++) {
            __m128i plane =
                _mm_loadu_si128((const __m128i *)(const void *)(planes + (size_t)c * plane_stride));
            __m128i pick =
                _mm_loadu_si128((const __m128i *)(const void *)(three_picks[c] + 16 * part));
            bytes = _mm_or_si128(bytes, _mm_shuffle_epi8(plane, pick));
        }
        _mm_storeu_si128((__m128i *)(void *)(y + 16 * part), bytes);
    }
}

enum { PLANE_CHUNK = 64, PLANE_CHANNELS = 16 };

void oct_q8_quantize_planes_avx2(const float *x, size_t x_stride, float scale, uint8_t zero_point,
                                 uint8_t *y, size_t y_stride, size_t channels, size_t pixels) {
    if (channels == 1 && y_stride == 1) {
        oct_q8_quantize_avx2(x, scale, zero_point, y, pixels);
        return;
    }
    uint8_t planes[PLANE_CHANNELS * PLANE_CHUNK];
    for (size_t c = 0; c < channels; c += PLANE_CHANNELS) {
        size_t some = channels - c < PLANE_CHANNELS ? channels - c : PLANE_CHANNELS;
        for (size_t p = 0; p < pixels; p += PLANE_CHUNK) {
            size_t count = pixels - p < PLANE_CHUNK ? pixels - p : PLANE_CHUNK;
            for (size_t i = 0; i < some; i++) {
                oct_q8_quantize_avx2(x + (c + i) * x_stride + p, scale, zero_point,
                                     planes + i * PLANE_CHUNK, count);
            }
            size_t done = 0;
            for (; channels == 3 && y_stride == 3 && done + 16 <= count; done += 16) {
                interleave_three(planes + done, PLANE_CHUNK, y + (p + done) * 3);
            }
            for (; done < count; done++) {
                for (size_t i = 0; i < some; i++) {
                    y[(p + done) * y_stride + c + i] = planes[i * PLANE_CHUNK + done];
                }
            }
        }
    }
}

const OctQ8VectorOps oct_q8_vector_avx2 = {
    .name = "q8_vector avx2",
    .cpu = OCTET_CPU_AVX2,
    .add = oct_q8_add_avx2,
    .add_scalar = oct_q8_add_scalar_avx2,
    .mul = oct_q8_mul_avx2,
    .mul_scalar = oct_q8_mul_scalar_avx2,
    .lookup = oct_q8_lookup_avx2,
    .quantize = oct_q8_quantize_avx2,
    .dequantize = oct_q8_dequantize_avx2,
    .max_rows = oct_q8_max_rows_avx2,
    .sum_rows = oct_q8_sum_rows_avx2,
    .sum_pointers = oct_q8_sum_pointers_avx2,
    .average = oct_q8_average_avx2,
    .sum = oct_q8_sum_avx2,
    .flip = oct_q8_flip_avx2,
    .quantize_planes = oct_q8_quantize_planes_avx2,
};
