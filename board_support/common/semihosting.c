/* SPDX-License-Identifier: 0BSD */
/* Arm semihosting calls (Arm IHI 0110): r0 = operation, r1 = pointer to the arguments, BKPT 0xAB. RISC-V has the same
 * calls (RISC-V Semihosting 0.3): a0, a1, and EBREAK between two shifts that do nothing. */
#include "semihosting.h"

#include "firmware.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_FLEN = 0x0C,
    SYS_EXIT_EXTENDED = 0x20,
    MODE_READ_BINARY = 1,
    MODE_WRITE_BINARY = 5
};
#define ADP_STOPPED_APPLICATION_EXIT 0x20026u

#if defined(__riscv)
static int call(int operation, const void *arguments)
{
    register int a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = arguments;
    __asm__ volatile(".option push\n\t"
                     ".balign 16\n\t" /* in front of norvc: padding from any place that the linker may move this to */
                     ".option norvc\n\t" /* all three of 32 bits and, aligned, in one page */
                     "slli zero, zero, 0x1f\n\t"
                     "ebreak\n\t"
                     "srai zero, zero, 7\n\t"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
}
#else
static int call(int operation, const void *arguments)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = arguments;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}
#endif

static int open_file(const char *path, uintptr_t mode)
{
    uintptr_t length = 0;
    while (path[length] != '\0') {
        length++;
    }
    const uintptr_t arguments[3] = {(uintptr_t)path, mode, length};
    return call(SYS_OPEN, arguments);
}

int semihosting_open_read(const char *path)
{
    return open_file(path, MODE_READ_BINARY);
}

int semihosting_open_write(const char *path)
{
    return open_file(path, MODE_WRITE_BINARY);
}

/* SYS_READ and SYS_WRITE return the number of bytes that were NOT transferred. */
int semihosting_read(int handle, void *data, uint32_t bytes)
{
    const uintptr_t arguments[3] = {(uintptr_t)handle, (uintptr_t)data, bytes};
    return call(SYS_READ, arguments) == 0;
}

int semihosting_length(int handle)
{
    const uintptr_t arguments[1] = {(uintptr_t)handle};
    return call(SYS_FLEN, arguments);
}

int semihosting_write(int handle, const void *data, uint32_t bytes)
{
    const uintptr_t arguments[3] = {(uintptr_t)handle, (uintptr_t)data, bytes};
    return call(SYS_WRITE, arguments) == 0;
}

void semihosting_close(int handle)
{
    const uintptr_t arguments[1] = {(uintptr_t)handle};
    (void)call(SYS_CLOSE, arguments);
}

void semihosting_print(const char *text)
{
    (void)call(SYS_WRITE0, text);
}

void firmware_end(int code)
{
    if (code == FIRMWARE_FAULT) {
        semihosting_print("tinycompile firmware: hard fault\n");
    }
    semihosting_exit(code);
}

void semihosting_exit(int code)
{
    const uintptr_t arguments[2] = {ADP_STOPPED_APPLICATION_EXIT, (uintptr_t)code};
    (void)call(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}
