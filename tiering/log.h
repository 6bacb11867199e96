/* log.h - one line per event, to standard error in the foreground and to syslog otherwise.
 *
 * Threads: program and level are set by the first log_open, before threads start; any thread may turn to
 * syslog later, and any thread may say lines.
 */
#ifndef TIERING_LOG_H
#define TIERING_LOG_H

#include <stdbool.h>

enum log_level { LOG_LEVEL_ERR = 3, LOG_LEVEL_WARN = 4, LOG_LEVEL_INFO = 6, LOG_LEVEL_DEBUG = 7 };

/* Where lines go from now on, and the least important level that is written. */
void log_open(const char *program, bool to_syslog, enum log_level least);
void log_turn_to_syslog(void);

void log_err(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* For data paths: true at most once a second for each site, so that a failing disk writes a line a
 * second and not one a request.  The caller owns the site, zero at first. */
struct log_site {
	_Atomic long last_s;
};
bool log_site_due(struct log_site *site);

#endif
