/* SPDX-License-Identifier: 0BSD */
/* Files and exit codes on the debugging host: Arm semihosting (Arm IHI 0110, "Semihosting for AArch32 and AArch64"). */
#ifndef TC_SEMIHOSTING_H
#define TC_SEMIHOSTING_H

#include <stdint.h>

/* Opens a file in binary mode. Returns a handle, or -1. */
int semihosting_open_read(const char *path);
int semihosting_open_write(const char *path);

/* Returns 1 if all bytes were read, 0 at the end of the file or on an error. */
int semihosting_read(int handle, void *data, uint32_t bytes);

/* The length of a file in bytes; -1 on an error. */
int semihosting_length(int handle);

/* Returns 1 if all bytes were written. */
int semihosting_write(int handle, const void *data, uint32_t bytes);

void semihosting_close(int handle);
void semihosting_print(const char *text);

/* Ends the program (and the emulator) with this exit code. */
void semihosting_exit(int code) __attribute__((noreturn));

#endif
