#include "tiering/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

/* The one piece of process-wide state: a process has one standard error and one syslog. */
static struct {
	const char *program;
	enum log_level least;
	atomic_bool to_syslog;
} log_state = { "hearth", LOG_LEVEL_INFO, false };

void log_open(const char *program, bool to_syslog, enum log_level least)
{
	log_state.program = program;
	log_state.least = least;
	if (to_syslog)
		log_turn_to_syslog();
}

void log_turn_to_syslog(void)
{
	openlog(log_state.program, LOG_PID, LOG_DAEMON);
	atomic_store(&log_state.to_syslog, true);
}

static void log_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[1024];

	if (level > log_state.least)
		return;
	vsnprintf(line, sizeof(line), fmt, ap);
	if (atomic_load(&log_state.to_syslog))
		syslog(level, "%s", line);
	else
		fprintf(stderr, "%s: %s\n", log_state.program, line);
}

void log_err(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_ERR, fmt, ap);
	va_end(ap);
}

void log_warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_WARN, fmt, ap);
	va_end(ap);
}

void log_info(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_INFO, fmt, ap);
	va_end(ap);
}

void log_debug(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_line(LOG_LEVEL_DEBUG, fmt, ap);
	va_end(ap);
}

bool log_site_due(struct log_site *site)
{
	struct timespec ts;
	long now, last = site->last_s;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = ts.tv_sec + 1;
	return now != last && __atomic_compare_exchange_n((long *)&site->last_s, &last, now, false,
							   __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}
