/* SPDX-License-Identifier: 0BSD */
/* The serial flash of the STM32F746G-DISCO: N25Q128A, 16 MiB, mapped for reading at 0x90000000.
 *
 * RM0385: 14.3.9 "QUADSPI memory-mapped mode", 14.5 registers, 5.3.12 RCC_AHB3ENR. UM1907: the pins. N25Q128A data sheet:
 * QUAD OUTPUT FAST READ (6Bh) takes command and address on one line, 8 dummy cycles, data on four lines, and works in
 * the state after power-up.
 *
 * By the default memory map all of 0x90000000-0x9FFFFFFF is Normal, so that the core may read ahead anywhere in it, also
 * beyond the chip and before it is mapped, which the controller doesn't answer (ST's AN4760 advises MPU regions against
 * it; cited from memory, unverified). So the bank is closed, but for the chip. */
#include "mpu.h"
#include "stm32f4.h"

void board_qspi_init(void);

#define RCC_AHB3ENR REGISTER(0x40023838u)
#define QUADSPI_CR REGISTER(0xA0001000u)
#define QUADSPI_DCR REGISTER(0xA0001004u)
#define QUADSPI_SR REGISTER(0xA0001008u)
#define QUADSPI_CCR REGISTER(0xA0001014u)
#define QUADSPI_SR_BUSY (1u << 5)

#define DIVIDE_BY_3 (2u << 24) /* 216 MHz / 3 = 72 MHz; the memory allows 108 MHz */
#define SAMPLE_HALF_A_CYCLE_LATER (1u << 4)
#define ENABLE 1u
#define SIZE_16_MIB (23u << 16)
#define SELECT_HIGH_3_CYCLES (2u << 8)
#define MEMORY_MAPPED (3u << 26)
#define DATA_ON_4_LINES (3u << 24)
#define DUMMY_CYCLES (8u << 18)
#define ADDRESS_24_BITS (2u << 12)
#define ADDRESS_ON_1_LINE (1u << 10)
#define COMMAND_ON_1_LINE (1u << 8)
#define QUAD_OUTPUT_FAST_READ 0x6Bu

#define GPIOB 0x40020400u
#define GPIOD 0x40020C00u
#define GPIOE 0x40021000u

static void give_pin(uint32_t port, uint32_t pin, uint32_t function)
{
    REGISTER(port + 0x08u) |= 3u << (2u * pin); /* very high speed */
    stm32_alternate(port, pin, function);
}

void board_qspi_init(void)
{
    stm32_enable(&RCC_AHB1ENR, (1u << 1) | (1u << 3) | (1u << 4)); /* GPIOB, D, E */
    stm32_enable(&RCC_AHB3ENR, 1u << 1);                           /* QUADSPI */
    give_pin(GPIOB, 2, 9);   /* CLK */
    give_pin(GPIOB, 6, 10);  /* NCS */
    give_pin(GPIOD, 11, 9);  /* IO0 */
    give_pin(GPIOD, 12, 9);  /* IO1 */
    give_pin(GPIOE, 2, 9);   /* IO2 */
    give_pin(GPIOD, 13, 9);  /* IO3 */
    mpu_forbid(1, 0x90000000u, 0x10000000u);
    QUADSPI_DCR = SIZE_16_MIB | SELECT_HIGH_3_CYCLES;
    QUADSPI_CR = DIVIDE_BY_3 | SAMPLE_HALF_A_CYCLE_LATER | ENABLE;
    (void)cortex_m_wait(&QUADSPI_SR, QUADSPI_SR_BUSY, 0);
    QUADSPI_CCR = MEMORY_MAPPED | DATA_ON_4_LINES | DUMMY_CYCLES | ADDRESS_24_BITS | ADDRESS_ON_1_LINE |
                  COMMAND_ON_1_LINE | QUAD_OUTPUT_FAST_READ;
    mpu_normal(2, 0x90000000u, 0x1000000u, MPU_WRITE_THROUGH, MPU_READ_ONLY);
}
