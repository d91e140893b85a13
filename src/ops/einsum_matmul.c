#include "kernels/f32_matmul.h"
#include "kernels/transpose.h"
#include "ops/einsum.h"

#include <math.h>
#include <string.h>

static int32_t find(const OctEinsumTerm *term, uint8_t label) {
    for (int32_t i = 0; i < term->count; i++) {
        if (term->labels[i] == label) {
            return i;
        }
    }
    return -1;
}

/* Labels of one kind: of term `from` in order, in or not in the other two. */
typedef struct Group {
    int32_t count;
    uint8_t labels[OCTET_MAX_RANK];
} Group;

static Group select_labels(const OctEinsumTerm *from, const OctEinsumTerm *first, bool in_first,
                           const OctEinsumTerm *second, bool in_second) {
    Group group = {0};
    for (int32_t i = 0; i < from->count; i++) {
        uint8_t label = from->labels[i];
        if ((find(first, label) >= 0) == in_first && (find(second, label) >= 0) == in_second) {
            group.labels[group.count++] = label;
        }
    }
    return group;
}

static bool size_of(const Group *group, const int64_t *dims, int64_t *size) {
    *size = 1;
    for (int32_t i = 0; i < group->count; i++) {
        if (!oct_mul_i64(*size, dims[group->labels[i]], size)) {
            return false;
        }
    }
    return true;
}

/* No label twice, and every axis of the size that its label has. */
static bool is_plain(const OctEinsumTerm *term, const OctetShape *shape, const int64_t *dims) {
    for (int32_t i = 0; i < term->count; i++) {
        if (find(term, term->labels[i]) != i || shape->dims[i] != dims[term->labels[i]]) {
            return false;
        }
    }
    return true;
}

/* The order in which `from`'s axes make up the groups one behind the other. */
static void set_order(OctEinsumMatmul *matmul, int which, const OctEinsumTerm *from,
                      const int64_t *dims, const Group *groups[3]) {
    int32_t next = 0;
    matmul->ranks[which] = from->count;
    for (int32_t i = 0; i < from->count; i++) {
        matmul->dims[which][i] = dims[from->labels[i]];
    }
    for (int g = 0; g < 3; g++) {
        for (int32_t i = 0; i < groups[g]->count; i++) {
            matmul->order[which][next++] = find(from, groups[g]->labels[i]);
        }
    }
    for (int32_t i = 0; i < next; i++) {
        matmul->moves[which] |= matmul->order[which][i] != i;
    }
}

/* A place for `count` floats behind what there is. */
static bool reserve(OctEinsumMatmul *matmul, int which, bool wanted, int64_t rows,
                    int64_t columns) {
    int64_t count;
    size_t bytes;
    matmul->offsets[which] = matmul->workspace_bytes;
    if (!wanted) {
        return true;
    }
    return oct_mul_i64(matmul->batch, rows, &count) && oct_mul_i64(count, columns, &count) &&
           oct_mul_size((size_t)count, sizeof(float), &bytes) &&
           oct_add_size((bytes + 63) / 64 * 64, matmul->workspace_bytes, &matmul->workspace_bytes);
}

void oct_einsum_matmul_plan(const OctNode *node, const OctEinsumEquation *equation,
                            const int64_t *dims, OctetCpu cpu, OctEinsumMatmul *matmul) {
    *matmul = (OctEinsumMatmul){.cpu = cpu};
    const OctEinsumTerm *a = &equation->terms[0];
    const OctEinsumTerm *b = &equation->terms[1];
    const OctEinsumTerm *y = &equation->output;
    if (equation->operands != 2 || !is_plain(a, &node->inputs[0]->shape, dims) ||
        !is_plain(b, &node->inputs[1]->shape, dims)) {
        return;
    }
    Group batch = select_labels(a, b, true, y, true);
    Group rows = select_labels(a, b, false, y, true);
    Group sums = select_labels(a, b, true, y, false);
    Group columns = select_labels(b, a, false, y, true);
    bool all = batch.count + rows.count + sums.count == a->count &&
               batch.count + columns.count + sums.count == b->count &&
               batch.count + rows.count + columns.count == y->count;
    size_t own = 0;
    if (!all || !size_of(&batch, dims, &matmul->batch) || !size_of(&rows, dims, &matmul->m) ||
        !size_of(&columns, dims, &matmul->n) || !size_of(&sums, dims, &matmul->k) ||
        matmul->batch < 1 || matmul->m < 1 || matmul->n < 1 || matmul->k < 1) {
        return;
    }
    set_order(matmul, 0, a, dims, (const Group *[]){&batch, &rows, &sums});
    set_order(matmul, 1, b, dims, (const Group *[]){&batch, &sums, &columns});
    /* the result is made in the order of the groups, and goes to that of the equation */
    OctEinsumTerm made = {0};
    const Group *groups[] = {&batch, &rows, &columns};
    for (int g = 0; g < 3; g++) {
        memcpy(made.labels + made.count, groups[g]->labels, (size_t)groups[g]->count);
        made.count += groups[g]->count;
    }
    Group wanted = {.count = y->count};
    memcpy(wanted.labels, y->labels, (size_t)y->count);
    const Group none = {0};
    set_order(matmul, 2, &made, dims, (const Group *[]){&wanted, &none, &none});
    matmul->fits = reserve(matmul, 0, matmul->moves[0], matmul->m, matmul->k) &&
                   reserve(matmul, 1, matmul->moves[1], matmul->k, matmul->n) &&
                   reserve(matmul, 2, matmul->moves[2], matmul->m, matmul->n) &&
                   oct_f32_matmul_workspace_bytes(cpu, (size_t)matmul->k, (size_t)matmul->n, &own);
    matmul->offsets[3] = matmul->workspace_bytes;
    matmul->fits =
        matmul->fits && oct_add_size(own, matmul->workspace_bytes, &matmul->workspace_bytes);
}

static const float *arranged(const OctEinsumMatmul *matmul, int which, const float *data,
                             char *workspace, OctetThreadPool *pool) {
    if (!matmul->moves[which]) {
        return data;
    }
    void *to = workspace + matmul->offsets[which];
    oct_transpose(sizeof(float), matmul->ranks[which], matmul->dims[which], matmul->order[which],
                  data, to, pool);
    return to;
}

void oct_einsum_matmul_run(const OctEinsumMatmul *matmul, const float *a, const float *b,
                           float *output, void *workspace, OctetThreadPool *pool) {
    char *space = workspace;
    size_t m = (size_t)matmul->m;
    size_t n = (size_t)matmul->n;
    size_t k = (size_t)matmul->k;
    a = arranged(matmul, 0, a, space, pool);
    b = arranged(matmul, 1, b, space, pool);
    float *made = matmul->moves[2] ? (float *)(void *)(space + matmul->offsets[2]) : output;
    for (size_t i = 0; i < (size_t)matmul->batch; i++) {
        const OctF32GemmSpec spec = {.k = k, .n = n, .b = b + i * k * n, .b_stride = n};
        const OctF32GemmCall call = {.m = m,
                                     .a = a + i * m * k,
                                     .a_stride = k,
                                     .output = made + i * m * n,
                                     .output_stride = n,
                                     .minimum = -INFINITY,
                                     .maximum = INFINITY};
        oct_f32_matmul_run(matmul->cpu, &spec, &call, space + matmul->offsets[3], pool);
    }
    if (matmul->moves[2]) {
        oct_transpose(sizeof(float), matmul->ranks[2], matmul->dims[2], matmul->order[2], made,
                      output, pool);
    }
}
