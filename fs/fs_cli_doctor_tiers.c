/* fs_cli_doctor_tiers.c - hearth doctor on caches and the RAM tier: what the mount says of them. */
#include "fs/fs_cli_doctor.h"
#include "fs/fs_cli.h"
#include "fs/fs_mountinfo.h"

#include <stdio.h>
#include <string.h>

static uint64_t fs_doctor_number(const json_t *tier, const char *name)
{
	json_int_t n = json_integer_value(json_object_get(tier, name));

	return n > 0 ? (uint64_t)n : 0;
}

/* Ollama compares a model with MemAvailable before it loads it, and pages that are locked are not in that. */
static void fs_doctor_ram(const json_t *tier, fs_doctor_say_fn say, void *ctx)
{
	uint64_t budget = fs_doctor_number(tier, "budget"), locked = fs_doctor_number(tier, "locked");
	uint64_t available = fs_doctor_number(tier, "available");
	const char *note = json_string_value(json_object_get(tier, "note"));
	char a[16], b[16], text[512];

	if (budget == 0) {
		say(ctx, true, "ram", "no memory is held for models (--ram 0)");
		return;
	}
	fs_cli_bytes(budget, a);
	if (note != NULL) {
		snprintf(text, sizeof(text), "up to %s, but nothing is locked: %s", a, note);
		say(ctx, false, "ram", text);
		return;
	}
	if (locked == 0) {
		snprintf(text, sizeof(text), "up to %s for hot models; nothing is locked now", a);
		say(ctx, true, "ram", text);
		return;
	}
	fs_cli_bytes(locked, a);
	fs_cli_bytes(available, b);
	snprintf(text, sizeof(text), "%s locked, %s available to others%s: Ollama refuses a model larger than what is available, "
		 "or loads it otherwise; 'hearth cool' or 'hearth unpin' gives memory back", a, b,
		 json_is_true(json_object_get(tier, "soft")) ? " (locks are softened)" : "");
	say(ctx, locked <= available || json_is_true(json_object_get(tier, "soft")), "ram", text);
}

static void fs_doctor_cache_read_ahead(const char *name, const char *dir, fs_doctor_say_fn say, void *ctx)
{
	char path[128], what[64], text[256];
	unsigned long long kib = 0;
	struct fs_mount m;
	FILE *f;

	if (fs_mountinfo_of(dir, &m) != 0)
		return;
	snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", m.major, m.minor);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fscanf(f, "%llu", &kib) != 1)
		kib = 0;
	fclose(f);
	snprintf(what, sizeof(what), "%.15s's read-ahead", name);
	if (kib >= 1024)
		snprintf(text, sizeof(text), "%llu KiB", kib);
	else
		snprintf(text, sizeof(text), "%llu KiB slows native reads from it: as root, echo 4096 > %s", kib, path);
	say(ctx, kib >= 1024, what, text);
}

static void fs_doctor_cache(const json_t *tier, fs_doctor_say_fn say, void *ctx)
{
	const char *name = json_string_value(json_object_get(tier, "name")), *dir = json_string_value(json_object_get(tier, "dir"));
	const char *reason = json_string_value(json_object_get(tier, "reason"));
	uint64_t bad = fs_doctor_number(tier, "bad_sums");
	char used[16], size[16], text[512];

	if (strcmp(json_string_value(json_object_get(tier, "state")), "ok") != 0) {
		snprintf(text, sizeof(text), "'%s' is out of service: %s; blobs are read from home meanwhile", dir, reason);
		say(ctx, false, name, text);
		return;
	}
	fs_cli_bytes(fs_doctor_number(tier, "used"), used);
	fs_cli_bytes(fs_doctor_number(tier, "size"), size);
	if (bad > 0)
		snprintf(text, sizeof(text), "%llu extents in '%s' did not match their sums and were copied anew: look at the disk",
			 (unsigned long long)bad, dir);
	else
		snprintf(text, sizeof(text), "%s of %s used in '%s'", used, size, dir);
	say(ctx, bad == 0, name, text);
	fs_doctor_cache_read_ahead(name, dir, say, ctx);
}

void fs_cli_doctor_tiers(const json_t *stats, fs_doctor_say_fn say, void *ctx)
{
	const json_t *tiers = json_object_get(stats, "tiers");
	size_t n = json_array_size(tiers);

	for (size_t i = 0; i < n; i++) {
		const json_t *tier = json_array_get(tiers, i);

		if (json_string_value(json_object_get(tier, "name")) == NULL ||
		    json_string_value(json_object_get(tier, "state")) == NULL)
			continue;
		if (i == 0)
			fs_doctor_ram(tier, say, ctx);
		else if (i + 1 < n && json_string_value(json_object_get(tier, "dir")) != NULL)
			fs_doctor_cache(tier, say, ctx);
	}
}
