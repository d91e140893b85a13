/* Elementwise int8 kernels with AVX-512: tables, by the byte permutations of VBMI, and sums and
 * products, by staying in lanes of 128 bits until the store. The others are those of AVX2, which
 * are as fast where a 512-bit operation takes the time of two. */
#include <immintrin.h>

#include "kernels/x86/q8_epilogue_avx512.h"
#include "kernels/x86/q8_x86.h"

/* Applies `vector` (64 bytes of a and of b to 64 bytes) to `count` of them. */
#define FOR_VECTORS(count, a, b, y, vector)                                                        \
    do {                                                                                           \
        size_t done = 0;                                                                           \
        for (; done + 64 <= (count); done += 64) {                                                 \
            __m512i result =                                                                       \
                vector(_mm512_loadu_si512((a) + done), _mm512_loadu_si512((b) + done));            \
            _mm512_storeu_si512((y) + done, result);                                               \
        }                                                                                          \
        if (done < (count)) {                                                                      \
            const __mmask64 mask = ((__mmask64)1 << ((count)-done)) - 1;                           \
            __m512i result = vector(_mm512_maskz_loadu_epi8(mask, (a) + done),                     \
                                    _mm512_maskz_loadu_epi8(mask, (b) + done));                    \
            _mm512_mask_storeu_epi8((y) + done, mask, result);                                     \
        }                                                                                          \
    } while (0)

static void add(const OctQ8Add *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                size_t count) {
    const OctQ8Epilogue epilogue = {.add = *params};
    const OctQ8Add512 constants = oct_q8_add_constants_avx512(&epilogue);
#define ADD_64(a, b) oct_q8_add_avx512(&constants, a, b, false, false)
    FOR_VECTORS(count, a, b, y, ADD_64);
}

typedef struct Mul512 {
    __m512i zero_a, zero_b, minimum, maximum;
    __m512 ratio, zero_y, high;
} Mul512;

/* Products of 32 words each, from the zero points on, to words of the output's grid. */
OCT_INLINE __m512i multiply_words(const Mul512 *mul, __m512i a, __m512i b) {
    a = _mm512_sub_epi16(a, mul->zero_a);
    b = _mm512_sub_epi16(b, mul->zero_b);
    const __m512i low = _mm512_mullo_epi16(a, b), high = _mm512_mulhi_epi16(a, b);
    __m512i q[2] = {_mm512_unpacklo_epi16(low, high), _mm512_unpackhi_epi16(low, high)};
    OCT_EACH_VECTOR(i, 2, {
        __m512 value = _mm512_mul_ps(_mm512_cvtepi32_ps(q[i]), mul->ratio);
        /* what is below int32 and NaN become the lowest integer, which is right; what is above
         * would, too */
        value = _mm512_min_ps(mul->high, _mm512_add_ps(value, mul->zero_y));
        q[i] = _mm512_cvtps_epi32(value);
    });
    return _mm512_packs_epi32(q[0], q[1]);
}

OCT_INLINE __m512i multiply_bytes(const Mul512 *mul, __m512i a, __m512i b) {
    const __m512i zero = _mm512_setzero_si512();
    __m512i low = multiply_words(mul, _mm512_unpacklo_epi8(a, zero), _mm512_unpacklo_epi8(b, zero));
    __m512i high =
        multiply_words(mul, _mm512_unpackhi_epi8(a, zero), _mm512_unpackhi_epi8(b, zero));
    const __m512i bytes = _mm512_packus_epi16(low, high);
    return _mm512_min_epu8(_mm512_max_epu8(bytes, mul->minimum), mul->maximum);
}

OCT_INLINE Mul512 mul_constants(const OctQ8Mul *params) {
    return (Mul512){.zero_a = _mm512_set1_epi16((int16_t)params->zero_a),
                    .zero_b = _mm512_set1_epi16((int16_t)params->zero_b),
                    .minimum = _mm512_set1_epi8((char)params->minimum),
                    .maximum = _mm512_set1_epi8((char)params->maximum),
                    .ratio = _mm512_set1_ps(params->ratio),
                    .zero_y = _mm512_set1_ps((float)params->zero_y),
                    .high = _mm512_set1_ps(params->maximum)};
}

static void mul(const OctQ8Mul *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                size_t count) {
    const Mul512 constants = mul_constants(params);
#define MUL_64(a, b) multiply_bytes(&constants, a, b)
    FOR_VECTORS(count, a, b, y, MUL_64);
}

static void mul_scalar(const OctQ8Mul *params, const uint8_t *a, uint8_t b, uint8_t *y,
                       size_t count) {
    const Mul512 constants = mul_constants(params);
    const __m512i factor = _mm512_set1_epi8((char)b);
#define MUL_SCALAR_64(a, unused) multiply_bytes(&constants, a, factor)
    FOR_VECTORS(count, a, a, y, MUL_SCALAR_64);
}

__attribute__((target("avx512vbmi"))) static void
lookup_vbmi(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count) {
    const __m512i parts[4] = {_mm512_loadu_si512(table), _mm512_loadu_si512(table + 64),
                              _mm512_loadu_si512(table + 128), _mm512_loadu_si512(table + 192)};
    for (size_t done = 0; done < count; done += 64) {
        size_t left = count - done;
        __mmask64 mask = left < 64 ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
        __m512i bytes = _mm512_maskz_loadu_epi8(mask, x + done);
        __m512i low = _mm512_permutex2var_epi8(parts[0], bytes, parts[1]);
        __m512i high = _mm512_permutex2var_epi8(parts[2], bytes, parts[3]);
        bytes = _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
        _mm512_mask_storeu_epi8(y + done, mask, bytes);
    }
}

static void lookup(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count) {
    if (__builtin_cpu_supports("avx512vbmi")) {
        lookup_vbmi(table, x, y, count);
    } else {
        oct_q8_lookup_avx2(table, x, y, count);
    }
}

OCT_INLINE void max_some(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels) {
    size_t c = 0;
    for (; c + 64 <= channels; c += 64) {
        __m512i highest = _mm512_loadu_si512(rows[0] + c);
        for (size_t p = 1; p < count; p++) {
            highest = _mm512_max_epu8(highest, _mm512_loadu_si512(rows[p] + c));
        }
        _mm512_storeu_si512(y + c, highest);
    }
    if (c < channels) {
        const __mmask64 mask = ((__mmask64)1 << (channels - c)) - 1;
        __m512i highest = _mm512_maskz_loadu_epi8(mask, rows[0] + c);
        for (size_t p = 1; p < count; p++) {
            highest = _mm512_max_epu8(highest, _mm512_maskz_loadu_epi8(mask, rows[p] + c));
        }
        _mm512_mask_storeu_epi8(y + c, mask, highest);
    }
}

static void max_rows(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels) {
    if (count == 9) { /* 3 x 3, unrolled */
        max_some(rows, 9, y, channels);
    } else if (count == 4) {
        max_some(rows, 4, y, channels);
    } else {
        max_some(rows, count, y, channels);
    }
}

const OctQ8VectorOps oct_q8_vector_avx512vnni = {
    .name = "q8_vector avx512vnni",
    .cpu = OCTET_CPU_AVX512_VNNI,
    .add = add,
    .add_scalar = oct_q8_add_scalar_avx2,
    .mul = mul,
    .mul_scalar = mul_scalar,
    .lookup = lookup,
    .quantize = oct_q8_quantize_avx2,
    .dequantize = oct_q8_dequantize_avx2,
    .max_rows = max_rows,
    .sum_rows = oct_q8_sum_rows_avx2,
    .sum_pointers = oct_q8_sum_pointers_avx2,
    .average = oct_q8_average_avx2,
    .sum = oct_q8_sum_avx2,
    .flip = oct_q8_flip_avx2,
    .quantize_planes = oct_q8_quantize_planes_avx2,
};
