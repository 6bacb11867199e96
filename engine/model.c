/* model.c - opening a model: which architecture, which dimensions, which tensors. */
#include "engine/model_internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/kern.h"

/* Bounds on what a file may claim, all far above any published model. */
#define EMBD_MAX (1u << 20)
#define HEADS_MAX 65536u
#define FF_MAX (1u << 24)
#define VOCAB_MAX (1u << 24)
#define CTX_MAX (1u << 30)

#define REASON 256

/* One line into err; returns rc. */
__attribute__((format(printf, 4, 5)))
static int fault(char *err, size_t errlen, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, errlen, fmt, ap);
	va_end(ap);
	return rc;
}

/* ---- keys ---------------------------------------------------------------------------------------- */

static const char *full_key(const struct model *m, const char *suffix, char key[MODEL_NAME_MAX])
{
	snprintf(key, MODEL_NAME_MAX, "%s.%s", m->arch->name, suffix);
	return key;
}

/* What a look-up's result means for a key. */
static int key_result(int rc, const char *key, bool required, char *err, size_t errlen)
{
	if (rc == 0 || (rc == -ENOENT && !required))
		return 0;
	if (rc == -ENOENT)
		return fault(err, errlen, -EINVAL, "the key '%s' is missing", key);
	return fault(err, errlen, -EINVAL, "the key '%s' has the wrong type or is out of range", key);
}

int model_key_u32(const struct model *m, const char *suffix, bool required, uint32_t *out, char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];

	full_key(m, suffix, key);
	return key_result(gguf_get_u32(weights_meta(m->w), key, out), key, required, err, errlen);
}

int model_key_f32(const struct model *m, const char *suffix, bool required, float *out, char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];
	float v = *out;
	int rc;

	full_key(m, suffix, key);
	rc = gguf_get_f32(weights_meta(m->w), key, &v);
	if (rc == 0 && !isfinite(v))
		rc = -EINVAL;
	if (rc == 0)
		*out = v;
	return key_result(rc, key, required, err, errlen);
}

int model_key_layer(const struct model *m, const char *suffix, uint32_t layer, bool required, uint32_t *out,
		    char *err, size_t errlen)
{
	char key[MODEL_NAME_MAX];
	struct gguf_arr arr;
	int rc;

	full_key(m, suffix, key);
	rc = gguf_get_arr(weights_meta(m->w), key, &arr);
	if (rc == -EINVAL)              /* there, but no array */
		rc = gguf_get_u32(weights_meta(m->w), key, out);
	else if (rc == 0 && arr.n != m->dims.n_layer)
		return fault(err, errlen, -EINVAL, "the array '%s' does not have one element a layer", key);
	else if (rc == 0)
		rc = gguf_arr_u32(&arr, layer, out);
	return key_result(rc, key, required, err, errlen);
}

/* ---- tensors ------------------------------------------------------------------------------------- */

static bool shape_is(const struct weights_tensor *t, const struct model_want *want)
{
	return t->ne[0] == want->cols && t->ne[1] == (want->rows != 0 ? want->rows : 1) && t->ne[2] == 1 &&
	       t->ne[3] == 1;
}

static int wrong_shape(const struct weights_tensor *t, const struct model_want *want, char *err, size_t errlen)
{
	return fault(err, errlen, -EINVAL, "the tensor '%s' has the shape [%llu, %llu, %llu, %llu], not [%llu, %llu]",
		     want->name,
		 (unsigned long long)t->ne[0], (unsigned long long)t->ne[1], (unsigned long long)t->ne[2],
		 (unsigned long long)t->ne[3], (unsigned long long)want->cols,
		 (unsigned long long)(want->rows != 0 ? want->rows : 1));
}

int model_tensor(struct model *m, const struct model_want *want, struct weights_tensor *out, char *err, size_t errlen)
{
	struct weights_tensor t;

	if (weights_find(m->w, want->name, &t) != 0) {
		memset(out, 0, sizeof(*out));
		if (want->required)
			return fault(err, errlen, -EINVAL, "the tensor '%s' is missing", want->name);
		return 0;
	}
	if (!shape_is(&t, want))
		return wrong_shape(&t, want, err, errlen);
	if (want->plain ? t.type != KERN_F32 : !kern_can_dequant(t.type)) {
		return fault(err, errlen, -ENOTSUP, "the tensor '%s' has the type %s, which is not supported%s", want->name,
			 kern_type(t.type)->name, want->plain ? " there" : "");
	}
	m->n_found++;
	*out = t;
	return 0;
}

/* Tensors of towers that turn images and sound into embeddings, and precomputed rope of old files. */
static bool not_ours(struct gguf_str name)
{
	static const char *const prefix[] = { "v.", "mm.", "a." };
	static const char rot[] = ".attn_rot_embd";
	size_t i;

	for (i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++)
		if (name.len > strlen(prefix[i]) && memcmp(name.s, prefix[i], strlen(prefix[i])) == 0)
			return true;
	return name.len > sizeof(rot) - 1 && memcmp(name.s + name.len - (sizeof(rot) - 1), rot, sizeof(rot) - 1) == 0;
}

/* A tensor that nobody asked for would mean that the model is computed wrongly. */
static int check_left_over(const struct model *m, char *err, size_t errlen)
{
	uint64_t i, n = weights_n_tensors(m->w), skipped = 0;

	for (i = 0; i < n; i++)
		skipped += not_ours(weights_name(m->w, i));
	if (m->n_found + skipped == n)
		return 0;
	return fault(err, errlen, -ENOTSUP, "%llu tensors are not known to the architecture '%s'",
		 (unsigned long long)(n - skipped - m->n_found), m->arch->name);
}

/* ---- dimensions ---------------------------------------------------------------------------------- */

static int check_range(const struct model *m, const char *suffix, uint32_t v, uint32_t max, char *err, size_t errlen)
{
	if (v >= 1 && v <= max)
		return 0;
	return fault(err, errlen, -EINVAL, "the key '%s.%s' is %u, outside 1 to %u", m->arch->name, suffix, v, max);
}

static int load_counts(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	int rc;

	if ((rc = model_key_u32(m, "block_count", true, &d->n_layer, err, errlen)) != 0 ||
	    (rc = check_range(m, "block_count", d->n_layer, MODEL_LAYERS_MAX, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "embedding_length", true, &d->n_embd, err, errlen)) != 0 ||
	    (rc = check_range(m, "embedding_length", d->n_embd, EMBD_MAX, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "context_length", true, &d->n_ctx_train, err, errlen)) != 0)
		return rc;
	return check_range(m, "context_length", d->n_ctx_train, CTX_MAX, err, errlen);
}

/* Head sizes: keys where they are given, else the embedding divided among layer 0's heads. */
static int load_heads(struct model *m, char *err, size_t errlen)
{
	struct model_dims *d = &m->dims;
	uint32_t n_head = 0;
	int rc;

	if ((rc = model_key_layer(m, "attention.head_count", 0, true, &n_head, err, errlen)) != 0 ||
	    (rc = check_range(m, "attention.head_count", n_head, HEADS_MAX, err, errlen)) != 0)
		return rc;
	d->head_k = d->n_embd / n_head;
	d->head_v = d->n_embd / n_head;
	if ((rc = model_key_u32(m, "attention.key_length", false, &d->head_k, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "attention.value_length", false, &d->head_v, err, errlen)) != 0 ||
	    (rc = check_range(m, "attention.key_length", d->head_k, KERN_HEAD_MAX, err, errlen)) != 0 ||
	    (rc = check_range(m, "attention.value_length", d->head_v, KERN_HEAD_MAX, err, errlen)) != 0)
		return rc;
	d->n_rot = d->head_k;
	if ((rc = model_key_u32(m, "rope.dimension_count", false, &d->n_rot, err, errlen)) != 0)
		return rc;
	if (d->n_rot < 2 || d->n_rot % 2 != 0 || d->n_rot > d->head_k) {
		return fault(err, errlen, -EINVAL, "the key '%s.rope.dimension_count' is %u with heads of %u",
			     m->arch->name, d->n_rot, d->head_k);
	}
	return 0;
}

/* Only what stretches all positions alike is known here. */
static int load_rope(struct model *m, char *err, size_t errlen)
{
	struct gguf_str type = { "", 0 };
	char key[MODEL_NAME_MAX];
	float factor = 0.0f;
	bool linear;
	int rc;

	m->dims.rope_base = 10000.0f;
	m->dims.rope_scale = 1.0f;
	if ((rc = model_key_f32(m, "rope.freq_base", false, &m->dims.rope_base, err, errlen)) != 0)
		return rc;
	if (!(m->dims.rope_base > 0.0f))
		return fault(err, errlen, -EINVAL, "the key '%s.rope.freq_base' is not positive", m->arch->name);
	rc = gguf_get_str(weights_meta(m->w), full_key(m, "rope.scaling.type", key), &type);
	if (rc != 0 && rc != -ENOENT)
		return key_result(rc, key, true, err, errlen);
	linear = rc == -ENOENT || (type.len == 6 && memcmp(type.s, "linear", 6) == 0);
	if (!linear && !(type.len == 4 && memcmp(type.s, "none", 4) == 0)) {
		return fault(err, errlen, -ENOTSUP, "rope scaling of the type '%.*s' is not supported",
			     (int)(type.len < 32 ? type.len : 32), type.s);
	}
	if ((rc = model_key_f32(m, "rope.scale_linear", false, &factor, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scaling.factor", false, &factor, err, errlen)) != 0)
		return rc;
	if (factor < 0.0f)
		return fault(err, errlen, -EINVAL, "the key '%s.rope.scaling.factor' is negative", m->arch->name);
	if (linear && factor > 0.0f)    /* 0 means unset, as in llama.cpp */
		m->dims.rope_scale = 1.0f / factor;
	return 0;
}

/* The vocabulary is as large as the embedding table says. */
static int load_embedding(struct model *m, char *err, size_t errlen)
{
	struct model_want want = { "token_embd.weight", m->dims.n_embd, 0, true, false };
	struct weights_tensor t;

	if (weights_find(m->w, want.name, &t) != 0)
		return fault(err, errlen, -EINVAL, "the tensor '%s' is missing", want.name);
	if (t.ne[1] < 1 || t.ne[1] > VOCAB_MAX)
		return fault(err, errlen, -EINVAL, "the tensor '%s' has too many rows", want.name);
	want.rows = t.ne[1];
	m->dims.n_vocab = (uint32_t)t.ne[1];
	return model_tensor(m, &want, &m->tok_embd, err, errlen);
}

int model_load_dims(struct model *m, char *err, size_t errlen)
{
	int rc;

	if ((rc = load_counts(m, err, errlen)) != 0 || (rc = load_heads(m, err, errlen)) != 0 ||
	    (rc = load_rope(m, err, errlen)) != 0)
		return rc;
	return load_embedding(m, err, errlen);
}

static uint32_t larger(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static int load_layer_counts(struct model *m, uint32_t i, char *err, size_t errlen)
{
	struct model_layer *l = &m->layers[i];
	int rc;

	if ((rc = model_key_layer(m, "attention.head_count", i, true, &l->n_head, err, errlen)) != 0 ||
	    (rc = check_range(m, "attention.head_count", l->n_head, HEADS_MAX, err, errlen)) != 0)
		return rc;
	l->n_head_kv = l->n_head;
	if ((rc = model_key_layer(m, "attention.head_count_kv", i, false, &l->n_head_kv, err, errlen)) != 0 ||
	    (rc = check_range(m, "attention.head_count_kv", l->n_head_kv, l->n_head, err, errlen)) != 0 ||
	    (rc = model_key_layer(m, "feed_forward_length", i, true, &l->n_ff, err, errlen)) != 0 ||
	    (rc = check_range(m, "feed_forward_length", l->n_ff, FF_MAX, err, errlen)) != 0)
		return rc;
	if (l->n_head % l->n_head_kv != 0) {
		return fault(err, errlen, -EINVAL, "layer %u has %u heads, which %u KV heads do not divide", i, l->n_head,
			     l->n_head_kv);
	}
	m->dims.max_head = larger(m->dims.max_head, l->n_head);
	m->dims.max_head_kv = larger(m->dims.max_head_kv, l->n_head_kv);
	m->dims.max_ff = larger(m->dims.max_ff, l->n_ff);
	return 0;
}

int model_load_layers(struct model *m, char *err, size_t errlen)
{
	uint32_t i;
	int rc;

	m->layers = calloc(m->dims.n_layer, sizeof(*m->layers));
	if (m->layers == NULL)
		return fault(err, errlen, -ENOMEM, "out of memory");
	for (i = 0; i < m->dims.n_layer; i++) {
		rc = load_layer_counts(m, i, err, errlen);
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* ---- open and close ------------------------------------------------------------------------------ */

static int load(struct model *m, char *err, size_t errlen)
{
	struct gguf_str name;
	int rc;

	rc = gguf_get_str(weights_meta(m->w), "general.architecture", &name);
	if (rc != 0)
		return key_result(rc, "general.architecture", true, err, errlen);
	m->arch = arch_find(name);
	if (m->arch == NULL) {
		return fault(err, errlen, -ENOTSUP, "the architecture '%.*s' is not supported",
			     (int)(name.len < 64 ? name.len : 64), name.s);
	}
	rc = m->arch->load(m, err, errlen);
	if (rc != 0)
		return rc;
	return check_left_over(m, err, errlen);
}

int model_open(struct model **out, const char *path, char *err, size_t errlen)
{
	char reason[REASON] = "";
	struct model *m;
	int rc;

	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return fault(err, errlen, -ENOMEM, "%s: out of memory", path);
	rc = weights_open(&m->w, path, err, errlen);
	if (rc != 0)
		goto free_model;
	rc = load(m, reason, sizeof(reason));
	if (rc != 0) {
		snprintf(err, errlen, "%s: %s", path, reason);
		goto free_model;
	}
	*out = m;
	return 0;

free_model:
	model_close(m);
	return rc;
}

void model_close(struct model *m)
{
	if (m == NULL)
		return;
	weights_close(m->w);
	free(m->layers);
	free(m);
}

const struct gguf *model_meta(const struct model *m)
{
	return weights_meta(m->w);
}

const char *model_arch(const struct model *m)
{
	return m->arch->name;
}

uint32_t model_n_vocab(const struct model *m)
{
	return m->dims.n_vocab;
}

uint32_t model_n_ctx_train(const struct model *m)
{
	return m->dims.n_ctx_train;
}

uint64_t model_bytes(const struct model *m)
{
	return weights_bytes(m->w);
}

uint64_t model_bytes_per_token(const struct model *m)
{
	/* of the embedding table one row is read, unless it is the output matrix as well */
	if (m->output.data == m->tok_embd.data)
		return weights_bytes(m->w);
	return weights_bytes(m->w) - m->tok_embd.nbytes;
}
