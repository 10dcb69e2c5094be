/*
 * A QEMU TCG plugin that says when two cores come to their meetings and leave them, in time of its own: an instruction
 * of a core takes one unit of it, and a core that waits takes none, but leaves no earlier than the other one comes.
 *
 *   qemu-system-arm ... -plugin two_cores.so,meeting=0x38000010,out=meetings.txt
 *
 * `meeting` is the address of a tc_meeting. QEMU executes one core after the other, so how often one looks in vain whether the
 * other has come depends on its scheduling; those looks are left out. When QEMU exits, `out` has a line for each meeting:
 *
 *   <core 0 comes> <core 1 comes> <core 0 leaves> <core 1 leaves>
 */
#include "../tinycompile/profile/inside.h"

enum access_kind { LOADS = 1, STORES, BOTH };
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*callback)(unsigned, uint32_t, uint64_t, void *), enum register_use use,
                                      enum access_kind kind, void *user);
bool qemu_plugin_mem_is_store(uint32_t info);

enum { MEETINGS = 1 << 16 };
static uint64_t meeting;
static bool attended; /* the second core has come for the first time */
static struct {
    uint64_t executed, skipped; /* instructions, the block that runs included; of looks in vain less what was waited */
    uint64_t first_look;        /* since it came, or 0 */
    int came;                   /* how often */
    uint64_t comes[MEETINGS], leaves[MEETINGS];
} cores[2];

/* QEMU is about to run a block of so many instructions. */
static void on_run(unsigned cpu, void *instructions)
{
    if (cpu < 2) {
        cores[cpu].executed += (uintptr_t)instructions;
    }
}

/* `after`: instructions of the block behind the one with this access. */
static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *after)
{
    if (cpu == 1 && address == meeting + 8 && !attended) { /* until now the first core has cleared it */
        attended = true;
        cores[0].came = 0;
    }
    if (cpu > 1 || (address != meeting && address != meeting + 4)) {
        return;
    }
    const unsigned whose = address == meeting ? 0u : 1u;
    const uint64_t now = cores[cpu].executed - (uintptr_t)after - cores[cpu].skipped;
    if (qemu_plugin_mem_is_store(info) && whose == cpu && cores[cpu].came < MEETINGS) {
        cores[cpu].comes[cores[cpu].came++] = now;
        cores[cpu].first_look = 0;
    } else if (!qemu_plugin_mem_is_store(info) && whose != cpu && cores[cpu].came > 0) {
        const int number = cores[cpu].came - 1;
        if (cores[cpu].first_look == 0) {
            cores[cpu].first_look = now;
        }
        uint64_t leaves = cores[cpu].first_look;
        if (cores[whose].came > number && cores[whose].comes[number] > leaves) {
            leaves = cores[whose].comes[number];
        }
        cores[cpu].skipped += now - leaves;
        cores[cpu].leaves[number] = leaves;
    }
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    const size_t count = qemu_plugin_tb_n_insns(tb);
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_run, NO_REGISTERS, (void *)count);
    for (size_t i = 0; i < count; i++) {
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_access, NO_REGISTERS, BOTH, (void *)(count - i - 1));
    }
}

static void on_exit_of_qemu(plugin_id id, void *user)
{
    FILE *file = open_out();
    (void)id;
    (void)user;
    for (int i = 0; file != NULL && i < cores[0].came && i < cores[1].came; i++) {
        fprintf(file, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", cores[0].comes[i], cores[1].comes[i], cores[0].leaves[i],
                cores[1].leaves[i]);
    }
    if (file != NULL) {
        fclose(file);
    }
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (strncmp(argv[i], "meeting=", 8) == 0) {
            meeting = strtoull(argv[i] + 8, NULL, 0);
        } else if (!common_argument(argv[i])) {
            fprintf(stderr, "two_cores plugin: unknown argument %s\n", argv[i]);
            return -1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
