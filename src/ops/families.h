/* Every operator family, one line each; X is applied to the name. */
#ifndef OCT_OPS_FAMILIES_H
#define OCT_OPS_FAMILIES_H

#define OCT_OP_FAMILIES_TENSOR(X)                                                                  \
    X(arg)                                                                                         \
    X(binary)                                                                                      \
    X(cast)                                                                                        \
    X(center)                                                                                      \
    X(concat)                                                                                      \
    X(cumsum)                                                                                      \
    X(einsum)                                                                                      \
    X(expand)                                                                                      \
    X(gather)                                                                                      \
    X(identity)                                                                                    \
    X(loss)                                                                                        \
    X(matrix)                                                                                      \
    X(ngrams)                                                                                      \
    X(pad)                                                                                         \
    X(query)                                                                                       \
    X(random)                                                                                      \
    X(recurrent)                                                                                   \
    X(reduce)                                                                                      \
    X(reshape)                                                                                     \
    X(roi)                                                                                         \
    X(sampling)                                                                                    \
    X(scatter)                                                                                     \
    X(select)                                                                                      \
    X(signal)                                                                                      \
    X(signal_windows)                                                                              \
    X(slice)                                                                                       \
    X(suppression)                                                                                 \
    X(topk)                                                                                        \
    X(transpose)                                                                                   \
    X(unary)                                                                                       \
    X(unique)                                                                                      \
    X(where)

#define OCT_OP_FAMILIES_NETWORK(X)                                                                 \
    X(attention)                                                                                   \
    X(batch_norm)                                                                                  \
    X(bias_gelu)                                                                                   \
    X(conv)                                                                                        \
    X(conv_integer)                                                                                \
    X(deform_conv)                                                                                 \
    X(gemm)                                                                                        \
    X(matmul_integer)                                                                              \
    X(pool)                                                                                        \
    X(softmax)                                                                                     \
    X(normalization)                                                                               \
    X(channel_norm)                                                                                \
    X(resize)                                                                                      \
    X(quantize)

/* The engine's own operators. */
#define OCT_OP_FAMILIES_ENGINE(X) X(control) X(grid_normalize) X(grids) X(row_norm) X(sequence)

#endif
