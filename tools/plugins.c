#include "plugins.h"
#include "options.h"
#include "report.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static const OctetPluginHost host = {
    .version = 1,
    .register_operator = octet_register_operator,
    .attribute_int = octet_node_attribute_int,
    .attribute_float = octet_node_attribute_float,
    .attribute_string = octet_node_attribute_string,
    .attribute_ints = octet_node_attribute_ints,
};

/* A name without a folder means a file here, not a library of the system. What is loaded stays. */
static int load(const char *file) {
    char path[4160];
    snprintf(path, sizeof path, "%s%.4096s", strchr(file, '/') ? "" : "./", file);
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!object) {
        return report_error("--plugin %s: %s", file, dlerror());
    }
    OctetPlugin plugin = NULL;
    void *symbol = dlsym(object, "octet_plugin");
    if (!symbol) {
        return report_error("--plugin %s: it has no function octet_plugin", file);
    }
    memcpy(&plugin, &symbol, sizeof plugin);
    OctetDiagnostic diagnostic = {0};
    return plugin(&host, &diagnostic) == OCTET_OK ? 0 : report_failure(&diagnostic);
}

int plugins_take(int *count, char **arguments) {
    static const char name[] = "--plugin";
    int kept = 0;
    int code = 0;
    for (int i = 0; i < *count && code == 0; i++) {
        size_t length = sizeof name - 1;
        bool is_plugin = strncmp(arguments[i], name, length) == 0;
        if (is_plugin && arguments[i][length] == '=') {
            code = load(arguments[i] + length + 1);
        } else if (is_plugin && arguments[i][length] == '\0') {
            code = i + 1 < *count ? load(arguments[++i])
                                  : usage_error("help", "--plugin needs a FILE");
        } else {
            arguments[kept++] = arguments[i];
        }
    }
    *count = kept;
    return code;
}
