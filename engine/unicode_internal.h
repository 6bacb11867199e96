/* unicode_internal.h - the generated tables behind unicode.h; for unicode*.c only. */
#ifndef ENGINE_UNICODE_INTERNAL_H
#define ENGINE_UNICODE_INTERNAL_H

#include <stdint.h>

extern const uint32_t unicode_ranges[];         /* first code point << 3 | enum unicode_cat */
extern const uint32_t unicode_nranges;
extern const uint32_t unicode_spaces[];
extern const uint32_t unicode_nspaces;

#endif
