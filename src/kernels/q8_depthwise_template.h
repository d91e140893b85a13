/* Depthwise convolution for one width of vectors; included once a width, with these macros:
 *   SUFFIX(name)          the name of this width
 *   V, W, LANES           the vector types of bytes and of 32-bit sums, lanes of 128 bits
 *   LOAD(pixel, count)    16 * LANES bytes, of which only `count` may be read
 *   LOADW(pointer), LOADB(pointer)   a whole vector of weights, of sums
 *   ZERO(), LOW8, HIGH8, LOW16, HIGH16 (unpacks)
 *   WEIGHT_BYTES, DOT(acc, x, pointer)   bytes of a packed weight; acc plus the products with the
 *                         weights of one vector
 *   PAIRS, DOTW(acc, x, w)   if there are registers for two outputs at a time; weights of 1 byte
 *   FINISH(args, constants, acc, multipliers, count, pixel, channel)   stores 16 * LANES channels
 *   CONSTANTS, MAKE_CONSTANTS(epilogue)   what FINISH wants to have in registers
 *
 * Bytes of four taps are interleaved by two levels of unpack, so that every 32-bit element holds
 * the four values of one channel; the four vectors that result have their channels in the order
 * of q8_pack.h. A block of 16 * LANES channels is packed as
 *   s32 bias[16 * LANES], f32 multipliers[16 * LANES], then a vector of weights for each of the
 *   four vectors of each group of taps.
 * Kernels of 3 x 3 take the three rows of a column (and a zero) as a group: a column that is
 * interleaved once serves three outputs. So do kernels of 5 x 5 with the first four rows of their
 * columns; the last row makes two groups more. Others take their taps four at a time in order. */

#define WIDTH ((size_t)16 * LANES)

/* The interleaved values of four taps. */
OCT_INLINE void SUFFIX(interleave)(V a, V b, V c, V d, V *x) {
    V ab_low = LOW8(a, b), ab_high = HIGH8(a, b);
    V cd_low = LOW8(c, d), cd_high = HIGH8(c, d);
    x[0] = LOW16(ab_low, cd_low);
    x[1] = HIGH16(ab_low, cd_low);
    x[2] = LOW16(ab_high, cd_high);
    x[3] = HIGH16(ab_high, cd_high);
}

OCT_INLINE void SUFFIX(accumulate)(W *acc, const V *x, const uint8_t *weights) {
    OCT_EACH_VECTOR(v, 4, acc[v] = DOT(acc[v], x[v], weights + WIDTH * WEIGHT_BYTES * v););
}

OCT_INLINE void SUFFIX(column)(const OctQ8DepthwiseArgs *args, size_t column, size_t channel,
                               size_t count, V *x) {
    const uint8_t *const *p = args->pointers + column;
    V a = LOAD(p[0] + channel, count), b = LOAD(p[args->row_stride] + channel, count);
    V c = LOAD(p[2 * args->row_stride] + channel, count);
    SUFFIX(interleave)(a, b, c, ZERO(), x);
}

#ifdef PAIRS
/* Two accumulators plus the products of two columns with the same weights, loaded once. */
OCT_INLINE void SUFFIX(accumulate_pair)(W *first, W *second, const V *x, const V *y,
                                        const uint8_t *weights) {
    OCT_EACH_VECTOR(v, 4, {
        const V w = LOADW(weights + WIDTH * v);
        first[v] = DOTW(first[v], x[v], w);
        second[v] = DOTW(second[v], y[v], w);
    });
}

/* Two outputs at a time, from pixel *p on: a vector of weights is loaded for both of them, loads
 * being what limits one at a time. */
OCT_INLINE void SUFFIX(three_by_three_pairs)(const OctQ8DepthwiseArgs *args, const uint8_t *block,
                                             const CONSTANTS *constants, size_t channel,
                                             size_t count, size_t stride, size_t *p, V *left,
                                             V *middle) {
    const uint8_t *weights = block + 8 * WIDTH;
    const float *multipliers = (const float *)(const void *)(block + 4 * WIDTH);
    for (; *p + 2 <= args->pixels; *p += 2) {
        W a[4], b[4];
        V x[4], y[4];
        size_t at = *p * stride;
        OCT_EACH_VECTOR(v, 4, a[v] = b[v] = LOADB(block + WIDTH * v););
        if (stride == 1) {
            SUFFIX(accumulate_pair)(a, b, left, middle, weights);
            SUFFIX(column)(args, at + 2, channel, count, x);
            SUFFIX(accumulate_pair)(a, b, middle, x, weights + 4 * WIDTH);
            SUFFIX(column)(args, at + 3, channel, count, y);
            SUFFIX(accumulate_pair)(a, b, x, y, weights + 8 * WIDTH);
            OCT_EACH_VECTOR(v, 4, {
                left[v] = x[v];
                middle[v] = y[v];
            });
        } else {
            SUFFIX(column)(args, at + 2, channel, count, x);
            SUFFIX(accumulate_pair)(a, b, left, x, weights);
            SUFFIX(column)(args, at + 1, channel, count, y);
            SUFFIX(column)(args, at + 3, channel, count, left);
            SUFFIX(accumulate_pair)(a, b, y, left, weights + 4 * WIDTH);
            SUFFIX(column)(args, at + 4, channel, count, left);
            SUFFIX(accumulate_pair)(a, b, x, left, weights + 8 * WIDTH);
        }
        FINISH(args, constants, a, multipliers, count, *p, channel);
        FINISH(args, constants, b, multipliers, count, *p + 1, channel);
    }
}
#endif

/* stride 1 and 2 keep the columns that the next output needs, too; 0 stands for any stride and
 * dilation. */
OCT_INLINE void SUFFIX(three_by_three)(const OctQ8DepthwiseArgs *args, const uint8_t *block,
                                       size_t channel, size_t count, size_t stride) {
    const uint8_t *weights = block + 8 * WIDTH;
    const CONSTANTS constants = MAKE_CONSTANTS(args->epilogue);
    V left[4] = {ZERO()}, middle[4] = {ZERO()}, right[4];
    if (stride != 0) {
        SUFFIX(column)(args, 0, channel, count, left);
    }
    if (stride == 1) {
        SUFFIX(column)(args, 1, channel, count, middle);
    }
    size_t p = 0;
#ifdef PAIRS
    if (stride != 0) {
        SUFFIX(three_by_three_pairs)
        (args, block, &constants, channel, count, stride, &p, left, middle);
    }
#endif
    for (; p < args->pixels; p++) {
        W acc[4];
        OCT_EACH_VECTOR(v, 4, acc[v] = LOADB(block + WIDTH * v););
        size_t first = p * args->stride_w;
        if (stride == 0) {
            SUFFIX(column)(args, first, channel, count, left);
        }
        if (stride != 1) {
            SUFFIX(column)(args, first + args->dilation_w, channel, count, middle);
        }
        SUFFIX(column)(args, first + 2 * args->dilation_w, channel, count, right);
        SUFFIX(accumulate)(acc, left, weights);
        SUFFIX(accumulate)(acc, middle, weights + 4 * WIDTH * WEIGHT_BYTES);
        SUFFIX(accumulate)(acc, right, weights + 8 * WIDTH * WEIGHT_BYTES);
        FINISH(args, &constants, acc, (const float *)(const void *)(block + 4 * WIDTH), count, p,
               channel);
        OCT_EACH_VECTOR(v, 4, {
            left[v] = stride == 1 ? middle[v] : right[v];
            middle[v] = right[v];
        });
    }
}

/* The first four rows of a column of 5 x 5. */
OCT_INLINE void SUFFIX(tall_column)(const OctQ8DepthwiseArgs *args, size_t column, size_t channel,
                                    size_t count, V *x) {
    const uint8_t *const *p = args->pointers + column;
    V a = LOAD(p[0] + channel, count), b = LOAD(p[args->row_stride] + channel, count);
    V c = LOAD(p[2 * args->row_stride] + channel, count);
    SUFFIX(interleave)(a, b, c, LOAD(p[3 * args->row_stride] + channel, count), x);
}

OCT_INLINE void SUFFIX(five_by_five)(const OctQ8DepthwiseArgs *args, const uint8_t *block,
                                     size_t channel, size_t count, size_t stride) {
    const uint8_t *weights = block + 8 * WIDTH;
    const CONSTANTS constants = MAKE_CONSTANTS(args->epilogue);
    size_t step = args->dilation_w, kept = stride == 0 ? 0 : 5 - stride;
    V x[5][4] = {{ZERO()}}, last[4];
    OCT_EACH_ROW(i, 4, {
        if (i < kept) {
            SUFFIX(tall_column)(args, i, channel, count, x[i]);
        }
    });
    for (size_t p = 0; p < args->pixels; p++) {
        W acc[4];
        OCT_EACH_VECTOR(v, 4, acc[v] = LOADB(block + WIDTH * v););
        size_t first = p * args->stride_w;
        OCT_EACH_ROW(i, 5, {
            if (i >= kept) {
                SUFFIX(tall_column)(args, first + i * step, channel, count, x[i]);
            }
            SUFFIX(accumulate)(acc, x[i], weights + 4 * WIDTH * WEIGHT_BYTES * i);
        });
        const uint8_t *const *row = args->pointers + 4 * args->row_stride + first;
        V a = LOAD(row[0] + channel, count), b = LOAD(row[step] + channel, count);
        V c = LOAD(row[2 * step] + channel, count), d = LOAD(row[3 * step] + channel, count);
        SUFFIX(interleave)(a, b, c, d, last);
        SUFFIX(accumulate)(acc, last, weights + 20 * WIDTH * WEIGHT_BYTES);
        V e = LOAD(row[4 * step] + channel, count);
        SUFFIX(interleave)(e, ZERO(), ZERO(), ZERO(), last);
        SUFFIX(accumulate)(acc, last, weights + 24 * WIDTH * WEIGHT_BYTES);
        FINISH(args, &constants, acc, (const float *)(const void *)(block + 4 * WIDTH), count, p,
               channel);
        OCT_EACH_ROW(i, 4, {
            if (i < kept) {
                OCT_EACH_VECTOR(v, 4, x[i][v] = x[i + stride][v];);
            }
        });
    }
}

/* Any kernel, its taps in order. */
static void SUFFIX(any_kernel)(const OctQ8DepthwiseArgs *args, const uint8_t *block, size_t channel,
                               size_t count) {
    const CONSTANTS constants = MAKE_CONSTANTS(args->epilogue);
    size_t taps = args->kernel_h * args->kernel_w, padded_taps = (taps + 3) / 4 * 4;
    size_t offsets[MAX_TAPS + 3];
    for (size_t t = 0; t < taps; t++) {
        offsets[t] = t / args->kernel_w * args->row_stride + t % args->kernel_w * args->dilation_w;
    }
    for (size_t t = taps; t < padded_taps; t++) {
        offsets[t] = 0; /* any pixel will do: the weights are zero */
    }
    for (size_t p = 0; p < args->pixels; p++) {
        const uint8_t *const *first = args->pointers + p * args->stride_w;
        W acc[4];
        OCT_EACH_VECTOR(v, 4, acc[v] = LOADB(block + WIDTH * v););
        const uint8_t *weights = block + 8 * WIDTH;
        for (size_t t = 0; t < padded_taps; t += 4) {
            V x[4];
            OCT_EACH_VECTOR(i, 4, x[i] = LOAD(first[offsets[t + i]] + channel, count););
            SUFFIX(interleave)(x[0], x[1], x[2], x[3], x);
            SUFFIX(accumulate)(acc, x, weights);
            weights += 4 * WIDTH * WEIGHT_BYTES;
        }
        FINISH(args, &constants, acc, (const float *)(const void *)(block + 4 * WIDTH), count, p,
               channel);
    }
}

/* Constants for `count` and `stride` make functions of their own of the common cases. */
#define STRIDES(function)                                                                          \
    do {                                                                                           \
        if (args->dilation_w == 1 && args->stride_w == 1) {                                        \
            if (count == WIDTH) {                                                                  \
                function(args, block, channel, WIDTH, 1);                                          \
            } else {                                                                               \
                function(args, block, channel, count, 1);                                          \
            }                                                                                      \
        } else if (args->dilation_w == 1 && args->stride_w == 2) {                                 \
            if (count == WIDTH) {                                                                  \
                function(args, block, channel, WIDTH, 2);                                          \
            } else {                                                                               \
                function(args, block, channel, count, 2);                                          \
            }                                                                                      \
        } else {                                                                                   \
            function(args, block, channel, count, 0);                                              \
        }                                                                                          \
    } while (0)

static __attribute__((noinline)) void SUFFIX(block_3x3)(const OctQ8DepthwiseArgs *args,
                                                        const uint8_t *block, size_t channel,
                                                        size_t count) {
    STRIDES(SUFFIX(three_by_three));
}

static __attribute__((noinline)) void SUFFIX(block_5x5)(const OctQ8DepthwiseArgs *args,
                                                        const uint8_t *block, size_t channel,
                                                        size_t count) {
    STRIDES(SUFFIX(five_by_five));
}

static void SUFFIX(block)(const OctQ8DepthwiseArgs *args, const uint8_t *block, size_t channel,
                          size_t count) {
    if (args->kernel_h == 3 && args->kernel_w == 3) {
        SUFFIX(block_3x3)(args, block, channel, count);
    } else if (args->kernel_h == 5 && args->kernel_w == 5) {
        SUFFIX(block_5x5)(args, block, channel, count);
    } else {
        SUFFIX(any_kernel)(args, block, channel, count);
    }
}

#undef STRIDES
#undef WIDTH
