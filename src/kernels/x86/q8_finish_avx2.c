#include "kernels/x86/q8_epilogue_avx2.h"

#include <string.h>

#include "kernels/x86/q8_x86.h"

void oct_q8_finish_block_avx2(const OctQ8Epilogue *epilogue, uint8_t *block, size_t rows,
                              size_t count, uint8_t *output, size_t stride, const uint8_t *residual,
                              size_t residual_stride) {
    if (epilogue->table) {
        oct_q8_lookup_avx2(epilogue->table, block, block, 16 * rows);
    }
    if (epilogue->has_add) {
        for (size_t r = 0; r < rows; r++) {
            uint8_t other[16] = {0};
            memcpy(other, residual + r * residual_stride, count);
            __m128i *row = (__m128i *)(void *)(block + 16 * r);
            __m128i q = _mm_loadu_si128(row);
            __m128i b = _mm_loadu_si128((const __m128i *)(const void *)other);
            q = epilogue->residual_is_a ? oct_q8_add_sixteen_avx2(&epilogue->add, b, q)
                                        : oct_q8_add_sixteen_avx2(&epilogue->add, q, b);
            _mm_storeu_si128(row, q);
        }
        if (epilogue->add_table) {
            oct_q8_lookup_avx2(epilogue->add_table, block, block, 16 * rows);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        memcpy(output + r * stride, block + 16 * r, count);
    }
}
