/* SPDX-License-Identifier: 0BSD */
/* EK-RA8D1: 480 MHz from the 20 MHz crystal, caches on, DWT cycle counter, SCI9 on the J-Link's virtual port.
 *
 * RA8D1 Group User's Manual: Hardware (R01UH0995): clock generation circuit, register write protection, I/O ports, SCI.
 * Addresses and fields agree with R7FA8D1BH.h of Renesas' FSP, which also has the wait states and what the main
 * oscillator's mode register is given; the console's pins (P1014, P1015) are Zephyr's for this board. */
#include "board.h"
#include "cortex_m.h"

#define REGISTER_8(address) (*(volatile uint8_t *)(address))
#define REGISTER_16(address) (*(volatile uint16_t *)(address))

#define SYSTEM 0x4001E000u
#define SCKDIVCR REGISTER(SYSTEM + 0x020u)
#define SCKDIVCR2 REGISTER_8(SYSTEM + 0x024u)
#define SCKSCR REGISTER_8(SYSTEM + 0x026u)
#define PLLCCR REGISTER_16(SYSTEM + 0x028u)
#define PLLCR REGISTER_8(SYSTEM + 0x02Au)
#define MOSCCR REGISTER_8(SYSTEM + 0x032u)
#define OSCSF REGISTER_8(SYSTEM + 0x03Cu)
#define PLLCCR2 REGISTER_16(SYSTEM + 0x04Cu)
#define SCICKDIVCR REGISTER_8(SYSTEM + 0x054u)
#define SCICKCR REGISTER_8(SYSTEM + 0x055u)
#define MOSCWTCR REGISTER_8(SYSTEM + 0x0A2u)
#define PRCR REGISTER_16(SYSTEM + 0x3FAu)
#define MOMCR REGISTER_8(SYSTEM + 0xA50u)
#define FLWT REGISTER_8(0x4001C11Cu)
#define MSTPCRB REGISTER(0x40203004u)
#define P1014PFS REGISTER(0x40400800u + 10u * 0x40u + 14u * 4u)
#define P1015PFS REGISTER(0x40400800u + 10u * 0x40u + 15u * 4u)
#define PWPR_S REGISTER_8(0x40400D14u)
#define SCI9_RDR REGISTER_8(0x40358900u)
#define SCI9_TDR REGISTER_8(0x40358904u)
#define SCI9_CCR0 REGISTER(0x40358908u)
#define SCI9_CCR2 REGISTER(0x40358910u)
#define SCI9_CCR3 REGISTER(0x40358914u)
#define SCI9_CSR REGISTER(0x40358948u)
#define SCI9_CFCLR REGISTER(0x40358968u)

#define PRCR_UNLOCK_CLOCKS_AND_MODULES 0xA503u
#define PRCR_LOCK 0xA500u
#define OSCSF_MAIN_STABLE (1u << 3)
#define OSCSF_PLL_STABLE (1u << 5)
#define PLLCCR_CRYSTAL_BY_48 (47u << 8) /* 20 MHz / 1 x 48 = 960 MHz */
#define PLLCCR2_ALL_BY_2 0x111u
#define SCKSCR_PLL 5u
/* CPUCLK 480 MHz; ICLK and PCLKE 240, PCLKA, PCLKD and BCLK 120, PCLKB, PCLKC and FCLK 60 */
#define SCKDIVCR_480_MHZ 0x31122332u
#define FLWT_240_MHZ 4u
#define SCICKCR_REQUEST (1u << 6)
#define SCICKCR_STOPPED (1u << 7)
#define SCICKCR_MOCO 1u /* 8 MHz, which the core has after reset */
#define SCICKCR_PLL 5u
#define SCICKDIVCR_BY_1 0u
#define SCICKDIVCR_BY_4 2u
#define PFS_SCI_ODD ((5u << 24) | (1u << 16) | (1u << 10)) /* peripheral, medium drive */
#define CCR0_RECEIVE 1u
#define CCR0_TRANSMIT (1u << 4)
#define CCR2_8_CLOCKS_A_BIT ((1u << 4) | (1u << 5))
#define CCR3_8_BITS_LSB_FIRST ((2u << 8) | (1u << 12))
#define CSR_OVERRUN (1u << 24)
#define CSR_TRANSMIT_EMPTY (1u << 29)
#define CSR_RECEIVED (1u << 31)

static bool is_set(volatile uint8_t *address, uint32_t mask, uint32_t value)
{
    for (uint32_t left = 1000000u; left > 0u; left--) {
        if ((*address & mask) == value) {
            return true;
        }
    }
    return false;
}

/* Whether the core runs at 480 MHz; otherwise it stays on the 8 MHz of the reset. */
static bool start_clock(void)
{
    if (MOSCCR != 0u) { /* stopped: its mode may only be written then */
        MOMCR = 0x1Au;
        MOSCWTCR = 9u;
        MOSCCR = 0;
    }
    if (!is_set(&OSCSF, OSCSF_MAIN_STABLE, OSCSF_MAIN_STABLE)) {
        return false;
    }
    PLLCCR = PLLCCR_CRYSTAL_BY_48;
    PLLCCR2 = PLLCCR2_ALL_BY_2;
    PLLCR = 0;
    if (!is_set(&OSCSF, OSCSF_PLL_STABLE, OSCSF_PLL_STABLE)) {
        return false;
    }
    FLWT = FLWT_240_MHZ;
    SCKDIVCR = SCKDIVCR_480_MHZ; /* before SCKDIVCR2: the core's clock must not be slower than ICLK */
    SCKDIVCR2 = 0;
    SCKSCR = SCKSCR_PLL;
    return true;
}

/* The clock of the SCIs is stopped while it changes its source. */
static void start_serial_clock(uint8_t source, uint8_t divider)
{
    SCICKCR |= SCICKCR_REQUEST;
    (void)is_set(&SCICKCR, SCICKCR_STOPPED, SCICKCR_STOPPED);
    SCICKDIVCR = divider;
    SCICKCR = (uint8_t)(source | SCICKCR_REQUEST);
    SCICKCR = source;
    (void)is_set(&SCICKCR, SCICKCR_STOPPED, 0);
}

static void connect_to_sci(volatile uint32_t *pin)
{
    PWPR_S = 0; /* the protection of the protection */
    PWPR_S = 1u << 6;
    *pin = PFS_SCI_ODD;
    PWPR_S = 0;
}

void board_init(void)
{
    PRCR = PRCR_UNLOCK_CLOCKS_AND_MODULES;
    const bool fast = SCKSCR == SCKSCR_PLL || start_clock(); /* or a boot loader did it */
    start_serial_clock(fast ? SCICKCR_PLL : SCICKCR_MOCO, fast ? SCICKDIVCR_BY_4 : SCICKDIVCR_BY_1);
    MSTPCRB &= ~(1u << 22); /* SCI9 */
    PRCR = PRCR_LOCK;
    cortex_m_enable_caches();
    cortex_m_enable_branch_caches();
    cortex_m_start_dwt();
    connect_to_sci(&P1014PFS);
    SCI9_CCR0 = 0;
    SCI9_CCR3 = CCR3_8_BITS_LSB_FIRST;
    /* 115200 baud of 120 MHz: 0.2 % fast; of 8 MHz: 3.5 % slow, what a receiver just takes */
    SCI9_CCR2 = CCR2_8_CLOCKS_A_BIT | ((((fast ? 120000000u : 8000000u) + 4u * BOARD_BAUD) / (8u * BOARD_BAUD) - 1u) << 8);
    SCI9_CCR0 = CCR0_TRANSMIT;
}

uint32_t board_ticks(void)
{
    return DWT_CYCCNT;
}

void board_putc(char byte)
{
    while ((SCI9_CSR & CSR_TRANSMIT_EMPTY) == 0u) {
    }
    SCI9_TDR = (uint8_t)byte;
}

/* The transmitter's pin is set up; bits of CCR0 may only be set while neither works. */
void board_listen(void)
{
    connect_to_sci(&P1015PFS);
    SCI9_CCR0 = 0;
    SCI9_CCR0 = CCR0_TRANSMIT | CCR0_RECEIVE;
}

/* A byte that nobody took in time is lost; the flag that says so would stop the receiver. */
int32_t board_getc(void)
{
    if ((SCI9_CSR & CSR_OVERRUN) != 0u) {
        SCI9_CFCLR = CSR_OVERRUN;
    }
    return (SCI9_CSR & CSR_RECEIVED) != 0u ? (int32_t)SCI9_RDR : -1;
}
