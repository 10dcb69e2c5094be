/* SPDX-License-Identifier: 0BSD */
/* Text on the board's UART. */
#ifndef TC_CONSOLE_H
#define TC_CONSOLE_H

#include <stdint.h>

void console_text(const char *text);
void console_unsigned(uint32_t number);
void console_signed(int32_t number);
void console_hex(uint32_t number);

#endif
