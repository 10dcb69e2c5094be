/* SPDX-License-Identifier: 0BSD */
/* The second core of RP2040 and RP2350: it sleeps in the boot ROM until the first one sends a sequence through the FIFO
 * between them, of which it echoes each word. RP2040 Datasheet 2.3.1.4 "Inter-processor FIFOs", 2.8.2 "Launching code on
 * processor core 1"; RP2350 Datasheet 3.1.5 and 5.3, the same. A debugger that resets the first core alone leaves the second one
 * in what it did: so it is switched off and on before (RP2040 Datasheet 2.13 "Power-On State Machine", RP2350 with other
 * addresses: PSM_FRCE_OFF and PSM_PROC1 of board.toml). Its boot ROM then empties its FIFO and sends a 0, which the sequence
 * passes over. */
#include "cortex_m.h"
#include "second_core.h"

#define SIO_FIFO_ST REGISTER(0xD0000050u)
#define SIO_FIFO_WR REGISTER(0xD0000054u)
#define SIO_FIFO_RD REGISTER(0xD0000058u)
#define FIFO_VALID (1u << 0)
#define FIFO_READY (1u << 1)
#define PSM_FRCE_OFF_SET REGISTER(PSM_FRCE_OFF + 0x2000u) /* sets the bits that are written; at 0x3000 clears them */
#define PSM_FRCE_OFF_CLEAR REGISTER(PSM_FRCE_OFF + 0x3000u)
#define CPACR REGISTER(0xE000ED88u)
#define CPACR_FPU_FULL_ACCESS (0xFu << 20)

extern const uint32_t linker_vectors[];

static second_core_entry entry_of_core_1;

void second_core(void)
{
#if defined(__ARM_FP)
    CPACR |= CPACR_FPU_FULL_ACCESS; /* each core has its own FPU */
    __asm__ volatile("dsb\n\tisb" ::: "memory");
#endif
    second_stack_limit();
    entry_of_core_1();
    for (;;) {
    }
}

static void reset_core_1(void)
{
    PSM_FRCE_OFF_SET = PSM_PROC1;
    while ((REGISTER(PSM_FRCE_OFF) & PSM_PROC1) == 0u) {
    }
    PSM_FRCE_OFF_CLEAR = PSM_PROC1;
}

static void drain(void)
{
    while ((SIO_FIFO_ST & FIFO_VALID) != 0u) {
        (void)SIO_FIFO_RD;
    }
    __asm__ volatile("sev" ::: "memory"); /* it may wait for room in its FIFO */
}

static uint32_t sent(uint32_t word)
{
    while ((SIO_FIFO_ST & FIFO_READY) == 0u) {
    }
    SIO_FIFO_WR = word;
    __asm__ volatile("sev" ::: "memory");
    while ((SIO_FIFO_ST & FIFO_VALID) == 0u) {
        __asm__ volatile("wfe" ::: "memory");
    }
    return SIO_FIFO_RD;
}

int start_second_core(second_core_entry entry)
{
    const uint32_t sequence[6] = {0, 0, 1, (uint32_t)linker_vectors, (uint32_t)&linker_second_stack_top, (uint32_t)&second_core};
    entry_of_core_1 = entry;
    __asm__ volatile("dsb" ::: "memory");
    reset_core_1();
    uint32_t next = 0;
    while (next < 6u) {
        if (sequence[next] == 0u) {
            drain();
        }
        next = sent(sequence[next]) == sequence[next] ? next + 1u : 0u; /* another answer: from the beginning */
    }
    return 1;
}
