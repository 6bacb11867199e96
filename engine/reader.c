/* reader.c - see reader.h. */
#include "engine/reader.h"

#include <errno.h>
#include <liburing.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MAX 8u

/* Jobs in a row, each at most once. */
struct queue { struct reader_job **at; uint32_t first, n; };

struct reader {
	uint32_t depth, under_way;
	bool uring;
	struct io_uring ring;
	struct queue done;              /* those that could not be begun; with threads all that are done */
	/* threads */
	struct queue waiting;
	pthread_mutex_t lock;           /* of both queues and stop */
	pthread_cond_t work, finished;
	bool stop;
	uint32_t n_threads;
	pthread_t thread[THREADS_MAX];
};

static void push(struct reader *r, struct queue *q, struct reader_job *job)
{
	q->at[(q->first + q->n++) % r->depth] = job;
}

static struct reader_job *pop(struct reader *r, struct queue *q)
{
	struct reader_job *job = q->at[q->first];

	q->first = (q->first + 1) % r->depth;
	q->n--;
	return job;
}

/* ---- threads ------------------------------------------------------------------------------------- */

/* From byte `got` on, until the end of the job or of the file. */
static ssize_t do_rest(const struct reader_job *job, size_t got)
{
	ssize_t n;

	while (got < job->len) {
		if (job->write)
			n = pwrite(job->fd, (char *)job->buf + got, job->len - got, (off_t)(job->off + got));
		else
			n = pread(job->fd, (char *)job->buf + got, job->len - got, (off_t)(job->off + got));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EINVAL && got > 0 && !job->write)
			break;                  /* O_DIRECT does not go on behind the end of the file */
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		got += (size_t)n;
	}
	return (ssize_t)got;
}

static void *run_thread(void *arg)
{
	struct reader *r = arg;
	struct reader_job *job;

	pthread_mutex_lock(&r->lock);
	for (;;) {
		while (r->waiting.n == 0 && !r->stop)
			pthread_cond_wait(&r->work, &r->lock);
		if (r->waiting.n == 0)
			break;
		job = pop(r, &r->waiting);
		pthread_mutex_unlock(&r->lock);
		job->result = do_rest(job, 0);
		pthread_mutex_lock(&r->lock);
		push(r, &r->done, job);
		pthread_cond_signal(&r->finished);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

static int start_threads(struct reader *r)
{
	uint32_t want = r->depth < THREADS_MAX ? r->depth : THREADS_MAX;

	for (; r->n_threads < want; r->n_threads++)
		if (pthread_create(&r->thread[r->n_threads], NULL, run_thread, r) != 0)
			return r->n_threads > 0 ? 0 : -EAGAIN;
	return 0;
}

static void stop_threads(struct reader *r)
{
	uint32_t i;

	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_broadcast(&r->work);
	pthread_mutex_unlock(&r->lock);
	for (i = 0; i < r->n_threads; i++)
		pthread_join(r->thread[i], NULL);
}

/* ---- open and close ------------------------------------------------------------------------------ */

int reader_open(struct reader **out, uint32_t depth, bool plain)
{
	struct reader *r = calloc(1, sizeof(*r));
	int rc;

	if (r == NULL)
		return -ENOMEM;
	r->depth = depth > 0 ? depth : 1;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->work, NULL);
	pthread_cond_init(&r->finished, NULL);
	r->done.at = calloc(r->depth, sizeof(struct reader_job *));
	r->waiting.at = calloc(r->depth, sizeof(struct reader_job *));
	rc = r->done.at != NULL && r->waiting.at != NULL ? 0 : -ENOMEM;
	if (rc == 0 && !plain)
		r->uring = io_uring_queue_init(r->depth, &r->ring, 0) == 0;
	if (rc == 0 && !r->uring)
		rc = start_threads(r);
	if (rc != 0) {
		reader_close(r);
		return rc;
	}
	*out = r;
	return 0;
}

void reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	while (reader_done(r, true) != NULL)
		;
	if (r->uring)
		io_uring_queue_exit(&r->ring);
	else
		stop_threads(r);
	pthread_cond_destroy(&r->finished);
	pthread_cond_destroy(&r->work);
	pthread_mutex_destroy(&r->lock);
	free(r->waiting.at);
	free(r->done.at);
	free(r);
}

const char *reader_kind(const struct reader *r)
{
	return r->uring ? "io_uring" : "threads";
}

/* ---- jobs ---------------------------------------------------------------------------------------- */

static void begin_uring(struct reader *r, struct reader_job *job)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&r->ring);
	int rc;

	if (sqe == NULL) {
		job->result = -EBUSY;
		push(r, &r->done, job);
		return;
	}
	if (job->write)
		io_uring_prep_write(sqe, job->fd, job->buf, (unsigned)job->len, job->off);
	else
		io_uring_prep_read(sqe, job->fd, job->buf, (unsigned)job->len, job->off);
	io_uring_sqe_set_data(sqe, job);
	do
		rc = io_uring_submit(&r->ring);
	while (rc == -EINTR || rc == -EAGAIN);
	if (rc < 0) {                   /* it stays in the queue, and goes with the next one or never */
		io_uring_prep_nop(sqe);
		io_uring_sqe_set_data(sqe, NULL);
		job->result = rc;
		push(r, &r->done, job);
	}
}

void reader_begin(struct reader *r, struct reader_job *job)
{
	r->under_way++;
	if (r->uring) {
		begin_uring(r, job);
		return;
	}
	pthread_mutex_lock(&r->lock);
	push(r, &r->waiting, job);
	pthread_cond_signal(&r->work);
	pthread_mutex_unlock(&r->lock);
}

/* The kernel may give less than was asked for, or ask to be asked again. */
static ssize_t result_of(const struct reader_job *job, int res)
{
	if (res == -EAGAIN || res == -EINTR)
		return do_rest(job, 0);
	return res > 0 && (size_t)res < job->len ? do_rest(job, (size_t)res) : res;
}

static struct reader_job *done_uring(struct reader *r, bool wait)
{
	struct io_uring_cqe *cqe;
	struct reader_job *job;
	int rc;

	if (r->done.n > 0)
		return pop(r, &r->done);
	for (;;) {
		rc = wait ? io_uring_wait_cqe(&r->ring, &cqe) : io_uring_peek_cqe(&r->ring, &cqe);
		if (rc == -EINTR)
			continue;
		if (rc != 0)
			return NULL;
		job = io_uring_cqe_get_data(cqe);
		if (job != NULL)
			job->result = result_of(job, cqe->res);
		io_uring_cqe_seen(&r->ring, cqe);
		if (job != NULL)
			return job;
	}
}

static struct reader_job *done_threads(struct reader *r, bool wait)
{
	struct reader_job *job = NULL;

	pthread_mutex_lock(&r->lock);
	while (wait && r->done.n == 0)
		pthread_cond_wait(&r->finished, &r->lock);
	if (r->done.n > 0)
		job = pop(r, &r->done);
	pthread_mutex_unlock(&r->lock);
	return job;
}

struct reader_job *reader_done(struct reader *r, bool wait)
{
	struct reader_job *job;

	if (r->under_way == 0)
		return NULL;
	job = r->uring ? done_uring(r, wait) : done_threads(r, wait);
	r->under_way -= job != NULL;
	return job;
}
