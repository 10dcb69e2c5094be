/* SPDX-License-Identifier: 0BSD */
/* RP2040's second stage of booting: the first 256 bytes of the flash, which the boot ROM copies to RAM, checks and runs.
 *
 * RP2040 Datasheet 2.8.1.3.1 "Checksum" (the CRC-32 with the polynomial 0x04C11DB7, not reflected, of the first 252 bytes)
 * and 4.10 "SSI". It makes the flash readable by the plain 03h command, which every flash has, at a quarter of the core's
 * clock, and starts the program behind it. The words are this program, assembled; a test checks words and CRC.
 *
 *   push {lr}
 *   ldr r3, =0x18000000
 *   movs r1, #0
 *   str r1, [r3, #0x08]
 *   movs r1, #4
 *   str r1, [r3, #0x14]
 *   ldr r1, =0x001F0300
 *   str r1, [r3, #0x00]
 *   ldr r1, =0x03000218
 *   ldr r0, =0x180000F4
 *   str r1, [r0]
 *   movs r1, #0
 *   str r1, [r3, #0x04]
 *   movs r1, #1
 *   str r1, [r3, #0x08]
 *   pop {r0}
 *   cmp r0, #0
 *   beq 1f
 *   bx r0
 *   1:
 *   ldr r0, =0x10000100
 *   ldr r1, =0xE000ED08
 *   str r0, [r1]
 *   ldmia r0, {r0, r1}
 *   msr msp, r0
 *   bx r1
 */
#include <stdint.h>

__attribute__((section(".boot"), used)) static const uint32_t boot2[64] = {
    0x4B0CB500u, 0x60992100u, 0x61592104u, 0x6019490Au, 0x480B490Au, 0x21006001u,
    0x21016059u, 0xBC016099u, 0xD0002800u, 0x48074700u, 0x60084907u, 0xF380C803u,
    0x47088808u, 0x18000000u, 0x001F0300u, 0x03000218u, 0x180000F4u, 0x10000100u,
    0xE000ED08u,
    [63] = 0x0D21EC2Cu, /* CRC-32 */
};
