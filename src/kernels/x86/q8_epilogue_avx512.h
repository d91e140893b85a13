/* The epilogue of the AVX-512 int8 kernels: from accumulators in registers to stored outputs.
 * `vectors` accumulators of a pixel hold 16 * vectors channels in the order of q8_pack.h. */
#ifndef OCT_KERNELS_Q8_EPILOGUE_AVX512_H
#define OCT_KERNELS_Q8_EPILOGUE_AVX512_H

#include <immintrin.h>

#include "kernels/q8_epilogue.h"
#include "kernels/q8_unroll.h"

/* 32-bit outputs of `rows` pixels, whose accumulators follow each other in memory. */
void oct_q8_finish_words_avx512(const OctQ8Epilogue *epilogue, const int32_t *acc,
                                const float *multipliers, size_t rows, size_t vectors, size_t count,
                                void *output, size_t offset, size_t stride);

/* Tables and addition of u8 outputs, and the store: for each of `rows` pixels `count` bytes, of
 * which every lane of bytes[row] holds 4 * vectors. */
void oct_q8_finish_bytes_avx512(const OctQ8Epilogue *epilogue, const __m512i *bytes, size_t rows,
                                size_t vectors, size_t count, uint8_t *output, size_t stride,
                                const uint8_t *residual, size_t residual_stride);

/* table[byte] for each byte. */
__m512i oct_q8_lookup_avx512(const uint8_t *table, __m512i bytes);

/* The first `count` bytes of 16 * vectors, of which a lane of 128 bits holds 4 * vectors. */
OCT_INLINE void oct_q8_store_lanes_avx512(uint8_t *output, __m512i bytes, size_t vectors,
                                          size_t count) {
    if (vectors == 4) {
        if (count == 64) {
            _mm512_storeu_si512(output, bytes);
        } else {
            _mm512_mask_storeu_epi8(output, ((__mmask64)1 << count) - 1, bytes);
        }
        return;
    }
    const __m512i order =
        vectors == 3   ? _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15)
        : vectors == 2 ? _mm512_setr_epi32(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15)
                       : _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    bytes = _mm512_permutexvar_epi32(order, bytes);
    if (vectors == 2 && count == 32) {
        _mm256_storeu_si256((__m256i *)(void *)output, _mm512_castsi512_si256(bytes));
    } else if (vectors == 1 && count == 16) {
        _mm_storeu_si128((__m128i *)(void *)output, _mm512_castsi512_si128(bytes));
    } else {
        _mm512_mask_storeu_epi8(output, ((__mmask64)1 << count) - 1, bytes);
    }
}

/* The part of the epilogue that all u8 outputs begin with, its constants in registers. */
typedef struct OctQ8Requantize512 {
    __m512 high;
    __m512i zero_point, minimum, maximum;
} OctQ8Requantize512;

OCT_INLINE OctQ8Requantize512 oct_q8_requantize_constants_avx512(const OctQ8Epilogue *epilogue) {
    return (OctQ8Requantize512){
        .high = _mm512_set1_ps((float)(epilogue->maximum - epilogue->zero_point)),
        .zero_point = _mm512_set1_epi16(epilogue->zero_point),
        .minimum = _mm512_set1_epi8((char)epilogue->minimum),
        .maximum = _mm512_set1_epi8((char)epilogue->maximum),
    };
}

/* Four vectors of whole numbers to bytes with the zero point, clamped. */
OCT_INLINE __m512i oct_q8_narrow_avx512(const OctQ8Requantize512 *constants, const __m512i *q) {
    __m512i bytes = _mm512_packus_epi16(
        _mm512_adds_epi16(_mm512_packs_epi32(q[0], q[1]), constants->zero_point),
        _mm512_adds_epi16(_mm512_packs_epi32(q[2], q[3]), constants->zero_point));
    return _mm512_min_epu8(_mm512_max_epu8(bytes, constants->minimum), constants->maximum);
}

/* Clamping is left to the saturating packs and to bytes, where the epilogue is bounded. If not,
 * values of 2^31 and above, which cvtps2dq would turn into the lowest integer, need a clamp in
 * float. */
OCT_INLINE __m512i oct_q8_requantize_avx512(const OctQ8Requantize512 *constants, bool bounded,
                                            const __m512i *acc, const float *multipliers,
                                            size_t vectors) {
    __m512i q[4];
    OCT_EACH_VECTOR(v, vectors, {
        __m512 value =
            _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), _mm512_loadu_ps(multipliers + 16 * v));
        q[v] = _mm512_cvtps_epi32(bounded ? value : _mm512_min_ps(value, constants->high));
    });
    q[1] = vectors > 1 ? q[1] : q[0];
    q[2] = vectors > 2 ? q[2] : q[0];
    q[3] = vectors > 3 ? q[3] : vectors > 2 ? q[0] : q[1];
    return oct_q8_narrow_avx512(constants, q);
}

typedef struct OctQ8Add512 {
    __m512 ratio_q, ratio_residual, fixed, low, high;
    __m512i minimum, maximum;
} OctQ8Add512;

OCT_INLINE OctQ8Add512 oct_q8_add_constants_avx512(const OctQ8Epilogue *epilogue) {
    const OctQ8Add *params = &epilogue->add;
    bool residual_is_a = epilogue->residual_is_a;
    return (OctQ8Add512){
        .ratio_q = _mm512_set1_ps(residual_is_a ? params->ratio_b : params->ratio_a),
        .ratio_residual = _mm512_set1_ps(residual_is_a ? params->ratio_a : params->ratio_b),
        .fixed = _mm512_set1_ps(params->fixed),
        .low = _mm512_set1_ps(params->minimum),
        .high = _mm512_set1_ps(params->maximum),
        .minimum = _mm512_set1_epi8((char)params->minimum),
        .maximum = _mm512_set1_epi8((char)params->maximum),
    };
}

/* Bytes 4i to 4i + 3 of every lane. */
OCT_INLINE __m512 oct_q8_widen_avx512(__m512i bytes, size_t i) {
    const int first = 4 * (int)i;
    const __m512i pick = _mm512_set4_epi32((int)0x80808003 + first, (int)0x80808002 + first,
                                           (int)0x80808001 + first, (int)0x80808000 + first);
    return _mm512_cvtepi32_ps(_mm512_shuffle_epi8(bytes, pick));
}

/* The formula's inner product is that of operand b. */
OCT_INLINE __m512 oct_q8_add_floats_avx512(const OctQ8Add512 *constants, __m512 q, __m512 residual,
                                           bool residual_is_a) {
    if (residual_is_a) {
        __m512 sum = _mm512_fmadd_ps(q, constants->ratio_q, constants->fixed);
        return _mm512_fmadd_ps(residual, constants->ratio_residual, sum);
    }
    __m512 sum = _mm512_fmadd_ps(residual, constants->ratio_residual, constants->fixed);
    return _mm512_fmadd_ps(q, constants->ratio_q, sum);
}

OCT_INLINE __m512i oct_q8_sums_to_bytes_avx512(const OctQ8Add512 *constants, const __m512i *sums) {
    __m512i bytes = _mm512_packus_epi16(_mm512_packs_epi32(sums[0], sums[1]),
                                        _mm512_packs_epi32(sums[2], sums[3]));
    return _mm512_min_epu8(_mm512_max_epu8(bytes, constants->minimum), constants->maximum);
}

/* q plus the residual, both as bytes in the same order. */
OCT_INLINE __m512i oct_q8_add_avx512(const OctQ8Add512 *constants, __m512i q, __m512i residual,
                                     bool residual_is_a, bool bounded) {
    __m512i sums[4];
    OCT_EACH_VECTOR(i, 4, {
        __m512 sum = oct_q8_add_floats_avx512(constants, oct_q8_widen_avx512(q, i),
                                              oct_q8_widen_avx512(residual, i), residual_is_a);
        if (!bounded) {
            sum = _mm512_min_ps(_mm512_max_ps(sum, constants->low), constants->high);
        }
        sums[i] = _mm512_cvtps_epi32(sum);
    });
    return oct_q8_sums_to_bytes_avx512(constants, sums);
}

/* Two rows of up to 32 channels, requantized as one of 64 would be: fewer packs than one by one.
 * acc and multipliers as above; bounded. */
OCT_INLINE void oct_q8_store_two_avx512(const OctQ8Requantize512 *constants, const __m512i *acc,
                                        const float *multipliers, size_t count, uint8_t *y,
                                        size_t stride) {
    __m512i q[4];
    OCT_EACH_VECTOR(v, 4, {
        q[v] = _mm512_cvtps_epi32(
            _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), _mm512_loadu_ps(multipliers + 16 * (v % 2))));
    });
    __m512i bytes = oct_q8_narrow_avx512(constants, q);
    bytes = _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), bytes);
    if (count == 32) {
        _mm256_storeu_si256((__m256i *)(void *)y, _mm512_castsi512_si256(bytes));
        _mm256_storeu_si256((__m256i *)(void *)(y + stride), _mm512_extracti64x4_epi64(bytes, 1));
    } else {
        __mmask32 mask = (__mmask32)(((uint64_t)1 << count) - 1);
        _mm256_mask_storeu_epi8(y, mask, _mm512_castsi512_si256(bytes));
        _mm256_mask_storeu_epi8(y + stride, mask, _mm512_extracti64x4_epi64(bytes, 1));
    }
}

/* Four rows of 16 channels likewise. */
OCT_INLINE void oct_q8_store_four_avx512(const OctQ8Requantize512 *constants, const __m512i *acc,
                                         const float *multipliers, uint8_t *y, size_t stride) {
    __m512i q[4];
    OCT_EACH_VECTOR(v, 4, {
        q[v] = _mm512_cvtps_epi32(
            _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), _mm512_loadu_ps(multipliers)));
    });
    __m512i bytes = oct_q8_narrow_avx512(constants, q);
    bytes = _mm512_permutexvar_epi32(
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), bytes);
    _mm_storeu_si128((__m128i *)(void *)y, _mm512_castsi512_si128(bytes));
    _mm_storeu_si128((__m128i *)(void *)(y + stride), _mm512_extracti32x4_epi32(bytes, 1));
    _mm_storeu_si128((__m128i *)(void *)(y + 2 * stride), _mm512_extracti32x4_epi32(bytes, 2));
    _mm_storeu_si128((__m128i *)(void *)(y + 3 * stride), _mm512_extracti32x4_epi32(bytes, 3));
}

OCT_INLINE void oct_q8_finish_tile_avx512(const OctQ8Epilogue *epilogue, const __m512i *acc,
                                          const float *multipliers, size_t rows, size_t vectors,
                                          size_t count, void *output, size_t offset, size_t stride,
                                          const uint8_t *residual, size_t residual_stride) {
    if (__builtin_expect(epilogue->kind != OCT_Q8_OUT_U8, 0)) {
        int32_t raw[24 * 16] __attribute__((aligned(64)));
        OCT_EACH_ROW(r, rows, {
            OCT_EACH_VECTOR(v, vectors, {
                _mm512_store_si512(raw + 16 * (r * vectors + v), acc[r * vectors + v]);
            });
        });
        oct_q8_finish_words_avx512(epilogue, raw, multipliers, rows, vectors, count, output, offset,
                                   stride);
        return;
    }
    const OctQ8Requantize512 constants = oct_q8_requantize_constants_avx512(epilogue);
    uint8_t *y = (uint8_t *)output + offset;
    bool plain = !epilogue->has_add && !epilogue->table;
    if (vectors == 2 && rows % 2 == 0 && plain && epilogue->bounded) {
        OCT_EACH_ROW(r, rows / 2,
                     oct_q8_store_two_avx512(&constants, acc + 4 * r, multipliers, count,
                                             y + 2 * r * stride, stride););
        return;
    }
    if (vectors == 1 && rows % 4 == 0 && count == 16 && plain && epilogue->bounded) {
        OCT_EACH_ROW(r, rows / 4,
                     oct_q8_store_four_avx512(&constants, acc + 4 * r, multipliers,
                                              y + 4 * r * stride, stride););
        return;
    }
    __m512i bytes[8];
    if (__builtin_expect(epilogue->bounded, 1)) {
        OCT_EACH_ROW(r, rows, {
            bytes[r] =
                oct_q8_requantize_avx512(&constants, true, acc + r * vectors, multipliers, vectors);
        });
    } else {
        OCT_EACH_ROW(r, rows, {
            bytes[r] = oct_q8_requantize_avx512(&constants, false, acc + r * vectors, multipliers,
                                                vectors);
        });
    }
    if (__builtin_expect(plain, 1)) {
        OCT_EACH_ROW(r, rows, oct_q8_store_lanes_avx512(y + r * stride, bytes[r], vectors, count););
        return;
    }
    oct_q8_finish_bytes_avx512(epilogue, bytes, rows, vectors, count, y, stride, residual,
                               residual_stride);
}

#endif
