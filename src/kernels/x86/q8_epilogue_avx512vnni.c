#include "kernels/x86/q8_epilogue_avx512.h"

#include <string.h>

/* 64 words of which lane j of vector i holds 16 * j + 4 * i and the next three, put in order. */
OCT_INLINE void order_words(__m512 *words) {
    __m512 a = _mm512_shuffle_f32x4(words[0], words[1], 0x44);
    __m512 b = _mm512_shuffle_f32x4(words[2], words[3], 0x44);
    __m512 c = _mm512_shuffle_f32x4(words[0], words[1], 0xEE);
    __m512 d = _mm512_shuffle_f32x4(words[2], words[3], 0xEE);
    words[0] = _mm512_shuffle_f32x4(a, b, 0x88);
    words[1] = _mm512_shuffle_f32x4(a, b, 0xDD);
    words[2] = _mm512_shuffle_f32x4(c, d, 0x88);
    words[3] = _mm512_shuffle_f32x4(c, d, 0xDD);
}

/* The first `count` of 64 words. */
OCT_INLINE void store_all_words(float *output, const __m512 *words, size_t count) {
    for (size_t v = 0; v < 4 && 16 * v < count; v++) {
        size_t rest = count - 16 * v;
        __mmask16 mask = (__mmask16)(rest < 16 ? (1u << rest) - 1 : 0xFFFF);
        _mm512_mask_storeu_ps(output + 16 * v, mask, words[v]);
    }
}

/* 32-bit outputs: lane j of vector i holds channels 4 * vectors * j + 4 * i and the next three. */
static void store_words(float *output, const __m512 *values, size_t vectors, size_t count) {
    for (size_t v = 0; v < vectors; v++) {
        const __m128 lanes[4] = {
            _mm512_extractf32x4_ps(values[v], 0), _mm512_extractf32x4_ps(values[v], 1),
            _mm512_extractf32x4_ps(values[v], 2), _mm512_extractf32x4_ps(values[v], 3)};
        for (size_t j = 0; j < 4; j++) {
            size_t channel = 4 * (vectors * j + v);
            if (channel + 4 <= count) {
                _mm_storeu_ps(output + channel, lanes[j]);
            } else if (channel < count) {
                /* no masked store: gcc 12 makes vextractf32x4 of it, which may fault behind the
                 * mask */
                float four[4];
                _mm_storeu_ps(four, lanes[j]);
                memcpy(output + channel, four, (count - channel) * sizeof *four);
            }
        }
    }
}

/* table[bytes] by 16 shuffles, each answering for one value of the high four bits. */
static __m512i look_up(const uint8_t *table, __m512i bytes) {
    const __m512i low_bits = _mm512_set1_epi8(15);
    __m512i low = _mm512_and_si512(bytes, low_bits);
    __m512i high = _mm512_and_si512(_mm512_srli_epi16(bytes, 4), low_bits);
    __m512i result = _mm512_setzero_si512();
    for (int i = 0; i < 16; i++) {
        __m512i part = _mm512_broadcast_i32x4(
            _mm_loadu_si128((const __m128i *)(const void *)(table + 16 * i)));
        __mmask64 here = _mm512_cmpeq_epi8_mask(high, _mm512_set1_epi8((char)i));
        result = _mm512_mask_shuffle_epi8(result, here, part, low);
    }
    return result;
}

__attribute__((target("avx512vbmi"))) static __m512i look_up_vbmi(const uint8_t *table,
                                                                  __m512i bytes) {
    __m512i low =
        _mm512_permutex2var_epi8(_mm512_loadu_si512(table), bytes, _mm512_loadu_si512(table + 64));
    __m512i high = _mm512_permutex2var_epi8(_mm512_loadu_si512(table + 128), bytes,
                                            _mm512_loadu_si512(table + 192));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
}

__m512i oct_q8_lookup_avx512(const uint8_t *table, __m512i bytes) {
    return __builtin_cpu_supports("avx512vbmi") ? look_up_vbmi(table, bytes)
                                                : look_up(table, bytes);
}

/* `count` bytes, 4 * vectors of them in every lane. */
OCT_INLINE __m512i load_lanes(const uint8_t *bytes, size_t vectors, size_t count) {
    if (vectors == 4 && count == 64) {
        return _mm512_loadu_si512(bytes);
    }
    __mmask64 mask = count == 64 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1;
    __m512i loaded = _mm512_maskz_loadu_epi8(mask, bytes);
    const __m512i spread[4] = {
        _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
        _mm512_setr_epi32(0, 1, 0, 0, 2, 3, 2, 2, 4, 5, 4, 4, 6, 7, 6, 6),
        _mm512_setr_epi32(0, 1, 2, 0, 3, 4, 5, 3, 6, 7, 8, 6, 9, 10, 11, 9),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
    return _mm512_permutexvar_epi32(spread[vectors - 1], loaded);
}

OCT_INLINE void finish_rows(const OctQ8Epilogue *epilogue, const __m512i *bytes, size_t rows,
                            size_t vectors, size_t count, uint8_t *output, size_t stride,
                            const uint8_t *residual, size_t residual_stride) {
    bool has_add = epilogue->has_add, residual_is_a = epilogue->residual_is_a;
    const uint8_t *table = epilogue->table, *add_table = has_add ? epilogue->add_table : NULL;
    const OctQ8Add512 constants = oct_q8_add_constants_avx512(epilogue);
    for (size_t r = 0; r < rows; r++) {
        __m512i q = bytes[r];
        if (table) {
            q = oct_q8_lookup_avx512(table, q);
        }
        if (has_add) {
            __m512i other = load_lanes(residual + r * residual_stride, vectors, count);
            q = residual_is_a ? oct_q8_add_avx512(&constants, q, other, true, epilogue->bounded)
                              : oct_q8_add_avx512(&constants, q, other, false, epilogue->bounded);
            if (add_table) {
                q = oct_q8_lookup_avx512(add_table, q);
            }
        }
        oct_q8_store_lanes_avx512(output + r * stride, q, vectors, count);
    }
}

void oct_q8_finish_bytes_avx512(const OctQ8Epilogue *epilogue, const __m512i *bytes, size_t rows,
                                size_t vectors, size_t count, uint8_t *output, size_t stride,
                                const uint8_t *residual, size_t residual_stride) {
    if (vectors == 4 && count == 64) {
        finish_rows(epilogue, bytes, rows, 4, 64, output, stride, residual, residual_stride);
    } else if (vectors == 4) {
        finish_rows(epilogue, bytes, rows, 4, count, output, stride, residual, residual_stride);
    } else if (vectors == 3) {
        finish_rows(epilogue, bytes, rows, 3, count, output, stride, residual, residual_stride);
    } else if (vectors == 2) {
        finish_rows(epilogue, bytes, rows, 2, count, output, stride, residual, residual_stride);
    } else {
        finish_rows(epilogue, bytes, rows, 1, count, output, stride, residual, residual_stride);
    }
}

void oct_q8_finish_words_avx512(const OctQ8Epilogue *epilogue, const int32_t *acc,
                                const float *multipliers, size_t rows, size_t vectors, size_t count,
                                void *output, size_t offset, size_t stride) {
    for (size_t r = 0; r < rows; r++) {
        __m512 words[4];
        for (size_t v = 0; v < vectors; v++) {
            __m512i sums = _mm512_loadu_si512(acc + 16 * (r * vectors + v));
            words[v] = epilogue->kind == OCT_Q8_OUT_S32
                           ? _mm512_castsi512_ps(sums)
                           : _mm512_mul_ps(_mm512_cvtepi32_ps(sums),
                                           _mm512_loadu_ps(multipliers + 16 * v));
        }
        if (vectors == 4) {
            order_words(words);
            store_all_words((float *)output + offset + r * stride, words, count);
            continue;
        }
        store_words((float *)output + offset + r * stride, words, vectors, count);
    }
}
