#!/usr/bin/env bash
# GCC for RISC-V (Debian 12): an extension in -march that no library was built with selects the 64-bit library for 32-bit code.
#
# One would expect that rv32imac_zicsr links with the libraries for rv32imac, of which it is a superset: GCC does so for
# single letters (rv32imc gets those of rv32im), and _zicsr is what start-up code needs since control registers are an
# extension of their own (GCC 12 follows the specification of 2019).
#
# What happens: with any extension of several letters the search for a library set ends with none, without a message, and
# the driver takes the default folder, which is rv64. The linker passes over its archives, and functions such as
# __mulsf3 are undefined. So these extensions must be left out where one links: in `.option arch, +zicsr` of the assembly
# that needs them, or in -march of compilations only.
#
# Seen with gcc-riscv64-unknown-elf 12.2.0-14+deb12u1+11+b2 (folder of the libraries, "." is the default, rv64):
#   rv32imc                rv32im/ilp32
#   rv32imac               rv32imac/ilp32
#   rv32imac_zicsr         .
#   rv32imac_zba_zbb_zbs   .
# and of libgcc.a in the default folder: ELF64.
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq gcc-riscv64-unknown-elf=12.2.0-14+deb12u1+11+b2 2>/dev/null
dpkg -x gcc-riscv64-unknown-elf_*.deb root
gcc=$folder/root/usr/bin/riscv64-unknown-elf-gcc
for march in rv32imc rv32imac rv32imac_zicsr rv32imac_zba_zbb_zbs; do
    printf '%-23s%s\n' "$march" "$("$gcc" -march="$march" -mabi=ilp32 -print-multi-directory)"
done | tee seen.txt
cat >expected.txt <<'TEXT'
rv32imc                rv32im/ilp32
rv32imac               rv32imac/ilp32
rv32imac_zicsr         .
rv32imac_zba_zbb_zbs   .
TEXT
mkdir objects
cd objects
ar x "$("$gcc" -print-libgcc-file-name)" save-restore.o
# Byte 4 of an ELF file: 1 for 32 bits, 2 for 64.
class=$(od -An -t u1 -j 4 -N 1 save-restore.o | tr -d ' ')
echo "default libgcc: ELF$((class * 32))"
cmp ../expected.txt ../seen.txt && [ "$class" = 2 ]
