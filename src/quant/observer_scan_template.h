/* The range of one chunk, LANES floats at once; included by observer_scan.c once for every width.
 *   NAME    of the function        LANES   floats of a vector, a power of two
 *   TARGET  attributes, or nothing  FLOATS, MASK  names for its vector types
 * C has no minimum that compilers would dare to vectorize by themselves, and these vectors need no
 * intrinsics. */
typedef float FLOATS __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t MASK __attribute__((vector_size(LANES * sizeof(int32_t))));

/* False if a value may be infinite or NaN, which shows in the sum. */
TARGET static bool NAME(const float *values, int64_t count, float *minimum, float *maximum) {
    FLOATS low[CHAINS], high[CHAINS], sum = {0};
    float least = *minimum, greatest = *maximum, rest = 0;
    for (int k = 0; k < CHAINS; k++) {
        low[k] = (FLOATS){0} + least;
        high[k] = (FLOATS){0} + greatest;
    }
    int64_t i = 0;
    for (; i + CHAINS * LANES <= count; i += CHAINS * LANES) {
        for (int k = 0; k < CHAINS; k++) {
            FLOATS value;
            memcpy(&value, values + i + k * LANES, sizeof value);
            MASK less = value < low[k];
            MASK greater = value > high[k];
            low[k] = (FLOATS)(((MASK)value & less) | ((MASK)low[k] & ~less));
            high[k] = (FLOATS)(((MASK)value & greater) | ((MASK)high[k] & ~greater));
            sum += value;
        }
    }
    for (; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        greatest = values[i] > greatest ? values[i] : greatest;
        rest += values[i];
    }
    for (int v = 0; v < LANES; v++) {
        for (int k = 0; k < CHAINS; k++) {
            least = low[k][v] < least ? low[k][v] : least;
            greatest = high[k][v] > greatest ? high[k][v] : greatest;
        }
        rest += sum[v];
    }
    if (!isfinite(rest)) {
        return false;
    }
    *minimum = least;
    *maximum = greatest;
    return true;
}

#undef NAME
#undef LANES
#undef TARGET
#undef FLOATS
#undef MASK
