#!/usr/bin/env bash
# GCC 12.2: a function with always_inline that is called through a pointer compiles at -O0, -O1, -O2 and -Os, and is an error at -Og.
#
# Expected: taking such a function's address is allowed. GCC's manual leaves open whether an indirect call is inlined, and whether that it isn't is
# diagnosed; one would expect the same at all levels, or errors where nothing is optimised.
# Seen: at -Og, which debug builds use, the pointer becomes a direct call after the inliner of always_inline functions has run. The last
# inliner then finds a call of such a function that it "doesn't consider", which is an error and not a call.
#
# Output seen:
#   -O0  compiles
#   -O1  compiles
#   -Og  error: inlining failed in call to 'always_inline' 'twice': function not considered for inlining
#   -O2  compiles
#   -Os  compiles
# Exit status: 0 while this is so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq gcc-arm-none-eabi=15:12.2.rel1-1 binutils-arm-none-eabi=2.40-2+18+b1 2>/dev/null
for package in *.deb; do dpkg -x "$package" root; done
cat >layers.c <<'C'
typedef struct {
    float (*function)(float);
    float *to;
} layer;

__attribute__((always_inline)) static inline float twice(float x)
{
    return 2 * x;
}

__attribute__((always_inline)) static inline void run(const layer *layer, const float *x, int n)
{
    for (int i = 0; i < n; i++) {
        layer->to[i] = layer->function(x[i]);
    }
}

void doubled(float *y, const float *x, int n)
{
    layer doubling = {twice, y};
    run(&doubling, x, n);
}
C
for level in -O0 -O1 -Og -O2 -Os; do
    if root/usr/bin/arm-none-eabi-gcc -mcpu=cortex-m3 -mthumb "$level" -S layers.c -o layers.s 2>log; then
        echo "$level  compiles"
    else
        echo "$level  $(grep -o 'error: .*' log)"
    fi
done | tee seen.txt
cat >expected.txt <<'TEXT'
-O0  compiles
-O1  compiles
-Og  error: inlining failed in call to 'always_inline' 'twice': function not considered for inlining
-O2  compiles
-Os  compiles
TEXT
cmp expected.txt seen.txt
