/* model_size.c - bytes of a model by what they are for. */
#include "engine/model_internal.h"

/* used: experts that a token takes, 0: it is none of experts. */
static void count(struct model_size *z, const struct weights_tensor *t, double *part, uint32_t used)
{
	double n;

	if (t->data == NULL)
		return;
	n = (double)t->row_bytes * (double)t->ne[1] * (double)t->ne[2] * (double)t->ne[3];
	*part += n;
	z->values += (double)t->ne[0] * (double)t->ne[1] * (double)t->ne[2] * (double)t->ne[3];
	(used > 0 ? z->expert_type : z->dense_type)[t->type] += n;
	if (n > z->shape[t->type].bytes) {
		z->shape[t->type].bytes = n;
		z->shape[t->type].cols = (uint32_t)t->ne[0];
		z->shape[t->type].rows = (uint32_t)t->ne[1] * (used > 0 ? used : 1);
	}
}

void model_size(const struct model *m, struct model_size *z)
{
	const struct weights_tensor *const ends[] = { &m->output, &m->output_b, &m->output_norm, &m->output_norm_b,
						      &m->layer_proj, &m->layer_proj_norm };
	uint32_t i;
	size_t k;
	int p;

	*z = (struct model_size){ 0 };
	for (i = 0; i < m->dims.n_layer; i++) {
		double before = z->layers;

		for (p = 0; p < P_COUNT; p++) {
			bool expert = model_is_expert(p);

			if (!model_is_whole(&m->layers[i], p))
				count(z, &m->layers[i].t[p], expert ? &z->experts : &z->layers,
				      expert ? m->dims.n_expert_used : 0);
		}
		z->layer_most = z->layers - before > z->layer_most ? z->layers - before : z->layer_most;
	}
	for (k = 0; k < sizeof(ends) / sizeof(ends[0]); k++)
		count(z, ends[k], &z->output, 0);
	z->tables = (double)weights_bytes(m->w) - z->layers - z->experts - z->output;
	if (z->tables < 0.0)
		z->tables = 0.0;
	if (m->tok_embd.data != m->output.data && m->tok_embd.data != NULL)
		z->values += (double)m->tok_embd.ne[0] * (double)m->tok_embd.ne[1];
	z->expert_share = m->dims.n_expert > 0 ? (double)m->dims.n_expert_used / m->dims.n_expert : 1.0;
}
