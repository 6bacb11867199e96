/* model_rope.c - how a model turns queries and keys by their positions. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/model_internal.h"

/* rope.scaling.type, or the older rope.scale_linear. */
static int scaling_type(struct model *m, bool *linear, bool *yarn, char *err, size_t errlen)
{
	struct gguf_str type = { "linear", 6 };
	int rc = model_key_str(m, "rope.scaling.type", &type, err, errlen);

	if (rc != 0)
		return rc;
	if (!model_has_key(m, "rope.scaling.type") && strcmp(m->arch->name, "gpt-oss") == 0)
		type = (struct gguf_str){ "yarn", 4 };          /* Ollama's files do not say so */
	if (type.len == 0)                                      /* nor that there is none */
		type = (struct gguf_str){ "none", 4 };
	*linear = type.len == 6 && memcmp(type.s, "linear", 6) == 0;
	*yarn = type.len == 4 && memcmp(type.s, "yarn", 4) == 0;
	if (*linear || *yarn || (type.len == 4 && memcmp(type.s, "none", 4) == 0) ||
	    (type.len == 8 && memcmp(type.s, "longrope", 8) == 0))
		return 0;
	return model_fault(err, errlen, -ENOTSUP, "rope scaling of the type '%.*s' is not supported",
			   (int)(type.len < 32 ? type.len : 32), type.s);
}

/* 1 + 0.1 m ln(scale), the factor by which YaRN makes scores of stretched contexts sharper (arXiv 2309.00071). */
static float mscale(float scale, float m)
{
	return scale <= 1.0f ? 1.0f : 0.1f * m * logf(scale) + 1.0f;
}

/* With yarn_log_multiplier the model says itself what the factor is (DeepSeek's mscale and mscale_all_dim, of which
 * files carry the second; llama.cpp takes the first as equal to it for deepseek2 and as 1 elsewhere). */
static int load_yarn(struct model *m, float factor, char *err, size_t errlen)
{
	struct kern_rope_angles *a = &m->rope[0].angles;
	float fast = 32.0f, slow = 1.0f, log_mul = 0.0f, ext = 1.0f;
	int rc;

	if ((rc = model_key_f32(m, "rope.scaling.yarn_beta_fast", false, &fast, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scaling.yarn_beta_slow", false, &slow, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scaling.yarn_ext_factor", false, &ext, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scaling.yarn_log_multiplier", false, &log_mul, err, errlen)) != 0)
		return rc;
	if (!(fast > 0.0f && slow > 0.0f && ext >= 0.0f))
		return model_fault(err, errlen, -EINVAL, "the keys '%s.rope.scaling.yarn_*' are not positive", m->arch->name);
	a->yarn = ext;
	kern_rope_yarn(a, m->rope[0].n_ctx_orig, fast, slow);
	if (log_mul != 0.0f && factor > 1.0f) {
		bool deepseek = strcmp(m->arch->name, "deepseek2") == 0;

		a->attn_factor *= (deepseek ? 1.0f : mscale(factor, 1.0f) / mscale(factor, log_mul)) / mscale(factor, 1.0f);
	}
	return 0;
}

int model_load_rope(struct model *m, char *err, size_t errlen)
{
	struct model_rope *r = &m->rope[0];
	float factor = 0.0f;
	bool linear, yarn;
	int rc;

	r->angles = (struct kern_rope_angles){ .base = 10000.0f, .scale = 1.0f, .n_rot = m->dims.n_rot, .attn_factor = 1.0f };
	r->n_ctx_orig = m->dims.n_ctx_train;
	if ((rc = model_key_f32(m, "rope.freq_base", false, &r->angles.base, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scale_linear", false, &factor, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scaling.factor", false, &factor, err, errlen)) != 0 ||
	    (rc = model_key_f32(m, "rope.scaling.attn_factor", false, &r->angles.attn_factor, err, errlen)) != 0 ||
	    (rc = model_key_u32(m, "rope.scaling.original_context_length", false, &r->n_ctx_orig, err, errlen)) != 0 ||
	    (rc = scaling_type(m, &linear, &yarn, err, errlen)) != 0)
		return rc;
	if (!(r->angles.base > 0.0f))
		return model_fault(err, errlen, -EINVAL, "the key '%s.rope.freq_base' is not positive", m->arch->name);
	if (factor < 0.0f)
		return model_fault(err, errlen, -EINVAL, "the key '%s.rope.scaling.factor' is negative", m->arch->name);
	if ((linear || yarn) && factor > 0.0f)          /* 0 means unset, as in llama.cpp */
		r->angles.scale = 1.0f / factor;
	return yarn ? load_yarn(m, factor, err, errlen) : 0;
}
