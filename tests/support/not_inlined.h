/*
 * In front of a translation unit, in the place of runtime/kernels/tc_inline.h: functions of kernels are called.
 *
 * What sanitizers check are accesses and arithmetic, which are the same; a body written out at each of its calls, with
 * checks in it, is most of what a compiler that optimises nothing has to do.
 */
#define TC_INLINE_H
#include <stdint.h>
#define TC_INLINE static inline
#define TC_POINTED_AT static inline
