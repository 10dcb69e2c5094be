/*
 * A QEMU TCG plugin that looks at every load and store of the firmware: is the address a multiple of the size?
 *
 *   qemu-system-arm ... -plugin alignment.so,out=report.txt
 *
 * It sees what CCR.UNALIGN_TRP doesn't stop in QEMU: vectors of Helium, which it loads element by element. Doubles need the
 * alignment of a word only. When QEMU exits, `out` has the number of accesses, that of unaligned ones, and for the first
 * unaligned ones address of the instruction, address and size, one a line.
 *
 * The declarations are those of QEMU's stable plugin interface (versions 1 and 2) that are used, so that no header of QEMU is needed:
 * https://www.qemu.org/docs/master/devel/tcg-plugins.html
 */
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifndef PLUGIN_VERSION
#define PLUGIN_VERSION 1
#endif
#define EXPORT __attribute__((visibility("default")))
#define SHOWN 20

typedef uint64_t plugin_id;
typedef uint32_t memory_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum register_use { NO_REGISTERS };
enum direction { READ = 1, WRITE = 2, BOTH = 3 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*callback)(plugin_id, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*callback)(unsigned, memory_info, uint64_t, void *), enum register_use use,
                                      enum direction direction, void *user);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*callback)(plugin_id, void *), void *user);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(memory_info info);

EXPORT int qemu_plugin_version = PLUGIN_VERSION;

static char report[1024];
static uint64_t accesses, unaligned;
static struct {
    uint64_t instruction;
    uint64_t address;
    unsigned bytes;
} shown[SHOWN];

static void on_access(unsigned cpu, memory_info info, uint64_t address, void *instruction)
{
    const unsigned shift = qemu_plugin_mem_size_shift(info);
    const unsigned bytes = 1u << (shift > 2u ? 2u : shift);
    (void)cpu;
    accesses++;
    if (address % bytes != 0) {
        if (unaligned < SHOWN) {
            shown[unaligned].instruction = (uint64_t)(uintptr_t)instruction;
            shown[unaligned].address = address;
            shown[unaligned].bytes = bytes;
        }
        unaligned++;
    }
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t i = 0; i < qemu_plugin_tb_n_insns(tb); i++) {
        struct qemu_plugin_insn *const insn = qemu_plugin_tb_get_insn(tb, i);
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS, BOTH,
                                         (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn));
    }
}

static void on_exit(plugin_id id, void *user)
{
    FILE *const file = fopen(report, "w");
    (void)id;
    (void)user;
    if (file == NULL) {
        return;
    }
    fprintf(file, "%" PRIu64 " %" PRIu64 "\n", accesses, unaligned);
    for (uint64_t i = 0; i < unaligned && i < SHOWN; i++) {
        fprintf(file, "%" PRIx64 " %" PRIx64 " %u\n", shown[i].instruction, shown[i].address, shown[i].bytes);
    }
    (void)fclose(file);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    if (argc != 1 || strncmp(argv[0], "out=", 4) != 0 || strlen(argv[0] + 4) >= sizeof report) {
        return -1;
    }
    (void)strcpy(report, argv[0] + 4);
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit, NULL);
    return 0;
}
