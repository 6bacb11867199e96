/* test_fs_inode_random.c - random operations on the node table against a naive model of it.
 *
 * The model is two flat arrays searched from end to end.  After every operation the table must pass
 * its own check and agree with the model about who is there; names and paths are compared in turn.
 */
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/fs_inode.h"

#define ROOT_INO 2u
#define MAX_NODES 96
#define MAX_NAMES 4096
#define INOS 48                         /* st_ino 100 .. 147 */
#define COMPONENTS 14
#define OPERATIONS 150000

struct model_node {
	bool live, retired;
	uint64_t nodeid, st_ino, nlookup;
	unsigned nopen;
	enum fs_mode mode;
	int backing;
};

struct model_name {
	int parent, child;              /* indices of nodes */
	char component[16];
	uint64_t born;                  /* later names are tried first */
};

struct model {
	struct model_node nodes[MAX_NODES];     /* [0] is the root */
	struct model_name names[MAX_NAMES];
	int nnames;
	uint64_t clock, seed;
	int next_backing;
};

static uint64_t draw(struct model *m, uint64_t below)
{
	m->seed ^= m->seed << 13;
	m->seed ^= m->seed >> 7;
	m->seed ^= m->seed << 17;
	return m->seed % below;
}

static int find_name(const struct model *m, int parent, const char *component)
{
	for (int i = 0; i < m->nnames; i++)
		if (m->names[i].parent == parent && strcmp(m->names[i].component, component) == 0)
			return i;
	return -1;
}

static int find_ino(const struct model *m, uint64_t st_ino)
{
	for (int i = 0; i < MAX_NODES; i++)
		if (m->nodes[i].live && !m->nodes[i].retired && m->nodes[i].st_ino == st_ino)
			return i;
	return -1;
}

static int find_id(const struct model *m, uint64_t nodeid)
{
	for (int i = 0; i < MAX_NODES; i++)
		if (m->nodes[i].live && m->nodes[i].nodeid == nodeid)
			return i;
	return -1;
}

static void remove_name(struct model *m, int i)
{
	m->names[i] = m->names[--m->nnames];
}

/* Take away who is kept by nobody, until there is none. */
static void settle(struct model *m)
{
	bool again = true;

	while (again) {
		again = false;
		for (int i = 1; i < MAX_NODES; i++) {
			struct model_node *n = &m->nodes[i];
			bool kept = n->nlookup > 0 || n->nopen > 0;

			for (int k = 0; k < m->nnames && !kept; k++)
				kept = m->names[k].parent == i;
			if (!n->live || kept)
				continue;
			n->live = false;
			again = true;
			for (int k = m->nnames - 1; k >= 0; k--)
				if (m->names[k].child == i)
					remove_name(m, k);
		}
	}
}

static void set_name(struct model *m, int parent, const char *component, int child)
{
	int i = find_name(m, parent, component);

	if (i >= 0 && m->names[i].child == child)
		return;
	if (i >= 0)
		remove_name(m, i);
	assert_true(m->nnames < MAX_NAMES);
	m->names[m->nnames] = (struct model_name){ .parent = parent, .child = child, .born = ++m->clock };
	snprintf(m->names[m->nnames++].component, sizeof(m->names[0].component), "%s", component);
	settle(m);
}

/* Is node a below or equal to node b?  A directory is never moved below itself.  Files with several
 * names make this a graph: each node is looked at once. */
static bool within_seen(const struct model *m, int a, int b, bool seen[MAX_NODES])
{
	if (a == b)
		return true;
	if (seen[a])
		return false;
	seen[a] = true;
	for (int i = 0; i < m->nnames; i++)
		if (m->names[i].child == a && within_seen(m, m->names[i].parent, b, seen))
			return true;
	return false;
}

static bool within(const struct model *m, int a, int b)
{
	bool seen[MAX_NODES] = { false };

	return within_seen(m, a, b, seen);
}

/* A node that is there, or (rarely) -1 for an id that is not. */
static int pick(struct model *m)
{
	int i;

	if (draw(m, 50) == 0)
		return -1;
	do {
		i = (int)draw(m, MAX_NODES);
	} while (!m->nodes[i].live && draw(m, 2 * MAX_NODES) != 0);
	return m->nodes[i].live ? i : 0;
}

static uint64_t id_of(const struct model *m, int i)
{
	return i >= 0 ? m->nodes[i].nodeid : 9999;
}

static const char *component(struct model *m, char buf[16])
{
	snprintf(buf, 16, "n%u", (unsigned)draw(m, COMPONENTS));
	return buf;
}

static void op_learn(struct model *m, struct fs_inodes *t)
{
	uint64_t st_ino = 100 + draw(m, INOS), id = 0;
	int parent = pick(m), node = find_ino(m, st_ino), rc;
	bool named = draw(m, 20) != 0;
	char name[16];

	component(m, name);
	if (node < 0 && fs_inode_count(t) >= MAX_NODES)
		return;
	if (named && node >= 0 && parent >= 0 && within(m, parent, node))
		return;
	rc = fs_inode_learn(t, id_of(m, parent), named ? name : NULL, st_ino, &id);
	if (named && parent < 0) {
		assert_int_equal(rc, -ESTALE);
		return;
	}
	assert_int_equal(rc, 0);
	if (node < 0) {
		assert_int_equal(find_id(m, id), -1);   /* an id of somebody else's would be wrong */
		for (node = 1; m->nodes[node].live; node++)
			;
		assert_true(node < MAX_NODES);
		m->nodes[node] = (struct model_node){ .live = true, .nodeid = id, .st_ino = st_ino };
	}
	assert_int_equal(id, m->nodes[node].nodeid);
	m->nodes[node].nlookup++;
	if (named)
		set_name(m, parent, name, node);
}

static void op_forget(struct model *m, struct fs_inodes *t)
{
	int i = pick(m);
	uint64_t n;

	if (i <= 0) {
		fs_inode_forget(t, id_of(m, i), 1);
		return;
	}
	n = draw(m, 4) == 0 ? m->nodes[i].nlookup + draw(m, 2) : draw(m, m->nodes[i].nlookup + 1);
	fs_inode_forget(t, m->nodes[i].nodeid, n);
	m->nodes[i].nlookup -= n < m->nodes[i].nlookup ? n : m->nodes[i].nlookup;
	settle(m);
}

static void op_unname(struct model *m, struct fs_inodes *t)
{
	int parent = pick(m), i;
	char name[16];

	component(m, name);
	fs_inode_unname(t, id_of(m, parent), name);
	i = find_name(m, parent, name);
	if (i >= 0)
		remove_name(m, i);
	settle(m);
}

static void op_rename(struct model *m, struct fs_inodes *t)
{
	int parent = pick(m), newparent = pick(m), from, to, child, other;
	bool exchange = draw(m, 3) == 0;
	char name[16], newname[16];

	component(m, name);
	component(m, newname);
	from = find_name(m, parent, name);
	to = find_name(m, newparent, newname);
	child = from >= 0 ? m->names[from].child : -1;
	other = to >= 0 && exchange ? m->names[to].child : -1;
	if ((child >= 0 && newparent >= 0 && within(m, newparent, child)) ||
	    (other >= 0 && parent >= 0 && within(m, parent, other)))
		return;
	fs_inode_rename(t, id_of(m, parent), name, id_of(m, newparent), newname, exchange);
	if (child >= 0)
		m->nodes[child].nlookup++;
	if (other >= 0)
		m->nodes[other].nlookup++;
	if (to >= 0)
		remove_name(m, to);
	from = find_name(m, parent, name);
	if (from >= 0)
		remove_name(m, from);
	settle(m);
	if (child >= 0 && newparent >= 0 && m->nodes[newparent].live)
		set_name(m, newparent, newname, child);
	if (other >= 0 && parent >= 0 && m->nodes[parent].live)
		set_name(m, parent, name, other);
	if (child >= 0)
		m->nodes[child].nlookup--;
	if (other >= 0)
		m->nodes[other].nlookup--;
	settle(m);
}

static void op_retire(struct model *m, struct fs_inodes *t)
{
	int i = pick(m);

	if (i == 0)
		return;
	fs_inode_retire(t, id_of(m, i), NULL);
	if (i > 0)
		m->nodes[i].retired = true;
}

static void op_open(struct model *m, struct fs_inodes *t)
{
	int i = pick(m), backing = -1;
	struct model_node *n = &m->nodes[i > 0 ? i : 0];
	enum fs_mode mode;

	if (i <= 0)
		return;
	mode = fs_inode_open_begin(t, n->nodeid, &backing);
	if (n->nopen++ == 0) {
		assert_int_equal(mode, FS_MODE_DECIDING);
		n->mode = draw(m, 2) == 0 ? FS_MODE_NATIVE : FS_MODE_CACHED;
		n->backing = n->mode == FS_MODE_NATIVE ? m->next_backing++ : 0;
		fs_inode_open_decided(t, n->nodeid, n->mode, n->backing);
	} else {
		assert_int_equal(mode, n->mode);
		assert_int_equal(backing, n->backing);
	}
}

static void op_end(struct model *m, struct fs_inodes *t)
{
	int i = pick(m);
	struct model_node *n = &m->nodes[i > 0 ? i : 0];

	if (i <= 0 || n->nopen == 0)
		return;
	n->nopen--;
	assert_int_equal(fs_inode_open_end(t, n->nodeid), n->nopen == 0 ? n->backing : 0);
	settle(m);
}

/* The i-th name of a node, newest first. */
static int nth_name(const struct model *m, int node, unsigned i)
{
	uint64_t before = UINT64_MAX;
	int best = -1;

	for (unsigned k = 0; k <= i; k++) {
		best = -1;
		for (int j = 0; j < m->nnames; j++)
			if (m->names[j].child == node && m->names[j].born < before &&
			    (best < 0 || m->names[j].born > m->names[best].born))
				best = j;
		if (best < 0)
			return -1;
		before = m->names[best].born;
	}
	return best;
}

static void compare_path(const struct model *m, struct fs_inodes *t, int node, unsigned nth)
{
	char want[PATH_MAX] = "", path[PATH_MAX], longer[PATH_MAX];
	unsigned i = nth;
	bool found = true;

	for (int at = node; at != 0; i = 0) {
		int k = nth_name(m, at, i);

		found = k >= 0;
		if (!found)
			break;
		snprintf(longer, sizeof(longer), "%s%s%.4000s", m->names[k].component, want[0] != '\0' ? "/" : "", want);
		strcpy(want, longer);
		at = m->names[k].parent;
	}
	assert_int_equal(fs_inode_path(t, m->nodes[node].nodeid, nth, path), found);
	if (found)
		assert_string_equal(path, want);
}

static void compare(struct model *m, struct fs_inodes *t, unsigned step)
{
	char err[256] = "";
	unsigned live = 0;

	if (fs_inode_check(t, err, sizeof(err)) != 0)
		fail_msg("after step %u: %s", step, err);
	for (int i = 0; i < MAX_NODES; i++) {
		const struct model_node *n = &m->nodes[i];

		if (!n->live)
			continue;
		live++;
		if (fs_inode_st_ino(t, n->nodeid) != n->st_ino)
			fail_msg("after step %u: node %d is lost", step, i);
	}
	assert_int_equal(fs_inode_count(t), live);
	if (step % 16 != 0)
		return;
	for (uint64_t ino = 100; ino < 100 + INOS; ino++) {
		int i = find_ino(m, ino);

		assert_int_equal(fs_inode_by_st_ino(t, ino), i >= 0 ? m->nodes[i].nodeid : 0);
	}
	for (int i = 0; i < MAX_NODES; i++)
		for (unsigned k = 0; m->nodes[i].live && i > 0 && k < 3; k++)
			compare_path(m, t, i, k);
}

/* Everybody lets go: nothing may stay behind. */
static void let_go(struct model *m, struct fs_inodes *t)
{
	for (int i = 1; i < MAX_NODES; i++) {
		struct model_node *n = &m->nodes[i];

		while (n->live && n->nopen > 0) {
			n->nopen--;
			assert_int_equal(fs_inode_open_end(t, n->nodeid), n->nopen == 0 ? n->backing : 0);
		}
		if (n->live && n->nlookup > 0) {
			fs_inode_forget(t, n->nodeid, n->nlookup);
			n->nlookup = 0;
		}
	}
	settle(m);
	compare(m, t, 0);
	assert_int_equal(fs_inode_count(t), 1);
}

static void random_operations(void **state)
{
	static void (*const ops[])(struct model *, struct fs_inodes *) = {
		op_learn, op_learn, op_learn, op_forget, op_forget, op_unname, op_rename, op_rename,
		op_retire, op_open, op_open, op_end, op_end,
	};
	struct model *m = calloc(1, sizeof(*m));
	struct fs_inodes *t;

	(void)state;
	assert_non_null(m);
	m->seed = 20240607;
	m->next_backing = 1;
	m->nodes[0] = (struct model_node){ .live = true, .nodeid = 1, .st_ino = ROOT_INO };
	assert_int_equal(fs_inodes_new(&t, NULL, NULL, ROOT_INO), 0);
	for (unsigned step = 1; step <= OPERATIONS; step++) {
		ops[draw(m, sizeof(ops) / sizeof(ops[0]))](m, t);
		compare(m, t, step);
		if (step % 10000 == 0)
			let_go(m, t);
	}
	let_go(m, t);
	fs_inodes_free(t);
	free(m);
	print_message("%d random operations\n", OPERATIONS);
}

int main(void)
{
	const struct CMUnitTest fs_inode_random_tests[] = {
		cmocka_unit_test(random_operations),
	};

	return cmocka_run_group_tests(fs_inode_random_tests, NULL, NULL);
}
