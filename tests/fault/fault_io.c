#include "tests/fault/fault_io.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	int error;
} fault_errors[] = {
	{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "ENOMEM", ENOMEM }, { "EACCES", EACCES }, { "ENOENT", ENOENT },
	{ "EINTR", EINTR }, { "EROFS", EROFS }, { "EMFILE", EMFILE }, { "EDQUOT", EDQUOT },
};

static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

static int fault_op(const char *name, size_t len)
{
	for (int op = 0; op < IO_OP_COUNT; op++)
		if (strlen(io_op_name(op)) == len && strncmp(io_op_name(op), name, len) == 0)
			return op;
	return len == 3 && strncmp(name, "any", 3) == 0 ? FAULT_ANY : -1;
}

static bool fault_parse_what(struct fault_plan *f, const char *text)
{
	char *end;

	if (strcmp(text, "swallow") == 0)
		f->what = FAULT_SWALLOW;
	else if (strcmp(text, "kill") == 0)
		f->what = FAULT_KILL;
	else if (strncmp(text, "short=", 6) == 0)
		f->what = FAULT_SHORT;
	for (size_t i = 0; i < sizeof(fault_errors) / sizeof(fault_errors[0]); i++) {
		if (strcmp(text, fault_errors[i].name) != 0)
			continue;
		f->what = FAULT_ERRNO;
		f->error = fault_errors[i].error;
	}
	if (f->what == FAULT_SHORT) {
		f->len = strtoul(text + 6, &end, 10);
		return text[6] != '\0' && *end == '\0';
	}
	return f->what != FAULT_NONE;
}

static bool fault_parse(struct fault_plan *f, const char *text)
{
	const char *colon = strchr(text, ':');
	char *end;

	if (text[0] == '\0' || strcmp(text, "count") == 0)
		return true;
	if (colon == NULL)
		return false;
	f->op = fault_op(text, (size_t)(colon - text));
	f->nth = strtoul(colon + 1, &end, 10);
	if (f->op < 0 || end == colon + 1)
		return false;
	f->forever = *end == '+';
	end += f->forever;
	return *end == ':' && fault_parse_what(f, end + 1);
}

int fault_io_arm(struct fault_io *f, const char *text)
{
	struct fault_plan parsed = { .op = FAULT_ANY };

	if (!fault_parse(&parsed, text))
		return -EINVAL;
	pthread_mutex_lock(&fault_lock);
	f->plan = parsed;
	atomic_store(&f->seen, 0);
	atomic_store(&f->fired, 0);
	for (int op = 0; op < IO_OP_COUNT; op++)
		atomic_store(&f->count[op], 0);
	pthread_mutex_unlock(&fault_lock);
	return 0;
}

/* The plan when the call is one that it meets, else one of nothing. */
static struct fault_plan fault_due(struct fault_io *f, const struct io_call *call)
{
	struct fault_plan p;
	unsigned long n;

	pthread_mutex_lock(&fault_lock);
	p = f->plan;
	if (p.op == FAULT_ANY ? call->op == IO_SYNC_RANGE || call->op == IO_CLOSE : call->op != (enum io_op)p.op) {
		p.what = FAULT_NONE;
	} else {
		n = atomic_fetch_add(&f->seen, 1);
		if (n != p.nth && !(p.forever && n > p.nth))
			p.what = FAULT_NONE;
	}
	pthread_mutex_unlock(&fault_lock);
	return p;
}

int fault_io_hook(void *ctx, struct io_call *call)
{
	struct fault_io *f = ctx;
	struct fault_plan p;

	atomic_fetch_add(&f->count[call->op], 1);
	p = fault_due(f, call);
	if (p.what == FAULT_NONE)
		return 0;
	atomic_fetch_add(&f->fired, 1);
	if (f->tell)
		fprintf(stderr, "fault: %s '%s'\n", io_op_name(call->op), call->name != NULL ? call->name : "");
	switch (p.what) {
	case FAULT_ERRNO:
		return -p.error;
	case FAULT_SHORT:
		if (p.len < call->len)
			call->len = p.len;
		return 0;
	case FAULT_SWALLOW:
		return IO_SWALLOW;
	case FAULT_KILL:
		_exit(9);
	default:
		return 0;
	}
}

struct io fault_io(struct fault_io *f)
{
	return (struct io){ .hook = fault_io_hook, .ctx = f };
}
