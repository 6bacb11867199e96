/* kv.c - see kv.h. */
#include "engine/kv_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernels/kern.h"

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
	uint32_t i, n_ctx = p->disk == NULL ? p->n_ctx : 0;

	for (i = 0; i < p->n_layer; i++) {
		struct kv_layer *l = &kv->layers[i];

		l->k_row = kern_stored_bytes(p->type_k, p->n_k[i]);
		l->v_row = kern_stored_bytes(p->type_v, p->n_v[i]);
		l->k_off = kv->map_bytes;
		if (!add_rows(&kv->map_bytes, n_ctx, l->k_row))
			return -EOVERFLOW;
		l->v_off = kv->map_bytes;
		if (!add_rows(&kv->map_bytes, n_ctx, l->v_row))
			return -EOVERFLOW;
	}
	kv->state_from = kv->map_bytes;
	for (i = 0; i < p->n_layer; i++) {
		kv->layers[i].conv_off = kv->map_bytes;
		if (p->n_conv[i] > SIZE_MAX / sizeof(float) || !add_rows(&kv->map_bytes, 1, p->n_conv[i] * sizeof(float)))
			return -EOVERFLOW;
		kv->layers[i].state_off = kv->map_bytes;
		if (p->n_state[i] > SIZE_MAX / sizeof(float) || !add_rows(&kv->map_bytes, 1, p->n_state[i] * sizeof(float)))
			return -EOVERFLOW;
	}
	return kv->map_bytes > 0 || p->disk != NULL ? 0 : -EINVAL;
}

/* All but the map itself. */
static int make(struct kv **out, const struct kv_params *p)
{
	struct kv *kv;
	int rc = -ENOMEM;

	if (!kern_can_store(p->type_k) || !kern_can_store(p->type_v) || p->n_layer == 0 || p->n_ctx == 0)
		return -EINVAL;
	kv = calloc(1, sizeof(*kv));
	if (kv == NULL)
		return -ENOMEM;
	kv->n_layer = p->n_layer;
	kv->type_k = p->type_k;
	kv->type_v = p->type_v;
	kv->layers = calloc(p->n_layer, sizeof(*kv->layers));
	if (kv->layers != NULL)
		rc = lay_out(kv, p);
	if (rc != 0) {
		kv_free(kv);
		return rc;
	}
	*out = kv;
	return 0;
}

int kv_need(const struct kv_params *p, uint64_t *bytes)
{
	struct kv *kv;
	int rc = make(&kv, p);

	if (rc != 0)
		return rc;
	*bytes = 0;
	if (p->disk != NULL)
		rc = kv_disk_need(kv, p, bytes);
	*bytes += kv->map_bytes;
	kv_free(kv);
	return rc;
}

int kv_new(struct kv **out, const struct kv_params *p, char *err, size_t errlen)
{
	struct kv *kv;
	int rc = make(&kv, p);
	void *map;

	snprintf(err, errlen, "no memory for the KV cache of a context of %u tokens", p->n_ctx);
	if (rc != 0)
		return rc;
	map = mmap(NULL, kv->map_bytes + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rc = map != MAP_FAILED ? 0 : -ENOMEM;
	if (rc == 0) {
		kv->map = map;
		rc = p->disk != NULL ? kv_disk_open(kv, p, err, errlen) : 0;
	}
	if (rc != 0) {
		kv_free(kv);
		return rc;
	}
	*out = kv;
	return 0;
}

void kv_free(struct kv *kv)
{
	if (kv == NULL)
		return;
	kv_disk_close(kv->disk);
	if (kv->map != NULL)
		munmap(kv->map, kv->map_bytes + 1);
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
	if (kv->disk != NULL)
		return kv_disk_row(kv->disk, layer, pos, false);
	return kv->map + kv->layers[layer].k_off + pos * kv->layers[layer].k_row;
}

void *kv_v(const struct kv *kv, uint32_t layer, uint32_t pos)
{
	if (kv->disk != NULL)
		return kv_disk_row(kv->disk, layer, pos, true);
	return kv->map + kv->layers[layer].v_off + pos * kv->layers[layer].v_row;
}

bool kv_has_v(const struct kv *kv, uint32_t layer)
{
	return kv->layers[layer].v_row > 0;
}

size_t kv_k_bytes(const struct kv *kv, uint32_t layer)
{
	return kv->layers[layer].k_row;
}

size_t kv_v_bytes(const struct kv *kv, uint32_t layer)
{
	return kv->layers[layer].v_row;
}

float *kv_conv(const struct kv *kv, uint32_t layer)
{
	return (float *)(void *)(kv->map + kv->layers[layer].conv_off);
}

float *kv_state(const struct kv *kv, uint32_t layer)
{
	return (float *)(void *)(kv->map + kv->layers[layer].state_off);
}

bool kv_has_state(const struct kv *kv)
{
	return kv->map_bytes > kv->state_from;
}

void kv_reset_state(struct kv *kv)
{
	memset(kv->map + kv->state_from, 0, kv->map_bytes - kv->state_from);
}

void *kv_states(const struct kv *kv, size_t *bytes)
{
	*bytes = kv->map_bytes - kv->state_from;
	return kv->map + kv->state_from;
}

uint64_t kv_bytes(const struct kv *kv)
{
	return kv->map_bytes + (kv->disk != NULL ? kv->disk->map_bytes : 0);
}

bool kv_on_disk(const struct kv *kv)
{
	return kv->disk != NULL;
}
