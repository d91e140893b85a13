#include <immintrin.h>

#include "kernels/grid_affine_template.h"
#include "kernels/q8_unroll.h"

/* The numbers of up to 64 channels, in registers while pixels go by. */
typedef struct Lines {
    __m512 multiply[4], shift[4], maximum;
    __m512i minimum;
} Lines;

/* Of `count` channels from c on, followed by themselves `repeat` vectors later. */
OCT_INLINE Lines load_lines(const OctGridLine *line, size_t c, size_t count, size_t repeat) {
    Lines lines = {.maximum = _mm512_set1_ps(line->maximum),
                   .minimum = _mm512_set1_epi8((char)line->minimum)};
    OCT_EACH_VECTOR(v, 4, {
        const size_t at = 16 * (v % repeat), left = count > at ? count - at : 0;
        const __mmask16 some = (__mmask16)(left < 16 ? (1u << left) - 1 : 0xFFFF);
        lines.multiply[v] = _mm512_maskz_loadu_ps(some, line->multiply + c + at);
        lines.shift[v] = _mm512_maskz_loadu_ps(some, line->shift + c + at);
    });
    return lines;
}

OCT_INLINE __m512i apply_lines(const Lines *lines, __m512i bytes) {
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    __m512i q[4];
    OCT_EACH_VECTOR(v, 4, {
        const __m512i wide = _mm512_cvtepu8_epi32(_mm512_extracti32x4_epi32(bytes, v));
        __m512 level =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(wide), lines->multiply[v], lines->shift[v]);
        /* NaN stays, becomes the lowest integer and, by the packs and the clamp, the minimum */
        q[v] = _mm512_cvtps_epi32(_mm512_min_ps(lines->maximum, level));
    });
    __m512i packed =
        _mm512_packus_epi16(_mm512_packs_epi32(q[0], q[1]), _mm512_packs_epi32(q[2], q[3]));
    return _mm512_max_epu8(_mm512_permutexvar_epi32(order, packed), lines->minimum);
}

/* Channels [c, c + count) of all pixels, up to 64. */
OCT_INLINE void run_lines(const OctGridLine *line, const uint8_t *x, size_t x_stride, uint8_t *y,
                          size_t y_stride, size_t pixels, size_t c, size_t count) {
    const Lines lines = load_lines(line, c, count, 4);
    const __mmask64 mask = count == 64 ? ~(__mmask64)0 : ((__mmask64)1 << count) - 1;
    for (size_t p = 0; p < pixels; p++) {
        __m512i bytes = _mm512_maskz_loadu_epi8(mask, x + p * x_stride + c);
        bytes = apply_lines(&lines, bytes);
        if (count == 64) {
            _mm512_storeu_si512(y + p * y_stride + c, bytes);
        } else {
            _mm512_mask_storeu_epi8(y + p * y_stride + c, mask, bytes);
        }
    }
}

/* The same for 32 channels, two pixels at a time: what a dense block adds a layer. */
static size_t run_line_pairs(const OctGridLine *line, const uint8_t *x, size_t x_stride, uint8_t *y,
                             size_t y_stride, size_t pixels, size_t c) {
    const Lines lines = load_lines(line, c, 32, 2);
    size_t p = 0;
    for (; p + 2 <= pixels; p += 2) {
        const uint8_t *from = x + p * x_stride + c;
        uint8_t *to = y + p * y_stride + c;
        __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)from);
        __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(from + x_stride));
        __m512i bytes = _mm512_inserti64x4(_mm512_castsi256_si512(first), second, 1);
        bytes = apply_lines(&lines, bytes);
        _mm256_storeu_si256((__m256i *)(void *)to, _mm512_castsi512_si256(bytes));
        _mm256_storeu_si256((__m256i *)(void *)(to + y_stride),
                            _mm512_extracti64x4_epi64(bytes, 1));
    }
    return p;
}

static void line_run(const OctGridLine *line, const uint8_t *x, size_t x_stride, uint8_t *y,
                     size_t y_stride, size_t pixels, size_t channels) {
    size_t c = 0;
    for (; c + 64 <= channels; c += 64) {
        run_lines(line, x, x_stride, y, y_stride, pixels, c, 64);
    }
    if (channels - c == 32) {
        size_t done = run_line_pairs(line, x, x_stride, y, y_stride, pixels, c);
        x += done * x_stride;
        y += done * y_stride;
        pixels -= done;
    }
    if (c < channels) {
        run_lines(line, x, x_stride, y, y_stride, pixels, c, channels - c);
    }
}

extern const OctGridAffineBundle oct_grid_affine_avx512;
const OctGridAffineBundle oct_grid_affine_avx512 = {
    "grid_affine avx512", OCTET_CPU_AVX512_VNNI, grid_affine_run, grid_affine_run_real, line_run};
