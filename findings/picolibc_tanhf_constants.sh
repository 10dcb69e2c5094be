#!/usr/bin/env bash
# picolibc 1.8 for RISC-V (Debian 12): tanhf keeps 1, 2 and 1e-30 in variables, so it is wrong where RAM isn't initialised.
#
# Expected: the constants of mathematical functions are read-only, in .rodata or .srodata, as those of sinhf, coshf, expf and logf are here.
# Seen: tanh and tanhf have their constants in .sdata, which can be written, though nothing ever does; so has what an overflow is computed from
# (expf's infinity). They take RAM, and where start-up doesn't copy .sdata (a linker script written for Arm names none) tanhf is NaN,
# and an exponential that overflows 0, beside functions that work.
#
# Output seen (members of rv32imac/ilp32/libc.a with initialised data that can be written; tanhf's as floats):
#   libm_math_s_tanh.c.o .sdata 24
#   libm_math_sf_tanh.c.o .sdata 12
#   libm_common_math_errf_oflowf.c.o .sdata 4
#   1e-30 2 1
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq picolibc-riscv64-unknown-elf=1.8-1 binutils-riscv64-unknown-elf=2.40-2+4+b1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
bin=root/usr/bin/riscv64-unknown-elf
library=root/usr/lib/picolibc/riscv64-unknown-elf/lib/rv32imac/ilp32/libc.a
"$bin-size" -A "$library" >sizes.txt
awk '/ex /{member = $1} ($1 == ".data" || $1 == ".sdata") && $2 > 0 {print member, $1, $2}' sizes.txt >written.txt
grep -E '^libm_(math_sf?_(tanh|sinh|cosh|exp|log)|common_math_errf_oflowf)\.' written.txt | tee seen.txt
"$bin-ar" x "$library" libm_math_sf_tanh.c.o
"$bin-objcopy" -O binary -j .sdata libm_math_sf_tanh.c.o constants.bin
echo $(od -An -t f4 constants.bin) | tee -a seen.txt
cat >expected.txt <<'TEXT'
libm_math_s_tanh.c.o .sdata 24
libm_math_sf_tanh.c.o .sdata 12
libm_common_math_errf_oflowf.c.o .sdata 4
1e-30 2 1
TEXT
cmp expected.txt seen.txt
