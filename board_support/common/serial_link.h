/* SPDX-License-Identifier: 0BSD */
/* Frames over the board's UART, so that what arrives is what was sent or nothing.
 *
 * A frame is a sequence number, a kind, up to LINK_PAYLOAD_BYTES of payload and the CRC-32 of all that, little endian;
 * on the wire its zeros are stuffed (S. Cheshire, M. Baker, "Consistent Overhead Byte Stuffing", IEEE/ACM Transactions on
 * Networking 7(2), 1999) and a zero is in front of and behind it. A receiver that has lost its place finds it with the
 * next zero. */
#ifndef TC_SERIAL_LINK_H
#define TC_SERIAL_LINK_H

#include "board.h"

#include "../tinycompile/tc_crc32.h"

enum { LINK_HEADER_BYTES = 2, LINK_PAYLOAD_BYTES = 240, LINK_CRC_BYTES = 4 };
enum { LINK_SILENCE = -1, LINK_DAMAGED = 0, LINK_FRAME = 1 };

typedef struct link_frame {
    uint32_t bytes;                                                               /* of the payload */
    uint8_t data[LINK_HEADER_BYTES + LINK_PAYLOAD_BYTES + LINK_CRC_BYTES]; /* sequence, kind, payload, CRC */
} link_frame;

/* A board that can't be listened to has neither. */
void board_listen(void) __attribute__((weak));
int32_t board_getc(void) __attribute__((weak));

static inline uint32_t link_word(const uint8_t *from)
{
    return (uint32_t)from[0] | (uint32_t)from[1] << 8 | (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24;
}

/* Whether `count` bytes, of which none is missing, are a frame. */
static int link_is_frame(link_frame *frame, uint32_t count, uint32_t missing)
{
    if (missing != 0u || count < LINK_HEADER_BYTES + LINK_CRC_BYTES || count > sizeof frame->data) {
        return LINK_DAMAGED;
    }
    frame->bytes = count - LINK_HEADER_BYTES - LINK_CRC_BYTES;
    return tc_crc32(0, frame->data, count - LINK_CRC_BYTES) == link_word(&frame->data[count - LINK_CRC_BYTES])
               ? LINK_FRAME
               : LINK_DAMAGED;
}

/* Waits for the end of a frame. Returns LINK_FRAME, LINK_DAMAGED, or LINK_SILENCE after looking `patience` times for a
 * byte; with 0 it waits for ever. */
static int link_receive(link_frame *frame, uint32_t patience)
{
    uint32_t count = 0;   /* decoded; what is too much is only counted */
    uint32_t missing = 0; /* until the next byte that stands for a zero */
    uint32_t silent = 0;
    int begun = 0;
    for (;;) {
        const int32_t byte = board_getc();
        if (byte < 0) {
            silent++;
            if (patience != 0u && silent >= patience) {
                return LINK_SILENCE;
            }
            continue;
        }
        silent = 0;
        if (byte == 0 && begun != 0) {
            return link_is_frame(frame, count, missing);
        }
        if (byte == 0) {
            continue;
        }
        if (missing != 0u || begun != 0) {
            if (count < sizeof frame->data) {
                frame->data[count] = missing != 0u ? (uint8_t)byte : 0u;
            }
            count += count <= sizeof frame->data;
        }
        missing = missing != 0u ? missing - 1u : (uint32_t)byte - 1u;
        begun = 1;
    }
}

/* A message that is being sent: header, payload, CRC. */
typedef struct link_message {
    const uint8_t *parts[3];
    uint32_t ends[3];
} link_message;

static inline uint8_t link_byte(const link_message *message, uint32_t i)
{
    return i < message->ends[0]   ? message->parts[0][i]
           : i < message->ends[1] ? message->parts[1][i - message->ends[0]]
                                  : message->parts[2][i - message->ends[1]];
}

static void link_send(uint8_t sequence, uint8_t kind, const void *payload, uint32_t bytes)
{
    const uint8_t header[LINK_HEADER_BYTES] = {sequence, kind};
    const uint32_t sum = tc_crc32(tc_crc32(0, header, sizeof header), payload, bytes);
    const uint8_t crc[LINK_CRC_BYTES] = {(uint8_t)sum, (uint8_t)(sum >> 8), (uint8_t)(sum >> 16), (uint8_t)(sum >> 24)};
    const link_message message = {
        {header, (const uint8_t *)payload, crc},
        {LINK_HEADER_BYTES, LINK_HEADER_BYTES + bytes, LINK_HEADER_BYTES + bytes + LINK_CRC_BYTES},
    };
    board_putc(0);
    for (uint32_t i = 0; i <= message.ends[2]; i++) {
        uint32_t end = i; /* the next zero, or the end, for which one is thought */
        while (end < message.ends[2] && link_byte(&message, end) != 0u) {
            end++;
        }
        board_putc((char)(uint8_t)(end - i + 1u));
        for (; i < end; i++) {
            board_putc((char)link_byte(&message, i));
        }
    }
    board_putc(0);
}

#endif
