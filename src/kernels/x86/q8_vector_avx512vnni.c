/* Elementwise int8 kernels with AVX-512. Where 512-bit operations take two 256-bit ones the AVX2
 * kernels are as fast; only tables gain, by the byte permutations of VBMI. */
#include <immintrin.h>

#include "kernels/x86/q8_x86.h"

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

const OctQ8VectorOps oct_q8_vector_avx512vnni = {
    .name = "q8_vector avx512vnni",
    .cpu = OCTET_CPU_AVX512_VNNI,
    .add = oct_q8_add_avx2,
    .add_scalar = oct_q8_add_scalar_avx2,
    .mul = oct_q8_mul_avx2,
    .mul_scalar = oct_q8_mul_scalar_avx2,
    .lookup = lookup,
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
