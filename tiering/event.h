/* event.h - what tiering did lately, as JSON lines.
 *
 * A ring of fixed size: the oldest goes.  Nothing is written to a disk; readers take a text.
 *
 * An event is one JSON object on a line, with these keys in this order; tier and blob may be null:
 *     {"seq":17,"time":"2026-11-21T06:20:00.123Z","type":"admit","tier":"nvme","blob":"blobs/sha256-...","text":"..."}
 * seq is 1 for the first and grows by one, so a reader sees what it missed.  time is the clock's, which may be set back.
 *
 * Threads: new and free are exclusive; all else may be called by any thread at once.
 */
#ifndef TIERING_EVENT_H
#define TIERING_EVENT_H

struct event_log;

#define EVENT_COUNT 1024                /* events kept */
#define EVENT_TEXT_MAX 512              /* bytes of a text; longer ones are cut at a character */
#define EVENT_BLOB_MAX 512              /* bytes of a blob's name; longer ones lose their beginning */

/* 0 and an owned log in *out, or a negative errno (-ENOMEM). */
int event_log_new(struct event_log **out) __attribute__((warn_unused_result));
void event_log_free(struct event_log *e);               /* NULL is a no-op */
/* type and tier are borrowed until event_log_free: constant words, or names that live as long; tier may be NULL.
 * blob (a path in home, or any name) may be NULL; the text is printf's.  Any bytes are allowed in all of them: they
 * are escaped, and each byte that is no UTF-8 becomes U+FFFD. */
void event_log_add(struct event_log *e, const char *type, const char *tier, const char *blob, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* All that are kept, oldest first: an owned string in *out, to be freed.  0 or -ENOMEM. */
int event_log_print(struct event_log *e, char **out) __attribute__((warn_unused_result));

#endif
