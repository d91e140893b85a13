#include "kernels/peak.h"
#include "octet/session.h"

void octet_measure_peak(OctetPeak *peak) {
    OctetCpu cpu = octet_get_cpu();
    *peak = (OctetPeak){.int8_macs_per_second = oct_peak_int8(cpu),
                        .f32_macs_per_second = oct_peak_f32(cpu),
                        .bytes_per_second = oct_peak_bandwidth()};
}
