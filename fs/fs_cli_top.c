/* fs_cli_top.c - hearth top: a mount as it lives, on a terminal or once as plain lines. */
#include "fs/fs_cli.h"
#include "fs/fs_top.h"
#include "fs/fs_top_feed.h"
#include "tiering/log.h"

#include <curses.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define FS_TOP_PLAIN_WIDTH 100          /* columns where there is no terminal */
#define FS_TOP_LATE_S 3                 /* so long without a sample, and it is said */

struct fs_top_args {
	bool once, json;
};

static const struct fs_option fs_top_table[] = {
	{ "once", '1', FS_OPTION_FLAG, offsetof(struct fs_top_args, once), NULL, "print one plain screen and end" },
	{ "json", 0, FS_OPTION_FLAG, offsetof(struct fs_top_args, json), NULL, "as JSON, once" },
};

/* ---- once ---- */

static json_t *fs_top_json_tiers(const struct fs_tiers *t)
{
	json_t *o = json_object();

	for (size_t i = 0; i < t->n; i++)
		json_object_set_new(o, t->tier[i].name, json_integer((json_int_t)t->tier[i].bytes));
	return o;
}

static void fs_top_print_json(const struct fs_top_sample *s)
{
	json_t *tiers = json_array(), *moves = json_array(), *models = json_array(), *o;

	for (size_t i = 0; i < s->ntiers; i++)
		json_array_append_new(tiers, json_pack("{s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "name", s->tier[i].name,
			"state", s->tier[i].state, "reason", s->tier[i].reason, "used", (json_int_t)s->tier[i].used, "limit", (json_int_t)s->tier[i].limit,
			"pinned", (json_int_t)s->tier[i].pinned, "locked", (json_int_t)s->tier[i].locked,
			"read_bytes", (json_int_t)s->tier[i].read));
	for (size_t i = 0; i < s->nmoves; i++)
		json_array_append_new(moves, json_pack("{s:s, s:s, s:s, s:I, s:I, s:f}", "blob", s->move[i].blob,
			"from", s->move[i].from, "to", s->move[i].to, "done", (json_int_t)s->move[i].done,
			"total", (json_int_t)s->move[i].total, "rate", s->move[i].rate));
	for (size_t i = 0; i < s->nmodels; i++)
		json_array_append_new(models, json_pack("{s:s, s:I, s:f, s:f, s:s, s:o}", "name", s->model[i].name,
			"bytes", (json_int_t)s->model[i].bytes, "heat", s->model[i].heat_mean, "heat_max",
			s->model[i].heat_max, "pin", s->model[i].pin, "tiers", fs_top_json_tiers(&s->model[i].held)));
	o = json_pack("{s:s, s:s, s:o, s:o, s:o}", "mountpoint", s->mount, "version", s->version, "tiers", tiers,
		      "moves", moves, "models", models);
	json_dumpf(o, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(o);
}

static int fs_top_print(struct fs_top_sample *s)
{
	struct fs_top_view v = { .width = FS_TOP_PLAIN_WIDTH };
	struct fs_top_line *line = NULL;
	struct winsize ws;
	size_t n = 0, end;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 0)
		v.width = ws.ws_col;
	if (fs_top_layout(s, &v, &line, &n) != 0)
		return FS_EXIT_FAILED;
	for (end = strlen(line[0].text); end > 1 && line[0].text[end - 1] == ' '; end--)
		;
	printf("%.*s\n", (int)(end - 1), line[0].text + 1);     /* the title without its margins */
	for (size_t i = 1; i < n; i++)
		printf("%s\n", line[i].text);
	free(line);
	return FS_EXIT_OK;
}

static int fs_top_once(const char *dir, bool json)
{
	struct fs_top_sample *s = fs_top_gather(dir);
	int rc = FS_EXIT_OK;

	if (s == NULL || s->trouble[0] != '\0') {
		fprintf(stderr, "hearth: '%s': %s\n", dir, s != NULL ? s->trouble : "out of memory");
		rc = FS_EXIT_FAILED;
	} else if (json) {
		fs_top_print_json(s);
	} else {
		rc = fs_top_print(s);
	}
	fs_top_sample_free(s);
	return rc;
}

/* ---- live ---- */

struct fs_top_live {
	struct fs_top_feed *feed;
	struct fs_top_sample *now;      /* on the screen, or NULL: none came yet */
	struct fs_top_view view;
	unsigned quiet_s;               /* seconds since the last sample */
	int signal_fd;
	int signal;                     /* that asked to end, or 0 */
	bool over;
};

static void fs_top_draw(const struct fs_top_live *l)
{
	static const attr_t look[] = {
		[FS_TOP_PLAIN] = A_NORMAL, [FS_TOP_TITLE] = A_REVERSE, [FS_TOP_HEAD] = A_BOLD, [FS_TOP_ALARM] = A_BOLD,
	};
	struct fs_top_line *line = NULL;
	size_t n = 0;

	erase();
	if (l->now == NULL) {
		mvaddnstr(0, 0, l->quiet_s < FS_TOP_LATE_S ? "asking the mount" : "the mount does not answer; q quits", COLS);
	} else if (fs_top_layout(l->now, &l->view, &line, &n) == 0) {
		for (size_t i = 0; i < n; i++) {
			attrset(look[line[i].kind]);
			mvaddnstr((int)i, 0, line[i].text, COLS);
		}
		attrset(A_NORMAL);
		free(line);
	}
	refresh();
}

static void fs_top_key(struct fs_top_live *l, int key)
{
	size_t models = l->now != NULL ? l->now->nmodels : 0, page = LINES > 10 ? (size_t)LINES / 2 : 5;
	struct fs_top_view *v = &l->view;

	switch (key) {
	case 'q': case 'Q':
		l->over = true;
		return;
	case 'h': case 's': case 'f': case 'n':
		v->sort = key == 'h' ? FS_TOP_BY_HEAT : key == 's' ? FS_TOP_BY_SIZE : key == 'f' ? FS_TOP_BY_FAST : FS_TOP_BY_NAME;
		v->first = 0;
		break;
	case KEY_DOWN: case 'j':
		v->first++;
		break;
	case KEY_NPAGE: case ' ':
		v->first += page;
		break;
	case KEY_UP: case 'k':
		v->first -= v->first > 0;
		break;
	case KEY_PPAGE:
		v->first -= v->first > page ? page : v->first;
		break;
	case KEY_HOME:
		v->first = 0;
		break;
	default:
		break;
	}
	if (v->first >= models)
		v->first = models > 0 ? models - 1 : 0;
}

static void fs_top_signal(struct fs_top_live *l)
{
	struct signalfd_siginfo info;
	struct winsize ws;

	while (read(l->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (info.ssi_signo == SIGWINCH) {
			if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_row > 0 && ws.ws_col > 0)
				resizeterm(ws.ws_row, ws.ws_col);
			clearok(curscr, TRUE);
		} else {
			l->signal = (int)info.ssi_signo;
			l->over = true;
		}
	}
}

static void fs_top_sample_new(struct fs_top_live *l)
{
	struct fs_top_sample *s = fs_top_feed_take(l->feed);

	if (s == NULL)
		return;
	fs_top_rates(s, l->now);
	fs_top_sample_free(l->now);
	l->now = s;
	l->quiet_s = 0;
}

static void fs_top_loop(struct fs_top_live *l)
{
	struct pollfd p[] = {
		{ .fd = STDIN_FILENO, .events = POLLIN }, { .fd = l->signal_fd, .events = POLLIN },
		{ .fd = fs_top_feed_fd(l->feed), .events = POLLIN },
	};
	int key, n;

	while (!l->over) {
		l->view.width = COLS;
		l->view.height = LINES;
		l->view.late_s = l->quiet_s >= FS_TOP_LATE_S ? l->quiet_s : 0;
		fs_top_draw(l);
		n = poll(p, sizeof(p) / sizeof(p[0]), 1100);
		if (n == 0)
			l->quiet_s++;
		if (n <= 0)
			continue;       /* EINTR: stopped and continued; curses has repaired the screen */
		if (p[1].revents != 0)
			fs_top_signal(l);
		if (p[2].revents != 0)
			fs_top_sample_new(l);
		if (p[0].revents & (POLLHUP | POLLERR | POLLNVAL))
			l->over = true;
		while (p[0].revents != 0 && !l->over && (key = getch()) != ERR)
			fs_top_key(l, key);
	}
}

/* Signals that end it come through a descriptor, so that the terminal is put back before they do. */
static int fs_top_live(const char *dir)
{
	struct fs_top_live l = { .view = { .keys = true } };
	sigset_t mine, before;
	SCREEN *screen = NULL;
	int rc;

	rc = fs_top_feed_start(&l.feed, dir);
	if (rc != 0)
		return rc;
	sigemptyset(&mine);
	sigaddset(&mine, SIGINT);
	sigaddset(&mine, SIGTERM);
	sigaddset(&mine, SIGHUP);
	sigaddset(&mine, SIGQUIT);
	sigaddset(&mine, SIGWINCH);
	sigprocmask(SIG_BLOCK, &mine, &before);
	l.signal_fd = signalfd(-1, &mine, SFD_CLOEXEC | SFD_NONBLOCK);
	if (l.signal_fd == -1)
		rc = -errno;
	else if ((screen = newterm(NULL, stdout, stdin)) == NULL)
		rc = -ENOTTY;
	if (rc == 0) {
		cbreak();
		noecho();
		curs_set(0);
		set_escdelay(25);
		keypad(stdscr, TRUE);
		nodelay(stdscr, TRUE);
		fs_top_loop(&l);
		endwin();
		delscreen(screen);
	}
	if (l.signal_fd != -1)
		close(l.signal_fd);
	fs_top_feed_stop(l.feed);
	fs_top_sample_free(l.now);
	if (l.signal != 0)
		signal(l.signal, SIG_DFL);      /* curses has put its own handler there */
	sigprocmask(SIG_SETMASK, &before, NULL);
	if (l.signal != 0)
		raise(l.signal);
	return rc;
}

static int fs_cmd_top_run(const struct fs_command *c, int argc, char **argv, const struct io *io)
{
	struct fs_top_args a = { .once = false };
	char err[256], dir[PATH_MAX];
	int rc = -ENOTTY;

	(void)io;
	if (fs_options_parse(c->options, c->noptions, &a, &argc, argv, err, sizeof(err)) != 0)
		return fs_cli_usage(c, err);
	if (argc > 1)
		return fs_cli_usage(c, "one mount at a time");
	if (fs_cli_mountpoint(argc == 1 ? argv[0] : NULL, dir) != 0)
		return FS_EXIT_FAILED;
	log_open("hearth", false, LOG_LEVEL_ERR);       /* a bad manifest is no news each second */
	if (!a.once && !a.json && isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1)
		rc = fs_top_live(dir);
	if (rc == -ENOTTY)
		return fs_top_once(dir, a.json);
	if (rc != 0)
		fprintf(stderr, "hearth: cannot show '%s': %s\n", dir, strerror(-rc));
	return rc == 0 ? FS_EXIT_OK : FS_EXIT_FAILED;
}

const struct fs_command fs_cmd_top = {
	"top", "top [--once] [--json] [MOUNTPOINT]", "tiers, models and moves, live",
	fs_top_table, sizeof(fs_top_table) / sizeof(fs_top_table[0]), fs_cmd_top_run,
};
