/*
 * yaml.h - flow.yaml.
 */
#ifndef FRI_YAML_H
#define FRI_YAML_H

#include "script/compat.h"

/* Pushes the table { read=, parse= }. */
int fri_open_yaml(lua_State *L);

#endif
