/* SPDX-License-Identifier: 0BSD */
/* generate.h - text from a language model that takes a token at a time and keeps its keys and values as states.
 *
 * For any model with the inputs token and position (int64), int8 logits as output, and a cache for a fixed number of
 * positions. Nothing is allocated; a generator is a few bytes beside the model's context.
 */
#ifndef GENERATE_H
#define GENERATE_H

#include "../tiny_llm.h"
#include "tiny_llm_text.h" /* CONTEXT, CHARACTERS: of the model; written by demo.py */

#include <stdint.h>

typedef struct generator {
    tiny_llm_context *model;
    uint32_t position;        /* how many tokens are in the cache */
    uint32_t steps;           /* inferences so far */
    uint32_t random;          /* the state of the generator of random numbers; not 0 */
    float temperature;        /* 0: always the likeliest token; 1: as often as the model says */
    uint8_t history[CONTEXT]; /* the tokens in the cache */
} generator;

/* Begins a text. Returns 1, or 0 if the model can't be used. */
int generator_start(generator *self, tiny_llm_context *model, float temperature, uint32_t seed);

/* Lets the model read a token: its logits are then those of the next one. Where the cache is full, the newest half of
 * it is read again from the first position on. Returns 1, or 0 if an inference failed. */
int generator_read(generator *self, uint8_t token);

/* Chooses the next token by the logits; it isn't read yet. */
uint8_t generator_choose(generator *self);

/* The token of a character, or CHARACTERS if it has none; the character of a token. */
uint32_t token_of(char character);
char character_of(uint8_t token);

#endif
