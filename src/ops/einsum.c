/* Einsum: any equation on floats, with ellipses, repeated labels and any number of operands. An
 * output is one chain of fused multiply-adds over the summed labels, the first label outermost. */
#include "ops/einsum.h"
#include "base/patience.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

static bool read_term(const char **text, OctEinsumTerm *term) {
    *term = (OctEinsumTerm){.ellipsis = -1};
    const char *c = *text;
    while (*c && *c != ',' && !(c[0] == '-' && c[1] == '>')) {
        if (*c == ' ') {
            c++;
        } else if (c[0] == '.' && c[1] == '.' && c[2] == '.' && term->ellipsis < 0) {
            term->ellipsis = term->count;
            c += 3;
        } else if (isalpha((unsigned char)*c) && term->count < OCTET_MAX_RANK) {
            term->labels[term->count++] = (uint8_t)*c++;
        } else {
            return false;
        }
    }
    *text = c;
    return true;
}

static int32_t count_label(const OctEinsumEquation *equation, uint8_t label) {
    int32_t count = 0;
    for (int32_t k = 0; k < equation->operands; k++) {
        for (int32_t i = 0; i < equation->terms[k].count; i++) {
            count += equation->terms[k].labels[i] == label;
        }
    }
    return count;
}

static bool contains(const OctEinsumTerm *term, uint8_t label) {
    return memchr(term->labels, label, (size_t)term->count) != NULL;
}

/* Without an arrow: the ellipsis, then all labels that stand once, in alphabetical order. */
static void derive_output(OctEinsumEquation *equation) {
    equation->output = (OctEinsumTerm){.ellipsis = 0};
    for (int label = 'A'; label <= 'z'; label++) {
        if (count_label(equation, (uint8_t)label) == 1 && equation->output.count < OCTET_MAX_RANK) {
            equation->output.labels[equation->output.count++] = (uint8_t)label;
        }
    }
}

static OctetStatus parse(const OctNode *node, OctEinsumEquation *equation,
                         OctetDiagnostic *diagnostic) {
    const char *text = oct_node_string(node, "equation", "");
    memset(equation, 0, sizeof *equation);
    bool ok = node->input_count <= OCT_EINSUM_OPERANDS;
    do {
        ok = ok && equation->operands < OCT_EINSUM_OPERANDS &&
             read_term(&text, &equation->terms[equation->operands]);
        equation->operands++;
    } while (ok && *text == ',' && text++);
    if (ok && *text) {
        text += 2;
        equation->explicit_output = true;
        ok = read_term(&text, &equation->output) && *text == 0;
    } else if (ok) {
        derive_output(equation);
    }
    for (int32_t i = 0; ok && i < equation->output.count; i++) {
        uint8_t label = equation->output.labels[i];
        ok = count_label(equation, label) > 0 && !memchr(equation->output.labels, label, (size_t)i);
    }
    if (!ok || equation->operands != node->input_count) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "has an equation that can't be read: %s",
                           oct_node_string(node, "equation", ""));
    }
    return OCTET_OK;
}

/* Replaces the ellipsis by `width` labels. */
static bool spread(OctEinsumTerm *term, int32_t width) {
    if (term->ellipsis < 0) {
        return true;
    }
    if (term->count + width > OCTET_MAX_RANK) {
        return false;
    }
    memmove(term->labels + term->ellipsis + width, term->labels + term->ellipsis,
            (size_t)(term->count - term->ellipsis));
    for (int32_t i = 0; i < width; i++) {
        term->labels[term->ellipsis + i] = (uint8_t)(OCT_EINSUM_ELLIPSIS + width - 1 - i);
    }
    term->count += width;
    return true;
}

/* Labels for every axis, once the ranks are known. */
static OctetStatus spread_all(const OctNode *node, OctEinsumEquation *equation,
                              OctetDiagnostic *diagnostic) {
    int32_t widest = 0;
    bool ok = true;
    for (int32_t k = 0; k < equation->operands; k++) {
        OctEinsumTerm *term = &equation->terms[k];
        int32_t width = node->inputs[k]->shape.rank - term->count;
        ok = ok && (term->ellipsis >= 0 ? width >= 0 : width == 0) && spread(term, width);
        widest = term->ellipsis >= 0 && width > widest ? width : widest;
    }
    ok = ok && spread(&equation->output, widest);
    return ok ? OCTET_OK
              : oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                            "has an equation that does not fit its inputs");
}

/* Dimensions by label. An axis of size 1 goes with any other. */
static OctetStatus measure(const OctNode *node, const OctEinsumEquation *equation, int64_t *dims,
                           OctetDiagnostic *diagnostic) {
    for (int i = 0; i < 256; i++) {
        dims[i] = 1;
    }
    for (int32_t k = 0; k < equation->operands; k++) {
        const OctetShape *shape = &node->inputs[k]->shape;
        for (int32_t i = 0; i < shape->rank; i++) {
            int64_t *dim = &dims[equation->terms[k].labels[i]];
            if (*dim == 1) {
                *dim = shape->dims[i];
            } else if (shape->dims[i] != 1 && !oct_dims_agree(*dim, shape->dims[i])) {
                return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                                   "gives one label to axes of different sizes");
            } else if (shape->dims[i] != 1) {
                *dim = oct_dim_merge(*dim, shape->dims[i]);
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus check_einsum(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    OctEinsumEquation equation;
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic));
    return parse(node, &equation, diagnostic);
}

static OctetStatus infer_einsum(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctEinsumEquation equation;
    int64_t dims[256];
    OctetShape shape = oct_shape_unknown();
    OCT_TRY(parse(node, &equation, diagnostic));
    bool ranks = true;
    for (int32_t k = 0; k < node->input_count; k++) {
        ranks = ranks && oct_input_shape(node, k)->rank >= 0;
    }
    if (ranks) {
        OCT_TRY(spread_all(node, &equation, diagnostic));
        OCT_TRY(measure(node, &equation, dims, diagnostic));
        shape.rank = equation.output.count;
        for (int32_t i = 0; i < shape.rank; i++) {
            shape.dims[i] = dims[equation.output.labels[i]];
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* Loops over output labels, then over summed labels; a stride for each operand. */
typedef struct Einsum {
    int32_t operands;
    int32_t output_loops, loops;
    int64_t dims[OCT_EINSUM_LABELS];
    int64_t strides[OCT_EINSUM_OPERANDS][OCT_EINSUM_LABELS];
    int64_t outputs, sums; /* iterations */
    OctEinsumMatmul matmul;
} Einsum;

static int64_t stride_of(const OctEinsumTerm *term, const OctetShape *shape, uint8_t label) {
    int64_t strides[OCTET_MAX_RANK];
    int64_t stride = 0;
    oct_strides(shape, strides);
    for (int32_t i = 0; i < term->count; i++) {
        /* a label that stands twice walks the diagonal */
        stride += term->labels[i] == label && shape->dims[i] != 1 ? strides[i] : 0;
    }
    return stride;
}

static bool add_loop(Einsum *einsum, const OctNode *node, const OctEinsumEquation *equation,
                     uint8_t label, int64_t dim) {
    if (einsum->loops == OCT_EINSUM_LABELS) {
        return false;
    }
    einsum->dims[einsum->loops] = dim;
    for (int32_t k = 0; k < einsum->operands; k++) {
        einsum->strides[k][einsum->loops] =
            stride_of(&equation->terms[k], &node->inputs[k]->shape, label);
    }
    einsum->loops++;
    return true;
}

/* One step of an odometer over loops [first, last). */
static void advance(const Einsum *einsum, int32_t first, int32_t last, int64_t *index,
                    int64_t *offsets) {
    for (int32_t loop = last - 1; loop >= first; loop--) {
        bool more = ++index[loop] < einsum->dims[loop];
        int64_t back = more ? 0 : einsum->dims[loop];
        for (int32_t k = 0; k < einsum->operands; k++) {
            offsets[k] += (1 - back) * einsum->strides[k][loop];
        }
        if (more) {
            return;
        }
        index[loop] = 0;
    }
}

typedef struct Job {
    const Einsum *einsum;
    const float *operands[OCT_EINSUM_OPERANDS];
    float *output;
} Job;

enum { OUTPUTS_PER_TASK = 256 };

static float sum_products(const Job *job, const int64_t *start) {
    const Einsum *einsum = job->einsum;
    int64_t index[OCT_EINSUM_LABELS] = {0};
    int64_t offsets[OCT_EINSUM_OPERANDS];
    float total = 0;
    size_t stint = 0;
    memcpy(offsets, start, sizeof offsets);
    for (int64_t i = 0; i < einsum->sums && !oct_is_over_after(&stint, 10); i++) {
        float product = job->operands[0][offsets[0]];
        for (int32_t k = 1; k < einsum->operands - 1; k++) {
            product *= job->operands[k][offsets[k]];
        }
        int32_t last = einsum->operands - 1;
        total =
            last > 0 ? fmaf(product, job->operands[last][offsets[last]], total) : total + product;
        advance(einsum, einsum->output_loops, einsum->loops, index, offsets);
    }
    return total;
}

static void einsum_task(void *user, size_t task) {
    const Job *job = user;
    const Einsum *einsum = job->einsum;
    int64_t first = (int64_t)task * OUTPUTS_PER_TASK;
    int64_t last = first + OUTPUTS_PER_TASK;
    last = last < einsum->outputs ? last : einsum->outputs;
    int64_t index[OCT_EINSUM_LABELS] = {0};
    int64_t offsets[OCT_EINSUM_OPERANDS] = {0};
    int64_t rest = first;
    for (int32_t loop = einsum->output_loops - 1; loop >= 0; loop--) {
        index[loop] = rest % einsum->dims[loop];
        rest /= einsum->dims[loop];
        for (int32_t k = 0; k < einsum->operands; k++) {
            offsets[k] += index[loop] * einsum->strides[k][loop];
        }
    }
    size_t stint = 0;
    size_t work = (size_t)(einsum->sums < OCT_STINT ? 10 * einsum->sums + 10 : OCT_STINT);
    for (int64_t i = first; i < last && !oct_is_over_after(&stint, work); i++) {
        job->output[i] = sum_products(job, offsets);
        advance(einsum, 0, einsum->output_loops, index, offsets);
    }
}

static OctetStatus run_einsum(void *state, const OctRun *run) {
    const Einsum *einsum = state;
    if (einsum->matmul.fits) {
        oct_einsum_matmul_run(&einsum->matmul, run->inputs[0].data, run->inputs[1].data,
                              run->outputs[0].data, run->workspace, run->pool);
        return OCTET_OK;
    }
    Job job = {.einsum = einsum, .output = run->outputs[0].data};
    for (int32_t k = 0; k < run->input_count; k++) {
        job.operands[k] = run->inputs[k].data;
    }
    oct_parallel_for(run->pool, einsum_task, &job,
                     (size_t)((job.einsum->outputs + OUTPUTS_PER_TASK - 1) / OUTPUTS_PER_TASK));
    return OCTET_OK;
}

static OctetStatus prepare_einsum(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctEinsumEquation equation;
    int64_t dims[256];
    OCT_TRY(parse(node, &equation, prepare->diagnostic));
    OCT_TRY(spread_all(node, &equation, prepare->diagnostic));
    OCT_TRY(measure(node, &equation, dims, prepare->diagnostic));
    Einsum *einsum = oct_prepare_state(prepare, prepared, sizeof *einsum);
    if (!einsum) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    einsum->operands = equation.operands;
    einsum->outputs = 1;
    einsum->sums = 1;
    bool ok = true;
    for (int32_t i = 0; i < equation.output.count; i++) {
        uint8_t label = equation.output.labels[i];
        ok = ok && add_loop(einsum, node, &equation, label, dims[label]) &&
             oct_mul_i64(einsum->outputs, dims[label], &einsum->outputs);
    }
    einsum->output_loops = einsum->loops;
    bool seen[256] = {false};
    for (int32_t k = 0; k < equation.operands; k++) {
        for (int32_t i = 0; i < equation.terms[k].count; i++) {
            uint8_t label = equation.terms[k].labels[i];
            if (!seen[label] && !contains(&equation.output, label)) {
                ok = ok && add_loop(einsum, node, &equation, label, dims[label]) &&
                     oct_mul_i64(einsum->sums, dims[label], &einsum->sums);
            }
            seen[label] = true;
        }
    }
    prepared->run = run_einsum;
    prepared->kernel = "f32_einsum";
    prepared->macs = (double)einsum->outputs * (double)einsum->sums;
    oct_einsum_matmul_plan(node, &equation, dims, prepare->cpu, &einsum->matmul);
    prepared->workspace_bytes = einsum->matmul.fits ? einsum->matmul.workspace_bytes : 0;
    return ok ? OCTET_OK
              : oct_fail_op(prepare->diagnostic, OCTET_ERROR_LIMIT, node, "is too large");
}

const OctOp oct_ops_einsum[] = {
    {"", "Einsum", 12, 0, 0, 1, -1, 1, 1, check_einsum, infer_einsum, prepare_einsum},
};
OCT_OPS_COUNT(einsum);
