/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A text as a JSON string, for the formats that are JSON. Owns nothing. They call it, one thread at
 * a time for each stream. It must not write anything but ASCII and valid UTF-8: a surrogate, and a
 * byte that is not UTF-8 (as the surrogate U+DC00 + byte), become escapes.
 */
#ifndef READER_JSON_TEXT_H
#define READER_JSON_TEXT_H

#include <stdio.h>

#include "base/texts.h"

/* Prints it in quotation marks. */
void json_text_put(FILE *to, struct text t);

/* Does the same with an escape for "<", for JSON within a script element of HTML. */
void json_text_put_in_script(FILE *to, struct text t);

/* Prints it as a part of a string, without them. */
void json_text_put_part(FILE *to, struct text t);

#endif
