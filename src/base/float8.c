#include "base/float8.h"

#include <math.h>
#include <string.h>

typedef struct Format {
    int mantissa_bits;
    int bias;
    unsigned most;     /* the code of the largest number */
    unsigned overflow; /* what numbers beyond it become without saturation */
    unsigned nan;
    bool negative_zero; /* FNUZ formats use that code for NaN, their only one */
} Format;

bool oct_dtype_is_float8(OctetDType dtype) {
    return dtype >= OCTET_F8E4M3FN && dtype <= OCTET_F8E5M2FNUZ;
}

static const Format *format_of(OctetDType dtype) {
    static const Format formats[] = {{3, 7, 0x7e, 0x7f, 0x7f, true},
                                     {3, 8, 0x7f, 0x80, 0x80, false},
                                     {2, 15, 0x7b, 0x7c, 0x7f, true},
                                     {2, 16, 0x7f, 0x80, 0x80, false}};
    return &formats[dtype - OCTET_F8E4M3FN];
}

float oct_float8_decode(OctetDType dtype, uint8_t code) {
    const Format *format = format_of(dtype);
    unsigned magnitude = code & 0x7f;
    bool negative = code > 0x7f;
    float value;
    if (format->negative_zero ? magnitude > format->most : code == format->nan) {
        value = magnitude == format->overflow && format->overflow != format->nan ? INFINITY : NAN;
    } else {
        int exponent = (int)(magnitude >> format->mantissa_bits);
        int hidden = exponent > 0 ? 1 << format->mantissa_bits : 0;
        int mantissa = (int)magnitude & ((1 << format->mantissa_bits) - 1);
        exponent = exponent > 0 ? exponent : 1;
        value = ldexpf((float)(hidden + mantissa), exponent - format->bias - format->mantissa_bits);
    }
    return negative ? -value : value;
}

uint8_t oct_float8_encode(OctetDType dtype, double value, bool saturate) {
    const Format *format = format_of(dtype);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    unsigned sign = bits >> 63 ? 0x80 : 0;
    unsigned code = format->nan;
    if (!isnan(value)) {
        double magnitude = fmin(fabs(value), 0x1p17); /* far beyond every format */
        int exponent = (int)((bits >> 52) & 0x7ff) - 1023;
        exponent = exponent > 17 ? 17 : exponent;
        exponent = exponent < 1 - format->bias ? 1 - format->bias : exponent;
        /* Counted in steps of the last place, a mantissa that rounds up to 2 carries by itself. */
        uint64_t step = (uint64_t)(1023 + format->mantissa_bits - exponent) << 52;
        double steps_per_one;
        memcpy(&steps_per_one, &step, sizeof steps_per_one);
        code = ((unsigned)(exponent + format->bias - 1) << format->mantissa_bits) +
               (unsigned)rint(magnitude * steps_per_one);
        if (code > format->most) {
            code = saturate ? format->most : format->overflow;
        }
    }
    if (!format->negative_zero && code == 0) {
        return 0;
    }
    return (uint8_t)(code | sign);
}
