#include "fs/fs_creds.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A change of fsuid away from 0 takes the file system capabilities out of the effective set (see
 * capabilities(7)); put the right to pass directory permissions back.  Setting fsuid to 0 again
 * brings all of them back. */
static void fs_creds_keep_dac_override(void)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct caps[2];

	if (syscall(SYS_capget, &head, caps) == -1)
		return;
	caps[0].effective |= caps[0].permitted & (1u << CAP_DAC_OVERRIDE);
	(void)syscall(SYS_capset, &head, caps);
}

bool fs_creds_become(uid_t uid, gid_t gid)
{
	if (geteuid() != 0 || (uid == 0 && gid == 0))
		return false;
	setfsgid(gid);
	if (uid != 0) {
		setfsuid(uid);
		fs_creds_keep_dac_override();
	}
	return true;
}

void fs_creds_restore(bool became)
{
	if (!became)
		return;
	setfsuid(0);
	setfsgid(0);
}
