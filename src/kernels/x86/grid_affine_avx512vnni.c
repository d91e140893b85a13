#include "kernels/grid_affine_template.h"

extern const OctGridAffineBundle oct_grid_affine_avx512;
const OctGridAffineBundle oct_grid_affine_avx512 = {"grid_affine avx512", OCTET_CPU_AVX512_VNNI,
                                                    grid_affine_run, grid_affine_run_real,
                                                    grid_line_run};
