#include "kernels/grid_affine_template.h"

extern const OctGridAffineBundle oct_grid_affine_avx2;
const OctGridAffineBundle oct_grid_affine_avx2 = {
    "grid_affine avx2", OCTET_CPU_AVX2, grid_affine_run, grid_affine_run_real, grid_line_run};
