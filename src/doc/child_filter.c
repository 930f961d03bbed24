/* child_filter.c - which system calls a reader's child may make: lists for libseccomp, which knows the numbers of each processor.
 *
 * A refused call returns EPERM instead of killing, so that a library that asks for something harmless (the time zone, its
 * locale) goes on without it. The program is compiled in the parent, because libseccomp allocates, and loaded in the child with
 * plain system calls. Where the kernel has no seccomp the other limits stand alone. */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const int computing[] = {
    SCMP_SYS(read),          SCMP_SYS(write),          SCMP_SYS(writev),         SCMP_SYS(close),         SCMP_SYS(fstat),
    SCMP_SYS(lseek),         SCMP_SYS(mmap),           SCMP_SYS(munmap),         SCMP_SYS(mremap),        SCMP_SYS(mprotect),
    SCMP_SYS(madvise),       SCMP_SYS(brk),            SCMP_SYS(futex),          SCMP_SYS(exit),          SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction),   SCMP_SYS(sigaltstack),   SCMP_SYS(getrandom),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),   SCMP_SYS(sched_yield),    SCMP_SYS(getpid),        SCMP_SYS(gettid),
    SCMP_SYS(tgkill),        SCMP_SYS(restart_syscall),
};

static const int never[] = {
    SCMP_SYS(socket),       SCMP_SYS(socketpair), SCMP_SYS(connect),       SCMP_SYS(bind),         SCMP_SYS(listen),
    SCMP_SYS(accept),       SCMP_SYS(accept4),    SCMP_SYS(sendto),        SCMP_SYS(sendmsg),      SCMP_SYS(sendmmsg),
    SCMP_SYS(fork),         SCMP_SYS(vfork),      SCMP_SYS(ptrace),        SCMP_SYS(kill),         SCMP_SYS(tkill),
    SCMP_SYS(creat),        SCMP_SYS(unlink),     SCMP_SYS(unlinkat),      SCMP_SYS(rename),       SCMP_SYS(renameat),
    SCMP_SYS(renameat2),    SCMP_SYS(mkdir),      SCMP_SYS(mkdirat),       SCMP_SYS(rmdir),        SCMP_SYS(link),
    SCMP_SYS(linkat),       SCMP_SYS(symlink),    SCMP_SYS(symlinkat),     SCMP_SYS(truncate),     SCMP_SYS(chmod),
    SCMP_SYS(fchmod),       SCMP_SYS(fchmodat),   SCMP_SYS(chown),         SCMP_SYS(fchown),       SCMP_SYS(lchown),
    SCMP_SYS(fchownat),     SCMP_SYS(mknod),      SCMP_SYS(mknodat),       SCMP_SYS(mount),        SCMP_SYS(umount2),
    SCMP_SYS(setxattr),     SCMP_SYS(utimensat),  SCMP_SYS(bpf),           SCMP_SYS(keyctl),       SCMP_SYS(unshare),
    SCMP_SYS(setns),        SCMP_SYS(shmget),     SCMP_SYS(process_vm_readv), SCMP_SYS(process_vm_writev), SCMP_SYS(pidfd_getfd),
    SCMP_SYS(perf_event_open), SCMP_SYS(userfaultfd), SCMP_SYS(io_uring_setup),
};

static bool add_rules(scmp_filter_ctx context, bool strict)
{
    const uint32_t refuse = SCMP_ACT_ERRNO(EPERM);
    int failed = 0;
    if (strict) {
        for (size_t i = 0; i < sizeof computing / sizeof *computing; i++)
            failed |= seccomp_rule_add(context, SCMP_ACT_ALLOW, computing[i], 0);
        return !failed;
    }
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        failed |= seccomp_rule_add(context, refuse, never[i], 0);
    /* A thread shares memory, a process does not. clone3 hides its flags behind a pointer; the C library then tries clone. */
    failed |= seccomp_rule_add(context, refuse, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    failed |= seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    failed |= seccomp_rule_add(context, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
    static const scmp_datum_t writing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    for (size_t i = 0; i < sizeof writing / sizeof *writing; i++) {
        failed |= seccomp_rule_add(context, refuse, SCMP_SYS(open), 1, SCMP_A1(SCMP_CMP_MASKED_EQ, writing[i], writing[i]));
        failed |= seccomp_rule_add(context, refuse, SCMP_SYS(openat), 1, SCMP_A2(SCMP_CMP_MASKED_EQ, writing[i], writing[i]));
    }
    return !failed;
}

/* libseccomp 2.5 writes its program to a file only. */
static bool export_program(scmp_filter_ctx context, sx_child_filter *filter)
{
    int file = memfd_create("filter", MFD_CLOEXEC);
    struct stat status;
    bool done = false;
    if (file < 0)
        return false;
    if (!seccomp_export_bpf(context, file) && !fstat(file, &status) && status.st_size > 0 &&
        (size_t)status.st_size <= BPF_MAXINSNS * sizeof(struct sock_filter)) {
        size_t size = (size_t)status.st_size;
        filter->instructions = malloc(size);
        done = filter->instructions && pread(file, filter->instructions, size, 0) == (ssize_t)size;
        filter->count = (unsigned short)(size / sizeof(struct sock_filter));
    }
    close(file);
    return done;
}

void sx_child_filter_make(bool strict, sx_child_filter *filter)
{
    *filter = (sx_child_filter){0};
    scmp_filter_ctx context = seccomp_init(strict ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_ALLOW);
    if (!context)
        return;
    if (!add_rules(context, strict) || !export_program(context, filter))
        sx_child_filter_clear(filter);
    seccomp_release(context);
}

void sx_child_filter_clear(sx_child_filter *filter)
{
    free(filter->instructions);
    *filter = (sx_child_filter){0};
}

void sx_child_filter_load(const sx_child_filter *filter)
{
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (filter->instructions) {
        struct sock_fprog program = {filter->count, filter->instructions};
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0);
    }
}
