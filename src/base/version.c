#include "octet/status.h"

const char *octet_version(void) {
    return OCTET_VERSION_STRING;
}
