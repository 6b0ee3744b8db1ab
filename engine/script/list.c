/*
 * list.c - lists of numbers of one subtype: a tag and 8 bytes each.
 */
#include "script/travel_private.h"

#if FRI_LUA54

/* The number at i as 8 bytes at `out`; *tag is the kind of all before it.
 * False: not of that kind. */
static inline bool pack_number(lua_State *L, int i, uint8_t *tag, uint8_t *all,
                               uint8_t *out)
{
    (void)all;
    if (*tag == FRI_INTS) {
        lua_Integer n = lua_tointegerx(L, i, NULL);

        memcpy(out, &n, 8);
        return lua_isinteger(L, i);
    }
    if (lua_type(L, i) != LUA_TNUMBER || lua_isinteger(L, i))
        return false;
    lua_Number n = lua_tonumberx(L, i, NULL);
    memcpy(out, &n, 8);
    return true;
}

static uint8_t kind_of(lua_State *L, int i)
{
    return lua_isinteger(L, i) ? FRI_INTS : FRI_NUMS;
}

#else

/* INTS while all are whole; at the first that is not, those before it become
 * doubles.  (`all` is where they begin.) */
static inline bool pack_number(lua_State *L, int i, uint8_t *tag, uint8_t *all,
                               uint8_t *out)
{
    double n = lua_tonumber(L, i);

    if (lua_type(L, i) != LUA_TNUMBER)
        return false;
    if (*tag == FRI_INTS && !fri_whole(n)) {
        *tag = FRI_NUMS;
        for (; all < out; all += 8) {
            int64_t k;
            double d;

            memcpy(&k, all, 8);
            d = (double)k;
            memcpy(all, &d, 8);
        }
    }
    if (*tag == FRI_INTS) {
        int64_t k = (int64_t)n;

        memcpy(out, &k, 8);
    } else {
        memcpy(out, &n, 8);
    }
    return true;
}

static uint8_t kind_of(lua_State *L, int i)
{
    return fri_whole(lua_tonumber(L, i)) ? FRI_INTS : FRI_NUMS;
}

#endif

bool fri_put_packed(struct fri_encoder *e, lua_State *L, int i, size_t n)
{
    struct fri_buffer *b = &e->bytes;
    size_t start = b->length, k = 0;
    uint8_t tag, *all;
    bool number;

    lua_rawgeti(L, i, 1);
    number = lua_type(L, -1) == LUA_TNUMBER;
    tag = kind_of(L, -1);
    lua_pop(L, 1);
    if (!number)
        return false;
    fri_buffer_byte(b, tag);
    fri_put_varint(b, n);
    if (n > PTRDIFF_MAX / 16 || !fri_buffer_reserve(b, 8 * n))
        return false;
    all = b->data + b->length;
    lua_pushnil(L);
    for (; lua_next(L, i); k++) {
        if (k == n || !fri_is_index(L, -2, k + 1)
            || !pack_number(L, -1, &tag, all, all + 8 * k)) {
            lua_pop(L, 2);
            k = SIZE_MAX;
            break;
        }
        lua_pop(L, 1);
    }
    b->length = k == n ? b->length + 8 * n : start;
    if (k == n)
        b->data[start] = tag;
    return k == n;
}

/* Items lo..hi of the table at i as a tag and packed numbers; false, with
 * nothing written, when that cannot be. */
bool fri_put_range(struct fri_encoder *e, lua_State *L, int i, int64_t lo,
                   int64_t hi)
{
    struct fri_buffer *b = &e->bytes;
    size_t start = b->length, n = (size_t)(hi - lo) + 1, k = 0;
    uint8_t tag = 0, *all;

    if (lo < INT32_MIN || hi > INT32_MAX || b->failed)
        return false;
    lua_rawgeti(L, i, (int)lo);
    if (lua_type(L, -1) == LUA_TNUMBER)
        tag = kind_of(L, -1);
    lua_pop(L, 1);
    if (tag == 0 || !fri_buffer_reserve(b, 8 * n + 1))
        return false;
    b->data[b->length] = tag;
    all = b->data + b->length + 1;
    for (bool ok = true; ok && k < n; k += ok) {
        lua_rawgeti(L, i, (int)(lo + (int64_t)k));
        ok = pack_number(L, -1, &tag, all, all + 8 * k);
        lua_pop(L, 1);
    }
    b->data[start] = tag;
    b->length += k == n ? 8 * n + 1 : 0;
    return k == n;
}
