/*
 * A QEMU TCG plugin that simulates a chip's caches while one function of the firmware runs, with what it calls.
 *
 *   qemu-system-arm ... -plugin caches.so,range=0x1234-0x1fff,cache=4096:2:32,cache=4096:4:32,
 *       region=0:0x100000:0x8000000:0:1:14,pace=70,out=counts.txt
 *
 * `range`: as in plugin.c. `cache=BYTES:WAYS:LINE`: a set-associative cache, of which the line goes that was used longest
 * ago; stores allocate and make lines dirty. `region=BEGIN:END:CHIP:CODE:DATA:STREAM`: addresses [BEGIN, END) of the
 * emulated machine are those from CHIP on of the chip; CODE and DATA are the numbers of the caches in front of it for
 * fetches, loads and stores, from 0, or -1; STREAM are the cycles in which lines follow each other. `pace`: hundredths of a
 * cycle that an instruction takes, on average.
 *
 * When QEMU exits, `out` has a line for each place and region with the fields of `struct counts`:
 *
 *   count <place> <region> <fetched> <fetch fills> ...
 *
 * The place is an address in the call by which the function was left, in the function itself that of the block's last
 * instruction.
 * Code is fetched by QEMU's translated blocks: each line that a block touches is one access, and without a cache each word.
 */
#include "inside.h"

enum access_kind { LOADS = 1, STORES, BOTH };
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *insn,
                                      void (*callback)(unsigned, uint32_t, uint64_t, void *), enum register_use use,
                                      enum access_kind kind, void *user);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
unsigned qemu_plugin_mem_size_shift(uint32_t info);
bool qemu_plugin_mem_is_store(uint32_t info);

enum { WORD = 4, CACHES = 4, REGIONS = 32, BUCKETS = 1 << 12 };

struct cache {
    uint64_t line, ways, sets;
    uint64_t *tags;   /* line + 1, 0 for none: [sets][ways] */
    uint64_t *used;   /* when */
    uint64_t *region; /* of the line */
    bool *dirty;
    uint64_t clock;
};
static struct cache caches[CACHES];
static int cache_count;

/* Lines that a memory gives one after the other: the next one would be at `next`; the last came at instruction `when`. */
struct stream {
    uint64_t next, when;
};

static struct region {
    uint64_t begin, end, chip, cycles;
    struct cache *code, *data;
    struct stream streams[2]; /* of code, of data; one for both where their cache is the same */
} regions[REGIONS];
static int region_count;

/* Fills by fetches and by loads and stores: how many, how many of them follow the one before, and how many cycles of
 * STREAM instructions took since that. */
struct fills {
    uint64_t all, streamed, hidden;
};

struct counts {
    uint64_t fetched;
    struct fills fetches;
    uint64_t loads, stores;
    struct fills loaded, stored;
    uint64_t write_backs;
};

struct place {
    uint64_t address;
    struct counts counts[REGIONS];
    struct place *next; /* in its bucket */
};
static struct place *places[BUCKETS];
static struct place *here;

struct block {
    uint64_t address, end, instructions;
    bool in_function;
    struct place *place; /* of its last instruction */
};
static const struct block *last;
static uint64_t executed; /* instructions before the block that runs */
static uint64_t pace = 100;

static struct place *find_place(uint64_t address)
{
    struct place **bucket = &places[(address >> 1) % BUCKETS];
    for (struct place *found = *bucket; found != NULL; found = found->next) {
        if (found->address == address) {
            return found;
        }
    }
    struct place *made = allocate(sizeof *made);
    made->address = address;
    made->next = *bucket;
    *bucket = made;
    return made;
}

static int region_of(uint64_t address)
{
    static int recent;
    if (address >= regions[recent].begin && address < regions[recent].end) {
        return recent;
    }
    for (int i = 0; i < region_count; i++) {
        if (address >= regions[i].begin && address < regions[i].end) {
            return recent = i;
        }
    }
    return -1;
}

/* Whether a line has to be filled. */
static bool misses(struct cache *cache, uint64_t line, int region, bool store)
{
    const uint64_t set = line % cache->sets * cache->ways;
    uint64_t oldest = set;
    for (uint64_t way = set; way < set + cache->ways; way++) {
        if (cache->tags[way] == line + 1) {
            cache->used[way] = ++cache->clock;
            cache->dirty[way] |= store;
            return false;
        }
        if (cache->used[way] < cache->used[oldest]) {
            oldest = way;
        }
    }
    if (cache->dirty[oldest]) {
        here->counts[cache->region[oldest]].write_backs++;
    }
    cache->tags[oldest] = line + 1;
    cache->used[oldest] = ++cache->clock;
    cache->region[oldest] = (uint64_t)region;
    cache->dirty[oldest] = store;
    return true;
}

/* An access to [begin, end) of the chip through a cache, whose first byte is used at an instruction and the others, where
 * they are code, by those that follow, `instructions` in all. */
static uint64_t touch(struct cache *cache, int number, uint64_t begin, uint64_t end, uint64_t first,
                      uint64_t instructions, bool store, struct fills *fills)
{
    struct region *const region = &regions[number];
    struct stream *const stream = &region->streams[region->code != region->data && cache == region->data];
    uint64_t lines = 0;
    for (uint64_t line = begin / cache->line; line * cache->line < end; line++, lines++) {
        if (!misses(cache, line, number, store)) {
            continue;
        }
        const uint64_t at = line * cache->line;
        const uint64_t now = at <= begin ? first : first + (at - begin) * instructions / (end - begin);
        fills->all++;
        if (at == stream->next) {
            const uint64_t passed = (now - stream->when) * pace / 100;
            fills->streamed++;
            fills->hidden += passed < region->cycles ? passed : region->cycles;
        }
        stream->next = at + cache->line;
        stream->when = now;
    }
    return lines;
}

static void on_run(unsigned cpu, void *user)
{
    struct block *const block = user;
    const struct block *const before = last;
    (void)cpu;
    last = block;
    (void)enters(block->address, block->in_function, before == NULL ? 0 : before->end);
    if (!inside) {
        return;
    }
    if (before != NULL) {
        executed += before->instructions;
    }
    if (site == 0) {
        here = block->place;
    } else if (here->address != site - 2u) {
        here = find_place(site - 2u); /* no instruction is shorter than 2 bytes */
    }
    const int number = region_of(block->address);
    if (number < 0) {
        return;
    }
    const struct region *const region = &regions[number];
    const uint64_t begin = block->address - region->begin + region->chip, end = begin + block->end - block->address;
    struct counts *const counts = &here->counts[number];
    counts->fetched += region->code == NULL ? (end - begin / WORD * WORD + WORD - 1) / WORD
                                            : touch(region->code, number, begin, end, executed, block->instructions,
                                                    false, &counts->fetches);
}

/* `user` is the instruction's number in its block. */
static void on_access(unsigned cpu, uint32_t info, uint64_t address, void *user)
{
    const int number = inside ? region_of(address) : -1;
    (void)cpu;
    if (number < 0) {
        return;
    }
    const struct region *const region = &regions[number];
    const uint64_t begin = address - region->begin + region->chip;
    const bool store = qemu_plugin_mem_is_store(info);
    struct counts *const counts = &here->counts[number];
    *(store ? &counts->stores : &counts->loads) += 1;
    if (region->data != NULL) {
        (void)touch(region->data, number, begin, begin + (1u << qemu_plugin_mem_size_shift(info)),
                    executed + (uintptr_t)user, 0, store, store ? &counts->stored : &counts->loaded);
    }
}

static void on_translation(plugin_id id, struct qemu_plugin_tb *tb)
{
    struct block *const block = allocate(sizeof *block);
    (void)id;
    block->address = qemu_plugin_tb_vaddr(tb);
    block->end = end_of(tb);
    block->instructions = qemu_plugin_tb_n_insns(tb);
    block->in_function = in_function(block->address);
    block->place = find_place(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, block->instructions - 1)));
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_run, NO_REGISTERS, block);
    for (uintptr_t i = 0; i < block->instructions; i++) {
        qemu_plugin_register_vcpu_mem_cb(qemu_plugin_tb_get_insn(tb, i), on_access, NO_REGISTERS, BOTH, (void *)i);
    }
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
        for (const struct place *place = places[i]; place != NULL; place = place->next) {
            for (int number = 0; number < region_count; number++) {
                const uint64_t *const fields = (const uint64_t *)&place->counts[number];
                fprintf(file, "count %" PRIx64 " %d", place->address, number);
                for (size_t field = 0; field < sizeof place->counts[number] / sizeof *fields; field++) {
                    fprintf(file, " %" PRIu64, fields[field]);
                }
                fputc('\n', file);
            }
        }
    }
    fclose(file);
}

static bool add_cache(const char *text)
{
    uint64_t bytes, ways, line;
    if (cache_count == CACHES || sscanf(text, "%" SCNu64 ":%" SCNu64 ":%" SCNu64, &bytes, &ways, &line) != 3) {
        return false;
    }
    struct cache *const cache = &caches[cache_count++];
    const size_t lines = bytes / line;
    cache->line = line;
    cache->ways = ways;
    cache->sets = lines / ways;
    cache->tags = allocate(lines * sizeof *cache->tags);
    cache->used = allocate(lines * sizeof *cache->used);
    cache->region = allocate(lines * sizeof *cache->region);
    cache->dirty = allocate(lines * sizeof *cache->dirty);
    return true;
}

static bool add_region(const char *text)
{
    struct region *const region = &regions[region_count];
    int code, data;
    if (region_count == REGIONS ||
        sscanf(text, "%" SCNi64 ":%" SCNi64 ":%" SCNi64 ":%d:%d:%" SCNu64, (int64_t *)&region->begin,
               (int64_t *)&region->end, (int64_t *)&region->chip, &code, &data, &region->cycles) != 6 ||
        code >= cache_count || data >= cache_count) {
        return false;
    }
    region->code = code < 0 ? NULL : &caches[code];
    region->data = data < 0 ? NULL : &caches[data];
    region->streams[0].next = region->streams[1].next = UINT64_MAX;
    region_count++;
    return true;
}

/* `info` describes the machine; nothing of it is needed. */
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++) {
        if (!common_argument(argv[i]) && !(strncmp(argv[i], "cache=", 6) == 0 && add_cache(argv[i] + 6)) &&
            !(strncmp(argv[i], "region=", 7) == 0 && add_region(argv[i] + 7)) &&
            !(strncmp(argv[i], "pace=", 5) == 0 && sscanf(argv[i] + 5, "%" SCNu64, &pace) == 1)) {
            fprintf(stderr, "cache plugin: unknown argument %s\n", argv[i]);
            return -1;
        }
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
