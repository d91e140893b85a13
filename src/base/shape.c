#include "base/mem.h"
#include "octet/tensor.h"

#include <inttypes.h>
#include <stdio.h>

bool octet_shape_count(const OctetShape *shape, int64_t *count) {
    if (shape->rank < 0 || shape->rank > OCTET_MAX_RANK) {
        return false;
    }
    int64_t product = 1;
    bool zero = false;
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) {
            return false;
        }
        zero = zero || shape->dims[i] == 0;
    }
    for (int32_t i = 0; i < shape->rank && !zero; i++) {
        if (!oct_mul_i64(product, shape->dims[i], &product)) {
            return false;
        }
    }
    *count = zero ? 0 : product;
    return true;
}

bool octet_shape_equal(const OctetShape *a, const OctetShape *b) {
    if (a->rank != b->rank) {
        return false;
    }
    for (int32_t i = 0; i < a->rank; i++) {
        if (a->dims[i] != b->dims[i]) {
            return false;
        }
    }
    return true;
}

int octet_shape_format(const OctetShape *shape, char *buffer, size_t size) {
    if (shape->rank < 0) {
        return snprintf(buffer, size, "?");
    }
    if (shape->rank == 0) {
        return snprintf(buffer, size, "scalar");
    }
    int used = 0;
    for (int32_t i = 0; i < shape->rank; i++) {
        char *place = (size_t)used < size ? buffer + used : NULL;
        size_t room = place ? size - (size_t)used : 0;
        const char *separator = i ? "x" : "";
        used += shape->dims[i] < 0 ? snprintf(place, room, "%s?", separator)
                                   : snprintf(place, room, "%s%" PRId64, separator, shape->dims[i]);
    }
    return used;
}
