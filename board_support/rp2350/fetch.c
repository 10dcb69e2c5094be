/* SPDX-License-Identifier: 0BSD */
/* Weights on their way from flash to SRAM by the XIP controller's stream and DMA channel 11, while the core computes
 * (tinycompile/tc_fetch.h). Whoever needs one of these leaves this file out: then the core copies.
 *
 * RP2350 Datasheet 4.4.3 "XIP streaming" and its registers (base 4.4.5), 12.6 "DMA", 12.6.4.1 "System DREQ table". The stream
 * reads flash one word behind the other without sending the address again, as long as the core's misses let it. */
#define RP2_RESETS 0x40020000u
#define RP2_CLOCKS 0x40010000u
#define RP2_XOSC 0x40048000u
#define RP2_PLL_SYS 0x40050000u
#define RP2_UART0 0x40070000u
#include "rp2.h"

#ifndef DMA_ADDRESS /* tests run this on another machine */
#define DMA_ADDRESS(pointer) ((uint32_t)(pointer))
#endif

void tc_fetch_begin(void *dst, const void *src, uint32_t bytes);
void tc_fetch_wait(void);

#define XIP_STAT REGISTER(0x400C8008u)
#define XIP_STREAM_ADDR REGISTER(0x400C8014u)
#define XIP_STREAM_CTR REGISTER(0x400C8018u)
#define XIP_STREAM_FIFO REGISTER(0x400C801Cu)
#define XIP_STAT_FIFO_EMPTY (1u << 1)
#define XIP_AUX_FIFO 0x50500000u /* the same FIFO, on a bus of its own */

#define DMA_CHANNEL 11u
#define DMA_READ_ADDR REGISTER(0x50000000u + 0x40u * DMA_CHANNEL)
#define DMA_WRITE_ADDR REGISTER(0x50000004u + 0x40u * DMA_CHANNEL)
#define DMA_TRANS_COUNT REGISTER(0x50000008u + 0x40u * DMA_CHANNEL)
#define DMA_CTRL_TRIG REGISTER(0x5000000Cu + 0x40u * DMA_CHANNEL)

#define ENABLE 1u
#define WORDS (2u << 2)
#define TARGET_ADVANCES (1u << 6)
#define NO_CHAIN (DMA_CHANNEL << 13)
#define BY_XIP_STREAM (49u << 17)
#define QUIET (1u << 23)
#define BUSY (1u << 26)
#define RESET_DMA (1u << 2)

void tc_fetch_begin(void *dst, const void *src, uint32_t bytes)
{
    rp2_leave_reset(RESET_DMA);
    XIP_STREAM_CTR = 0; /* what a debugger or a reset left */
    while ((XIP_STAT & XIP_STAT_FIFO_EMPTY) == 0u) {
        (void)XIP_STREAM_FIFO;
    }
    XIP_STREAM_ADDR = DMA_ADDRESS(src);
    XIP_STREAM_CTR = bytes / 4u;
    DMA_READ_ADDR = XIP_AUX_FIFO;
    DMA_WRITE_ADDR = DMA_ADDRESS(dst);
    DMA_TRANS_COUNT = bytes / 4u;
    DMA_CTRL_TRIG = ENABLE | WORDS | TARGET_ADVANCES | NO_CHAIN | BY_XIP_STREAM | QUIET;
}

void tc_fetch_wait(void)
{
    while ((DMA_CTRL_TRIG & BUSY) != 0u) {
    }
    __asm__ volatile("dmb" ::: "memory");
}
