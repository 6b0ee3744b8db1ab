-- yaml.lua: flow.yaml on good, bad and hostile text; JSON by the same door.
-- also: stock
local flow = require "flowrun"
local t = require "t"

local parse = flow.yaml.parse
local folder, remove = t.directory()

local function reads(text, want) t.same(parse(text), want, text) end

local function fails(text, pattern)
   return t.raises(function() parse(text) end, pattern, text:sub(1, 60))
end

t.test("scalars of the core schema", function()
   for text, want in pairs { ["12"] = 12, ["-7"] = -7, ["+3"] = 3,
      ["007"] = 7, ["0x1F"] = 31, ["0o17"] = 15, ["1.5"] = 1.5, [".5"] = 0.5,
      ["-1e3"] = -1000.0, ["1."] = 1.0, [".inf"] = math.huge,
      ["-.INF"] = -math.huge, ["+.Inf"] = math.huge, [".NaN"] = 0 / 0,
      ["true"] = true, ["True"] = true, ["FALSE"] = false } do
      reads(text, want)
      reads("[" .. text .. "]", { want })
   end
   for _, text in ipairs { "no", "yes", "on", "off", "y", "N", "tRUE", "1_000",
      "0b1", "1:30", "2024-01-31", "0x", "0o8", "-0x1", "1e", ".", "+.nan",
      "nUll", "1.2.3", "e5", "inf", "nan", "0X1F", "1 2", "=" } do
      reads("k: " .. text .. "\n", { k = text })
   end
   for _, text in ipairs { "", "~", "null", "Null", "NULL", "--- \n...\n" } do
      t.equal(parse(text), nil)
   end
end)

t.test("quoted scalars are strings, blocks too", function()
   reads([["12"]], "12")
   reads([['no']], "no")
   reads("a: '~'\nb: |\n  12\nc: >-\n  true\n",
      { a = "~", b = "12\n", c = "true" })
   reads([["\x41\u00e9\U0001F600\t\0"]], "Aé😀\t\0")
end)

t.test("null is nil: keys are absent, lists have holes", function()
   reads("a: null\nb:\nc: 1\n", { c = 1 })
   t.same(parse "[1, ~, 3]", { [1] = 1, [3] = 3 })
   reads("[~, ~]", {})
end)

t.test("integers: 64 bits, never rounded", function()
   reads("9223372036854775807", flow.int "9223372036854775807")
   reads("-9223372036854775808", flow.int "-9223372036854775808")
   reads("0x7FFFFFFFFFFFFFFF", flow.int "9223372036854775807")
   reads("9007199254740993", flow.int "9007199254740993")
   t.equal(type(parse "9007199254740992"), "number")
   for _, text in ipairs { "9223372036854775808", "-9223372036854775809",
      "0xFFFFFFFFFFFFFFFF", "0o7777777777777777777777",
      "123456789012345678901234567890" } do
      fails(text, "^text:1:1: .*64 bits")
      fails("{a: " .. text .. "}", "^text:1:5: .*64 bits")
   end
   fails('{"a": 9223372036854775808}', "^text:1:7: .*64 bits")
end)

t.test("tags of the core schema", function()
   reads("!!str 12", "12")
   reads("!!int '12'", 12)
   reads("!!float 12", 12.0)
   reads("!!float 0x10", 16.0)
   reads("!!bool 'true'", true)
   reads("! 12", "12")
   reads("!<tag:yaml.org,2002:str> 5", "5")
   reads("!!map {a: !!seq [1]}", { a = { 1 } })
   reads("%TAG !c! tag:yaml.org,2002:\n---\n!c!str 5", "5")
   t.equal(parse "!!null ''", nil)
   for text, pattern in pairs { ["!!int x"] = "not an integer",
      ["!!int 1.5"] = "not an integer", ["!!bool yes"] = "not a boolean",
      ["!!null x"] = "not null", ["!!float x"] = "not a float",
      ["!!map x"] = "tag", ["!!seq {a: 1}"] = "tag", ["!!map [1]"] = "tag",
      ["!!binary aGk="] = "unknown tag", ["!!set {a}"] = "tag",
      ["!!timestamp 2001-01-01"] = "unknown tag", ["!mine 1"] = "unknown tag",
      ["!lua/function 'os.exit()'"] = "unknown tag",
      ["!!str [1]"] = "tag" } do
      fails(text, "^text:1:1: .*" .. pattern)
   end
end)

t.test("keys", function()
   reads("1: a\n-2: b\n1.5: c\ntrue: d\n'3': e\n",
      { "a", [-2] = "b", [1.5] = "c", [true] = "d", ["3"] = "e" })
   fails("a: 1\nb: 2\na: 3\n", "^text:3:1: key 'a' is there twice")
   fails("a: ~\na: 3\n", "^text:2:1: key 'a'")
   fails("a: 3\na: ~\n", "^text:2:1: key 'a'")
   fails("1: a\n0x1: b\n", "^text:2:1: key '1'")
   fails("1: a\n1.0: b\n", "^text:2:1: key '1'")
   fails("{a: 1, 'a': 2}", "^text:1:8: ")
   fails("~: 1", "null cannot be a key")
   fails("[a]: 1", "cannot be a key")
   fails("? {a: 1}\n: 2", "cannot be a key")
   fails(".nan: 1", "cannot be a key")
   fails("9007199254740993: 1", "cannot be a key")
   fails("a: {b: 1, <<: {c: 2}}", "^text:1:11: .*merge")
   reads("'<<': 1", { ["<<"] = 1 })
   fails(("'%s': 1\n"):format(("é"):rep(100)):rep(2), "key '[\195\169]+%.%.%.' is")
end)

t.test("anchors and aliases give the same table", function()
   local v = parse "base: &b {x: 1}\ncases: [*b, *b]\nn: &n 5\nm: *n\n"
   t.equal(v.cases[1], v.base)
   t.equal(v.cases[2], v.base)
   t.equal(v.m, 5)
   reads("[&a 1, *a, &a 2, *a]", { 1, 1, 2, 2 })
   reads("{&k key: 1, other: *k}", { key = 1, other = "key" })
   reads("[&a ~, *a, 1]", { [3] = 1 })
   reads("&a [ &a 1, *a ]", { 1, 1 })
   fails("[*a, &a 1]", "^text:1:2: .*alias of nothing")
   fails("&a [1, *a]", "^text:1:8: .*within")
   fails("&a {b: {c: *a}}", "^text:1:12: .*within")
end)

t.test("one document", function()
   reads("--- 5\n...\n", 5)
   reads("%YAML 1.2\n---\na: 1\n", { a = 1 })
   fails("1\n---\n2\n", "^text:2:1: a second document")
   fails("--- 1\n---\n", "a second document")
   reads("\239\187\191a: 1", { a = 1 })
end)

t.test("errors name line and column", function()
   fails("a: b: c", "^text:1:5: ")
   fails("a: 1\n\tb: 2\n", "^text:2:1: ")
   fails("a: [1, 2\nb: 3\n", "^text:2:")
   fails("a: @x", "^text:1:4: ")
   fails("é: 'x", "^text:1:")
   fails("ok: 1\né: \255\n", "^text:2:4: invalid UTF%-8")
   fails("a: \192\128", "^text:1:4: invalid UTF%-8")
   fails("a: \237\160\128", "^text:1:4: invalid UTF%-8")
   fails("a: 1\r\nb: \1\r\n", "^text:2:4: control characters")
   fails("\254\255\0a", "^text:1:1: invalid UTF%-8")
end)

t.test("misuse is a string at the caller's line", function()
   for _, name in ipairs { "parse", "read" } do
      for _, bad in ipairs { 5, true, {} } do
         local err = t.raises(function() flow.yaml[name](bad) end)
         t.match(err, "yaml%.lua:%d+: flow%.yaml%." .. name .. ": .* string")
      end
   end
end)

t.test("files", function()
   local path = t.write(folder .. "/cases.yaml", "a: 1\nb: [x\n")
   t.raises(function() flow.yaml.read(path) end, "cases%.yaml:3:1: ")
   t.write(path, "a: 1\nb: [x]\n")
   t.same(flow.yaml.read(path), { a = 1, b = { "x" } })
   t.raises(function() flow.yaml.read(folder .. "/none.yaml") end,
      "none%.yaml: No such file")
   t.raises(function() flow.yaml.read(folder) end, "directory")
   t.raises(function() flow.yaml.read "/dev/zero" end, "too large")
   t.equal(flow.yaml.read "/dev/null", nil)
end)

-- JSON ----------------------------------------------------------------------

t.test("json: values", function()
   reads('{"a": [1, -2.5, 1E3, true, false, null], "b": {}, "c": ""}',
      { a = { 1, -2.5, 1000.0, true, false }, b = {}, c = "" })
   reads('\t\n{"a"\t:\r\n1}\n', { a = 1 })
   reads('["\\ud83d\\ude00\\/\\u00e9\\u0000\\n\\"\\\\"]', { '😀/é\0\n"\\' })
   reads('"\\ud83d\\ude00"', "😀")
   reads("[-0, 0.1e1]", { 0, 1.0 })
   reads('{"a": null}', {})
   reads('["007", "no"]', { "007", "no" })
   reads('{"' .. ("k"):rep(2000) .. '": 1}', { [("k"):rep(2000)] = 1 })
end)

t.test("json: what is refused", function()
   fails('{"a": 1, "a": 2}', "^text:1:10: key 'a' is there twice")
   fails('{"a": null, "a": null}', "^text:1:13: ")
   fails('["\\ud83d"]', "^text:1:3: half")
   fails('["\\ude00\\ud83d"]', "^text:1:3: half")
   fails('["\255"]', "^text:1:3: invalid UTF%-8")
end)

t.test("json: what is YAML is read as YAML", function()
   reads("{a: 1}", { a = 1 })
   reads("[1, 2,]", { 1, 2 })
   reads('"a": 1\n"b": 2\n', { a = 1, b = 2 })
   reads("['x', 0x10] # c", { "x", 16 })
   reads("[01]", { 1 })
end)

t.test("json: a file named .json is nothing else", function()
   local path = folder .. "/x.json"
   local function bad(text, pattern)
      t.write(path, text)
      t.raises(function() flow.yaml.read(path) end, "x%.json:" .. pattern, text)
   end
   t.write(path, '{"a":\n[1]}')
   t.same(flow.yaml.read(path), { a = { 1 } })
   bad("", "1:1: .*too early")
   bad('{"a": 1,}', "1:9: expected a key")
   bad('{"a": 1 "b": 2}', "1:9: expected ','")
   bad('{"a" 1}', "1:6: expected ':'")
   bad("[1\n2]", "2:1: expected ','")
   bad("[1,\n 01]", "2:2: not a value")
   bad("[1] x", "1:5: more text")
   bad('["a', "1:4: a string is not closed")
   bad('["a\\', "1:5: a string is not closed")
   bad('["a\nb"]', "1:4: control character")
   bad('["\\x"]', "1:4: unknown escape")
   bad('["\\u12g4"]', "1:4: unknown escape")
   for _, text in ipairs { "+1", ".5", "1.", "1e", "-", "0x1", "1.e1", "nan",
      "tru", "True", "'a'", "a: 1" } do
      bad(text, "1:%d+: ")
   end
end)

-- Hostile text ------------------------------------------------------------------

t.test("hostile: depth", function()
   for _, text in ipairs { ("["):rep(1e6), ("{a: "):rep(1e6), ("- "):rep(1e6),
      '{"a":' .. ("["):rep(1e6), ("[{a: "):rep(1e5) } do
      fails(text, "deeper than 100")
   end
   fails(("? "):rep(1e6), "cannot be a key")
   t.ok(parse(("["):rep(100) .. ("]"):rep(100)))
   t.ok(parse(("- "):rep(100) .. "x"))
   fails(("["):rep(101) .. ("]"):rep(101), "^text:1:101: .*deeper")
   fails(("- "):rep(101) .. "x", "^text:1:201: .*deeper")
end)

t.test("hostile: aliases", function()
   local bomb = { "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" }
   for i = 1, 30 do
      bomb[i + 1] = ("a%d: &a%d [%s]\n"):format(i, i,
         (("*a%d,"):format(i - 1)):rep(10))
   end
   fails(table.concat(bomb), "^text:6:.*1000000")
   local chain = { "- &a0 [x]\n" }
   for i = 1, 200 do chain[i + 1] = ("- &a%d [*a%d]\n"):format(i, i - 1) end
   fails(table.concat(chain), "^text:100:.*deeper than 100")
   local names = {}
   for i = 1, 50000 do names[i] = ("- &n%d x\n- *n%d\n"):format(i, i) end
   t.equal(#parse(table.concat(names)), 100000)
end)

t.test("hostile: size, directives, keys", function()
   fails(("%TAG !a! b\n"):rep(1e5) .. "---\nx", "too many '%%TAG'")
   fails(("x"):rep(2 ^ 26 + 1), "larger than 64 MiB")
   fails("[" .. ("[],"):rep(2000001) .. "]", "2000000 values")
   local keys = {}
   for i = 1, 100000 do keys[i] = ("k%d: ~\n"):format(i) end
   t.same(parse(table.concat(keys)), {})
   t.ok(parse("k: " .. ("x "):rep(1e6)))
   t.ok(parse(("#"):rep(1e6) .. "\n" .. ("\n"):rep(1e6) .. "a: 1"))
   fails(("a "):rep(1e6) .. ": 1", "^text:1:")
   fails(("["):rep(50) .. ("{"):rep(50) .. ("a,"):rep(1e5), "^text:")
end)

-- Cuts and changes of a good text give a value or an error, nothing else; the
-- changes are drawn from a fixed sequence.
t.test("hostile: text cut and changed anywhere", function()
   local good = "a: &x [1, 'two', \"th\\u0072ee\", {b: ~, c: *e}]\n"
      .. "e: |+\n  text\n\n? k\n: !!float 5\n--- # no\n%YAML\n...\n{\"j\": [1e5]}"
   good = good:gsub("c: %*e", "c: 5")
   local seed = 1
   local function draw(n)
      seed = (seed * 16807) % 2147483647
      return seed % n + 1
   end
   for cut = 0, #good do pcall(parse, good:sub(1, cut)) end
   for cut = 1, #good do pcall(parse, good:sub(cut)) end
   for _ = 1, 3000 do
      local text = good
      for _ = 1, draw(4) do
         local at = draw(#text)
         local from = draw(#good)
         text = text:sub(1, at - 1) .. good:sub(from, from + draw(5) - 1)
            .. text:sub(at + draw(3) - 1)
      end
      local ok, err = pcall(parse, text)
      if not ok then t.match(err, "^text:%d+:%d+: ") end
   end
end)

remove()
return t.finish()
