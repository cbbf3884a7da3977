# cython: cdivision=True
"""What tokens and price explain: a robust regression, sample by sample.

Weighted recursive least squares with forgetting, y ~ theta . x.  The weight of a sample is that of
a relative error (one over the square of what was predicted) and falls with the size of its own
residual, so a slow call neither bends the line nor hides itself.

References
----------
Ljung, L. and Soderstrom, T. (1983), Theory and Practice of Recursive Identification, section 2.6.
Huber, P. J. and Ronchetti, E. M. (2009), Robust Statistics, chapter 7 (weights of a Cauchy loss).
"""
from libc.math cimport isfinite, log
from libc.stdint cimport int64_t
from libc.string cimport memset

cdef enum:
    TERMS = 3
    FIRST_FITS = 200        # samples before a residual is judged

cdef extern from *:
    """
    #define FIT_MEMORY 2000.0
    #define RESIDUAL_MAX 4.0
    /* Beyond this a coefficient is unknown; forgetting what never comes would grow without end. */
    #define UNCERTAIN_MAX 1e10
    """
    const double FIT_MEMORY
    const double UNCERTAIN_MAX
    const double RESIDUAL_MAX

cdef struct Fit:
    double[TERMS] theta
    double[TERMS * TERMS] spread        # the inverse of the weighted products
    double typical                      # size of a usual residual, in logarithms
    int64_t n


cdef inline void start_fit(Fit* f, double uncertain, double typical) noexcept nogil:
    cdef int i
    memset(f, 0, sizeof(Fit))
    for i in range(TERMS):
        f.spread[i * TERMS + i] = uncertain
    f.typical = typical


cdef inline bint is_sound(const Fit* f) noexcept nogil:
    """Say whether the spread can be one: rounding may make its diagonal negative, or overflow."""
    cdef int i
    for i in range(TERMS):
        if not (f.spread[i * TERMS + i] > 0 and isfinite(f.spread[i * TERMS + i])):
            return False
    return True


cdef inline double predicted(const Fit* f, const double* x) noexcept nogil:
    return f.theta[0] * x[0] + f.theta[1] * x[1] + f.theta[2] * x[2]


cdef inline bint is_unseen(const Fit* f, const double* x, double expected,
                           double least) noexcept nogil:
    """Say whether what is expected of x is less certain than one sample is.

    Where a term never varied its share of the level is anybody's guess, and so is what is expected
    of a sample in which it does.  The variance of a prediction is x' P x in units of a residual's.
    """
    cdef double size = expected if expected > least else least, spread = 0
    cdef int i, j
    for i in range(TERMS):
        for j in range(TERMS):
            spread += x[i] * f.spread[i * TERMS + j] * x[j]
    return spread > size * size


cdef inline double residual(double y, double expected, double least) noexcept nogil:
    """Return ln(y / expected), both at least `least`, held to +-4."""
    cdef double r = log((y if y > least else least) / (expected if expected > least else least))
    if r > RESIDUAL_MAX:
        return RESIDUAL_MAX
    return r if r > -RESIDUAL_MAX else -RESIDUAL_MAX


cdef inline void fit_step(Fit* f, const double* x, double y, double expected, double r,
                          double least) noexcept nogil:
    """Learn one sample with residual r; `least`: what is smaller counts as that in the weight."""
    cdef double size = 0.3 * y if 0.3 * y > expected else expected
    cdef double weight, forget = 1 - 1 / FIT_MEMORY
    cdef double error = y - expected, scale = r / f.typical if f.n > 20 else 0.0
    cdef double[TERMS] gain
    cdef double divisor
    cdef int i, j
    if size < least:
        size = least
    for i in range(TERMS):
        if f.spread[i * TERMS + i] > UNCERTAIN_MAX:
            forget = 1
    weight = 1 / (size * size * (1 + scale * scale))
    divisor = forget / weight
    for i in range(TERMS):
        gain[i] = 0
        for j in range(TERMS):
            gain[i] += f.spread[i * TERMS + j] * x[j]
        divisor += x[i] * gain[i]
    for i in range(TERMS):
        f.theta[i] += gain[i] * error / divisor
        for j in range(TERMS):
            f.spread[i * TERMS + j] = (
                f.spread[i * TERMS + j] - gain[i] * gain[j] / divisor) / forget
    f.n += 1
