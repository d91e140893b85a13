/* Ending a tile of an AVX-512 int8 kernel piece by piece, so that each piece overlaps with products
 * of the next tile. A unit is what fills one vector of 64 bytes: a row of 64 or 48 channels, two of
 * 32, four of 16. */
#ifndef OCT_KERNELS_Q8_OVERLAP_AVX512_H
#define OCT_KERNELS_Q8_OVERLAP_AVX512_H

#include "kernels/x86/q8_epilogue_avx512.h"

/* The epilogues that units can have. */
typedef enum OctQ8Finish {
    OCT_Q8_FINISH_ADD,    /* q + residual, without tables */
    OCT_Q8_FINISH_ADD_TO, /* residual + q */
    OCT_Q8_FINISH_TABLE,  /* table[q]; needs AVX512-VBMI */
    OCT_Q8_FINISH_PLAIN,  /* q */
    OCT_Q8_FINISH_OTHER   /* none of these: a whole tile at once */
} OctQ8Finish;

OCT_INLINE OctQ8Finish oct_q8_finish_of(const OctQ8Epilogue *epilogue) {
    if (epilogue->kind != OCT_Q8_OUT_U8 || !epilogue->bounded) {
        return OCT_Q8_FINISH_OTHER;
    }
    if (epilogue->has_add) {
        bool only = !epilogue->table && !epilogue->add_table;
        return !only                     ? OCT_Q8_FINISH_OTHER
               : epilogue->residual_is_a ? OCT_Q8_FINISH_ADD_TO
                                         : OCT_Q8_FINISH_ADD;
    }
    if (!epilogue->table) {
        return OCT_Q8_FINISH_PLAIN;
    }
    return __builtin_cpu_supports("avx512vbmi") ? OCT_Q8_FINISH_TABLE : OCT_Q8_FINISH_OTHER;
}

/* What a kernel call's units share. */
typedef struct OctQ8Unit512 {
    OctQ8Requantize512 requantize;
    OctQ8Add512 add;
    __m512 zero_point, low, high; /* of q */
    __m512i table[4];
} OctQ8Unit512;

OCT_INLINE void oct_q8_unit_init_avx512(OctQ8Unit512 *unit, const OctQ8Epilogue *epilogue,
                                        OctQ8Finish finish) {
    unit->requantize = oct_q8_requantize_constants_avx512(epilogue);
    if (finish == OCT_Q8_FINISH_ADD || finish == OCT_Q8_FINISH_ADD_TO) {
        unit->add = oct_q8_add_constants_avx512(epilogue);
        unit->zero_point = _mm512_set1_ps(epilogue->zero_point);
        unit->low = _mm512_set1_ps(epilogue->minimum);
        unit->high = _mm512_set1_ps(epilogue->maximum);
    }
    if (finish == OCT_Q8_FINISH_TABLE) {
        OCT_EACH_VECTOR(i, 4,
                        unit->table[i] = _mm512_loadu_si512(epilogue->table + (size_t)64 * i););
    }
}

/* table[byte] for each byte. In assembly, since the file is compiled for CPUs without VBMI. */
OCT_INLINE __m512i oct_q8_lookup_vbmi(const __m512i *table, __m512i bytes) {
    __m512i low = bytes, high = bytes;
    __asm__("vpermi2b %2, %1, %0" : "+v"(low) : "v"(table[0]), "vm"(table[1]));
    __asm__("vpermi2b %2, %1, %0" : "+v"(high) : "v"(table[2]), "vm"(table[3]));
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(bytes), low, high);
}

/* The bytes of a unit in order, from 4, 4, 3 accumulators (4, 1 or 2, 3 vectors a row). */
OCT_INLINE __m512i oct_q8_unit_bytes_avx512(const OctQ8Requantize512 *constants, const __m512i *acc,
                                            const float *multipliers, size_t vectors) {
    if (vectors == 4) {
        return oct_q8_requantize_avx512(constants, true, acc, multipliers, 4);
    }
    __m512i q[4];
    OCT_EACH_VECTOR(v, 4, {
        const __m512i sums = vectors == 3 && v == 3 ? acc[0] : acc[v];
        const size_t column = vectors == 3 ? v % 3 : v % vectors;
        q[v] = _mm512_cvtps_epi32(
            _mm512_mul_ps(_mm512_cvtepi32_ps(sums), _mm512_loadu_ps(multipliers + 16 * column)));
    });
    __m512i bytes = oct_q8_narrow_avx512(constants, q);
    if (vectors == 2) {
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), bytes);
    }
    const __m512i order =
        vectors == 3 ? _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15)
                     : _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, bytes);
}

/* A unit's residual or output: rows of `count` bytes, `stride` apart. */
OCT_INLINE __m512i oct_q8_load_unit_avx512(const uint8_t *x, size_t stride, size_t vectors,
                                           size_t count) {
    const uint64_t mask = count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
    if (vectors >= 3) {
        return count == 64 ? _mm512_loadu_si512(x) : _mm512_maskz_loadu_epi8(mask, x);
    }
    if (vectors == 2) {
        __m256i first = _mm256_maskz_loadu_epi8((__mmask32)mask, x);
        __m256i second = _mm256_maskz_loadu_epi8((__mmask32)mask, x + stride);
        return _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
    }
    __m512i rows = _mm512_setzero_si512();
    OCT_EACH_VECTOR(r, 4, {
        __m128i row = _mm_maskz_loadu_epi8((__mmask16)mask, x + r * stride);
        rows = _mm512_inserti32x4(rows, row, r);
    });
    return rows;
}

OCT_INLINE void oct_q8_store_unit_avx512(uint8_t *y, size_t stride, size_t vectors, size_t count,
                                         __m512i bytes) {
    const uint64_t mask = count == 64 ? ~UINT64_C(0) : (UINT64_C(1) << count) - 1;
    if (vectors >= 3) {
        if (count == 64) {
            _mm512_storeu_si512(y, bytes);
        } else {
            _mm512_mask_storeu_epi8(y, mask, bytes);
        }
    } else if (vectors == 2 && count == 32) {
        _mm256_storeu_si256((__m256i *)(void *)y, _mm512_castsi512_si256(bytes));
        _mm256_storeu_si256((__m256i *)(void *)(y + stride), _mm512_extracti64x4_epi64(bytes, 1));
    } else if (vectors == 2) {
        _mm256_mask_storeu_epi8(y, (__mmask32)mask, _mm512_castsi512_si256(bytes));
        _mm256_mask_storeu_epi8(y + stride, (__mmask32)mask, _mm512_extracti64x4_epi64(bytes, 1));
    } else {
        OCT_EACH_VECTOR(r, 4, {
            __m128i row = _mm512_extracti32x4_epi32(bytes, r);
            if (count == 16) {
                _mm_storeu_si128((__m128i *)(void *)(y + r * stride), row);
            } else {
                _mm_mask_storeu_epi8(y + r * stride, (__mmask16)mask, row);
            }
        });
    }
}

/* A row of 64 channels plus its residual. q, a whole number, needs no detour over bytes. */
OCT_INLINE __m512i oct_q8_sum_unit_avx512(const OctQ8Unit512 *unit, const __m512i *acc,
                                          const float *multipliers, __m512i residual,
                                          bool residual_is_a) {
    const OctQ8Add512 *add = &unit->add;
    __m512i sums[4];
    OCT_EACH_VECTOR(v, 4, {
        __m512 q = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[v]), _mm512_loadu_ps(multipliers + 16 * v));
        q = _mm512_add_ps(_mm512_roundscale_ps(q, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC),
                          unit->zero_point);
        q = _mm512_min_ps(_mm512_max_ps(q, unit->low), unit->high);
        sums[v] = _mm512_cvtps_epi32(
            oct_q8_add_floats_avx512(add, q, oct_q8_widen_avx512(residual, v), residual_is_a));
    });
    return oct_q8_sums_to_bytes_avx512(add, sums);
}

OCT_INLINE void oct_q8_finish_unit_avx512(const OctQ8Unit512 *unit, OctQ8Finish finish,
                                          const __m512i *acc, const float *multipliers,
                                          size_t vectors, size_t count, uint8_t *y, size_t stride,
                                          const uint8_t *residual, size_t residual_stride) {
    __m512i bytes;
    if (finish == OCT_Q8_FINISH_PLAIN) {
        bytes = oct_q8_unit_bytes_avx512(&unit->requantize, acc, multipliers, vectors);
    } else if (finish == OCT_Q8_FINISH_TABLE) {
        bytes = oct_q8_unit_bytes_avx512(&unit->requantize, acc, multipliers, vectors);
        bytes = oct_q8_lookup_vbmi(unit->table, bytes);
    } else {
        const bool residual_is_a = finish == OCT_Q8_FINISH_ADD_TO;
        __m512i other = oct_q8_load_unit_avx512(residual, residual_stride, vectors, count);
        if (vectors == 4) {
            bytes = oct_q8_sum_unit_avx512(unit, acc, multipliers, other, residual_is_a);
        } else {
            bytes = oct_q8_unit_bytes_avx512(&unit->requantize, acc, multipliers, vectors);
            bytes = oct_q8_add_avx512(&unit->add, bytes, other, residual_is_a, true);
        }
    }
    oct_q8_store_unit_avx512(y, stride, vectors, count, bytes);
}

#endif
