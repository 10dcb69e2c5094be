#!/usr/bin/env bash
# GCC 12.2: a function with noinline and noclone is compiled for the one argument that its callers have nevertheless.
#
# Expected: "noclone: prevents a function from being considered for cloning, a mechanism that produces specialized copies" (GCC's manual). With
# noinline it is how one measures a function, or keeps its size, as it is in general: division by an argument takes sdiv.
# Seen: where all callers in the file agree on an argument, there is nothing to clone; the value is put into the only body. A benchmark of `quotient`
# measures a multiplication by a reciprocal, and one more call with another number changes it. Callers still pass the argument. noipa is the attribute that keeps the body general (noipa alone, it includes the other two).
#
# Output seen (instructions sdiv at -O2):
#   noinline            0
#   noinline, noclone   0
#   noipa               1
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq gcc-arm-none-eabi=15:12.2.rel1-1 binutils-arm-none-eabi=2.40-2+18+b1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
cat >quotient.c <<'C'
__attribute__((ATTRIBUTES)) static int quotient(int x, int by)
{
    return x / by;
}

int first(int x)
{
    return quotient(x, 7);
}

int second(int x)
{
    return quotient(x + 1, 7);
}
C
for attributes in "noinline" "noinline, noclone" "noipa"; do
    root/usr/bin/arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb -O2 "-DATTRIBUTES=$attributes" -S quotient.c -o quotient.s
    [ "$(grep -cE '\sbl?\s+quotient' quotient.s)" = 2 ]
    printf '%-20s%s\n' "$attributes" "$(grep -c sdiv quotient.s || true)"
done | tee seen.txt
printf 'noinline            0\nnoinline, noclone   0\nnoipa               1\n' | cmp - seen.txt
