/* SPDX-License-Identifier: 0BSD */
/* The SDRAM of the STM32F746G-DISCO: MT48LC4M32B2 with 16 of its 32 data lines, 8 MiB at 0xC0000000.
 *
 * RM0385: 13.7 "SDRAM controller" (initialisation in 13.7.3, registers in 13.7.5), 5.3.12 RCC_AHB3ENR. UM1907: the pins.
 * By the default memory map it is Device memory (PM0253 2.2.1), in which unaligned words are a fault: an MPU region makes it
 * Normal, write-back (PM0253 4.6).
 * SDCLK is HCLK / 2 = 108 MHz, 9.3 ns: the timings below are those of the memory's speed grade -6A in such cycles. */
#include "mpu.h"
#include "stm32f4.h"

void board_sdram_init(void);

#define RCC_AHB3ENR REGISTER(0x40023838u)
#define FMC_SDCR1 REGISTER(0xA0000140u)
#define FMC_SDTR1 REGISTER(0xA0000148u)
#define FMC_SDCMR REGISTER(0xA0000150u)
#define FMC_SDRTR REGISTER(0xA0000154u)
#define FMC_SDSR REGISTER(0xA0000158u)
#define FMC_SDSR_BUSY (1u << 5)

/* 12 row and 8 column address bits, 16 data lines, 4 banks, CAS latency 3, HCLK / 2, read burst */
#define CONTROL ((1u << 2) | (1u << 4) | (1u << 6) | (3u << 7) | (2u << 10) | (1u << 12))
/* cycles less one: mode register 2, exit self-refresh 8, active 5, row cycle 7, write recovery 3, precharge 2, row to column 2 */
#define TIMING (1u | (7u << 4) | (4u << 8) | (6u << 12) | (2u << 16) | (1u << 20) | (1u << 24))
#define REFRESH_COUNT 1667u /* 64 ms / 4096 rows in cycles of 108 MHz, less 20 */

#define COMMAND_CLOCK 1u
#define COMMAND_PRECHARGE_ALL 2u
#define COMMAND_AUTO_REFRESH 3u
#define COMMAND_LOAD_MODE 4u
#define BANK_1 (1u << 4)
#define EIGHT_TIMES (7u << 5)
#define MODE_BURST_1_CAS_3 (0x230u << 9) /* single location writes */

#define GPIO(port) (0x40020000u + 0x400u * (uint32_t)((port) - 'A'))
#define FMC_FUNCTION 12u
#define VERY_HIGH_SPEED 3u

/* One bit per pin. */
static void give_pins(char port, uint32_t pins)
{
    for (uint32_t pin = 0; pin < 16u; pin++) {
        if ((pins >> pin & 1u) != 0u) {
            REGISTER(GPIO(port) + 0x08u) |= VERY_HIGH_SPEED << (2u * pin);
            stm32_alternate(GPIO(port), pin, FMC_FUNCTION);
        }
    }
}

static void command(uint32_t word)
{
    (void)cortex_m_wait(&FMC_SDSR, FMC_SDSR_BUSY, 0);
    FMC_SDCMR = word | BANK_1;
}

void board_sdram_init(void)
{
    stm32_enable(&RCC_AHB1ENR, 0xFCu); /* GPIOC to GPIOH */
    stm32_enable(&RCC_AHB3ENR, 1u);    /* FMC */
    give_pins('C', 1u << 3);           /* SDCKE0 */
    give_pins('D', 0xC703u);           /* D0-D3, D13-D15: PD14, 15, 0, 1, 8, 9, 10 */
    give_pins('E', 0xFF83u);           /* NBL0, NBL1, D4-D12 */
    give_pins('F', 0xF83Fu);           /* A0-A5, SDNRAS, A6-A9 */
    give_pins('G', 0x8133u);           /* A10, A11, BA0, BA1, SDCLK, SDNCAS */
    give_pins('H', (1u << 3) | (1u << 5)); /* SDNE0, SDNWE */
    FMC_SDCR1 = CONTROL;
    FMC_SDTR1 = TIMING;
    command(COMMAND_CLOCK);
    for (volatile uint32_t left = 21600u; left > 0u; left--) {
        /* at least 100 us at 216 MHz */
    }
    command(COMMAND_PRECHARGE_ALL);
    command(COMMAND_AUTO_REFRESH | EIGHT_TIMES);
    command(COMMAND_LOAD_MODE | MODE_BURST_1_CAS_3);
    (void)cortex_m_wait(&FMC_SDSR, FMC_SDSR_BUSY, 0);
    FMC_SDRTR = REFRESH_COUNT << 1;
    mpu_normal(0, 0xC0000000u, 0x800000u, MPU_WRITE_BACK, MPU_READ_WRITE);
}
