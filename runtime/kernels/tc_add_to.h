/* SPDX-License-Identifier: 0BSD */
/* For assembly whose immediates are sums that only the assembler computes. */
#ifndef TC_ADD_TO_H
#define TC_ADD_TO_H

/* reg += distance, text of an expression that isn't negative; by way of `spare` where it doesn't fit an instruction. */
#define TC_ADD_TO(reg, distance, spare) \
    ".if (" distance ") > 65535\n\t" \
    "movw " #spare ", #((" distance ") & 65535)\n\t" \
    "movt " #spare ", #((" distance ") >> 16)\n\t" \
    "add " #reg ", " #reg ", " #spare "\n\t" \
    ".elseif (" distance ") > 4095\n\t" \
    "movw " #spare ", #(" distance ")\n\t" \
    "add " #reg ", " #reg ", " #spare "\n\t" \
    ".elseif (" distance ") > 0\n\t" \
    "add " #reg ", " #reg ", #(" distance ")\n\t" \
    ".endif\n\t"

#endif
