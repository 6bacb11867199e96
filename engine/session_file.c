/* session_file.c - a session's timeline as a file: what --prompt-cache keeps.
 *
 * Layout, in the byte order of the machine: struct head; tokens, u32 each; the last logits, f32 each, if the session had
 * them; of each layer the keys of all positions, then the values; all states; the XXH3-64 of everything before.  Since
 * the bits of a timeline depend on the model, the KV types, the instruction set and which of two rope tables a context
 * of that length uses, the head names these, and a file with others is refused.
 */
#include "engine/session_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xxhash.h>

#include "engine/graph.h"
#include "engine/kv.h"
#include "engine/model_internal.h"
#include "kernels/kern.h"

#define MAGIC "HEARTHPC"
#define VERSION 1u

struct head {
	char magic[8];
	uint32_t version, type_k, type_v, ropes_longer;
	char isa[16];
	uint64_t model;                 /* weights_fingerprint */
	uint32_t n_tokens, n_logits;
};

/* One file being written or read, and the sum of what passed. */
struct file {
	FILE *f;
	XXH3_state_t *sum;
	bool writing;
	int rc;                         /* the first error; then nothing more is done */
};

static int fault(char *err, size_t errlen, int rc, const char *path, const char *what)
{
	char reason[128];

	snprintf(err, errlen, "%s: %s", path, what != NULL ? what : strerror_r(-rc, reason, sizeof(reason)));
	return rc;
}

static struct head make_head(const struct session *s)
{
	struct head h = { .version = VERSION, .type_k = kv_type_k(s->kv), .type_v = kv_type_v(s->kv), .n_tokens = s->n_past,
			  .n_logits = s->have_logits ? s->m->dims.n_vocab : 0, .model = weights_fingerprint(s->m->w) };
	uint32_t i;

	memcpy(h.magic, MAGIC, sizeof(h.magic));
	snprintf(h.isa, sizeof(h.isa), "%s", s->isa->name);
	for (i = 0; i < GRAPH_ROPES; i++)
		h.ropes_longer |= (uint32_t)session_rope_longer(s->m, s->n_ctx, i) << i;
	return h;
}

/* ---- bytes --------------------------------------------------------------------------------------- */

static int file_open(struct file *t, int fd, bool writing)
{
	*t = (struct file){ .f = fdopen(fd, writing ? "w" : "r"), .sum = XXH3_createState(), .writing = writing };
	if (t->f != NULL && t->sum != NULL && XXH3_64bits_reset(t->sum) == XXH_OK)
		return 0;
	XXH3_freeState(t->sum);
	if (t->f != NULL)
		fclose(t->f);
	else
		close(fd);
	return -ENOMEM;
}

/* Write n bytes, or read them over what is there; a file that is too short reads as damaged. */
static void pass(struct file *t, void *at, size_t n)
{
	if (t->rc != 0 || n == 0)
		return;
	errno = 0;
	if ((t->writing ? fwrite(at, 1, n, t->f) : fread(at, 1, n, t->f)) != n)
		t->rc = errno != 0 ? -errno : t->writing ? -EIO : -EBADMSG;
	else
		XXH3_64bits_update(t->sum, at, n);
}

/* All but the head. */
static void pass_body(struct file *t, struct session *s, uint32_t n_tokens, float *logits, uint32_t n_logits)
{
	size_t bytes;
	void *states = kv_states(s->kv, &bytes);
	uint32_t i;

	pass(t, s->tokens, n_tokens * sizeof(*s->tokens));
	pass(t, logits, n_logits * sizeof(*logits));
	for (i = 0; i < s->m->dims.n_layer; i++) {
		pass(t, kv_k(s->kv, i, 0), n_tokens * kv_k_bytes(s->kv, i));
		pass(t, kv_v(s->kv, i, 0), n_tokens * kv_v_bytes(s->kv, i));
	}
	pass(t, states, bytes);
}

static void pass_sum(struct file *t)
{
	uint64_t sum = XXH3_64bits_digest(t->sum), there = sum;

	pass(t, &there, sizeof(there));
	if (t->rc == 0 && !t->writing && (there != sum || fgetc(t->f) != EOF))
		t->rc = -EBADMSG;
}

static int file_close(struct file *t)
{
	errno = 0;
	if (t->rc == 0 && t->writing && (fflush(t->f) != 0 || fsync(fileno(t->f)) != 0))
		t->rc = errno != 0 ? -errno : -EIO;
	errno = 0;
	if (fclose(t->f) != 0 && t->rc == 0)
		t->rc = errno != 0 ? -errno : -EIO;
	XXH3_freeState(t->sum);
	return t->rc;
}

/* ---- save ---------------------------------------------------------------------------------------- */

static int write_all(const struct session *s, int fd)
{
	struct session *same = (struct session *)(uintptr_t)s;          /* pass only reads when it writes the file */
	struct head h = make_head(s);
	struct file t;
	int rc = file_open(&t, fd, true);

	if (rc != 0)
		return rc;
	pass(&t, &h, sizeof(h));
	pass_body(&t, same, h.n_tokens, (float *)(uintptr_t)session_logits(s), h.n_logits);
	pass_sum(&t);
	return file_close(&t);
}

int session_save(const struct session *s, const char *path, char *err, size_t errlen)
{
	char part[PATH_MAX];
	int fd, rc, n = snprintf(part, sizeof(part), "%s.XXXXXX", path);

	if (kv_on_disk(s->kv))
		return fault(err, errlen, -ENOTSUP, path, "is for a KV cache in memory; one on disk is kept where it lies");
	if (n < 0 || (size_t)n >= sizeof(part))
		return fault(err, errlen, -ENAMETOOLONG, path, NULL);
	fd = mkostemp(part, O_CLOEXEC);
	if (fd < 0)
		return fault(err, errlen, -errno, path, NULL);
	rc = write_all(s, fd);
	if (rc == 0 && rename(part, path) != 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	unlink(part);
	return fault(err, errlen, rc, path, NULL);
}

/* ---- load ---------------------------------------------------------------------------------------- */

/* What is wrong with a head, or NULL. */
static const char *head_fault(const struct session *s, const struct head *h)
{
	struct head own = make_head(s);

	if (memcmp(h->magic, own.magic, sizeof(own.magic)) != 0)
		return "is no prompt cache of hearth-run";
	if (h->version != own.version)
		return "is a prompt cache of another version of hearth-run; remove it";
	if (h->model != own.model)
		return "is the prompt cache of another model; remove it or name another file";
	if (h->type_k != own.type_k || h->type_v != own.type_v)
		return "was made with other types of the KV cache (-ctk, -ctv)";
	if (memcmp(h->isa, own.isa, sizeof(own.isa)) != 0)
		return "was made with another instruction set (--isa)";
	if (h->ropes_longer != own.ropes_longer)
		return "was made for a context of another length (-c)";
	if (h->n_logits != 0 && h->n_logits != s->m->dims.n_vocab)
		return "is damaged; remove it";
	if (h->n_tokens > s->n_ctx)
		return "holds more tokens than the context (-c)";
	return NULL;
}

/* The session holds the file's timeline, or -EBADMSG or a system's error and any rubbish. */
static int read_body(struct session *s, struct file *t, const struct head *h)
{
	uint32_t i;

	pass_body(t, s, h->n_tokens, s->logits, h->n_logits);
	pass_sum(t);
	for (i = 0; i < h->n_tokens && t->rc == 0; i++)
		if (s->tokens[i] >= s->m->dims.n_vocab)
			t->rc = -EBADMSG;
	if (t->rc != 0)
		return t->rc;
	s->n_past = h->n_tokens;
	s->have_logits = h->n_logits > 0;
	s->last_row = 0;
	return 0;
}

/* A regular file only: others may have no end. */
static int open_regular(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	close(fd);
	return -EINVAL;
}

int session_load(struct session *s, const char *path, char *err, size_t errlen)
{
	const char *what = NULL;
	struct file t;
	struct head h;
	int rc, fd;

	if (kv_on_disk(s->kv))
		return fault(err, errlen, -ENOTSUP, path, "is for a KV cache in memory; one on disk is kept where it lies");
	fd = open_regular(path);
	if (fd < 0)
		return fault(err, errlen, fd, path, fd == -EINVAL ? "is no regular file" : NULL);
	rc = file_open(&t, fd, false);
	if (rc != 0)
		return fault(err, errlen, rc, path, NULL);
	pass(&t, &h, sizeof(h));
	if (t.rc == -EBADMSG)
		what = "is no prompt cache of hearth-run";
	else if (t.rc == 0 && (what = head_fault(s, &h)) != NULL)
		t.rc = -EBADMSG;
	if (t.rc == 0) {
		session_reset(s);
		if (read_body(s, &t, &h) != 0)
			session_reset(s);
	}
	rc = file_close(&t);
	if (rc == -EBADMSG)
		return fault(err, errlen, -EINVAL, path, what != NULL ? what : "is damaged; remove it");
	return rc != 0 ? fault(err, errlen, rc, path, NULL) : 0;
}
