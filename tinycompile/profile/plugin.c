/*
 * A QEMU TCG plugin that counts what runs inside one function of the firmware and in what that function calls.
 *
 *   qemu-system-arm ... -plugin plugin.so,range=0x1234-0x1fff,out=counts.txt
 *
 * `range` has the addresses [first, end) of the function; it is entered at the first. More ranges may follow: parts that the
 * compiler made a function of their own. The unit is QEMU's translated block; counted is each pair (block
 * before, block), apart for every call site in the function: code that two layers share is counted for each of them.
 * When QEMU exits, `out` has a line per block and a line per pair:
 *
 *   block <number> <address> <instructions>
 *   pair <call site> <number before, or -1> <number> <count>
 *
 * The call site is the return address of the call by which the function was left, 0 in the function itself. Numbers are
 * decimal, addresses hexadecimal. Code isn't written: the ELF has it.
 */
#include "inside.h"

struct pair;

struct block {
    uint64_t address;
    uint64_t instructions;
    uint64_t end;
    bool in_function;
    int number;
    struct pair *recent; /* of the pairs that begin with this block */
    struct block *next;  /* in its bucket */
};

struct pair {
    uint64_t site;
    const struct block *before; /* NULL at the function's entry */
    const struct block *block;
    uint64_t count;
    struct pair *next; /* in its bucket */
};

enum { BUCKETS = 1 << 14 };
static struct block *blocks[BUCKETS];
static struct pair *pairs[BUCKETS];
static int block_count;

static struct block *last; /* that ran */
static struct block *find_block(uint64_t address, uint64_t instructions, uint64_t end)
{
    struct block **bucket = &blocks[(address >> 1) % BUCKETS];
    for (struct block *found = *bucket; found != NULL; found = found->next) {
        if (found->address == address && found->instructions == instructions) {
            return found;
        }
    }
    struct block *made = allocate(sizeof *made);
    made->address = address;
    made->instructions = instructions;
    made->end = end;
    made->in_function = in_function(address);
    made->number = block_count++;
    made->next = *bucket;
    *bucket = made;
    return made;
}

static struct pair *find_pair(const struct block *before, const struct block *block)
{
    const uint64_t mixed = (uint64_t)(before == NULL ? -1 : before->number) * 31u + (uint64_t)block->number;
    struct pair **bucket = &pairs[(mixed * 131u + (site >> 1)) % BUCKETS];
    for (struct pair *found = *bucket; found != NULL; found = found->next) {
        if (found->before == before && found->block == block && found->site == site) {
            return found;
        }
    }
    struct pair *made = allocate(sizeof *made);
    made->site = site;
    made->before = before;
    made->block = block;
    made->next = *bucket;
    *bucket = made;
    return made;
}

static void count(struct block *before, const struct block *block)
{
    struct pair *pair = before == NULL ? NULL : before->recent;
    if (pair == NULL || pair->block != block || pair->site != site) {
        pair = find_pair(before, block);
        if (before != NULL) {
            before->recent = pair;
        }
    }
    pair->count++;
}

/* QEMU is about to run a block. */
static void on_run(unsigned cpu, void *user)
{
    struct block *const block = user;
    struct block *const before = last;
    (void)cpu;
    last = block;
    const bool first = enters(block->address, block->in_function, before == NULL ? 0 : before->end);
    if (inside) {
        count(first ? NULL : before, block);
    }
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    struct block *block = find_block(qemu_plugin_tb_vaddr(tb), qemu_plugin_tb_n_insns(tb), end_of(tb));
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_run, NO_REGISTERS, block);
}

static void on_exit_of_qemu(plugin_id id, void *user)
{
    FILE *file = open_out();
    (void)id;
    (void)user;
    if (file == NULL) {
        return;
    }
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct block *b = blocks[i]; b != NULL; b = b->next) {
            fprintf(file, "block %d %" PRIx64 " %" PRIu64 "\n", b->number, b->address, b->instructions);
        }
    }
    for (int i = 0; i < BUCKETS; i++) {
        for (const struct pair *p = pairs[i]; p != NULL; p = p->next) {
            fprintf(file, "pair %" PRIx64 " %d %d %" PRIu64 "\n", p->site, p->before == NULL ? -1 : p->before->number,
                    p->block->number, p->count);
        }
    }
    fclose(file);
}

/* `info` describes the machine; nothing of it is needed. */
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!common_argument(argv[i])) {
            fprintf(stderr, "profile plugin: unknown argument %s\n", argv[i]);
            return -1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
