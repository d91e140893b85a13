/* Every operator family, one line each; X is applied to the name. */
#ifndef OCT_OPS_FAMILIES_H
#define OCT_OPS_FAMILIES_H

#define OCT_OP_FAMILIES_TENSOR(X) X(identity)

#define OCT_OP_FAMILIES_NETWORK(X)

#endif
