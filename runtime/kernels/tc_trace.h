/* SPDX-License-Identifier: 0BSD */
/*
 * Who is told of a model's layers. A test build (-DTC_TRACE) sees the result of every layer, whole or in parts of rows and
 * columns as they are made. -DTC_LAYER_HOOK=function is called after every layer, in a stage after each of its parts; to
 * feed a watchdog, say. Otherwise PART_DONE costs nothing.
 */
#ifndef TC_TRACE_H
#define TC_TRACE_H

#include <stdint.h>

#ifdef TC_TRACE
void tc_layer_done(int layer, const void *data, uint32_t bytes, int32_t row, int32_t column, int32_t columns);
#define PART_DONE(layer, data, bytes, row, column, columns) tc_layer_done(layer, data, bytes, row, column, columns)
#elif defined(TC_LAYER_HOOK)
#ifdef __cplusplus
extern "C"
#endif
void TC_LAYER_HOOK(int layer);
#define PART_DONE(layer, data, bytes, row, column, columns) ((void)(data), TC_LAYER_HOOK(layer))
#else
#define PART_DONE(layer, data, bytes, row, column, columns) ((void)(data))
#endif

#endif
