/* NumPy's .npy format (numpy/lib/format.py), versions 1 to 3. */
#ifndef OCT_DATA_NPY_H
#define OCT_DATA_NPY_H

#include "data/source.h"
#include "octet/tensor.h"

/* An array in a file, of which rows (items along the first axis) can be read. */
typedef struct OctNpy OctNpy;

/* Takes the source over, also on failure. The data's size is checked against the source's. */
OctetStatus oct_npy_open(OctSource *source, OctNpy **npy, OctetDiagnostic *diagnostic);
OctetDType oct_npy_dtype(const OctNpy *npy);
const OctetShape *oct_npy_shape(const OctNpy *npy);
const char *oct_npy_name(const OctNpy *npy);
/* The whole array. */
OctetStatus oct_npy_read_all(OctNpy *npy, OctetTensor **tensor, OctetDiagnostic *diagnostic);
/* Items [first, first + count) of the first axis, which the array must have. Thread-safe. */
OctetStatus oct_npy_read_rows(OctNpy *npy, int64_t first, int64_t count, OctetTensor **tensor,
                              OctetDiagnostic *diagnostic);
void oct_npy_free(OctNpy *npy);

#endif
