/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The data of the HTML report, as one JSON object: facts about the sources, functions, caller edges
 * and calling contexts. reader/format/html/data.js reads it, and docs/formats.md describes it.
 * html.c calls it. It owns nothing after the call, and must not change the reading.
 */
#ifndef READER_HTML_DATA_H
#define READER_HTML_DATA_H

#include "put.h"
#include "show.h"

#define HTML_DATA_VERSION 1

/* Puts the object. 0 or -ENOMEM; errors of the stream stay in it. */
int html_data_put(struct put *j, const struct reading *r, const struct show *o);

#endif
