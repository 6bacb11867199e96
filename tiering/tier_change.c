/* tier_change.c - what the mount changed of home's files: bytes, metadata, names. */
#include "tiering/blob.h"
#include "tiering/gather.h"
#include "tiering/place.h"
#include "tiering/store.h"
#include "tiering/tier_internal.h"
#include "tiering/verify.h"

#include <errno.h>

void tier_data_changed(struct tier *t, const struct stat *st)
{
	struct blob *b;

	pthread_mutex_lock(&t->lock);
	b = blob_find(t, st->st_ino);
	/* also when its identity is the one we know: who opened it while the write went on has met that already, and may
	 * have read what was there before */
	if (b != NULL)
		place_changed(t, b);
	pthread_mutex_unlock(&t->lock);
}

int tier_meta_begin(struct tier *t, int fd, struct tier_meta *m)
{
	bool known;
	int rc;

	*m = (struct tier_meta){ .lease = NULL };
	rc = io_fstat(t->io, fd, &m->before);
	if (rc != 0 || !S_ISREG(m->before.st_mode))
		return rc;
	pthread_mutex_lock(&t->lock);
	known = blob_find(t, m->before.st_ino) != NULL;
	pthread_mutex_unlock(&t->lock);
	if (!known)
		return 0;
	m->no_leases = lease_take(t->leases, fd, &m->lease) == -EOPNOTSUPP;
	rc = io_fstat(t->io, fd, &m->before);   /* under the lease */
	if (rc != 0)
		tier_meta_end(t, m, NULL);
	return rc;
}

/* Locked: b's file is that now, after a change of ours; before, or NULL, is what it was, with the same bytes. */
static void tier_meta_now(struct tier *t, struct blob *b, const struct home_ident *before, const struct home_ident *now)
{
	struct home_ident *known = b->suspect ? &b->seen : &b->ident;

	if (home_ident_equal(now, known))
		return;
	if (before != NULL && home_ident_equal(before, known)) {
		*known = *now;
		store_put_ident(t, b);
		return;
	}
	gather_forget(t, b);
	if (b->id == 0) {               /* it has no copies */
		b->ident = *now;
		return;
	}
	b->ident.mtime = now->mtime;
	b->suspect = true;
	b->seen = *now;
	verify_suspect(t, b);
}

void tier_meta_end(struct tier *t, struct tier_meta *m, const struct stat *after)
{
	struct home_ident was = home_ident(&m->before), now;
	struct blob *b;
	bool same;

	if (after != NULL && S_ISREG(after->st_mode)) {
		now = home_ident(after);
		same = m->lease != NULL ? lease_held(m->lease) : m->no_leases && home_ident_same_data(&was, &now);
		pthread_mutex_lock(&t->lock);
		b = blob_find(t, now.ino);
		if (b != NULL && now.size != b->size)
			place_changed(t, b);
		else if (b != NULL)
			tier_meta_now(t, b, same ? &was : NULL, &now);
		pthread_mutex_unlock(&t->lock);
	}
	lease_drop(m->lease);
	m->lease = NULL;
}

void tier_gone(struct tier *t, uint64_t st_ino)
{
	struct blob *b;

	pthread_mutex_lock(&t->lock);
	b = blob_find(t, st_ino);
	if (b != NULL)
		place_changed(t, b);
	pthread_mutex_unlock(&t->lock);
}
