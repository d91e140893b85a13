/* Every operator family, one line each; X is applied to the name. */
#ifndef OCT_OPS_FAMILIES_H
#define OCT_OPS_FAMILIES_H

#define OCT_OP_FAMILIES_TENSOR(X)                                                                  \
    X(binary)                                                                                      \
    X(cast)                                                                                        \
    X(concat)                                                                                      \
    X(expand)                                                                                      \
    X(gather)                                                                                      \
    X(identity)                                                                                    \
    X(pad)                                                                                         \
    X(query)                                                                                       \
    X(reshape)                                                                                     \
    X(scatter)                                                                                     \
    X(slice)                                                                                       \
    X(transpose)                                                                                   \
    X(unary)

#define OCT_OP_FAMILIES_NETWORK(X)

/* The engine's own operators. */
#define OCT_OP_FAMILIES_ENGINE(X) X(control) X(grids)

#endif
