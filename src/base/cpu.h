/* What this CPU can do, and the level that kernels are chosen for. */
#ifndef OCT_BASE_CPU_H
#define OCT_BASE_CPU_H

#include "octet/status.h"

/* True if kernels of `level` may run under the current level (as octet_get_cpu or oct_cpu_best give
 * it): level <= current within an architecture; portable always. */
bool oct_cpu_has(OctetCpu current, OctetCpu level);
/* The best level of this machine, whatever OCTET_CPU says. */
OctetCpu oct_cpu_best(void);
/* Cache sizes in bytes of one core's data caches, with sane defaults where unknown. */
size_t oct_cpu_l1_bytes(void);
size_t oct_cpu_l2_bytes(void);

#endif
