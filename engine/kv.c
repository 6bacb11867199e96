/* kv.c - see kv.h. */
#include "engine/kv.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "kernels/kern_type.h"

struct kv_layer {
	size_t k_off, v_off;            /* bytes into the map */
	size_t k_row, v_row;            /* bytes a position */
};

struct kv {
	uint32_t type_k, type_v;
	char *map;
	size_t map_bytes;
	struct kv_layer *layers;        /* [n_layer] */
};

static size_t value_bytes(uint32_t type)
{
	return type == KERN_F32 ? 4 : 2;
}

/* total += n_ctx rows of row bytes, rounded up to 64; false on overflow */
static bool add_rows(size_t *total, uint32_t n_ctx, size_t row)
{
	size_t bytes;

	return !__builtin_mul_overflow((size_t)n_ctx, row, &bytes) &&
	       !__builtin_add_overflow(bytes, (size_t)63, &bytes) &&
	       !__builtin_add_overflow(*total, bytes & ~(size_t)63, total);
}

/* Each layer's rows and places, and the size of all. */
static int lay_out(struct kv *kv, const struct kv_params *p)
{
	uint32_t i;

	for (i = 0; i < p->n_layer; i++) {
		struct kv_layer *l = &kv->layers[i];

		if (p->n_k[i] == 0 || p->n_v[i] == 0)
			return -EINVAL;
		l->k_row = (size_t)p->n_k[i] * value_bytes(p->type_k);
		l->v_row = (size_t)p->n_v[i] * value_bytes(p->type_v);
		l->k_off = kv->map_bytes;
		if (!add_rows(&kv->map_bytes, p->n_ctx, l->k_row))
			return -EOVERFLOW;
		l->v_off = kv->map_bytes;
		if (!add_rows(&kv->map_bytes, p->n_ctx, l->v_row))
			return -EOVERFLOW;
	}
	return 0;
}

static bool type_ok(uint32_t type)
{
	return type == KERN_F32 || type == KERN_F16;
}

int kv_new(struct kv **out, const struct kv_params *p)
{
	struct kv *kv;
	int rc;

	if (!type_ok(p->type_k) || !type_ok(p->type_v) || p->n_layer == 0 || p->n_ctx == 0)
		return -EINVAL;
	kv = calloc(1, sizeof(*kv));
	if (kv == NULL)
		return -ENOMEM;
	kv->type_k = p->type_k;
	kv->type_v = p->type_v;
	kv->layers = calloc(p->n_layer, sizeof(*kv->layers));
	if (kv->layers == NULL) {
		rc = -ENOMEM;
		goto free_kv;
	}
	rc = lay_out(kv, p);
	if (rc != 0)
		goto free_layers;
	kv->map = mmap(NULL, kv->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (kv->map == MAP_FAILED) {
		rc = -ENOMEM;
		goto free_layers;
	}
	*out = kv;
	return 0;

free_layers:
	free(kv->layers);
free_kv:
	free(kv);
	return rc;
}

void kv_free(struct kv *kv)
{
	if (kv == NULL)
		return;
	munmap(kv->map, kv->map_bytes);
	free(kv->layers);
	free(kv);
}

uint32_t kv_type_k(const struct kv *kv)
{
	return kv->type_k;
}

uint32_t kv_type_v(const struct kv *kv)
{
	return kv->type_v;
}

void *kv_k(const struct kv *kv, uint32_t layer, uint32_t pos)
{
	return kv->map + kv->layers[layer].k_off + pos * kv->layers[layer].k_row;
}

void *kv_v(const struct kv *kv, uint32_t layer, uint32_t pos)
{
	return kv->map + kv->layers[layer].v_off + pos * kv->layers[layer].v_row;
}

uint64_t kv_bytes(const struct kv *kv)
{
	return kv->map_bytes;
}
