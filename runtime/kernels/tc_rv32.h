/* SPDX-License-Identifier: 0BSD */
/* Whether kernels for some 30 registers are assembly: RV32I has all 32 registers, RV32E half of them. */
#ifndef TC_RV32_H
#define TC_RV32_H

#if defined(__riscv) && __riscv_xlen == 32 && defined(__riscv_mul) && !defined(__riscv_32e) && !defined(TC_PORTABLE)
#define TC_RV32 1
#else
#define TC_RV32 0
#endif

#endif
