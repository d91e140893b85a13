/* Loops that are unrolled by the preprocessor. gcc 12 keeps an array of accumulators in memory
 * when its index is a loop variable until late in the compilation, even where the loop is
 * unrolled by a pragma; here every index is a constant from the start. */
#ifndef OCT_KERNELS_Q8_UNROLL_H
#define OCT_KERNELS_Q8_UNROLL_H

#include <stddef.h>
#include <stdint.h>

#define OCT_INLINE static inline __attribute__((always_inline))

#define OCT_ONE(name, value, limit, ...)                                                           \
    {                                                                                              \
        enum { name = value };                                                                     \
        if (name < (limit)) {                                                                      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* The code once for each r in [0, rows), rows being a constant up to 8. */
#define OCT_EACH_ROW(r, rows, ...)                                                                 \
    do {                                                                                           \
        OCT_ONE(r, 0, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 1, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 2, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 3, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 4, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 5, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 6, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 7, rows, __VA_ARGS__)                                                           \
    } while (0)

/* Likewise for tiles of up to 14 rows. */
#define OCT_EACH_OF_14(r, rows, ...)                                                               \
    do {                                                                                           \
        OCT_ONE(r, 0, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 1, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 2, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 3, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 4, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 5, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 6, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 7, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 8, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 9, rows, __VA_ARGS__)                                                           \
        OCT_ONE(r, 10, rows, __VA_ARGS__)                                                          \
        OCT_ONE(r, 11, rows, __VA_ARGS__)                                                          \
        OCT_ONE(r, 12, rows, __VA_ARGS__)                                                          \
        OCT_ONE(r, 13, rows, __VA_ARGS__)                                                          \
    } while (0)

#define OCT_ONE_INNER(name, value, limit, ...)                                                     \
    {                                                                                              \
        enum { name = value };                                                                     \
        if (name < (limit)) {                                                                      \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }

/* Likewise for each v in [0, vectors), up to 4; may stand inside OCT_EACH_ROW. */
#define OCT_EACH_VECTOR(v, vectors, ...)                                                           \
    do {                                                                                           \
        OCT_ONE_INNER(v, 0, vectors, __VA_ARGS__)                                                  \
        OCT_ONE_INNER(v, 1, vectors, __VA_ARGS__)                                                  \
        OCT_ONE_INNER(v, 2, vectors, __VA_ARGS__)                                                  \
        OCT_ONE_INNER(v, 3, vectors, __VA_ARGS__)                                                  \
    } while (0)

#endif
