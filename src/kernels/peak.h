/* What one core can do at most: the yardstick of `octet bench`. */
#ifndef OCT_KERNELS_PEAK_H
#define OCT_KERNELS_PEAK_H

#include "octet/status.h"

/* Multiply-accumulates a second of the level's best integer and float instruction on registers
 * alone, measured for some milliseconds; the fastest of several tries, since other programs only
 * ever make it slower. */
double oct_peak_int8(OctetCpu cpu);
double oct_peak_f32(OctetCpu cpu);
/* Bytes a second read from main memory by one core; 0 when out of memory. */
double oct_peak_bandwidth(void);

#endif
