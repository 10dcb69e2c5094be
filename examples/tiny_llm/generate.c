/* SPDX-License-Identifier: 0BSD */
#include "generate.h"

#include <string.h>

static const char characters[CHARACTERS] = TEXT_CHARACTERS;

uint32_t token_of(char character)
{
    uint32_t token = 0;
    while (token < CHARACTERS && characters[token] != character) {
        token++;
    }
    return token;
}

char character_of(uint8_t token)
{
    return characters[token];
}

int generator_start(generator *self, tiny_llm_context *model, float temperature, uint32_t seed)
{
    self->model = model;
    self->position = 0;
    self->steps = 0;
    self->random = seed != 0u ? seed : 1u;
    self->temperature = temperature;
    return tiny_llm_init(model) == TINY_LLM_OK && tiny_llm_check(model) == TINY_LLM_OK;
}

static int step(generator *self, uint8_t token)
{
    self->history[self->position] = token;
    *tiny_llm_input_0(self->model) = token;
    *tiny_llm_input_1(self->model) = self->position;
    self->position++;
    self->steps++;
    return tiny_llm_invoke(self->model) == TINY_LLM_OK;
}

int generator_read(generator *self, uint8_t token)
{
    if (self->position == CONTEXT) {
        uint8_t newest[CONTEXT / 2];
        memcpy(newest, self->history + CONTEXT - sizeof newest, sizeof newest);
        self->position = 0;
        for (uint32_t i = 0; i < sizeof newest; i++) {
            if (!step(self, newest[i])) {
                return 0;
            }
        }
    }
    return step(self, token);
}

/* exp(x) for x <= 0, within 0.1 % where it is above 0.001: (1 + z + z^2 / 2)^256 with z = x / 256. */
static float exponential(float x)
{
    const float z = x / 256.0f;
    float power = z > -1.0f ? 1.0f + z * (1.0f + 0.5f * z) : 0.0f;
    for (int i = 0; i < 8; i++) {
        power *= power;
    }
    return power;
}

/* From 0 on, less than 1: xorshift32 (G. Marsaglia, Xorshift RNGs, 2003). */
static float random_fraction(generator *self)
{
    uint32_t bits = self->random;
    bits ^= bits << 13;
    bits ^= bits >> 17;
    bits ^= bits << 5;
    self->random = bits;
    return (float)(bits >> 8) / 16777216.0f;
}

static uint8_t likeliest(const int8_t *logits)
{
    uint32_t best = 0;
    for (uint32_t token = 1; token < CHARACTERS; token++) {
        if (logits[token] > logits[best]) {
            best = token;
        }
    }
    return (uint8_t)best;
}

uint8_t generator_choose(generator *self)
{
    const int8_t *const logits = tiny_llm_output_0(self->model);
    const uint8_t best = likeliest(logits);
    if (!(self->temperature > 0.0f)) {
        return best;
    }
    const float step_size = TINY_LLM_OUTPUT_0_SCALE / self->temperature;
    float weights[CHARACTERS];
    float sum = 0.0f;
    for (uint32_t token = 0; token < CHARACTERS; token++) {
        weights[token] = exponential((float)(logits[token] - logits[best]) * step_size);
        sum += weights[token];
    }
    float left = random_fraction(self) * sum;
    for (uint32_t token = 0; token < CHARACTERS; token++) {
        left -= weights[token];
        if (left < 0.0f) {
            return (uint8_t)token;
        }
    }
    return best; /* where rounding left nothing of the sum */
}
