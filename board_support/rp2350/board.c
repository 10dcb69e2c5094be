/* SPDX-License-Identifier: 0BSD */
/* Raspberry Pi Pico 2, Cortex-M33 in the secure state or Hazard3: 150 MHz from the 12 MHz crystal, flash cache on (it is
 * after reset), DWT cycle counter or mcycle, UART0: TX on GPIO 0, RX on GPIO 1. */
#define RP2_RESETS 0x40020000u
#define RP2_CLOCKS 0x40010000u
#define RP2_XOSC 0x40048000u
#define RP2_PLL_SYS 0x40050000u
#define RP2_UART0 0x40070000u
#include "board.h"
#include "rp2.h"
#if defined(__riscv)
#include "riscv_counter.h"
#define IMAGE_TYPE 0x11010142u /* executable, RISC-V, RP2350: entered at its first byte */
#else
#define IMAGE_TYPE 0x10210142u /* executable, Arm, secure, RP2350 */
#endif

#define GPIO0_CTRL REGISTER(0x40028004u)
#define GPIO1_CTRL REGISTER(0x4002800Cu)
#define PADS_GPIO0 REGISTER(0x40038004u)
#define PADS_GPIO1 REGISTER(0x40038008u)
#define PADS_ISOLATED (1u << 8)
#define FUNCTION_UART 2u
#define RESET_IO_BANK0 (1u << 6)
#define RESET_PADS_BANK0 (1u << 9)
#define RESET_PLL_SYS (1u << 14)
#define RESET_UART0 (1u << 26)

/* RP2350 Datasheet 5.9.5 "Minimum Arm image", "Minimum RISC-V image": the boot ROM looks for this block in the first 4 KiB of the flash. */
__attribute__((section(".image_definition"), used)) static const uint32_t image_definition[] = {
    0xFFFFDED3u, /* start of a block */
    IMAGE_TYPE,
    0x000001FFu, /* last item */
    0x00000000u, /* no other block */
    0xAB123579u, /* end of the block */
};

void board_init(void)
{
    rp2_start_clock(RESET_PLL_SYS, 5, 2);
    rp2_leave_reset(RESET_IO_BANK0 | RESET_PADS_BANK0 | RESET_UART0);
    GPIO0_CTRL = FUNCTION_UART;
    PADS_GPIO0 &= ~PADS_ISOLATED;
    rp2_uart_start(150000000u);
#if defined(__riscv)
    riscv_start_counter();
#else
    cortex_m_start_dwt();
#endif
}

uint32_t board_ticks(void)
{
#if defined(__riscv)
    return riscv_cycles();
#else
    return DWT_CYCCNT;
#endif
}

void board_putc(char byte)
{
    rp2_uart_put(byte);
}

void board_listen(void)
{
    GPIO1_CTRL = FUNCTION_UART;
    PADS_GPIO1 &= ~PADS_ISOLATED;
    rp2_uart_listen(&PADS_GPIO1);
}

int32_t board_getc(void)
{
    return rp2_uart_get();
}
