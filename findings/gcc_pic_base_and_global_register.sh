#!/usr/bin/env bash
# GCC 12.2 for Arm: with -fPIC -msingle-pic-base a global variable in r9 is taken, though r9 is the base of all data.
#
# Expected: -msingle-pic-base says that the register of position-independent data, r9 on bare metal, is never written: whoever starts the program sets
# it. A program that declares a variable of its own in that register is told so, as it is of the stack pointer's sp, or of inline assembly
# that clobbers r9 ("PIC register clobbered by 'r9' in 'asm'").
# Seen: nothing is said. An assignment to the variable writes r9, and the next line reads another variable's address through what was
# assigned.
#
# Output seen:
#   asm clobbering r9: error: PIC register clobbered by 'r9' in 'asm'
#   variable in r9: compiles; mov r9, r0 and ldr r3, [r9, r3] in one function
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq gcc-arm-none-eabi=15:12.2.rel1-1 binutils-arm-none-eabi=2.40-2+18+b1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
cat >variable.c <<'C'
register int *base __asm__("r9");
extern int counter;

int step(int *memory)
{
    base = memory;
    return counter + *base;
}
C
cat >clobber.c <<'C'
extern int counter;

int step(void)
{
    __asm__ volatile("nop" : : : "r9");
    return counter;
}
C
compile() {
    root/usr/bin/arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -O2 -Wall -Wextra -fPIC -msingle-pic-base -S "$1.c" -o "$1.s" 2>"$1.log"
}
if compile clobber; then exit 1; fi
echo "asm clobbering r9: $(grep -o "error: .*" clobber.log)"
compile variable
[ ! -s variable.log ]
grep -qE 'mov\s+r9, r0' variable.s
grep -qE 'ldr\s+r[0-9], \[r9, r[0-9]\]' variable.s
echo "variable in r9: compiles;" $(grep -E 'mov\s+r9, r0' variable.s) "and" $(grep -E 'ldr\s+r[0-9], \[r9, r[0-9]\]' variable.s) "in one function"
grep -q "PIC register clobbered by 'r9' in 'asm'" clobber.log
