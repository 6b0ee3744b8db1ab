/*
 * json.h - reads JSON (RFC 8259), for flow.yaml.
 */
#ifndef FRI_JSON_H
#define FRI_JSON_H

#include "script/document.h"

/* Pushes the value of a text that is UTF-8 and JSON, and gives true.  A text
 * that is not JSON: raises when `sure`, else gives false, and what is on the
 * stack above its former top is of no use.  JSON that is beyond the bounds of
 * document.h, or repeats a key, raises. */
bool fri_json_read(struct fri_document *d, bool sure);

#endif
