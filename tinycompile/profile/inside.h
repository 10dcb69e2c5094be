/*
 * What plugins for QEMU share: the declarations of its stable plugin interface (versions 1 and 2) that are used, so that no
 * header of QEMU is needed (https://www.qemu.org/docs/master/devel/tcg-plugins.html), and whether a block that runs belongs
 * to one function of the firmware, or to what that calls, and from where.
 */
#ifndef INSIDE_H
#define INSIDE_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum register_use { NO_REGISTERS };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*callback)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb, void (*callback)(unsigned, void *),
                                          enum register_use use, void *user);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*callback)(plugin_id, void *), void *user);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *tb);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

enum { RANGES = 64 };
static struct {
    uint64_t begin, end;
} ranges[RANGES]; /* of the function; it is entered where the first begins */
static int range_count;
static char out_path[4096];

static bool inside;             /* the function or what it calls */
static uint64_t site;           /* return address of the call by which the function was left; 0: it wasn't */
static uint64_t return_address; /* of the function */

static void *allocate(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        fputs("profile plugin: out of memory\n", stderr);
        exit(3);
    }
    return memory;
}

/* Takes the arguments range=BEGIN-END and out=FILE; false for others. */
static bool common_argument(const char *argument)
{
    char *dash;
    if (strncmp(argument, "range=", 6) == 0 && range_count < RANGES) {
        ranges[range_count].begin = strtoull(argument + 6, &dash, 0);
        ranges[range_count++].end = strtoull(dash + (*dash == '-'), NULL, 0);
        return true;
    }
    if (strncmp(argument, "out=", 4) == 0 && strlen(argument + 4) < sizeof out_path) {
        strcpy(out_path, argument + 4);
        return true;
    }
    return false;
}

/* The file of out=; NULL after a message. */
static FILE *open_out(void)
{
    FILE *file = fopen(out_path, "w");
    if (file == NULL) {
        perror(out_path);
    }
    return file;
}

static bool in_function(uint64_t address)
{
    for (int i = 0; i < range_count; i++) {
        if (address >= ranges[i].begin && address < ranges[i].end) {
            return true;
        }
    }
    return false;
}

/* First address after a block's last instruction; right where it ends in a branch: QEMU 7 adds what it peeked at beyond the
 * end of a page. */
static uint64_t end_of(const struct qemu_plugin_tb *tb)
{
    const size_t instructions = qemu_plugin_tb_n_insns(tb);
    uint64_t end = qemu_plugin_tb_vaddr(tb);
    for (size_t i = 0; i < instructions; i++) {
        end += qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, i));
    }
    return end;
}

/* A block is about to run after one that ended at `before`: sets `inside` and `site`. True where it is the function's
 * first. `within`: whether it is a part of the function itself. */
static bool enters(uint64_t address, bool within, uint64_t before)
{
    if (!inside) {
        inside = address == ranges[0].begin;
        if (inside) {
            return_address = before;
            site = 0;
        }
        return inside;
    }
    if (address == return_address) {
        inside = false;
    } else if (within) {
        site = 0;
    } else if (site == 0) {
        site = before;
    }
    return false;
}

#endif
