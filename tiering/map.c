#include "tiering/map.h"
#include "tiering/map_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAP_BATCH        64             /* transactions in one commit */
#define MAP_LINGER_NS    5000000        /* how long a commit that nobody waits for may gather others */
#define MAP_QUEUE_TXNS   4096
#define MAP_QUEUE_BYTES  (32u << 20)
#define MAP_LOG_PAGES    1024           /* of 4 KiB; the log goes into the file when it has grown to this */

int map_read_only(const struct map *m)
{
	return atomic_load(&m->read_only);
}

/* ---- the writer: everything here runs on its thread, with no lock held, but where it says so -------- */

/* Errors after which the file is as it was and the next commit may well succeed. */
static bool map_write_recovers(int rc)
{
	return rc == 0 || rc == -ENOENT || rc == -ENOSPC || rc == -ENOMEM;
}

static void map_write_gave_up(struct map *m, int rc)
{
	int none = 0;

	atomic_compare_exchange_strong(&m->read_only, &none, rc);
}

/* One transaction inside the batch.  -ENOENT is its own affair and is left in t->rc. */
static int map_write_one(struct map *m, struct map_row_set *root, struct map_txn *t)
{
	struct map_row_set before = *root;
	int rc;

	rc = map_db_do(&m->d, MAP_SQL_MARK);
	if (rc != 0)
		return rc;
	t->rc = map_apply(&m->d, root, t);
	if (t->rc != 0 && t->rc != -ENOENT)
		return t->rc;
	if (t->rc == -ENOENT) {
		*root = before;
		rc = map_db_do(&m->d, MAP_SQL_BACK);
		if (rc != 0)
			return rc;
	}
	return map_db_do(&m->d, MAP_SQL_UNMARK);
}

static int map_write_steps(struct map *m, struct map_txn *batch, struct map_row_set *root)
{
	int rc;

	rc = map_db_do(&m->d, MAP_SQL_BEGIN);
	for (struct map_txn *t = batch; rc == 0 && t != NULL; t = t->next)
		rc = map_write_one(m, root, t);
	if (rc == 0 && !map_row_set_equal(root, &m->root))
		rc = map_apply_root(&m->d, root);
	return rc == 0 ? map_db_do(&m->d, MAP_SQL_COMMIT) : rc;
}

/* Commit the batch; every t->rc is set.  A batch of nothing but heat is written without waiting for the
 * device: it becomes durable with the next commit that is not. */
static void map_write_batch(struct map *m, struct map_txn *batch)
{
	struct map_row_set root = m->root;
	bool relaxed = true;
	int rc = map_read_only(m) != 0 ? -EROFS : 0;

	for (struct map_txn *t = batch; t != NULL; t = t->next)
		relaxed = relaxed && t->only_heat;
	if (rc == 0 && relaxed)
		sqlite3_exec(m->d.db, "PRAGMA synchronous=NORMAL", NULL, NULL, NULL);
	if (rc == 0)
		rc = map_write_steps(m, batch, &root);
	if (rc == 0)
		m->root = root;
	if (rc != 0 && m->d.db != NULL && !sqlite3_get_autocommit(m->d.db) &&
	    map_db_do(&m->d, MAP_SQL_ROLLBACK) != 0 && !sqlite3_get_autocommit(m->d.db))
		map_write_gave_up(m, -EIO);
	if (relaxed && m->d.db != NULL && sqlite3_exec(m->d.db, "PRAGMA synchronous=FULL", NULL, NULL, NULL) != SQLITE_OK)
		map_write_gave_up(m, -ENOMEM);  /* or later commits would not be synced */
	if (!map_write_recovers(rc) && rc != -EROFS)
		rc = -EIO;
	if (!map_write_recovers(rc))
		map_write_gave_up(m, rc);
	for (struct map_txn *t = batch; t != NULL; t = t->next)
		if (rc != 0)
			t->rc = rc;
}

/* A sync that failed here has lost nothing that was acknowledged: it is all in the log. */
static void map_write_log(struct map *m)
{
	int rc;

	if (map_read_only(m) != 0 || m->d.wal_pages < MAP_LOG_PAGES)
		return;
	rc = map_db_checkpoint(&m->d, false);
	if (!map_write_recovers(rc))
		map_write_gave_up(m, rc);
}

/* Wait, under the lock, until there is a batch to write: somebody waits for it, it is full, it has gathered
 * for long enough, or the map is being closed. */
static void map_write_gather(struct map *m)
{
	struct timespec until;

	while (m->head == NULL && !m->stop)
		pthread_cond_wait(&m->work, &m->lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += MAP_LINGER_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	while (m->hurried == 0 && m->queued < MAP_BATCH && !m->stop)
		if (pthread_cond_timedwait(&m->work, &m->lock, &until) == ETIMEDOUT)
			break;
}

/* The first transactions of the queue, under the lock.  What they hold counts until they are done. */
static struct map_txn *map_write_take(struct map *m, unsigned *count, size_t *bytes)
{
	struct map_txn *batch = m->head, *t = batch;

	*count = 0;
	*bytes = 0;
	for (; t != NULL && *count < MAP_BATCH; t = m->head) {
		m->head = t->next;
		if (m->head == NULL || *count + 1 == MAP_BATCH)
			t->next = NULL;
		m->hurried -= t->waited;
		*bytes += t->bytes;
		++*count;
	}
	if (m->head == NULL)
		m->tail = &m->head;
	return batch;
}

/* Tell those who submitted.  One who waits in map_commit frees its own, as soon as it sees the result. */
static void map_write_settle(struct map *m, struct map_txn *batch, unsigned count, size_t bytes)
{
	struct map_txn *t, *next, *told = NULL;

	pthread_mutex_lock(&m->lock);
	m->queued -= count;
	m->queued_bytes -= bytes;
	for (t = batch; t != NULL; t = next) {
		next = t->next;
		if (t->waited) {
			t->settled = true;
			continue;
		}
		t->next = told;
		told = t;
	}
	pthread_cond_broadcast(&m->settled);
	pthread_mutex_unlock(&m->lock);
	for (t = NULL; told != NULL; told = next) {             /* turn it round: completions in order */
		next = told->next;
		told->next = t;
		t = told;
	}
	for (; t != NULL; t = next) {
		next = t->next;
		if (t->done != NULL)
			t->done(t->ctx, t->rc);
		map_txn_free(t);
	}
}

static void *map_write_thread(void *arg)
{
	struct map *m = arg;
	struct map_txn *batch;
	unsigned count;
	size_t bytes;

	for (;;) {
		pthread_mutex_lock(&m->lock);
		map_write_gather(m);
		batch = map_write_take(m, &count, &bytes);
		pthread_mutex_unlock(&m->lock);
		if (batch == NULL)
			return NULL;
		map_write_batch(m, batch);
		map_write_settle(m, batch, count, bytes);
		map_write_log(m);
	}
}

/* ---- submitting ------------------------------------------------------------------------------------- */

/* Under the lock. */
static void map_queue(struct map *m, struct map_txn *t)
{
	t->next = NULL;
	*m->tail = t;
	m->tail = &t->next;
	m->queued++;
	m->queued_bytes += t->bytes;
	m->hurried += t->waited;
	pthread_cond_signal(&m->work);
}

static bool map_queue_full(const struct map *m)
{
	return m->queued >= MAP_QUEUE_TXNS || m->queued_bytes >= MAP_QUEUE_BYTES;
}

int map_submit(struct map *m, struct map_txn *t, map_done done, void *ctx)
{
	int rc = 0;

	if (map_read_only(m) != 0)
		return -EROFS;
	t->done = done;
	t->ctx = ctx;
	pthread_mutex_lock(&m->lock);
	if (map_queue_full(m))
		rc = -EAGAIN;
	else
		map_queue(m, t);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

int map_commit(struct map *m, struct map_txn *t)
{
	int rc;

	if (map_read_only(m) != 0) {
		map_txn_free(t);
		return -EROFS;
	}
	t->waited = true;
	pthread_mutex_lock(&m->lock);
	while (map_queue_full(m))
		pthread_cond_wait(&m->settled, &m->lock);
	map_queue(m, t);
	while (!t->settled)
		pthread_cond_wait(&m->settled, &m->lock);
	pthread_mutex_unlock(&m->lock);
	rc = t->rc;
	map_txn_free(t);
	return rc;
}

/* ---- opening, loading, closing ------------------------------------------------------------------------ */

static int map_start(struct map *m)
{
	pthread_condattr_t attr;
	int rc;

	m->tail = &m->head;
	rc = -pthread_mutex_init(&m->lock, NULL);
	if (rc != 0)
		return rc;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	rc = -pthread_cond_init(&m->work, &attr);
	pthread_condattr_destroy(&attr);
	if (rc != 0)
		goto destroy_lock;
	rc = -pthread_cond_init(&m->settled, NULL);
	if (rc != 0)
		goto destroy_work;
	rc = -pthread_create(&m->writer, NULL, map_write_thread, m);
	if (rc != 0)
		goto destroy_settled;
	return 0;

destroy_settled:
	pthread_cond_destroy(&m->settled);
destroy_work:
	pthread_cond_destroy(&m->work);
destroy_lock:
	pthread_mutex_destroy(&m->lock);
	return rc;
}

int map_open(struct map **out, const struct map_config *cfg, struct map_report *report, char *err, size_t errlen)
{
	struct map *m;
	int rc;

	memset(report, 0, sizeof(*report));
	m = calloc(1, sizeof(*m));
	if (m == NULL) {
		rc = -ENOMEM;
		goto say;
	}
	rc = map_open_repaired(&m->d, &m->root, cfg, report);
	if (rc != 0)
		goto free_map;
	atomic_store(&m->read_only, report->read_only);
	rc = map_start(m);
	if (rc != 0)
		goto close_db;
	*out = m;
	return 0;

close_db:
	map_db_close(&m->d);
free_map:
	free(m);
say:
	if (rc == -EBUSY)
		snprintf(err, errlen, "the map in '%s' is in use by another process", cfg->dir);
	else
		snprintf(err, errlen, "cannot open the map in '%s': %s", cfg->dir, strerror(-rc));
	return rc;
}

/* After a failure the log stays where it is, and the next open finds in it what was acknowledged. */
void map_close(struct map *m)
{
	if (m == NULL)
		return;
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_signal(&m->work);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->writer, NULL);
	if (map_read_only(m) == 0)
		(void)!map_db_checkpoint(&m->d, true);
	map_db_close(&m->d);
	pthread_cond_destroy(&m->settled);
	pthread_cond_destroy(&m->work);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
