/* What a file says about a node besides what it computes: documentation and metadata. */
#ifndef OCT_ONNX_NOTES_H
#define OCT_ONNX_NOTES_H

#include "ir/graph.h"

#include <onnx/onnx.pb-c.h>

/* NodeProto.metadata_props, which ONNX 1.16 added. */
enum { OCT_NODE_METADATA = 9 };

/* False when out of memory. The message that is written borrows from the notes. */
bool oct_notes_import(OctArena *arena, const Onnx__NodeProto *proto, OctNotes *notes);
bool oct_notes_export(OctArena *arena, const OctNotes *notes, Onnx__NodeProto *proto);

#endif
