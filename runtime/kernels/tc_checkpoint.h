/* SPDX-License-Identifier: 0BSD */
/*
 * Checkpoints of trained parameters in two slots of a memory that keeps them without power. The slot that isn't in use is
 * written, so that power may fail at any byte: the CRC-32 of what is only partly there is wrong, and the other slot holds
 * what was before.
 *
 * A slot is a header and the parameters, one after the other, little-endian. It is written and read in blocks, in their
 * order from offset 0; zeros fill the last one.
 */
#ifndef TC_CHECKPOINT_H
#define TC_CHECKPOINT_H

#include <stdint.h>

#include "kernels/tc_crc32.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_CHECKPOINT_MAGIC 0x4b434354u /* "TCCK" */
#define TC_CHECKPOINT_VERSION 1u
#define TC_CHECKPOINT_SLOTS 2u
#define TC_CHECKPOINT_UNKNOWN TC_CHECKPOINT_SLOTS /* which slot is in use isn't known yet */

/* Of what is written and read at once; a multiple of 64. Flash that is programmed in larger pages needs larger ones. */
#ifndef TC_CHECKPOINT_BLOCK_BYTES
#define TC_CHECKPOINT_BLOCK_BYTES 64u
#endif

/* They return 0 if all bytes were transferred. */
typedef int32_t (*tc_checkpoint_write)(void *user, uint32_t slot, uint32_t offset, const void *data, uint32_t bytes);
typedef int32_t (*tc_checkpoint_read)(void *user, uint32_t slot, uint32_t offset, void *data, uint32_t bytes);

/* A range of the memory of states. */
typedef struct tc_checkpoint_part {
    uint32_t offset;
    uint32_t bytes;
} tc_checkpoint_part;

/* What a model's checkpoints hold. */
typedef struct tc_checkpoint_content {
    uint32_t model[4]; /* tells it from other models */
    const tc_checkpoint_part *parts;
    uint32_t count;
    uint32_t bytes; /* of all parts */
} tc_checkpoint_content;

/* Which checkpoint the parameters are from. */
typedef struct tc_checkpoint_place {
    uint32_t slot;
    uint32_t sequence; /* how many were saved up to it */
} tc_checkpoint_place;

typedef struct tc_checkpoint_header {
    uint32_t magic;
    uint32_t version;
    uint32_t model[4];
    uint32_t bytes;
    uint32_t sequence;
    uint32_t crc32; /* of the members above and the parameters */
} tc_checkpoint_header;

/* Of a header without its last member. */
#define TC_CHECKPOINT_CHECKED_BYTES ((uint32_t)sizeof(tc_checkpoint_header) - 4u)

/* A slot while it is written or read. */
typedef struct tc_checkpoint_stream {
    void *user;
    uint32_t slot;
    uint32_t offset; /* of the next block */
    uint32_t used;   /* bytes of the block that were put or taken */
    int32_t failed;
    uint64_t block[TC_CHECKPOINT_BLOCK_BYTES / 8u];
} tc_checkpoint_stream;

typedef char tc_checkpoint_block_must_be_a_multiple_of_64[TC_CHECKPOINT_BLOCK_BYTES % 64u == 0u ? 1 : -1];

static inline void tc_checkpoint_flush(tc_checkpoint_stream *stream, tc_checkpoint_write write)
{
    if (stream->failed == 0) {
        stream->failed = write(stream->user, stream->slot, stream->offset, stream->block, TC_CHECKPOINT_BLOCK_BYTES);
    }
    stream->offset += TC_CHECKPOINT_BLOCK_BYTES;
    stream->used = 0u;
}

static inline void tc_checkpoint_put(tc_checkpoint_stream *stream, tc_checkpoint_write write, const void *data,
                                     uint32_t bytes)
{
    const uint8_t *const from = (const uint8_t *)data;
    uint8_t *const block = (uint8_t *)stream->block;
    for (uint32_t i = 0; i < bytes; i++) {
        block[stream->used++] = from[i];
        if (stream->used == TC_CHECKPOINT_BLOCK_BYTES) {
            tc_checkpoint_flush(stream, write);
        }
    }
}

/* `data` may be null: then the bytes are skipped. Returns the CRC-32 of what came before and of these bytes. */
static inline uint32_t tc_checkpoint_take(tc_checkpoint_stream *stream, tc_checkpoint_read read, uint8_t *data,
                                          uint32_t bytes, uint32_t crc)
{
    const uint8_t *const block = (const uint8_t *)stream->block;
    while (bytes != 0u && stream->failed == 0) {
        if (stream->used == TC_CHECKPOINT_BLOCK_BYTES) {
            stream->failed = read(stream->user, stream->slot, stream->offset, stream->block, TC_CHECKPOINT_BLOCK_BYTES);
            stream->offset += TC_CHECKPOINT_BLOCK_BYTES;
            stream->used = 0u;
            continue;
        }
        const uint32_t left = TC_CHECKPOINT_BLOCK_BYTES - stream->used;
        const uint32_t taken = bytes < left ? bytes : left;
        crc = tc_crc32(crc, block + stream->used, taken);
        for (uint32_t i = 0; data != NULL && i < taken; i++) {
            *data++ = block[stream->used + i];
        }
        stream->used += taken;
        bytes -= taken;
    }
    return crc;
}

/* Whether a slot holds an intact checkpoint of the model. Unless `state` is null the parameters are copied to it, also
 * where the end turns out to be damaged. */
static inline int32_t tc_checkpoint_read_slot(const tc_checkpoint_content *content, tc_checkpoint_read read, void *user,
                                              uint32_t slot, uint8_t *state, tc_checkpoint_header *header)
{
    tc_checkpoint_stream stream = {user, slot, 0u, TC_CHECKPOINT_BLOCK_BYTES, 0, {0u}};
    uint32_t crc = tc_checkpoint_take(&stream, read, (uint8_t *)header, TC_CHECKPOINT_CHECKED_BYTES, 0u);
    (void)tc_checkpoint_take(&stream, read, (uint8_t *)&header->crc32, 4u, 0u);
    if (stream.failed != 0 || header->magic != TC_CHECKPOINT_MAGIC || header->version != TC_CHECKPOINT_VERSION ||
        header->bytes != content->bytes) {
        return 0;
    }
    for (uint32_t i = 0; i < 4u; i++) {
        if (header->model[i] != content->model[i]) {
            return 0;
        }
    }
    for (uint32_t i = 0; i < content->count; i++) {
        const tc_checkpoint_part *const part = &content->parts[i];
        crc = tc_checkpoint_take(&stream, read, state == NULL ? NULL : state + part->offset, part->bytes, crc);
    }
    return stream.failed == 0 && crc == header->crc32;
}

/* Reads the newest intact checkpoint. Returns 0 if there is none; then parameters may have been overwritten in part. */
static inline int32_t tc_checkpoint_load(const tc_checkpoint_content *content, tc_checkpoint_read read, void *user,
                                         uint8_t *state, tc_checkpoint_place *place)
{
    tc_checkpoint_header headers[TC_CHECKPOINT_SLOTS];
    int32_t intact[TC_CHECKPOINT_SLOTS] = {0, 0};
    for (uint32_t slot = 0; slot < TC_CHECKPOINT_SLOTS; slot++) {
        intact[slot] = tc_checkpoint_read_slot(content, read, user, slot, NULL, &headers[slot]);
    }
    uint32_t slot = 0u;
    if (intact[1] != 0) { /* a difference of numbers that wrap around */
        slot = intact[0] == 0 || headers[1].sequence - headers[0].sequence < 0x80000000u ? 1u : 0u;
    }
    for (uint32_t i = 0; i < TC_CHECKPOINT_SLOTS; i++) {
        if (intact[slot] != 0 && tc_checkpoint_read_slot(content, read, user, slot, state, &headers[slot]) != 0) {
            place->slot = slot;
            place->sequence = headers[slot].sequence;
            return 1;
        }
        slot ^= 1u;
    }
    place->slot = 1u; /* the first one is written to slot 0 */
    place->sequence = 0u;
    return 0;
}

/* Writes the slot that isn't in use, which is in use then. Returns 0 if a write failed: then nothing has changed. */
static inline int32_t tc_checkpoint_save(const tc_checkpoint_content *content, tc_checkpoint_write write, void *user,
                                         const uint8_t *state, tc_checkpoint_place *place)
{
    tc_checkpoint_header header = {TC_CHECKPOINT_MAGIC, TC_CHECKPOINT_VERSION, {0u, 0u, 0u, 0u}, content->bytes,
                                   place->sequence + 1u, 0u};
    for (uint32_t i = 0; i < 4u; i++) {
        header.model[i] = content->model[i];
    }
    header.crc32 = tc_crc32(0u, &header, TC_CHECKPOINT_CHECKED_BYTES);
    for (uint32_t i = 0; i < content->count; i++) {
        header.crc32 = tc_crc32(header.crc32, state + content->parts[i].offset, content->parts[i].bytes);
    }
    tc_checkpoint_stream stream = {user, place->slot ^ 1u, 0u, 0u, 0, {0u}};
    tc_checkpoint_put(&stream, write, &header, (uint32_t)sizeof header);
    for (uint32_t i = 0; i < content->count; i++) {
        tc_checkpoint_put(&stream, write, state + content->parts[i].offset, content->parts[i].bytes);
    }
    while (stream.used != 0u) {
        const uint8_t zero = 0u;
        tc_checkpoint_put(&stream, write, &zero, 1u);
    }
    if (stream.failed != 0) {
        return 0;
    }
    place->slot ^= 1u;
    place->sequence++;
    return 1;
}

#ifdef __cplusplus
}
#endif

#endif
