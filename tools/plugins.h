/* Custom operators out of shared objects. */
#ifndef OCTET_TOOLS_PLUGINS_H
#define OCTET_TOOLS_PLUGINS_H

/* Loads the file of every "--plugin FILE" (or "--plugin=FILE") among the arguments and takes them
 * out of the list. Returns 0, or an exit code after an error was printed. */
int plugins_take(int *count, char **arguments);

#endif
