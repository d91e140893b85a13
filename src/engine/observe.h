/* Showing values to the session's user. */
#ifndef OCT_ENGINE_OBSERVE_H
#define OCT_ENGINE_OBSERVE_H

#include "engine/engine.h"

/* For observers to which the order of elements does not matter: values are shown as they are
 * stored, channels-last ones with their shape permuted likewise, which saves a transposition each.
 * Call before the first run. */
void oct_session_observe_any_layout(OctetSession *session);

/* Calls the user's callback for the node's outputs that are observed. Values that are stored
 * otherwise than the graph has them (channels-last, rebased, on a grid) are converted first. */
OctetStatus oct_observe(const OctetSession *session, const OctNode *node, const OctView *outputs,
                        OctetDiagnostic *diagnostic);

#endif
