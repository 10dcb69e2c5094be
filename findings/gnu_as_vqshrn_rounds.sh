#!/usr/bin/env bash
# GNU as 2.40 for Arm: VQSHRNB and VQSHRNT (Helium) are encoded as VQRSHRNB and VQRSHRNT, which round.
#
# VQSHRN shifts right, saturates and narrows; VQRSHRN adds half of the last place first. Their encodings differ in bit 0
# (Arm DDI0553, "VQSHRN" and "VQRSHRN"). One would expect the assembler to give two different mnemonics two encodings.
#
# What happens: both mnemonics give the bytes of the rounding instruction, without a warning, for each element type
# and each half. So does GCC's intrinsic vqshrnbq_n_s16, since GCC prints assembly: firmware that asks for a truncating
# shift gets results that are one too high for half of all values. It is the same for VQSHRUN and VQRSHRUN. LLVM tells them apart.
#
# Seen with binutils-arm-none-eabi 2.40-2+18+b1 of Debian 12:
#   vqshrnb.s32 q2, q2, #14: ee924f45, vqrshrnb.s32 q2, q2, #14: ee924f45
# and with LLVM 14.0.6: ee924f44 and ee924f45.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq binutils-arm-none-eabi=2.40-2+18+b1 2>/dev/null
dpkg -x binutils-arm-none-eabi_*.deb root
cat >pairs.s <<'ASM'
.syntax unified
.thumb
vqshrnb.s32 q2, q2, #14
vqrshrnb.s32 q2, q2, #14
vqshrnt.s32 q2, q2, #14
vqrshrnt.s32 q2, q2, #14
vqshrnb.u16 q2, q2, #3
vqrshrnb.u16 q2, q2, #3
vqshrunb.s32 q2, q2, #14
vqrshrunb.s32 q2, q2, #14
ASM
bin=root/usr/bin
export LD_LIBRARY_PATH=$folder/root/usr/lib/x86_64-linux-gnu
"$bin/arm-none-eabi-as" -march=armv8.1-m.main+mve pairs.s -o pairs.o
"$bin/arm-none-eabi-objcopy" -O binary -j .text pairs.o pairs.bin
od -An -v -t x2 -w4 pairs.bin | tr -d ' ' | paste - - | tee pairs.txt
[ "$(wc -l <pairs.txt)" = 4 ]
while read -r truncating rounding; do
    [ "$truncating" = "$rounding" ] || { echo "the assembler tells them apart"; exit 1; }
done <pairs.txt
