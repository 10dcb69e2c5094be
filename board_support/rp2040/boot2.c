/* SPDX-License-Identifier: 0BSD */
/* RP2040's second stage of booting: the first 256 bytes of the flash, which the boot ROM copies to RAM, checks and runs.
 *
 * RP2040 Datasheet 2.8.1.3.1 "Checksum" (the CRC-32 with the polynomial 0x04C11DB7, not reflected, of the first 252 bytes),
 * 4.10 "SSI" and 2.19.6.4 (pads of the flash); W25Q16JV datasheet 7.1 (status registers), 8.2 (instructions). It sets the
 * clock's pad to 8 mA and switches the data pads' Schmitt triggers off, enables quad lines in status register 2 (35h; 06h and
 * 01h where they aren't yet), reads once by EBh with the mode A0h, after which the flash takes addresses without a command,
 * and leaves the SSI so that each word of the XIP cache is 8 clocks of address and mode, 4 of nothing and 8 of data, at half
 * of the core's clock. Then it starts the program behind it, or returns to who called it. The words are this program,
 * assembled; a test checks words and CRC, and runs them against a model of the SSI and the flash.
 *
 *   push {lr}
 *   ldr r3, =0x40020000
 *   movs r0, #0x21
 *   str r0, [r3, #0x04]
 *   ldr r0, [r3, #0x08]
 *   movs r1, #2
 *   bics r0, r1
 *   str r0, [r3, #0x08]
 *   str r0, [r3, #0x0C]
 *   str r0, [r3, #0x10]
 *   str r0, [r3, #0x14]
 *   ldr r3, =0x18000000
 *   movs r0, #0
 *   str r0, [r3, #0x08]
 *   str r1, [r3, #0x14]
 *   movs r1, #1
 *   movs r2, #0xF0
 *   str r1, [r3, r2]
 *   ldr r0, =0x00070000
 *   str r0, [r3, #0x00]
 *   str r1, [r3, #0x08]
 *   movs r0, #0x35
 *   bl status
 *   lsrs r0, r0, #2
 *   bcs quad
 *   movs r0, #0x06
 *   str r0, [r3, #0x60]
 *   bl idle
 *   ldr r0, [r3, #0x60]
 *   movs r0, #0x01
 *   str r0, [r3, #0x60]
 *   movs r0, #0x00
 *   str r0, [r3, #0x60]
 *   movs r0, #0x02
 *   str r0, [r3, #0x60]
 *   bl idle
 *   ldr r0, [r3, #0x60]
 *   ldr r0, [r3, #0x60]
 *   ldr r0, [r3, #0x60]
 *   busy:
 *   movs r0, #0x05
 *   bl status
 *   lsrs r0, r0, #1
 *   bcs busy
 *   quad:
 *   movs r0, #0
 *   str r0, [r3, #0x08]
 *   ldr r1, =0x005F0300
 *   str r1, [r3, #0x00]
 *   str r0, [r3, #0x04]
 *   ldr r1, =0x00002221
 *   movs r2, #0xF4
 *   str r1, [r3, r2]
 *   movs r1, #1
 *   str r1, [r3, #0x08]
 *   movs r0, #0xEB
 *   str r0, [r3, #0x60]
 *   movs r0, #0xA0
 *   str r0, [r3, #0x60]
 *   bl idle
 *   movs r0, #0
 *   str r0, [r3, #0x08]
 *   ldr r1, =0xA0002022
 *   movs r2, #0xF4
 *   str r1, [r3, r2]
 *   movs r1, #1
 *   str r1, [r3, #0x08]
 *   pop {r0}
 *   cmp r0, #0
 *   beq start
 *   bx r0
 *   start:
 *   ldr r0, =0x10000100
 *   ldr r1, =0xE000ED08
 *   str r0, [r1]
 *   ldmia r0, {r0, r1}
 *   msr msp, r0
 *   bx r1
 *   status:
 *   str r0, [r3, #0x60]
 *   str r0, [r3, #0x60]
 *   mov r2, lr
 *   bl idle
 *   mov lr, r2
 *   ldr r0, [r3, #0x60]
 *   ldr r0, [r3, #0x60]
 *   bx lr
 *   idle:
 *   ldr r1, [r3, #0x28]
 *   lsrs r1, r1, #1
 *   bcs idle
 *   lsrs r1, r1, #2
 *   bcc idle
 *   bx lr
 */
#include <stdint.h>

__attribute__((section(".boot"), used)) static const uint32_t boot2[64] = {
    0x4B2FB500u, 0x60582021u, 0x21026898u, 0x60984388u, 0x611860D8u,
    0x4B2B6158u, 0x60982000u, 0x21016159u, 0x509922F0u, 0x60184828u,
    0x20356099u, 0xF839F000u, 0xD2140880u, 0x66182006u, 0xF83CF000u,
    0x20016E18u, 0x20006618u, 0x20026618u, 0xF0006618u, 0x6E18F833u,
    0x6E186E18u, 0xF0002005u, 0x0840F824u, 0x2000D2FAu, 0x491A6098u,
    0x60586019u, 0x22F44919u, 0x21015099u, 0x20EB6099u, 0x20A06618u,
    0xF0006618u, 0x2000F81Bu, 0x49146098u, 0x509922F4u, 0x60992101u,
    0x2800BC01u, 0x4700D000u, 0x49114810u, 0xC8036008u, 0x8808F380u,
    0x66184708u, 0x46726618u, 0xF804F000u, 0x6E184696u, 0x47706E18u,
    0x08496A99u, 0x0889D2FCu, 0x4770D3FAu, 0x40020000u, 0x18000000u,
    0x00070000u, 0x005F0300u, 0x00002221u, 0xA0002022u, 0x10000100u,
    0xE000ED08u,
    [63] = 0x6C09B365u, /* CRC-32 */
};
