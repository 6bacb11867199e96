/* weights_guard.h - mapped files that become shorter: touching what is gone is a SIGBUS, which by default ends the process.
 *
 * With the handler installed such a page reads as zeros from then on, and the range remembers it, so that what was
 * computed can be thrown away.  A SIGBUS elsewhere does what it always did.
 * Threads: ranges may be added and removed on any thread while others touch them.
 */
#ifndef ENGINE_WEIGHTS_GUARD_H
#define ENGINE_WEIGHTS_GUARD_H

#include <stdbool.h>
#include <stddef.h>

/* For the whole process, once; a program does this, no library. */
void weights_guard_install(void);

/* -ENOSPC: too many ranges; then they are not guarded. */
int weights_guard_add(void *map, size_t len);
void weights_guard_remove(void *map);
/* Was a page of it missing since it was added? */
bool weights_guard_hit(const void *map);

#endif
