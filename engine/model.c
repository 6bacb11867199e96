/* model.c - opening a model: which architecture, and whether the file is all that it needs and no more. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/compat.h"
#include "engine/model_internal.h"

#define REASON 256

/* ---- what is left over --------------------------------------------------------------------------- */

/* blk.<i>. of a layer behind the last that takes part. */
static bool drafts(const struct model *m, struct gguf_str name)
{
	uint64_t i = 0;
	size_t k;

	if (name.len < 5 || memcmp(name.s, "blk.", 4) != 0)
		return false;
	for (k = 4; k < name.len && name.s[k] >= '0' && name.s[k] <= '9' && i < MODEL_LAYERS_MAX; k++)
		i = i * 10 + (uint64_t)(name.s[k] - '0');
	return i >= m->dims.n_layer && i < MODEL_LAYERS_MAX && model_has_key(m, "nextn_predict_layers");
}

/* Tensors of towers that turn images and sound into embeddings, of layers that draft further tokens, and precomputed
 * rope of old files. */
static bool not_ours(const struct model *m, struct gguf_str name)
{
	static const char rot[] = ".attn_rot_embd";

	if (compat_skips(m->arch->name, name) || drafts(m, name))
		return true;
	return name.len > sizeof(rot) - 1 && memcmp(name.s + name.len - (sizeof(rot) - 1), rot, sizeof(rot) - 1) == 0;
}

/* A tensor that nobody asked for would mean that the model is computed wrongly. */
static int check_left_over(const struct model *m, char *err, size_t errlen)
{
	uint64_t i, n = weights_n_tensors(m->w), skipped = 0;

	for (i = 0; i < n; i++)
		skipped += not_ours(m, weights_name(m->w, i));
	if (m->n_found + skipped == n)
		return 0;
	return model_fault(err, errlen, -ENOTSUP, "%llu tensors are not known to the architecture '%s'",
		 (unsigned long long)(n - skipped - m->n_found), m->arch->name);
}

/* ---- open and close ------------------------------------------------------------------------------ */

static int load(struct model *m, char *err, size_t errlen)
{
	struct gguf_str name;
	int rc;

	rc = gguf_get_str(weights_meta(m->w), "general.architecture", &name);
	if (rc != 0)
		return model_fault(err, errlen, -EINVAL, "the key 'general.architecture' is %s",
				   rc == -ENOENT ? "missing" : "no string");
	m->file_arch = name;
	m->arch = arch_find(compat_arch(name));
	if (m->arch == NULL) {
		return model_fault(err, errlen, -ENOTSUP, "the architecture '%.*s' is not supported",
			     (int)(name.len < 64 ? name.len : 64), name.s);
	}
	if ((rc = m->arch->load(m, err, errlen)) != 0 || (rc = model_check_heads(m, err, errlen)) != 0)
		return rc;
	model_set_widths(m);
	return check_left_over(m, err, errlen);
}

int model_open(struct model **out, const char *path, char *err, size_t errlen)
{
	char reason[REASON] = "";
	struct model *m;
	int rc;

	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return model_fault(err, errlen, -ENOMEM, "%s: out of memory", path);
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

static double tensor_bytes(const struct weights_tensor *t)
{
	return t->data != NULL ? (double)t->row_bytes * (double)t->ne[1] * (double)t->ne[2] : 0.0;
}

static double layer_bytes(const struct model_layer *l, double share)
{
	double sum = 0.0;
	int p;

	for (p = 0; p < P_COUNT; p++)
		if (!model_is_whole(l, p))
			sum += tensor_bytes(&l->t[p]) * (model_is_expert(p) ? share : 1.0);
	return sum;
}

static double layers_bytes(const struct model *m, double share)
{
	double sum = 0.0;
	uint32_t i;

	for (i = 0; i < m->dims.n_layer; i++)
		sum += layer_bytes(&m->layers[i], share);
	return sum;
}

double model_layers_bytes(const struct model *m)
{
	return layers_bytes(m, 1.0);
}

double model_bytes_read(const struct model *m, double share)
{
	const struct weights_tensor *const ends[] = {
		&m->output, &m->output_b, &m->output_norm, &m->output_norm_b, &m->layer_proj, &m->layer_proj_norm,
		&m->rope[0].factors, &m->rope[1].factors,
	};
	double sum = layers_bytes(m, share);
	size_t k;

	for (k = 0; k < sizeof(ends) / sizeof(ends[0]); k++)
		sum += tensor_bytes(ends[k]);
	return sum;
}

uint64_t model_bytes_per_token(const struct model *m)
{
	double share = m->dims.n_expert > 0 ? (double)m->dims.n_expert_used / m->dims.n_expert : 1.0;

	return (uint64_t)model_bytes_read(m, share);
}
