#include "kernels/x86/q8_epilogue_avx512.h"

#include <string.h>

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

/* q (bytes in lanes) plus the residual, likewise in lanes. */
static __m512i add(const OctQ8Epilogue *epilogue, __m512i q, __m512i residual) {
    const OctQ8Add *params = &epilogue->add;
    __m512i a = epilogue->residual_is_a ? residual : q, b = epilogue->residual_is_a ? q : residual;
    const __m512 ratio_a = _mm512_set1_ps(params->ratio_a);
    const __m512 ratio_b = _mm512_set1_ps(params->ratio_b);
    const __m512 fixed = _mm512_set1_ps(params->fixed);
    const __m512 low = _mm512_set1_ps(params->minimum), high = _mm512_set1_ps(params->maximum);
    __m512i sums[4];
    OCT_EACH_VECTOR(i, 4, {
        /* bytes 4i to 4i + 3 of every lane, widened */
        const __m512i pick = _mm512_add_epi32(
            _mm512_broadcast_i32x4(
                _mm_setr_epi32((int)0x80808000, (int)0x80808001, (int)0x80808002, (int)0x80808003)),
            _mm512_set1_epi32(4 * i));
        __m512 wide_a = _mm512_cvtepi32_ps(_mm512_shuffle_epi8(a, pick));
        __m512 wide_b = _mm512_cvtepi32_ps(_mm512_shuffle_epi8(b, pick));
        __m512 sum = _mm512_fmadd_ps(wide_a, ratio_a, _mm512_fmadd_ps(wide_b, ratio_b, fixed));
        sums[i] = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(sum, low), high));
    });
    return _mm512_packus_epi16(_mm512_packs_epi32(sums[0], sums[1]),
                               _mm512_packs_epi32(sums[2], sums[3]));
}

/* `count` bytes, 4 * vectors of them in every lane. */
static __m512i load_lanes(const uint8_t *bytes, size_t vectors, size_t count) {
    __m512i loaded =
        _mm512_maskz_loadu_epi8(count == 64 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1, bytes);
    const __m512i spread[4] = {
        _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3),
        _mm512_setr_epi32(0, 1, 0, 0, 2, 3, 2, 2, 4, 5, 4, 4, 6, 7, 6, 6),
        _mm512_setr_epi32(0, 1, 2, 0, 3, 4, 5, 3, 6, 7, 8, 6, 9, 10, 11, 9),
        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)};
    return _mm512_permutexvar_epi32(spread[vectors - 1], loaded);
}

void oct_q8_finish_bytes_avx512(const OctQ8Epilogue *epilogue, __m512i bytes, size_t vectors,
                                size_t count, uint8_t *output, const uint8_t *residual) {
    if (epilogue->table) {
        bytes = oct_q8_lookup_avx512(epilogue->table, bytes);
    }
    if (epilogue->has_add) {
        bytes = add(epilogue, bytes, load_lanes(residual, vectors, count));
        if (epilogue->add_table) {
            bytes = oct_q8_lookup_avx512(epilogue->add_table, bytes);
        }
    }
    switch (vectors) {
    case 1:
        oct_q8_store_lanes_avx512(output, bytes, 1, count);
        break;
    case 2:
        oct_q8_store_lanes_avx512(output, bytes, 2, count);
        break;
    case 3:
        oct_q8_store_lanes_avx512(output, bytes, 3, count);
        break;
    default:
        oct_q8_store_lanes_avx512(output, bytes, 4, count);
        break;
    }
}

void oct_q8_finish_row_avx512(const OctQ8Epilogue *epilogue, const int32_t *acc,
                              const float *multipliers, size_t vectors, size_t count, void *output,
                              size_t offset, const uint8_t *residual) {
    __m512i sums[4];
    for (size_t v = 0; v < 4; v++) {
        sums[v] = _mm512_loadu_si512(acc + (v < vectors ? 16 * v : 0));
    }
    if (epilogue->kind == OCT_Q8_OUT_U8) {
        __m512i bytes = vectors == 4   ? oct_q8_requantize_avx512(epilogue, sums, multipliers, 4)
                        : vectors == 3 ? oct_q8_requantize_avx512(epilogue, sums, multipliers, 3)
                        : vectors == 2 ? oct_q8_requantize_avx512(epilogue, sums, multipliers, 2)
                                       : oct_q8_requantize_avx512(epilogue, sums, multipliers, 1);
        oct_q8_finish_bytes_avx512(epilogue, bytes, vectors, count, (uint8_t *)output + offset,
                                   residual);
        return;
    }
    __m512 words[4];
    for (size_t v = 0; v < vectors; v++) {
        words[v] =
            epilogue->kind == OCT_Q8_OUT_S32
                ? _mm512_castsi512_ps(sums[v])
                : _mm512_mul_ps(_mm512_cvtepi32_ps(sums[v]), _mm512_loadu_ps(multipliers + 16 * v));
    }
    store_words((float *)output + offset, words, vectors, count);
}
