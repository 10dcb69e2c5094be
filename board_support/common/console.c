/* SPDX-License-Identifier: 0BSD */
/* Text on the board's UART, and the end of a firmware that has nothing but a UART. */
#include "console.h"

#include "board.h"
#include "firmware.h"

void console_text(const char *text)
{
    while (*text != '\0') {
        if (*text == '\n') {
            board_putc('\r');
        }
        board_putc(*text++);
    }
}

void console_unsigned(uint32_t number)
{
    char digits[10];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + (char)(number % 10u));
        number /= 10u;
    } while (number > 0u);
    while (count > 0u) {
        board_putc(digits[--count]);
    }
}

void console_signed(int32_t number)
{
    if (number < 0) {
        board_putc('-');
    }
    console_unsigned(number < 0 ? 0u - (uint32_t)number : (uint32_t)number);
}

void console_hex(uint32_t number)
{
    for (int shift = 28; shift >= 0; shift -= 4) {
        board_putc("0123456789abcdef"[(number >> shift) & 15u]);
    }
}

void firmware_end(int code)
{
    console_text(code == FIRMWARE_FAULT ? "tinycompile firmware: hard fault\n" : "tinycompile firmware: stopped\n");
    for (;;) {
    }
}
