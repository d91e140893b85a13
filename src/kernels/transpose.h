/* Moving elements between layouts, for element sizes of 1, 2, 4 and 8 bytes. */
#ifndef OCT_KERNELS_TRANSPOSE_H
#define OCT_KERNELS_TRANSPOSE_H

#include "octet/status.h"

/* [rows][columns] to [columns][rows], `batch` matrices in a row; split among threads. NCHW to
 * NHWC is rows = C, columns = H * W, and back with the two exchanged. */
void oct_transpose_matrix(size_t element_size, size_t batch, size_t rows, size_t columns,
                          const void *input, void *output, OctetThreadPool *pool);

/* output's axis i is input's axis permutation[i]; rank 0..8. Not in place. */
void oct_transpose(size_t element_size, int32_t rank, const int64_t *input_dims,
                   const int32_t *permutation, const void *input, void *output,
                   OctetThreadPool *pool);

#endif
