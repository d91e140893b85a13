#include "octet/qconfig.h"

#include <stddef.h>

/* Matches one character against the set behind '['; *end is set behind its ']'. An unclosed set
 * matches a '[' as it is, *end then is NULL. */
static bool match_set(const char *set, char character, const char **end) {
    const char *at = set;
    bool inverted = *at == '!', found = false;
    at += inverted;
    const char *first = at;
    while (*at && (*at != ']' || at == first)) {
        char low = *at++;
        char high = low;
        if (at[0] == '-' && at[1] && at[1] != ']') {
            high = at[1];
            at += 2;
        }
        found = found || ((unsigned char)character >= (unsigned char)low &&
                          (unsigned char)character <= (unsigned char)high);
    }
    *end = *at == ']' ? at + 1 : NULL;
    return found != inverted;
}

/* One step of a pattern that is not '*': whether it takes the character, and where it goes on. */
static bool match_one(const char *pattern, char character, const char **next) {
    if (*pattern == '?') {
        *next = pattern + 1;
        return true;
    }
    if (*pattern == '[') {
        bool matches = match_set(pattern + 1, character, next);
        if (*next) {
            return matches;
        }
    }
    if (*pattern == '\\' && pattern[1]) {
        pattern++;
    }
    *next = pattern + 1;
    return *pattern == character;
}

bool octet_glob_match(const char *pattern, const char *text) {
    /* after a mismatch, only the last star needs to take one character more */
    const char *star = NULL, *resume = NULL, *next;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
        } else if (*pattern && match_one(pattern, *text, &next)) {
            pattern = next;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}
