#!/usr/bin/env bash
# GCC 12.2: a warning of undefined behaviour in a loop that runs no times, which -Werror makes an error.
#
# Expected: of 28 elements, three loops (eights, a four, single ones) leave none to the last. GCC computes the number of its iterations exactly and
# removes it; a warning "iteration 3 invokes undefined behavior" is for loops whose iteration 3 is reached.
# Seen: at -O2 and -O3 the compiler knows that each loop starts below the width but not yet that the third starts at it, and complains of an
# overflow of signed numbers in an iteration that never is. At -O1 and -Os, and for a width of 32, it doesn't.
#
# Output seen (warnings):
#   width   -O1  -Os  -O2  -O3
#   28      0    0    1    1
#   32      0    0    0    0
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq gcc-arm-none-eabi=15:12.2.rel1-1 binutils-arm-none-eabi=2.40-2+18+b1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
cat >columns.c <<'C'
typedef signed char int8;

static inline int8 most(const int8 *x, int rows, int width)
{
    int8 result = x[0];
    for (int i = 1; i < rows; i++) {
        if (x[i * width] > result) {
            result = x[i * width];
        }
    }
    return result;
}

static inline void all(const int8 *x, int8 *y, int rows, int width)
{
    int at = 0;
    for (; at + 8 <= width; at += 8) {
        for (int i = 0; i < 8; i++) {
            y[at + i] = most(x + at + i, rows, width);
        }
    }
    for (; at + 4 <= width; at += 4) {
        for (int i = 0; i < 4; i++) {
            y[at + i] = most(x + at + i, rows, width);
        }
    }
    for (; at < width; at++) {
        y[at] = most(x + at, rows, width);
    }
}

void columns(const int8 *x, int8 *y)
{
    all(x, y, 5, WIDTH);
}
C
echo "width   -O1  -Os  -O2  -O3"
for width in 28 32; do
    line=$width
    for level in -O1 -Os -O2 -O3; do
        root/usr/bin/arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb "$level" -DWIDTH=$width -Wall -S columns.c -o columns.s 2>log
        line+=" $(grep -c 'invokes undefined behavior .-Waggressive-loop-optimizations.' log || true)"
    done
    printf '%-8s%-5s%-5s%-5s%s\n' $line
done | tee seen.txt
printf '28      0    0    1    1\n32      0    0    0    0\n' | cmp - seen.txt
