/* Octet: post-training int8 quantization and inference. This header is all of the public API. */
#ifndef OCTET_OCTET_H
#define OCTET_OCTET_H

#include "octet/explain.h"
#include "octet/functional.h"
#include "octet/graph.h"
#include "octet/model.h"
#include "octet/observer.h"
#include "octet/operators.h"
#include "octet/ptq.h"
#include "octet/qconfig.h"
#include "octet/quant.h"
#include "octet/session.h"
#include "octet/status.h"
#include "octet/tensor.h"

#endif
