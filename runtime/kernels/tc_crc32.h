/* SPDX-License-Identifier: 0BSD */
/*
 * CRC-32 of memory: the polynomial of IEEE 802.3 and zlib, reflected, four bits at a time from a table of 64 bytes.
 *
 * P. Koopman, "32-bit cyclic redundancy codes for Internet applications" (DSN 2002): with this polynomial every error of up
 * to 3 bits in up to 91,607 bits is found, and every error of one bit in any length.
 */
#ifndef TC_CRC32_H
#define TC_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* `crc` is 0 at first, then the result for what came before: crc(a followed by b) = tc_crc32(tc_crc32(0, a), b). */
static inline uint32_t tc_crc32(uint32_t crc, const void *data, size_t bytes)
{
    static const uint32_t table[16] = {
        0x00000000u, 0x1db71064u, 0x3b6e20c8u, 0x26d930acu, 0x76dc4190u, 0x6b6b51f4u, 0x4db26158u, 0x5005713cu,
        0xedb88320u, 0xf00f9344u, 0xd6d6a3e8u, 0xcb61b38cu, 0x9b64c2b0u, 0x86d3d2d4u, 0xa00ae278u, 0xbdbdf21cu,
    };
    const uint8_t *byte = (const uint8_t *)data;
    crc = ~crc;
    for (; bytes > 0u; bytes--) {
        crc ^= *byte++;
        crc = (crc >> 4) ^ table[crc & 15u];
        crc = (crc >> 4) ^ table[crc & 15u];
    }
    return ~crc;
}

#endif
