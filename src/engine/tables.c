/* Every function of one 8-bit tensor is a table of 256 bytes: sigmoid, hard-swish, a SiLU written
 * as a product, a GELU written as five float nodes between a dequantization and a quantization. The
 * table is filled by running the very nodes on the 256 possible inputs, so it has their bits. */
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"
#include "ops/evaluate.h"

enum { MOST_NODES = 24 }; /* that one table stands for */

typedef struct Tables {
    OctetSession *session;
    OctGraph *graph;
    OctUses uses;
    OctValue **source; /* by id: the 8-bit value that this one is a function of, or NULL */
    int32_t value_count;
    OctetDiagnostic *diagnostic;
} Tables;

static bool is_u8(const OctValue *value) {
    return value->qparams.dtype == OCTET_U8 && value->qparams.count == 1;
}

static OctValue *source_of(const Tables *t, const OctValue *value) {
    return value->id < t->value_count ? t->source[value->id] : NULL;
}

static bool is_scalar_constant(const OctValue *value) {
    int64_t count;
    return value->constant && octet_shape_count(&value->shape, &count) && count == 1;
}

static bool is_elementwise(const OctNode *node) {
    return (node->op->flags & (OCT_OP_ELEMENTWISE | OCT_OP_BROADCAST)) &&
           !(node->op->flags & (OCT_OP_RANDOM | OCT_OP_VIEW)) && node->output_count == 1 &&
           node->outputs[0];
}

/* The value that all operands are functions of, looking back to the nearest 8-bit values or
 * through them; NULL if there is no such single one. */
static OctValue *common_source(const Tables *t, const OctNode *node, bool through) {
    OctValue *common = NULL;
    for (int32_t k = 0; k < node->input_count; k++) {
        OctValue *input = node->inputs[k];
        if (!input || is_scalar_constant(input)) {
            continue;
        }
        OctValue *own = source_of(t, input);
        OctValue *candidate = is_u8(input) && !(through && own) ? input : own;
        if (!candidate || candidate->constant || (common && candidate != common) ||
            !octet_shape_equal(&candidate->shape, &node->outputs[0]->shape)) {
            return NULL;
        }
        common = candidate;
    }
    return common;
}

/* An 8-bit value in between that nobody else wants need not exist. */
static bool vanishes(const Tables *t, const OctValue *value) {
    return source_of(t, value) && oct_uses_count(&t->uses, value) == 1 && !value->is_output &&
           !oct_session_observes(t->session, value);
}

static OctValue *find_source(const Tables *t, const OctNode *node) {
    if (!is_elementwise(node)) {
        return NULL;
    }
    OctValue *nearest = common_source(t, node, false);
    if (nearest && !vanishes(t, nearest)) {
        return nearest;
    }
    OctValue *farther = common_source(t, node, true);
    return farther ? farther : nearest;
}

/* ---- filling the table ---- */

typedef struct Cone {
    const OctNode *nodes[MOST_NODES]; /* in order of execution */
    int32_t count;
} Cone;

/* Collects what lies between source and value; false if that is too much, or if an observer wants
 * to see something in between. */
static bool collect(const Tables *t, const OctValue *source, const OctValue *value, Cone *cone) {
    if (value == source || value->constant) {
        return true;
    }
    const OctNode *node = value->producer;
    for (int32_t i = 0; i < cone->count; i++) {
        if (cone->nodes[i] == node) {
            return true;
        }
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (!input) {
            continue;
        }
        if (input != source && !input->constant && oct_session_observes(t->session, input)) {
            return false;
        }
        if (!collect(t, source, input, cone)) {
            return false;
        }
    }
    if (cone->count == MOST_NODES) {
        return false;
    }
    cone->nodes[cone->count++] = node;
    return true;
}

/* A graph of the cone's nodes over 256 elements. Attributes are borrowed. */
typedef struct Bench {
    OctGraph *graph;
    const OctValue *outer[2 * MOST_NODES * 4];
    OctValue *inner[2 * MOST_NODES * 4];
    int32_t count;
} Bench;

static OctValue *inner_of(const Bench *bench, const OctValue *outer) {
    for (int32_t i = 0; i < bench->count; i++) {
        if (bench->outer[i] == outer) {
            return bench->inner[i];
        }
    }
    return NULL;
}

static OctetStatus add_value(Bench *bench, const OctValue *outer, const OctetShape *shape,
                             OctValue **inner, OctetDiagnostic *diagnostic) {
    const int32_t room = (int32_t)(sizeof bench->outer / sizeof bench->outer[0]);
    *inner = inner_of(bench, outer);
    if (*inner) {
        return OCTET_OK;
    }
    if (bench->count == room) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a table has too many operands");
    }
    if (outer->constant) {
        OCT_TRY(
            oct_add_shared_constant(bench->graph, outer->name, outer->constant, inner, diagnostic));
    } else {
        *inner = oct_graph_add_value(bench->graph, outer->name);
        if (!*inner || !oct_graph_set_qparams(bench->graph, *inner, &outer->qparams)) {
            return oct_fail_memory(diagnostic);
        }
        (*inner)->dtype = outer->dtype;
        (*inner)->shape = *shape;
    }
    bench->outer[bench->count] = outer;
    bench->inner[bench->count++] = *inner;
    return OCTET_OK;
}

static OctetStatus add_all_bytes(Bench *bench, const OctValue *source, const OctetShape *shape,
                                 OctetDiagnostic *diagnostic) {
    OctValue *inner = NULL;
    OctetTensor *bytes;
    OCT_TRY(add_value(bench, source, shape, &inner, diagnostic));
    OCT_TRY(octet_tensor_create(OCTET_U8, shape, &bytes, diagnostic));
    for (int i = 0; i < 256; i++) {
        ((uint8_t *)bytes->data)[i] = (uint8_t)i;
    }
    if (octet_tensor_set_qparams(bytes, &source->qparams, diagnostic) != OCTET_OK) {
        octet_tensor_free(bytes);
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    return oct_value_set_constant(inner, bytes) ? OCTET_OK : oct_fail_memory(diagnostic);
}

static OctetStatus run_node(Bench *bench, const OctNode *node, const OctetShape *shape,
                            OctetDiagnostic *diagnostic) {
    enum { MOST_INPUTS = 8 };
    OctValue *inputs[MOST_INPUTS] = {NULL};
    OctValue *output = NULL;
    OctetTensor *result = NULL;
    if (node->input_count > MOST_INPUTS) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a table has too many operands");
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k]) {
            OCT_TRY(add_value(bench, node->inputs[k], shape, &inputs[k], diagnostic));
        }
    }
    OCT_TRY(add_value(bench, node->outputs[0], shape, &output, diagnostic));
    OctNode *copy = oct_graph_add_node(bench->graph, node->op_type, node->domain, node->name,
                                       inputs, node->input_count, &output, 1);
    if (!copy) {
        return oct_fail_memory(diagnostic);
    }
    copy->op = node->op;
    copy->opset = node->opset;
    copy->activation = node->activation;
    copy->attributes = node->attributes;
    copy->attribute_count = node->attribute_count;
    OctetStatus status = oct_node_evaluate(bench->graph, copy, SIZE_MAX, &result, diagnostic);
    copy->attribute_count = 0; /* they belong to the plan's graph */
    if (status == OCTET_OK && !oct_value_set_constant(output, result)) {
        status = oct_fail_memory(diagnostic);
    }
    output->producer = NULL;
    return status;
}

/* Runs the cone on all bytes; *table is a tensor of 256 bytes. */
static OctetStatus fill(const OctValue *source, const OctValue *value, const Cone *cone,
                        OctetTensor **table, OctetDiagnostic *diagnostic) {
    OctetShape shape = {.rank = source->shape.rank > 0 ? source->shape.rank : 1};
    Bench bench = {.graph = oct_graph_create()};
    if (!bench.graph) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < shape.rank; i++) {
        shape.dims[i] = i == shape.rank - 1 ? 256 : 1;
    }
    OctetStatus status = add_all_bytes(&bench, source, &shape, diagnostic);
    for (int32_t i = 0; i < cone->count && status == OCTET_OK; i++) {
        status = run_node(&bench, cone->nodes[i], &shape, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_tensor_copy(oct_value_tensor(inner_of(&bench, value)), table, diagnostic);
    }
    oct_graph_free(bench.graph);
    return status;
}

/* ---- rewriting ---- */

static OctetStatus make_table(Tables *t, OctNode *node, OctValue *source) {
    OctValue *value = node->outputs[0];
    OctetTensor *bytes = NULL;
    Cone cone = {.count = 0};
    OctetDiagnostic ignored = {0};
    if (!collect(t, source, value, &cone)) {
        return OCTET_OK;
    }
    OctetStatus status = fill(source, value, &cone, &bytes, &ignored);
    if (status != OCTET_OK || bytes->bytes != 256) {
        octet_tensor_free(bytes); /* what can't be tabulated is computed */
        return status == OCTET_ERROR_OUT_OF_MEMORY ? oct_fail_memory(t->diagnostic) : OCTET_OK;
    }
    OctConstant *constant = oct_constant_create(bytes);
    OctNode *table =
        oct_graph_insert_node(t->graph, node, "Table", "octet", node->name, &source, 1, &value, 1);
    if (!constant || !table) {
        oct_constant_release(constant);
        return oct_fail_memory(t->diagnostic);
    }
    table->opset = 1;
    if (!oct_node_set_tensor(t->graph, table, "table", constant)) {
        return oct_fail_memory(t->diagnostic);
    }
    oct_graph_remove_node(t->graph, node);
    value->producer = table;
    return oct_resolve_node(table, t->diagnostic);
}

OctetStatus oct_plan_tables(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic) {
    int32_t count;
    Tables t = {.session = session,
                .graph = graph,
                .value_count = graph->value_count,
                .diagnostic = diagnostic};
    OctNode **nodes = oct_snapshot_nodes(graph, &count);
    t.source = oct_calloc((size_t)t.value_count + 1, sizeof(OctValue *));
    OctetStatus status = nodes && t.source ? oct_graph_uses(graph, &t.uses, diagnostic)
                                           : oct_fail_memory(diagnostic);
    for (int32_t i = 0; i < count && status == OCTET_OK; i++) {
        OctValue *source = find_source(&t, nodes[i]);
        if (!source) {
            continue;
        }
        OctValue *value = nodes[i]->outputs[0];
        t.source[value->id] = source;
        if (is_u8(value)) {
            status = make_table(&t, nodes[i], source);
        }
    }
    oct_uses_free(&t.uses);
    oct_free(nodes);
    oct_free(t.source);
    return status;
}
