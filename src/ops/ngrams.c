/* TfIdfVectorizer over integers: how often each n-gram of a pool stands in a sequence. */
#include "base/patience.h"
#include "ops/ops.h"

#include <inttypes.h>
#include <string.h>

/* The attributes, which belong to the node. */
typedef struct Pool {
    const int64_t *tokens;  /* all n-grams behind one another: of length 1, of length 2, ... */
    const int64_t *starts;  /* where each length begins */
    const int64_t *columns; /* of each n-gram, its place in the output */
    const float *weights;   /* NULL: 1 */
    int32_t token_count, length_count, gram_count;
    int64_t shortest, longest, skips;
    int64_t width; /* of the output */
    bool presence; /* mode IDF: whether, not how often */
    bool scaled;   /* modes IDF and TFIDF */
} Pool;

static OctetStatus read_pool(const OctNode *node, Pool *pool, OctetDiagnostic *diagnostic) {
    const char *mode = oct_node_string(node, "mode", "TF");
    const OctAttribute *weights = oct_node_attribute(node, "weights");
    *pool = (Pool){.shortest = oct_node_int(node, "min_gram_length", 1),
                   .longest = oct_node_int(node, "max_gram_length", 1),
                   .skips = oct_node_int(node, "max_skip_count", 0),
                   .presence = strcmp(mode, "IDF") == 0,
                   .scaled = strcmp(mode, "TF") != 0};
    if (!oct_node_attribute(node, "pool_int64s")) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "works on strings");
    }
    pool->token_count = oct_node_ints(node, "pool_int64s", &pool->tokens);
    pool->length_count = oct_node_ints(node, "ngram_counts", &pool->starts);
    pool->gram_count = oct_node_ints(node, "ngram_indexes", &pool->columns);
    bool ok = pool->shortest >= 1 && pool->longest >= pool->shortest && pool->longest <= 64 &&
              pool->skips >= 0 && pool->length_count >= pool->longest;
    int64_t grams = 0;
    for (int32_t n = 0; ok && n < pool->length_count; n++) {
        int64_t end = n + 1 < pool->length_count ? pool->starts[n + 1] : pool->token_count;
        ok = pool->starts[n] >= 0 && end >= pool->starts[n] && end <= pool->token_count &&
             (end - pool->starts[n]) % (n + 1) == 0;
        grams += ok ? (end - pool->starts[n]) / (n + 1) : 0;
    }
    ok = ok && grams == pool->gram_count;
    for (int32_t i = 0; ok && i < pool->gram_count; i++) {
        ok = pool->columns[i] >= 0 && pool->columns[i] < INT32_MAX;
        pool->width = ok && pool->columns[i] >= pool->width ? pool->columns[i] + 1 : pool->width;
    }
    if (ok && weights && weights->type == OCT_ATTRIBUTE_FLOATS) {
        pool->weights = weights->v.floats;
        ok = weights->count == pool->gram_count;
    }
    return ok ? OCTET_OK
              : oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has a pool that is not legal");
}

static OctetStatus check_ngrams(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    Pool pool;
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_INTEGER, diagnostic));
    return read_pool(node, &pool, diagnostic);
}

static OctetStatus infer_ngrams(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = *input;
    Pool pool;
    OCT_TRY(read_pool(node, &pool, diagnostic));
    if (input->rank == 0 || input->rank > 2) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs one or two dimensions");
    }
    if (input->rank > 0) {
        shape.dims[shape.rank - 1] = pool.width;
    }
    oct_set_output(node, 0, OCTET_F32, &shape);
    return OCTET_OK;
}

static int64_t token_at(const OctView *view, int64_t i) {
    int64_t value = 0;
    size_t size = octet_dtype_size(view->dtype);
    /* integer to integer can't fail */
    (void)oct_convert(OCTET_S64, &value, view->dtype, (const char *)view->data + (size_t)i * size,
                      1, NULL);
    return value;
}

/* How often a gram of n tokens stands in the row, with `skip` tokens between neighbors. */
static int64_t occurrences(const OctView *view, int64_t first, int64_t length, const int64_t *gram,
                           int64_t n, int64_t step) {
    int64_t found = 0;
    for (int64_t start = 0; start + (n - 1) * step < length; start++) {
        bool equal = true;
        for (int64_t k = 0; equal && k < n; k++) {
            equal = token_at(view, first + start + k * step) == gram[k];
        }
        found += equal;
    }
    return found;
}

static OctetStatus run_ngrams(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    Pool pool;
    OCT_TRY(read_pool(node, &pool, run->diagnostic));
    int64_t length = input->shape.dims[input->shape.rank - 1];
    int64_t rows = input->shape.rank == 2 ? input->shape.dims[0] : 1;
    memset(run->outputs[0].data, 0, (size_t)(rows * pool.width) * sizeof(float));
    size_t stint = 0;
    for (int64_t row = 0; row < rows; row++) {
        float *to = (float *)run->outputs[0].data + row * pool.width;
        int32_t index = 0;
        for (int32_t n = 1; n <= pool.length_count; n++) {
            int64_t end = n < pool.length_count ? pool.starts[n] : pool.token_count;
            for (int64_t g = pool.starts[n - 1]; g < end; g += n, index++) {
                int64_t found = 0;
                bool wanted = n >= pool.shortest && n <= pool.longest;
                /* a single token has no neighbors to skip between */
                for (int64_t skip = 0; wanted && skip <= (n > 1 ? pool.skips : 0) &&
                                       !oct_is_over_after(&stint, 4 * (size_t)length);
                     skip++) {
                    found += occurrences(input, row * length, length, pool.tokens + g, n, skip + 1);
                }
                float value = pool.presence ? (float)(found > 0) : (float)found;
                float weight = pool.scaled && pool.weights ? pool.weights[index] : 1;
                to[pool.columns[index]] += value * weight;
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_ngrams(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_ngrams;
    prepared->kernel = "ngrams";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

const OctOp oct_ops_ngrams[] = {
    {"", "TfIdfVectorizer", 9, 0, 0, 1, 1, 1, 1, check_ngrams, infer_ngrams, prepare_ngrams},
};
OCT_OPS_COUNT(ngrams);
