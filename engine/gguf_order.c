/* gguf_order.c - sorted indices over keys and tensors.
 *
 * Uniqueness and lookup by sorting, not by hashing: the cost is bounded for every input, so no
 * file can be made to collide, and equal files are treated equally.  The sort is a heap sort because
 * it needs no memory, no recursion, and stays inside the array even when the bytes under a mapping
 * change while it compares them.
 */
#include "engine/gguf_internal.h"

/* Let the entry at i sink until it is not below a child; the heap is order[0..n). */
static void sift_down(uint32_t *order, uint32_t i, uint32_t n, gguf_order_cmp cmp, const void *ctx)
{
	uint32_t held = order[i];

	for (;;) {
		uint32_t child = 2 * i + 1;

		if (child >= n)
			break;
		if (child + 1 < n && cmp(ctx, order[child], order[child + 1]) < 0)
			child++;
		if (cmp(ctx, held, order[child]) >= 0)
			break;
		order[i] = order[child];
		i = child;
	}
	order[i] = held;
}

void gguf_order_sort(uint32_t *order, uint32_t n, gguf_order_cmp cmp, const void *ctx)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		order[i] = i;
	for (i = n / 2; i > 0; i--)
		sift_down(order, i - 1, n, cmp, ctx);
	for (i = n; i > 1; i--) {
		uint32_t largest = order[0];

		order[0] = order[i - 1];
		order[i - 1] = largest;
		sift_down(order, 0, i - 1, cmp, ctx);
	}
}

int gguf_str_cmp(struct gguf_str a, struct gguf_str b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return a.len == 0 ? 0 : memcmp(a.s, b.s, a.len);
}

int gguf_cmp_key(const void *ctx, uint32_t a, uint32_t b)
{
	const struct gguf *g = ctx;

	return gguf_str_cmp(g->kv[a].key, g->kv[b].key);
}

int gguf_cmp_tensor_name(const void *ctx, uint32_t a, uint32_t b)
{
	const struct gguf *g = ctx;

	return gguf_str_cmp(g->tensors[a].name, g->tensors[b].name);
}

int gguf_cmp_tensor_off(const void *ctx, uint32_t a, uint32_t b)
{
	const struct gguf *g = ctx;
	uint64_t x = g->tensors[a].off, y = g->tensors[b].off;

	return (x > y) - (x < y);
}
