/* SPDX-License-Identifier: 0BSD */
/* main.c - continues PROMPT by LENGTH characters, which are printed as they come: over semihosting, or with -DCONSOLE on
 * the board's UART. At the end it prints how many counter ticks the continuation took, and how many steps of the model.
 */
#include "board.h"
#include "generate.h"
#ifndef CONSOLE
#include "semihosting.h"
#endif

static tiny_llm_context context __attribute__((section(".tc_arena")));
static generator text;

static void put(char character)
{
#ifdef CONSOLE
    if (character == '\n') {
        board_putc('\r');
    }
    board_putc(character);
#else
    const char string[2] = {character, '\0'};
    semihosting_print(string);
#endif
}

static void put_text(const char *string)
{
    while (*string != '\0') {
        put(*string++);
    }
}

static void put_number(uint32_t number)
{
    char digits[11];
    char *at = digits + sizeof digits - 1;
    *at = '\0';
    do {
        *--at = (char)('0' + number % 10u);
        number /= 10u;
    } while (number != 0u);
    put_text(at);
}

static int write_text(void)
{
    static const char prompt[] = PROMPT;
    for (uint32_t i = 0; prompt[i] != '\0'; i++) {
        const uint32_t token = token_of(prompt[i]);
        if (token == CHARACTERS || !generator_read(&text, (uint8_t)token)) {
            return 0;
        }
        put(prompt[i]);
    }
    const uint32_t read = text.steps;
    uint32_t ticks = 0;
    for (uint32_t i = 0; i < LENGTH; i++) {
        const uint32_t before = board_ticks();
        const uint8_t token = generator_choose(&text);
        if (!generator_read(&text, token)) {
            return 0;
        }
        ticks += board_ticks() - before;
        put(character_of(token));
    }
    put_text("\n\nticks: ");
    put_number(ticks);
    put_text(" steps: ");
    put_number(text.steps - read);
    put('\n');
    return 1;
}

int main(void)
{
    board_init();
    if (!generator_start(&text, &context, TEMPERATURE, SEED) || !write_text()) {
        put_text("the model is damaged, or the prompt has a character that it doesn't know\n");
        return 1;
    }
    return 0;
}
