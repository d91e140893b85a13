#include "kernels/grid_affine.h"
#include "base/cpu.h"
#include "kernels/grid_affine_template.h"

static const OctGridAffineBundle portable = {"grid_affine portable", OCTET_CPU_PORTABLE,
                                             grid_affine_run, grid_affine_run_real, grid_line_run};

#if defined(__x86_64__)
extern const OctGridAffineBundle oct_grid_affine_avx2, oct_grid_affine_avx512;
static const OctGridAffineBundle *const ladder[] = {&oct_grid_affine_avx512, &oct_grid_affine_avx2,
                                                    &portable};
#else
static const OctGridAffineBundle *const ladder[] = {&portable};
#endif

const OctGridAffineBundle *oct_grid_affine_select(OctetCpu cpu) {
    size_t i = 0;
    while (ladder[i] != &portable && !oct_cpu_has(cpu, ladder[i]->cpu)) {
        i++;
    }
    return ladder[i];
}
