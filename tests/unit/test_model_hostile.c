/* test_model_hostile.c - keys that lie: every number of every architecture's tiny model made another one, for all layers or
 * for one; what is not refused with a line must be computed without touching memory that is not its own.
 *
 * Run under ASan and UBSan this says more than here, where a crash is all that shows.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/gguf.h"
#include "engine/model.h"
#include "engine/session.h"
#include "kernels/kern.h"
#include "tests/unit/tiny_arch.h"
#include "tests/unit/tiny_model.h"

#define CASES_MAX 128
#define N_IDS 5
#define ALIGN 32

struct file { unsigned char *bytes; size_t len; };

/* A number among the keys: where its type is, and where the value behind it ends. */
struct place { size_t type, end; uint32_t value; enum gguf_type as; };

/* How a key is made to lie. */
struct lie { uint32_t n; uint32_t value[64]; };         /* n 0: a scalar of value[0] */

static unsigned refused, taken;

/* ---- files --------------------------------------------------------------------------------------- */

static size_t header_end(const struct file *f, const struct gguf *g)
{
	size_t end = 0, i;

	for (i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor_at(g, i);
		size_t e = (size_t)((const unsigned char *)t->name.s - f->bytes) + t->name.len + 4 + 8 * (size_t)t->ndims + 4 + 8;

		end = e > end ? e : end;
	}
	return end;
}

/* The file with another value at p; the caller frees its bytes. */
static struct file tell(const struct file *f, const struct gguf *g, const struct place *p, const struct lie *lie)
{
	size_t end = header_end(f, g), data = (size_t)gguf_data_off(g), at = 0, keep;
	const uint32_t head[2] = { lie->n > 0 ? GGUF_ARR : p->as, p->as };
	const uint64_t n = lie->n;
	struct file out = { calloc(1, f->len + 512), 0 };

	assert_non_null(out.bytes);
	keep = p->type;
	memcpy(out.bytes, f->bytes, keep);
	at = keep;
	memcpy(out.bytes + at, head, lie->n > 0 ? 8 : 4);
	at += lie->n > 0 ? 8 : 4;
	if (lie->n > 0) {
		memcpy(out.bytes + at, &n, 8);
		at += 8;
	}
	memcpy(out.bytes + at, lie->value, (lie->n > 0 ? lie->n : 1) * sizeof(lie->value[0]));
	at += (lie->n > 0 ? lie->n : 1) * sizeof(lie->value[0]);
	memcpy(out.bytes + at, f->bytes + p->end, end - p->end);
	at += end - p->end;
	at = (at + ALIGN - 1) / ALIGN * ALIGN;
	memcpy(out.bytes + at, f->bytes + data, f->len - data);
	out.len = at + f->len - data;
	return out;
}

/* ---- one lie ------------------------------------------------------------------------------------- */

static void compute(const struct model *m)
{
	struct session_params p = { .n_ctx = 16, .n_batch = 4, .n_threads = 1, .type_k = KERN_F16, .type_v = KERN_F32 };
	uint32_t ids[N_IDS], i;
	struct session *s;
	char err[256] = "";

	for (i = 0; i < N_IDS; i++)
		ids[i] = i * 3 % model_n_vocab(m);
	if (session_open(&s, m, &p, err, sizeof(err)) != 0) {
		assert_true(err[0] != '\0');
		return;
	}
	assert_int_equal(session_eval(s, ids, N_IDS, NULL, NULL), 0);
	session_close(s);
}

static void try(const struct file *f, const struct gguf *g, const struct place *p, const struct lie *lie)
{
	struct file liar = tell(f, g, p, lie);
	char err[512] = "";
	struct model *m;

	if (tiny_model_open(liar.bytes, liar.len, &m, err, sizeof(err)) == 0) {
		compute(m);
		model_close(m);
		taken++;
	} else {
		assert_true(err[0] != '\0' && strchr(err, '\n') == NULL);
		refused++;
	}
	free(liar.bytes);
}

/* Numbers that are none, and such that overflow. */
static void try_float(const struct file *f, const struct gguf *g, const struct place *p)
{
	static const uint32_t bits[] = { 0, 0x80000000, 0xbf800000, 0x7f800000, 0x7fc00000, 0x7f7fffff, 1, 0x4f000000 };
	struct lie lie = { .n = 0 };
	size_t i;

	for (i = 0; i < sizeof(bits) / sizeof(bits[0]); i++) {
		lie.value[0] = bits[i];
		try(f, g, p, &lie);
	}
}

/* Other values for one element of an array of numbers. */
static void try_array(const struct file *f, const struct gguf *g, const struct gguf_arr *a)
{
	struct place p = { .type = (size_t)(a->data - f->bytes) - 16, .as = a->elem_type };
	struct lie lie = { .n = (uint32_t)a->n };
	uint32_t other[6], i, k, v;

	assert_true(a->n > 0 && a->n <= 64);
	p.end = p.type + 16 + a->nbytes;
	memcpy(lie.value, a->data, a->nbytes);
	for (k = 0; k < lie.n; k++) {
		v = lie.value[k];
		memcpy(other, (const uint32_t[]){ 0, 1, v / 2, v * 2, v + 1, UINT32_MAX }, sizeof(other));
		for (i = 0; i < 6; i++) {
			lie.value[k] = other[i];
			try(f, g, &p, &lie);
		}
		lie.value[k] = v;
	}
	lie.n--;
	try(f, g, &p, &lie);
}

static void try_one_array(const struct file *f, const struct gguf *g, struct gguf_str key)
{
	struct gguf_arr a;
	char name[128];

	snprintf(name, sizeof(name), "%.*s", (int)key.len, key.s);
	assert_int_equal(gguf_get_arr(g, name, &a), 0);
	if (a.elem_type == GGUF_U32 || a.elem_type == GGUF_I32)
		try_array(f, g, &a);
}

/* Other values for all layers, for the first, for the last, and too few of them. */
static void try_key(const struct file *f, const struct gguf *g, const struct place *p, uint32_t n_layer)
{
	uint32_t v = p->value, i, k;
	const uint32_t other[] = { 0, 1, 2, 3, v / 2, v * 2, v + 1, v - 1, 1u << 20, 1u << 31, UINT32_MAX };
	struct lie lie;

	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		lie = (struct lie){ .n = 0, .value = { other[i] } };
		try(f, g, p, &lie);
		if (i > 7 || n_layer < 2)
			continue;
		lie.n = n_layer;
		for (k = 0; k < n_layer; k++)
			lie.value[k] = v;
		lie.value[0] = other[i];
		try(f, g, p, &lie);
		lie.value[0] = v;
		lie.value[n_layer - 1] = other[i];
		try(f, g, p, &lie);
		lie.n--;
		try(f, g, p, &lie);
	}
}

static void test_case(void **state)
{
	const struct tiny_arch *c = *state;
	struct file f;
	struct gguf *g;
	char err[512];
	uint64_t i;

	refused = taken = 0;
	assert_int_equal(tiny_arch_build(c, &f.bytes, &f.len), 0);
	assert_int_equal(gguf_parse(&g, f.bytes, f.len, f.len, err, sizeof(err)), 0);
	assert_true(c->n_layer <= 64);
	for (i = 0; i < gguf_n_kv(g); i++) {
		enum gguf_type type;
		struct gguf_str key = gguf_key(g, i, &type);
		struct place p = { .type = (size_t)((const unsigned char *)key.s - f.bytes) + key.len };

		if (key.len < 8 || memcmp(key.s, "general.", 8) == 0 || memcmp(key.s, "tokenize", 8) == 0)
			continue;
		p.as = type;
		p.end = p.type + 8;
		memcpy(&p.value, f.bytes + p.type + 4, 4);
		if (type == GGUF_U32)
			try_key(&f, g, &p, c->n_layer);
		else if (type == GGUF_F32)
			try_float(&f, g, &p);
		else if (type == GGUF_ARR)
			try_one_array(&f, g, key);
	}
	print_message("%s: %u refused, %u computed\n", c->name, refused, taken);
	assert_true(refused > 0 && taken > 0);
	gguf_free(g);
	free(f.bytes);
}

int main(void)
{
	struct CMUnitTest tests[CASES_MAX];
	const struct tiny_arch *c;
	unsigned i, n = 0;

	for (i = 0; n < CASES_MAX && (c = tiny_arch_at(i)) != NULL; i++)
		tests[n++] = (struct CMUnitTest){ .name = c->name, .test_func = test_case, .initial_state = (void *)(uintptr_t)c };
	return _cmocka_run_group_tests("model_hostile", tests, n, NULL, NULL);
}
