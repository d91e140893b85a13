/* The caller's sequences and optional values, as the dynamic part holds them, and back. */
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/dynamic.h"

OctetStatus oct_dynamic_take(OctScope *scope, OctDynamicValue *value, const OctetTensor *given,
                             OctetDiagnostic *diagnostic) {
    oct_dynamic_drop(value);
    if (given->kind == OCTET_KIND_OPTIONAL) {
        value->absent = true;
        return OCTET_OK;
    }
    if (given->kind == OCTET_KIND_TENSOR) {
        value->view = (OctView){given->data, given->dtype, given->shape};
        return OCTET_OK;
    }
    OCT_TRY(oct_dynamic_new_list(scope, value, (int32_t)given->item_count, diagnostic));
    for (size_t i = 0; i < given->item_count; i++) {
        const OctetTensor *item = given->items[i];
        value->list->items[i].view = (OctView){item->data, item->dtype, item->shape};
    }
    return OCTET_OK;
}

static OctetStatus show_tensor(const OctView *view, OctetTensor *tensor,
                               OctetDiagnostic *diagnostic) {
    tensor->dtype = view->dtype;
    tensor->data = view->data;
    tensor->shape = view->shape;
    return oct_tensor_bytes(view->dtype, &view->shape, &tensor->bytes, diagnostic);
}

/* The list of pointers and the tensors lie in one block. */
static OctetStatus show_list(const OctList *list, OctetTensor *tensor,
                             OctetDiagnostic *diagnostic) {
    size_t count = (size_t)list->count;
    OctetTensor **items = oct_calloc(count + 1, sizeof(OctetTensor *) + sizeof(OctetTensor));
    if (!items) {
        return oct_fail_memory(diagnostic);
    }
    OctetTensor *tensors = (OctetTensor *)(void *)(items + count + 1);
    tensor->items = items;
    tensor->item_count = count;
    for (size_t i = 0; i < count; i++) {
        tensors[i].qparams.axis = -1;
        OCT_TRY(show_tensor(&list->items[i].view, &tensors[i], diagnostic));
        items[i] = &tensors[i];
    }
    return OCTET_OK;
}

OctetStatus oct_dynamic_show(const OctDynamicValue *value, OctetTensor *tensor,
                             OctetDiagnostic *diagnostic) {
    oct_free(tensor->items);
    tensor->items = NULL;
    tensor->item_count = 0;
    tensor->data = NULL;
    tensor->bytes = 0;
    tensor->kind = value->list     ? OCTET_KIND_SEQUENCE
                   : value->absent ? OCTET_KIND_OPTIONAL
                                   : OCTET_KIND_TENSOR;
    if (tensor->kind == OCTET_KIND_TENSOR) {
        return show_tensor(&value->view, tensor, diagnostic);
    }
    tensor->shape = (OctetShape){.rank = -1};
    return value->list ? show_list(value->list, tensor, diagnostic) : OCTET_OK;
}
