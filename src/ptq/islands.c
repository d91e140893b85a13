/* Leaves int8 islands in float whose conversions cost more time than int8 saves. An island is a set
 * of int8 nodes that take each other's results, with float nodes on all sides; one that touches the
 * network's inputs or outputs is the network's own business and stays.
 *
 * What becomes int8 must not depend on the machine or the minute that a network is quantized in, so
 * the costs are a table, measured once by bench/islands.c, and an island stays in float only if it
 * loses at every level of the table. There is no row for portable code, where int8 always wins.
 *
 * There is none for NEON, whose time an emulator can't tell, and none is needed: whether an island
 * loses hangs on the ratio of int8 to float alone. By the kernels' instructions, NEON with dot
 * product does 16 products a sdot and 4 a fmla, four to one, as AVX-512 VNNI does 64 and 16: the
 * second row. Plain NEON does 8 products in two instructions (smull, sadalp), one to one, so that
 * int8 saves less than in the first row, and what loses there loses on NEON. */
#include <math.h>
#include <string.h>

#include "base/diag.h"
#include "ptq/prepared.h"

/* Picoseconds. A layer takes `mac` a multiplication (`depthwise` where every channel has its own
 * filter) and `output` an output; all other operators `element` an output. */
typedef struct Costs {
    double mac, output, depthwise, element;
} Costs;

typedef struct Level {
    double quantize, dequantize; /* an element */
    Costs f32, q8;
} Level;

/* A core of a Zen 4 at 3.7 GHz, November 2026. */
static const Level levels[] = {
    /* avx2 */
    {124, 44, {17.2, 181, 41.2, 70}, {11.8, 139, 37.8, 178}},
    /* avx512-vnni */
    {124, 44, {17.1, 94, 35.4, 70}, {4.2, 45, 14.4, 19}},
};
enum { LEVELS = sizeof levels / sizeof levels[0] };

typedef struct Islands {
    const OctetPrepared *prepared;
    int32_t *parent;         /* per node: towards the first node of its island */
    bool *fixed;             /* per first node: at the border of the network, or of unknown size */
    double (*gains)[LEVELS]; /* per first node: what int8 saves */
} Islands;

static int32_t island_of(const Islands *islands, int32_t node) {
    while (islands->parent[node] != node) {
        islands->parent[node] = islands->parent[islands->parent[node]];
        node = islands->parent[node];
    }
    return node;
}

/* Elements, open dimensions counting as 1, since everything grows with them alike; below 0 where
 * not even the rank is known. */
static double count_elements(const OctValue *value) {
    double count = value->shape.rank < 0 ? -1 : 1;
    for (int32_t i = 0; i < value->shape.rank; i++) {
        count *= value->shape.dims[i] >= 0 ? (double)value->shape.dims[i] : 1;
    }
    return count;
}

static double time_of_node(const OctNode *node, const Costs *costs) {
    double outputs = count_elements(node->outputs[0]);
    if (oct_role_of(node) != OCT_ROLE_LAYER) {
        return outputs * costs->element;
    }
    const OctetShape *input = &node->inputs[0]->shape, *weight = &node->inputs[1]->shape;
    double weights = count_elements(node->inputs[1]);
    bool transposed = strcmp(node->op_type, "ConvTranspose") == 0;
    if (!transposed && strcmp(node->op_type, "Conv") != 0) {
        int64_t depth = input->dims[input->rank - 1];
        return outputs * (costs->output + (depth > 0 ? (double)depth : 1) * costs->mac);
    }
    bool depthwise = weight->dims[1] == 1 && oct_node_int(node, "group", 1) == weight->dims[0];
    double pixels = transposed ? count_elements(node->inputs[0]) : outputs;
    double macs = pixels * weights / (double)(weight->dims[0] > 0 ? weight->dims[0] : 1);
    return macs * (depthwise ? costs->depthwise : costs->mac) +
           (depthwise ? 0 : outputs * costs->output);
}

static bool sizes_known(const OctNode *node) {
    bool known = count_elements(node->outputs[0]) >= 0;
    for (int32_t k = 0; k < node->input_count; k++) {
        known = known && (!node->inputs[k] || count_elements(node->inputs[k]) >= 0);
    }
    return known && (oct_role_of(node) != OCT_ROLE_LAYER ||
                     (node->inputs[0]->shape.rank > 0 && node->inputs[1]->shape.rank > 1));
}

static int32_t *find_producers(const OctGraph *graph) {
    int32_t *producer = oct_calloc((size_t)graph->value_count + 1, sizeof *producer);
    for (int32_t i = 0; producer && i < graph->value_count; i++) {
        producer[i] = -1;
    }
    for (int32_t i = 0; producer && i < graph->node_count; i++) {
        for (int32_t k = 0; k < graph->nodes[i]->output_count; k++) {
            if (graph->nodes[i]->outputs[k]) {
                producer[graph->nodes[i]->outputs[k]->id] = i;
            }
        }
    }
    return producer;
}

/* Joins nodes into islands and marks those that stay as they are. */
static void join(Islands *islands, const int32_t *producer) {
    const OctGraph *graph = islands->prepared->graph;
    const OctNodePlan *plans = islands->prepared->nodes;
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        islands->parent[i] = i;
        for (int32_t k = 0; plans[i].int8 && k < node->input_count; k++) {
            const OctValue *input = node->inputs[k];
            int32_t from = oct_role_is_data_input(node, k) ? producer[input->id] : -1;
            if (from >= 0 && plans[from].int8) {
                islands->parent[island_of(islands, from)] = island_of(islands, i);
            }
        }
    }
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        bool fixed = !plans[i].int8 || !sizes_known(node);
        for (int32_t k = 0; !fixed && k < node->input_count; k++) {
            fixed = oct_role_is_data_input(node, k) && node->inputs[k]->is_input;
        }
        for (int32_t k = 0; !fixed && k < node->output_count; k++) {
            fixed = node->outputs[k] && node->outputs[k]->is_output;
        }
        int32_t island = island_of(islands, i);
        islands->fixed[island] = islands->fixed[island] || fixed;
    }
}

/* Adds up what the nodes save and what their borders cost. A layer can write float results itself.
 * A tensor that several nodes take is converted once. */
static void weigh(Islands *islands, const int32_t *producer, int32_t *quantized_for,
                  bool *dequantized) {
    const OctGraph *graph = islands->prepared->graph;
    const OctNodePlan *plans = islands->prepared->nodes;
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        int32_t island = plans[i].int8 ? island_of(islands, i) : -1;
        for (int32_t l = 0; l < LEVELS && island >= 0 && !islands->fixed[island]; l++) {
            islands->gains[island][l] +=
                time_of_node(node, &levels[l].f32) - time_of_node(node, &levels[l].q8);
        }
        for (int32_t k = 0; k < node->input_count; k++) {
            const OctValue *input = node->inputs[k];
            if (!input || input->constant || input->id < 0 || input->id >= graph->value_count ||
                graph->values[input->id] != input) {
                continue;
            }
            int32_t from = producer[input->id];
            bool from_int8 = from >= 0 && plans[from].int8;
            bool enters = island >= 0 && oct_role_is_data_input(node, k) && !from_int8 &&
                          quantized_for[input->id] != island + 1;
            bool leaves = island < 0 && from_int8 && !dequantized[input->id] &&
                          oct_role_of(graph->nodes[from]) != OCT_ROLE_LAYER;
            for (int32_t l = 0; l < LEVELS && (enters || leaves); l++) {
                double cost = enters ? levels[l].quantize : levels[l].dequantize;
                islands->gains[enters ? island : island_of(islands, from)][l] -=
                    count_elements(input) * cost;
            }
            quantized_for[input->id] = enters ? island + 1 : quantized_for[input->id];
            dequantized[input->id] = dequantized[input->id] || leaves;
        }
    }
}

static void give_up(const Islands *islands) {
    for (int32_t i = 0; i < islands->prepared->graph->node_count; i++) {
        int32_t island = island_of(islands, i);
        double most = -INFINITY;
        for (int32_t l = 0; l < LEVELS; l++) {
            most = fmax(most, islands->gains[island][l]);
        }
        if (islands->prepared->nodes[i].int8 && !islands->fixed[island] && most < 0) {
            islands->prepared->nodes[i].int8 = false;
            islands->prepared->nodes[i].reason =
                "converting to int8 and back would take longer than int8 saves";
        }
    }
}

OctetStatus oct_leave_islands(const OctetPrepared *prepared, OctetDiagnostic *diagnostic) {
    size_t nodes = (size_t)prepared->graph->node_count + 1;
    size_t values = (size_t)prepared->graph->value_count + 1;
    Islands islands = {.prepared = prepared,
                       .parent = oct_calloc(nodes, sizeof *islands.parent),
                       .fixed = oct_calloc(nodes, sizeof(bool)),
                       .gains = oct_calloc(nodes, sizeof *islands.gains)};
    int32_t *producer = find_producers(prepared->graph);
    int32_t *quantized_for = oct_calloc(values, sizeof *quantized_for);
    bool *dequantized = oct_calloc(values, sizeof(bool));
    OctetStatus status = OCTET_OK;
    if (islands.parent && islands.fixed && islands.gains && producer && quantized_for &&
        dequantized) {
        join(&islands, producer);
        weigh(&islands, producer, quantized_for, dequantized);
        give_up(&islands);
    } else {
        status = oct_fail_memory(diagnostic);
    }
    oct_free(islands.parent);
    oct_free(islands.fixed);
    oct_free(islands.gains);
    oct_free(producer);
    oct_free(quantized_for);
    oct_free(dequantized);
    return status;
}
