/* Which type each attribute of ONNX's own operators has. A name means the same type in all of
 * them, with the exceptions below. Source: ONNX's Operators.md and Changelog.md, up to opset 22. */
#include "base/diag.h"
#include "ir/op.h"
#include "onnx/import.h"

#include <string.h>

/* Names with a blank on both sides: lists of pointers would have to be relocated. */
static const char names_of_floats[] =
    " "
    "alpha beta bias clip cubic_coeff_a epsilon extrapolation_value gamma height_scale "
    "high lambd low max mean min momentum ratio scale seed spatial_scale value_float "
    "width_scale decay_factor norm_coefficient norm_coefficient_post softcap ";
static const char names_of_ints[] =
    " "
    "align_corners allowzero antialias axis batch_axis batch_dims block_size blocksize "
    "broadcast ceil_mode center_point_box count_include_pad detect_negative "
    "detect_positive dtype end exclude_outside exclusive fmod group hidden_size "
    "ignore_index input_forget inverse is_case_sensitive is_causal is_test k keepdims "
    "kv_num_heads largest layout linear_before_reset max_gram_length max_skip_count "
    "maxsplit min_gram_length new_axis noop_with_empty_axes num_groups num_heads "
    "num_outputs num_scan_inputs offset_group onesided output_datatype output_dtype "
    "output_height output_sequence output_width p periodic precision q_num_heads "
    "qk_matmul_output_mode reverse rotary_embedding_dim interleaved round_mode "
    "sample_size sampling_ratio saturate select_last_index size softmax_precision sorted "
    "spatial start stash_type storage_order time_axis to training_mode transA transB "
    "upper value_int ";
static const char names_of_strings[] =
    " "
    "approximate auto_pad case_change_action coordinate_transformation_mode delimiter "
    "direction equation keep_aspect_ratio_policy locale mode nearest_mode padding_mode "
    "pattern pixel_format reduction value_string ";
static const char names_of_float_lists[] =
    " "
    "activation_alpha activation_beta scales value_floats weights ";
static const char names_of_int_lists[] =
    " "
    "axes consumed_inputs dilations directions ends kernel_shape ngram_counts "
    "ngram_indexes output_padding output_shape paddings pads perm pool_int64s "
    "pooled_shape scan_input_axes scan_input_directions scan_output_axes "
    "scan_output_directions shape split starts strides value_ints ";
static const char names_of_string_lists[] = " "
                                            "activations pool_strings stopwords value_strings ";
static const char names_of_tensors[] = " "
                                       "value sparse_value ";
static const char names_of_graphs[] = " "
                                      "body else_branch then_branch ";
static const char names_of_types[] = " "
                                     "type ";

typedef Onnx__AttributeProto__AttributeType Type;
#define TYPE(name) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##name

static const struct {
    Type type;
    const char *names;
    const char *text;
} kinds[] = {
    {TYPE(FLOAT), names_of_floats, "a float"},
    {TYPE(INT), names_of_ints, "an integer"},
    {TYPE(STRING), names_of_strings, "a string"},
    {TYPE(FLOATS), names_of_float_lists, "a list of floats"},
    {TYPE(INTS), names_of_int_lists, "a list of integers"},
    {TYPE(STRINGS), names_of_string_lists, "a list of strings"},
    {TYPE(TENSOR), names_of_tensors, "a tensor"},
    {TYPE(SPARSE_TENSOR), NULL, "a sparse tensor"},
    {TYPE(GRAPH), names_of_graphs, "a graph"},
    {TYPE(TYPE_PROTO), names_of_types, "a type"},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* Where a name has another type than in the lists. */
static const struct {
    const char *name, *op_type;
    int32_t until; /* opset */
    Type type;
} exceptions[] = {
    {"to", "Cast", 5, TYPE(STRING)},
    {"p", "LpPool", 1, TYPE(FLOAT)},
    {"p", "GlobalLpPool", 1, TYPE(FLOAT)},
    {"seed", "Dropout", INT32_MAX, TYPE(INT)},
    {"value", "Pad", INT32_MAX, TYPE(FLOAT)},
    {"sparse_value", "Constant", INT32_MAX, TYPE(SPARSE_TENSOR)},
};

static bool lists(const char *names, const char *name) {
    size_t length = strlen(name);
    const char *found = length > 0 && !strchr(name, ' ') ? strstr(names, name) : NULL;
    while (found && (found[-1] != ' ' || found[length] != ' ')) {
        found = strstr(found + 1, name);
    }
    return found != NULL;
}

static bool find_type(const OctNode *node, const char *name, Type *type) {
    for (size_t i = 0; i < sizeof exceptions / sizeof exceptions[0]; i++) {
        if (oct_same_name(exceptions[i].name, name) && node->opset <= exceptions[i].until &&
            oct_same_name(exceptions[i].op_type, node->op_type)) {
            *type = exceptions[i].type;
            return true;
        }
    }
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].names && lists(kinds[i].names, name)) {
            *type = kinds[i].type;
            return true;
        }
    }
    return false;
}

static const char *text_of_type(Type type) {
    for (size_t i = 0; i < KINDS; i++) {
        if (kinds[i].type == type) {
            return kinds[i].text;
        }
    }
    return "of another type";
}

/* An empty list has no elements to tell its type by, in old files. */
static bool is_empty_list(const Onnx__AttributeProto *proto, Type type) {
    bool list = type == TYPE(FLOATS) || type == TYPE(INTS) || type == TYPE(STRINGS);
    return list && proto->n_floats == 0 && proto->n_ints == 0 && proto->n_strings == 0;
}

OctetStatus oct_attribute_check(const OctNode *node, const char *name, Type type,
                                const Onnx__AttributeProto *proto, OctetDiagnostic *diagnostic) {
    Type expected;
    bool own = !*node->domain;
    if (!own && strcmp(node->domain, "com.microsoft") != 0) {
        return OCTET_OK;
    }
    if (!find_type(node, name, &expected)) {
        return own ? oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "it is not known") : OCTET_OK;
    }
    if (type == expected || (is_empty_list(proto, type) && is_empty_list(proto, expected))) {
        return OCTET_OK;
    }
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "it is %s, but should be %s",
                    text_of_type(type), text_of_type(expected));
}
