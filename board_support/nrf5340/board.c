/* SPDX-License-Identifier: 0BSD */
/* nRF5340 DK, application core in the secure state: 128 MHz, cache on, DWT cycle counter, UARTE0 on the debugger's virtual
 * port, TX on P0.20, RX on P0.22.
 *
 * nRF5340 Product Specification v1.5: CLOCK (HFCLKCTRL), CACHE, UARTE; secure aliases of the peripherals. */
#include "board.h"
#include "cortex_m.h"

#define CLOCK_TASKS_HFCLKSTART REGISTER(0x50005000u)
#define CLOCK_EVENTS_HFCLKSTARTED REGISTER(0x50005100u)
#define CLOCK_HFCLKCTRL REGISTER(0x500055B8u)
#define CACHE_ENABLE REGISTER(0x50001500u)
#define UARTE0 0x50008000u
#define UARTE_TASKS_STARTRX REGISTER(UARTE0 + 0x000u)
#define UARTE_TASKS_STARTTX REGISTER(UARTE0 + 0x008u)
#define UARTE_EVENTS_ENDRX REGISTER(UARTE0 + 0x110u)
#define UARTE_EVENTS_ENDTX REGISTER(UARTE0 + 0x120u)
#define UARTE_ENABLE REGISTER(UARTE0 + 0x500u)
#define UARTE_PSEL_TXD REGISTER(UARTE0 + 0x50Cu)
#define UARTE_PSEL_RXD REGISTER(UARTE0 + 0x514u)
#define UARTE_BAUDRATE REGISTER(UARTE0 + 0x524u)
#define UARTE_RXD_PTR REGISTER(UARTE0 + 0x534u)
#define UARTE_RXD_MAXCNT REGISTER(UARTE0 + 0x538u)
#define UARTE_TXD_PTR REGISTER(UARTE0 + 0x544u)
#define UARTE_TXD_MAXCNT REGISTER(UARTE0 + 0x548u)
#define P0_OUTSET REGISTER(0x50842508u)
#define P0_DIRSET REGISTER(0x50842518u)

#define HFCLKCTRL_BY_1 0u /* 128 MHz; after reset it is 64 */
#define UARTE_ENABLED 8u
#if BOARD_BAUD == 9600u
#define BAUDRATE 0x00275000u
#elif BOARD_BAUD == 115200u
#define BAUDRATE 0x01D60000u
#elif BOARD_BAUD == 921600u
#define BAUDRATE 0x0F000000u
#else
#error "no BAUDRATE is known for BOARD_BAUD"
#endif
#define TX_PIN 20u
#define RX_PIN 22u
#define RX_PIN_CNF REGISTER(0x50842700u + 4u * RX_PIN)
#define PIN_CNF_INPUT_PULLED_UP (3u << 2)

void board_init(void)
{
    CLOCK_EVENTS_HFCLKSTARTED = 0;
    CLOCK_TASKS_HFCLKSTART = 1;
    (void)cortex_m_wait(&CLOCK_EVENTS_HFCLKSTARTED, 1u, 1u); /* else the internal oscillator goes on */
    CLOCK_HFCLKCTRL = HFCLKCTRL_BY_1;
    CACHE_ENABLE = 1;
    cortex_m_start_dwt();
    P0_OUTSET = 1u << TX_PIN;
    P0_DIRSET = 1u << TX_PIN;
    UARTE_PSEL_TXD = TX_PIN;
    UARTE_BAUDRATE = BAUDRATE;
    UARTE_ENABLE = UARTE_ENABLED;
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}

/* UARTE reads what it sends from RAM by DMA. */
void board_putc(char byte)
{
    static volatile char sent;
    sent = byte;
    UARTE_EVENTS_ENDTX = 0;
    UARTE_TXD_PTR = (uint32_t)(uintptr_t)&sent;
    UARTE_TXD_MAXCNT = 1;
    UARTE_TASKS_STARTTX = 1;
    while (UARTE_EVENTS_ENDTX == 0u) {
    }
}

/* What UARTE receives comes to RAM by DMA, too; its FIFO has what comes between two transfers. */
static volatile uint8_t received;

void board_listen(void)
{
    RX_PIN_CNF = PIN_CNF_INPUT_PULLED_UP;
    UARTE_ENABLE = 0; /* pins are chosen while it is off */
    UARTE_PSEL_RXD = RX_PIN;
    UARTE_ENABLE = UARTE_ENABLED;
    UARTE_RXD_PTR = (uint32_t)(uintptr_t)&received;
    UARTE_RXD_MAXCNT = 1;
    UARTE_EVENTS_ENDRX = 0;
    UARTE_TASKS_STARTRX = 1;
}

int32_t board_getc(void)
{
    if (UARTE_EVENTS_ENDRX == 0u) {
        return -1;
    }
    const int32_t byte = received;
    UARTE_EVENTS_ENDRX = 0;
    UARTE_TASKS_STARTRX = 1;
    return byte;
}
