/* SPDX-License-Identifier: 0BSD */
/* How the firmware ends: over semihosting (semihosting.c) or on the console (console.c). */
#ifndef TC_FIRMWARE_H
#define TC_FIRMWARE_H

enum { FIRMWARE_FAULT = 3 }; /* exit code of a fault */

/* Reports the exit code of main(), or a fault, and stops. */
void firmware_end(int code) __attribute__((noreturn));

#endif
