/* Block functions of every kind and form, each beside its portable twin: what test_blocks.py compiles and calls. */
#include "kernels/tc_depthwise_bands_block.h"
#include "kernels/tc_depthwise_rows_block.h"
#include "kernels/tc_lane_block.h"
#include "kernels/tc_lane_fully_connected.h"
#include "kernels/tc_matrix_block.h"
#include "kernels/tc_winograd4_block.h"
#include "kernels/tc_winograd_block.h"
#include "kernels/tc_winograd_halves.h"

/* Every form; no clamp, below, above, both in three steps and in four; a shift by 0. The test knows their arguments. */
#define FORMS(DEFINE) \
    DEFINE(plain, smmla, ssat, 8, 13, -128, 127) \
    DEFINE(by_sign, smmla_signed, ssat, 8, 12, -128, 127) \
    DEFINE(unsigned_bits, smmla, usat, 7, 11, 0, 127) \
    DEFINE(narrow, smmla_signed, ssat, 7, 10, -64, 63) \
    DEFINE(below, smmla, ssat, 8, 9, -100, 127) \
    DEFINE(above, smmla_signed, ssat, 8, 9, -128, 50) \
    DEFINE(three_steps, smmla_signed, ssat, 8, 14, -60, 70) \
    DEFINE(four_steps, smmla, ssat, 7, 8, -30, 40) \
    DEFINE(unsigned_clamp, smmla_signed, usat, 7, 12, 5, 90) \
    DEFINE(no_shift, smmla, ssat, 8, 0, -128, 127)

/* Some of them, in the same order: for variants that only differ in their loops, and for what is long. */
#define FEW_FORMS(DEFINE) \
    DEFINE(plain, smmla, ssat, 8, 13, -128, 127) \
    DEFINE(by_sign, smmla_signed, ssat, 8, 12, -128, 127) \
    DEFINE(four_steps, smmla, ssat, 7, 8, -30, 40)

/* (width, bands) of depthwise windows */
#define WINDOWS(DEFINE, ...) \
    DEFINE(1, 1, __VA_ARGS__) DEFINE(2, 1, __VA_ARGS__) DEFINE(3, 2, __VA_ARGS__) \
    DEFINE(4, 3, __VA_ARGS__) DEFINE(5, 3, __VA_ARGS__) DEFINE(6, 2, __VA_ARGS__) DEFINE(7, 4, __VA_ARGS__)
#define WINDOW_COUNT 7

#define TWIN static const tc_requant_block requant
#define LANE_TWIN(name, pixels, ...) \
    static void name(const uint32_t *x, const int32_t *weights, int8_t *output, const tc_lane_job *job) \
    { \
        TWIN = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_block_portable(x, weights, output, job, pixels, &requant); \
    }
#define ROW_TWIN(name, direct, ...) \
    static void name(const void *x, const int32_t *weights, int8_t *output, const tc_lane_row_job *job) \
    { \
        TWIN = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_lane_row_portable(x, weights, output, job, direct, 8, 0, &requant); \
    }
#define OUTPUTS_TWIN(name, ...) \
    static void name(const int32_t *sums, const int32_t *parameters, int8_t *output, const tc_winograd_target *target) \
    { \
        TWIN = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_winograd_outputs_portable(sums, parameters, output, target, &requant); \
    }
#define OUTPUTS4_TWIN(name, ...) \
    static void name(int32_t *sums, const int32_t *parameters, int8_t *output, const tc_winograd4_target *target) \
    { \
        TWIN = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_winograd4_outputs_portable(sums, parameters, output, target, &requant); \
    }
#define DEPTHWISE_TWIN(name, call, ...) \
    static void name(const uint32_t *upper, const int32_t *weights, int8_t *output, const tc_depthwise_job *job) \
    { \
        TWIN = TC_REQUANT_BLOCK(__VA_ARGS__); \
        call; \
    }
#define ROWS_TWIN(name, stride, ...) \
    DEPTHWISE_TWIN(name, tc_depthwise_rows_block_portable(upper, weights, output, job, stride, &requant), __VA_ARGS__)
#define BANDS_TWIN(name, stride, width, bands, ...) \
    DEPTHWISE_TWIN(name, \
                   tc_depthwise_bands_block_portable(upper, weights, output, job, width, bands, stride, &requant), \
                   __VA_ARGS__)

#define DEFINE_BANDS(width, bands, name, ...) \
    TC_DEPTHWISE_BANDS_BLOCK_S1(bands_s1_w##width##_##name, width, bands, __VA_ARGS__) \
    BANDS_TWIN(bands_s1_w##width##_##name##_twin, 1, width, bands, __VA_ARGS__) \
    TC_DEPTHWISE_BANDS_BLOCK_S2(bands_s2_w##width##_##name, width, bands, __VA_ARGS__) \
    BANDS_TWIN(bands_s2_w##width##_##name##_twin, 2, width, bands, __VA_ARGS__)
#define DEFINE_FORM(name, ...) \
    TC_LANE_BLOCK_4(lane_4_##name, __VA_ARGS__) \
    LANE_TWIN(lane_4_##name##_twin, 4, __VA_ARGS__) \
    TC_LANE_BLOCK_3(lane_3_##name, __VA_ARGS__) \
    LANE_TWIN(lane_3_##name##_twin, 3, __VA_ARGS__) \
    TC_LANE_BLOCK_3_DUAL(lane_3_dual_##name, __VA_ARGS__) \
    TC_LANE_ROW(row_##name, 8, AS_A_WHOLE, 0, __VA_ARGS__) \
    ROW_TWIN(row_##name##_twin, 0, __VA_ARGS__) \
    TC_LANE_ROW_DIRECT(row_direct_##name, 8, AS_A_WHOLE, 0, __VA_ARGS__) \
    ROW_TWIN(row_direct_##name##_twin, 1, __VA_ARGS__) \
    TC_WINOGRAD_OUTPUTS(outputs_##name, __VA_ARGS__) \
    OUTPUTS_TWIN(outputs_##name##_twin, __VA_ARGS__) \
    TC_DEPTHWISE_ROWS_BLOCK_S1(rows_s1_##name, __VA_ARGS__) \
    ROWS_TWIN(rows_s1_##name##_twin, 1, __VA_ARGS__) \
    TC_DEPTHWISE_ROWS_BLOCK_S2(rows_s2_##name, __VA_ARGS__) \
    ROWS_TWIN(rows_s2_##name##_twin, 2, __VA_ARGS__) \
    WINDOWS(DEFINE_BANDS, name, __VA_ARGS__)
FORMS(DEFINE_FORM)
#define DEFINE_FEW(name, ...) \
    TC_LANE_BLOCK_4_SINGLE(lane_4_single_##name, __VA_ARGS__) \
    TC_LANE_BLOCK_3_SINGLE(lane_3_single_##name, __VA_ARGS__) \
    TC_LANE_ROW_SINGLE(row_single_##name, 8, AS_A_WHOLE, 0, __VA_ARGS__) \
    TC_LANE_ROW_LONG(row_long_##name, 8, AS_A_WHOLE, 0, __VA_ARGS__) \
    TC_LANE_ROW_SINGLE_LONG(row_single_long_##name, 8, AS_A_WHOLE, 0, __VA_ARGS__) \
    TC_WINOGRAD4_OUTPUTS(outputs4_##name, __VA_ARGS__) \
    TC_WINOGRAD4_OUTPUTS_SINGLE(outputs4_single_##name, __VA_ARGS__) \
    TC_WINOGRAD_HALVES_OUTPUTS(outputs4_halves_##name, __VA_ARGS__) \
    OUTPUTS4_TWIN(outputs4_##name##_twin, __VA_ARGS__)
FEW_FORMS(DEFINE_FEW)

/* TFLite's two roundings are a form of matrices only. Pairs of lanes without a loop, with one, with a rest before it. */
#define MATRIX_FORMS(DEFINE) \
    FEW_FORMS(DEFINE) \
    DEFINE(rounded, smmlar, ssat, 8, 12, -128, 127)
#define MATRIX_TWIN(name, ...) \
    static void name(const uint32_t *rows, const uint32_t *columns, int8_t *output, const tc_matrix_job *job) \
    { \
        TWIN = TC_REQUANT_BLOCK(__VA_ARGS__); \
        tc_matrix_block_portable(rows, columns, output, job, &requant); \
    }
#define DEFINE_MATRIX(name, ...) \
    TC_MATRIX_BLOCK(matrix_1_##name, 1, __VA_ARGS__) \
    TC_MATRIX_BLOCK(matrix_21_##name, 21, __VA_ARGS__) \
    TC_MATRIX_BLOCK_SINGLE(matrix_single_5_##name, 5, __VA_ARGS__) \
    TC_MATRIX_BLOCK_SINGLE(matrix_single_24_##name, 24, __VA_ARGS__) \
    MATRIX_TWIN(matrix_##name##_twin, __VA_ARGS__)
MATRIX_FORMS(DEFINE_MATRIX)

TC_WINOGRAD_PRODUCTS(products_2, 2)
TC_WINOGRAD_PRODUCTS(products_6, 6)
TC_WINOGRAD_PRODUCTS_SINGLE(products_single_2, 2)
TC_WINOGRAD_PRODUCTS_SINGLE(products_single_6, 6)
TC_WINOGRAD_HALVES(products_halves_2, 2)
TC_WINOGRAD_HALVES(products_halves_6, 6)
TC_WINOGRAD_HALVES(products_halves_8, 8)
TC_WINOGRAD_HALVES(products_halves_16, 16)
static void products_2_twin(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end)
{
    tc_winograd_products_portable(u, v, sums, v_end, 2);
}
static void products_6_twin(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end)
{
    tc_winograd_products_portable(u, v, sums, v_end, 6);
}
static void products_8_twin(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end)
{
    tc_winograd_products_portable(u, v, sums, v_end, 8);
}
static void products_16_twin(const int32_t *u, const uint32_t *v, int32_t *sums, const uint32_t *v_end)
{
    tc_winograd_products_portable(u, v, sums, v_end, 16);
}

/* By form, then: the function, its twin. */
#define LANE_ENTRY(name, ...) \
    {lane_4_##name, lane_4_##name##_twin}, {lane_3_##name, lane_3_##name##_twin}, {lane_3_dual_##name, lane_3_##name##_twin},
#define SINGLE_ENTRY(name, ...) \
    {lane_4_single_##name, lane_4_##name##_twin}, {lane_3_single_##name, lane_3_##name##_twin},
#define ROW_ENTRY(name, ...) {row_##name, row_##name##_twin}, {row_direct_##name, row_direct_##name##_twin},
#define ROUNDS_ENTRY(name, ...) \
    {row_single_##name, row_##name##_twin}, {row_long_##name, row_##name##_twin}, \
    {row_single_long_##name, row_##name##_twin},
#define OUTPUTS_ENTRY(name, ...) {outputs_##name, outputs_##name##_twin},
#define OUTPUTS4_ENTRY(name, ...) \
    {outputs4_##name, outputs4_##name##_twin}, {outputs4_single_##name, outputs4_##name##_twin}, \
    {outputs4_halves_##name, outputs4_##name##_twin},
#define ROWS_ENTRY(name, ...) {rows_s1_##name, rows_s1_##name##_twin}, {rows_s2_##name, rows_s2_##name##_twin},
#define BANDS_ENTRY(width, bands, name, ...) \
    {bands_s1_w##width##_##name, bands_s1_w##width##_##name##_twin}, \
    {bands_s2_w##width##_##name, bands_s2_w##width##_##name##_twin},
#define BANDS_ENTRIES(name, ...) WINDOWS(BANDS_ENTRY, name, 0)
#define MATRIX_ENTRY(name, ...) \
    {matrix_1_##name, matrix_##name##_twin}, {matrix_21_##name, matrix_##name##_twin}, \
    {matrix_single_5_##name, matrix_##name##_twin}, {matrix_single_24_##name, matrix_##name##_twin},
#define BANDS_SHAPE(width, bands, ...) {width, bands},

tc_lane_block *const lane_blocks[][2] = {FORMS(LANE_ENTRY)};              /* [form x (4, 3, 3 dual)] */
tc_lane_block *const single_blocks[][2] = {FEW_FORMS(SINGLE_ENTRY)};      /* [few x (4, 3)] */
tc_lane_row *const lane_rows[][2] = {FORMS(ROW_ENTRY)};                   /* [form x (expanded, direct)] */
tc_lane_row *const rounds_rows[][2] = {FEW_FORMS(ROUNDS_ENTRY)};          /* [few x (single, long, single long)] */
tc_winograd_products *const products[][2] = {
    {products_2, products_2_twin}, {products_6, products_6_twin}, {products_single_2, products_2_twin}, {products_single_6, products_6_twin},
    {products_halves_2, products_2_twin}, {products_halves_6, products_6_twin}, {products_halves_8, products_8_twin}, {products_halves_16, products_16_twin},
};
const int32_t products_pairs[] = {2, 6, 2, 6, 2, 6, 8, 16};
tc_winograd_outputs *const outputs[][2] = {FORMS(OUTPUTS_ENTRY)};         /* [form] */
tc_winograd4_outputs *const outputs4[][2] = {FEW_FORMS(OUTPUTS4_ENTRY)};  /* [few x (plain, single, halves)] */
tc_depthwise_block *const rows_blocks[][2] = {FORMS(ROWS_ENTRY)};         /* [form x stride] */
tc_depthwise_block *const bands_blocks[][2] = {FORMS(BANDS_ENTRIES)};     /* [form x window x stride] */
const int32_t bands_shapes[][2] = {WINDOWS(BANDS_SHAPE, 0)};              /* (width, bands) */
tc_matrix_block *const matrix_blocks[][2] = {MATRIX_FORMS(MATRIX_ENTRY)}; /* [form x pairs] */
const int32_t matrix_pairs[] = {1, 21, 5, 24};
const int32_t form_count = sizeof outputs / sizeof outputs[0];
