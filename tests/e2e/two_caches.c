/* Two threads as two cores, of which the first one has a cache that knows nothing of the second: a copy of the context, of which
 * lines go to memory and come from there only when the generated code says so. What it forgets it mustn't have written to since
 * it was written back: a cache could write that back later. Lines are copied atomically, so that ThreadSanitizer sees where a line is
 * written back that the second core writes to.
 *
 * Compiled with -DMODEL_HEADER="..." and MODEL, INPUT_BYTES and so on by the test. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static void write_back(const volatile void *memory, uint32_t bytes);
static void forget(volatile void *memory, uint32_t bytes);
#define TC_WRITE_BACK(memory, bytes) write_back(memory, bytes)
#define TC_FORGET(memory, bytes) forget(memory, bytes)
#include "model.c"

enum { TIMES = 4, LINE = 32, WORDS = LINE / 8 };
static model_context cached, clean, memory, single;
static int lost, written;

/* The first line holds the arena's address, of which each core has its own. */
static int is_shared(const volatile void *at)
{
    const uintptr_t first = (uintptr_t)&cached + LINE;
    return (uintptr_t)at >= first && (uintptr_t)at < (uintptr_t)(&cached + 1);
}

static uint64_t *in(model_context *context, const volatile void *at)
{
    return (uint64_t *)((uint8_t *)context + ((const volatile uint8_t *)at - (const volatile uint8_t *)&cached));
}

static void write_back(const volatile void *begin, uint32_t bytes)
{
    const volatile uint8_t *at = (const volatile uint8_t *)((uintptr_t)begin & ~(uintptr_t)(LINE - 1));
    for (; at < (const volatile uint8_t *)begin + bytes; at += LINE) {
        /* a line that wasn't written to isn't written back */
        if (is_shared(at) && memcmp(in(&cached, at), in(&clean, at), LINE) != 0) {
            memcpy(in(&clean, at), in(&cached, at), LINE);
            for (int i = 0; i < WORDS; i++) {
                __atomic_store_n(in(&memory, at) + i, in(&cached, at)[i], __ATOMIC_RELEASE);
            }
            written++;
        }
    }
}

/* A cache reads a line again when the core needs it, and not while the second core writes to it, as this may: unseen by
 * ThreadSanitizer. */
__attribute__((noinline, no_sanitize("thread"))) static void fetch(const volatile void *at)
{
    const volatile uint64_t *const from = in(&memory, at);
    for (int i = 0; i < WORDS; i++) {
        ((volatile uint64_t *)in(&cached, at))[i] = ((volatile uint64_t *)in(&clean, at))[i] = from[i];
    }
}

static void forget(volatile void *begin, uint32_t bytes)
{
    volatile uint8_t *at = (volatile uint8_t *)((uintptr_t)begin & ~(uintptr_t)(LINE - 1));
    for (; at < (volatile uint8_t *)begin + bytes; at += LINE) {
        if (is_shared(at)) {
            lost += memcmp(in(&cached, at), in(&clean, at), LINE) != 0;
            (void)__atomic_load_n(in(&memory, &cached.meeting.arrived[1]), __ATOMIC_ACQUIRE);
            fetch(at);
        }
    }
}

static void *second(void *unused)
{
    for (int i = 0; i < TIMES; i++) {
        (void)model_serve(&memory);
    }
    return unused;
}

int main(void)
{
    pthread_t thread;
    (void)model_init(&memory); /* its own arena's address */
    (void)model_init(&single);
    (void)model_init(&cached);
    if (pthread_create(&thread, NULL, second, NULL) != 0) {
        return 3;
    }
    while (!tc_is_attended(&cached.meeting)) {
    }
    int wrong = 0;
    for (int i = 0; i < TIMES; i++) {
        for (int j = 0; j < MODEL_INPUT_0_ELEMENTS; j++) {
            model_input_0(&cached)[j] = model_input_0(&single)[j] = (int8_t)(i * 31 + j * 7);
        }
        wrong += model_invoke(&cached) != MODEL_OK || model_invoke(&single) != MODEL_OK;
        wrong += memcmp(model_output_0(&cached), model_output_0(&single), MODEL_OUTPUT_0_BYTES) != 0;
    }
    (void)pthread_join(thread, NULL);
    printf("%d wrong, %d lost, %s\n", wrong, lost, written > 0 ? "cached" : "nothing written back");
    return wrong != 0 || lost != 0;
}
