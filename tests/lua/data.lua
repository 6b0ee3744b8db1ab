-- data.lua: grid, zip, split, glob, int, and files of JSON and CSV.
-- also: stock
local flow = require "flowrun"
local t = require "t"

local folder, remove = t.directory()
local function file(name) return folder .. "/" .. name end

-- The error is a string at a line of this file, not of the module's.
local here = debug.getinfo(1, "S").short_src
local function misuse(fn, pattern)
   local err = t.raises(fn, pattern)
   t.equal(err:sub(1, #here + 1), here .. ":")
   t.match(err:sub(#here + 2), "^%d+: flow%.")
end

local function column(rows, name)
   local values = {}
   for i, row in ipairs(rows) do values[i] = row[name] end
   return values
end

-- grid --------------------------------------------------------------------

t.test("grid: axes in name order, the last turns fastest", function()
   local rows = flow.grid { type = { "a", "b" }, mesh = { 200, 400 } }
   t.same(rows, {
      { mesh = 200, type = "a" }, { mesh = 200, type = "b" },
      { mesh = 400, type = "a" }, { mesh = 400, type = "b" } })
   t.ok(rows[1] ~= rows[2])
end)

t.test("grid: order puts names first", function()
   local axes = { a = { 1, 2 }, b = { 3, 4 }, c = { 5 } }
   local rows = flow.grid(axes, { order = { "b" } })
   t.same(column(rows, "b"), { 3, 3, 4, 4 })
   t.same(column(rows, "a"), { 1, 2, 1, 2 })
   misuse(function() flow.grid(axes, { order = { "x" } }) end, "order%[1%].*x")
   misuse(function() flow.grid(axes, { order = { "a", "a" } }) end, "twice")
   misuse(function() flow.grid(axes, { order = "a" }) end, "order must be")
end)

t.test("grid: include and exclude are lists of matches or functions", function()
   local axes = { x = { 1, 2, 3 }, y = { "p", "q" } }
   t.same(flow.grid(axes, { exclude = { { x = 1 }, { x = 2, y = "q" } } }),
      { { x = 2, y = "p" }, { x = 3, y = "p" }, { x = 3, y = "q" } })
   t.same(flow.grid(axes, { include = { { x = 3 } }, exclude = { { y = "p" } } }),
      { { x = 3, y = "q" } })
   t.same(flow.grid(axes, { include = function(row) return row.x == 2 end,
      exclude = function(row) return row.y == "q" end }),
      { { x = 2, y = "p" } })
   t.same(flow.grid(axes, { include = {} }), {})
   misuse(function() flow.grid(axes, { exclude = { { z = 1 } } }) end, "'z'")
   misuse(function() flow.grid(axes, { exclude = { {} } }) end, "exclude%[1%]")
   misuse(function() flow.grid(axes, { include = { x = 1 } }) end, "include")
end)

t.test("grid: tables on an axis are shared, and matched field by field",
   function()
      local side = { type = "side", speed = 10 }
      local axes = { crash = { side, { type = "front", speed = 20 } }, m = { 1 } }
      t.equal(flow.grid(axes)[1].crash, side)
      local rows = flow.grid(axes, { exclude = { { crash = { type = "side" } } } })
      t.equal(#rows, 1)
      t.equal(rows[1].crash.type, "front")
   end)

t.test("grid: false is a value", function()
   t.same(flow.grid { fast = { true, false } }, { { fast = true },
      { fast = false } })
end)

t.test("grid: what is refused names the axis", function()
   misuse(function() flow.grid() end, "axes")
   misuse(function() flow.grid {} end, "empty")
   misuse(function() flow.grid { mesh = 200 } end, "'mesh' must be a list")
   misuse(function() flow.grid { mesh = {} } end, "'mesh' is empty")
   misuse(function() flow.grid { mesh = { 1, nil, 3 } } end, "'mesh'")
   misuse(function() flow.grid { mesh = { a = 1 } } end, "'mesh'")
   misuse(function() flow.grid { { 1, 2 } } end, "name must be a string")
   misuse(function() flow.grid({ a = { 1 } }, { ordre = {} }) end, "ordre")
   misuse(function() flow.grid({ a = { 1 } }, 5) end, "options")
end)

t.test("grid: absurd products are refused at once", function()
   local axes, list = {}, {}
   for i = 1, 1000 do list[i] = i end
   for i = 1, 30 do axes["axis" .. i] = list end
   misuse(function() flow.grid(axes) end, "axis.*10000000")
end)

-- zip and split ---------------------------------------------------------------

t.test("zip: row by row", function()
   t.same(flow.zip { a = { 1, 2 }, b = { "x", "y" } },
      { { a = 1, b = "x" }, { a = 2, b = "y" } })
   t.same(flow.zip {}, {})
   t.same(flow.zip { a = {} }, {})
   misuse(function() flow.zip { a = { 1 }, b = { 1, 2 } } end, "'b' has 2")
   misuse(function() flow.zip { a = 1 } end, "'a' must be a list")
   misuse(function() flow.zip(1) end, "columns")
end)

t.test("split: whole, in order, none empty, sizes within one", function()
   for _, case in ipairs { { 1, 10, 3 }, { 1, 10, 10 }, { 1, 10, 11 },
      { 0, 0, 5 }, { -7, 9, 4 }, { 1, 999999999, 100 }, { 5, 104, 7 } } do
      local first, last, n = case[1], case[2], case[3]
      local parts = flow.split(first, last, n)
      local least, most, at = math.huge, 0, first
      for _, part in ipairs(parts) do
         t.equal(part.first, at)
         local size = part.last - part.first + 1
         least, most = math.min(least, size), math.max(most, size)
         at = part.last + 1
      end
      t.equal(at, last + 1)
      t.equal(#parts, math.min(n, last - first + 1))
      t.ok(least >= 1 and most - least <= 1)
   end
   t.same(flow.split(1, 10, 3), { { first = 1, last = 4 },
      { first = 5, last = 7 }, { first = 8, last = 10 } })
   t.same(flow.split(2, 1, 3), {})
end)

t.test("split: ends stay plain numbers", function()
   local part = flow.split(1.0, 10.0, 2)[2]
   t.equal(tostring(part.first) .. " " .. tostring(part.last), "6 10")
   t.equal(type(part.first), "number")
end)

t.test("split: ranges of 64 bits", function()
   local low, high = "-9223372036854775808", "9223372036854775807"
   local parts = flow.split(flow.int(low), flow.int(high), 1)
   t.same(parts, { { first = flow.int(low), last = flow.int(high) } })
   parts = flow.split(flow.int(low), flow.int(high), 3)
   t.same(parts, {
      { first = flow.int(low), last = flow.int "-3074457345618258603" },
      { first = flow.int "-3074457345618258602",
         last = flow.int "3074457345618258602" },
      { first = flow.int "3074457345618258603", last = flow.int(high) } })
   t.equal(#flow.split(flow.int(high) - 1, flow.int(high), 5), 2)
end)

t.test("split: what is refused", function()
   misuse(function() flow.split(1.5, 2, 1) end, "first.*1%.5")
   misuse(function() flow.split(1, "9", 1) end, "last")
   misuse(function() flow.split(1, 0 / 0, 1) end, "last")
   misuse(function() flow.split(1, 1e300, 1) end, "last")
   misuse(function() flow.split(1, 2 ^ 60, 1) end, "flow%.int")
   for _, n in ipairs { 0, -1, 1.5, 1e9, 0 / 0, math.huge, "2", false } do
      misuse(function() flow.split(1, 9, n) end, "n must be")
   end
end)

t.test("int: 64 bits on both Luas", function()
   local big = flow.int "9223372036854775807"
   t.ok(big == flow.int "9007199254740992" * 1024 - 1)
   t.ok(flow.int(big) == big)
   t.ok(flow.int(1e15) == flow.int "1000000000000000")
   t.ok(flow.int "-5" + 5 == flow.int(0))
   for _, bad in ipairs { 1.5, "x", "", "-", "1.0", " 1", "0x10", 0 / 0,
      math.huge, 2 ^ 63, "9223372036854775808", {}, true } do
      misuse(function() flow.int(bad) end, "n must be")
   end
   misuse(function() flow.int() end, "got n")
end)

-- glob ------------------------------------------------------------------------

t.test("glob: sorted, ** at any depth, hidden files only when named", function()
   local base = file "glob"
   assert(os.execute("cd " .. t.quote(folder) .. " && mkdir -p glob/b/c/d glob/.h"
      .. " && touch glob/z.inp glob/a.inp glob/b/m.inp glob/b/c/d/x.inp"
      .. " glob/b/c/y.dat glob/.h/h.inp glob/.hidden glob/'we[i]rd *'"
      .. " && ln -s .. glob/b/loop"))
   local function found(pattern)
      local names = flow.glob(base .. "/" .. pattern)
      for i, name in ipairs(names) do names[i] = name:sub(#base + 2) end
      return table.concat(names, " ")
   end
   t.equal(found "*.inp", "a.inp z.inp")
   t.equal(found "**/*.inp", "a.inp b/c/d/x.inp b/m.inp z.inp")
   t.equal(found "**/**/*.inp", "a.inp b/c/d/x.inp b/m.inp z.inp")
   t.equal(found "**/c/**/*.inp", "b/c/d/x.inp")
   t.equal(found "b/**", "b/c b/c/d b/c/d/x.inp b/c/y.dat b/loop b/m.inp")
   t.equal(found "**/", "b/ b/c/ b/c/d/")
   t.equal(found "*/", "b/")
   t.equal(found ".h*", ".h .hidden")
   t.equal(found "[az].i?p", "a.inp z.inp")
   t.equal(found "[!a].inp", "z.inp")
   t.equal(found "we\\[i\\]rd*", "we[i]rd *")
   t.equal(found "a.inp", "a.inp")
   t.equal(found "none", "")
   t.equal(found "none/*", "")
   t.equal(found "b//m*", "b/m.inp")
   misuse(function() flow.glob() end, "pattern")
   misuse(function() flow.glob "" end, "pattern")
   misuse(function() flow.glob "a\0b" end, "pattern")
end)

-- json --------------------------------------------------------------------

local function json(value)
   flow.json.write(file "out.json", value)
   return t.read(file "out.json")
end

t.test("json: values", function()
   t.equal(json(nil), "null\n")
   t.equal(json(true), "true\n")
   t.equal(json(1), "1\n")
   t.equal(json(1.0), "1\n")
   t.equal(json(0.1), "0.1\n")
   t.equal(json(-1e300), "-1e+300\n")
   t.equal(json(2 ^ 53), "9007199254740992\n")
   t.equal(json(flow.int "9223372036854775807"), "9223372036854775807\n")
   t.equal(json(0 / 0), "null\n")
   t.equal(json(-math.huge), "null\n")
   t.equal(json(""), '""\n')
   t.equal(json {}, "[]\n")
   t.equal(json { 1, "a", false }, '[1, "a", false]\n')
end)

t.test("json: keys in order, tables laid out", function()
   t.equal(json { b = 1, a = 2, [2] = 3, [10] = 4 },
      '{"2": 3, "10": 4, "a": 2, "b": 1}\n')
   t.equal(json { { a = 1 }, {} }, '[\n  {"a": 1},\n  []\n]\n')
   t.equal(json { k = { { 1 } } }, '{\n  "k": [\n    [1]\n  ]\n}\n')
   t.equal(json { 1, nil, 3 }, '{"1": 1, "3": 3}\n')
end)

t.test("json: any string is written validly", function()
   t.equal(json 'a"b\\c\n\t\0\127/', '"a\\"b\\\\c\\n\\t\\u0000\\u007f/"\n')
   t.equal(json "é€😀", '"é€😀"\n')
   t.equal(json "\255a\192\128\237\160\128",
      '"\\ufffda\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd"\n')
   local all = {}
   for i = 0, 255 do all[i + 1] = string.char(i) end
   json { [table.concat(all)] = table.concat(all) }
   t.ok(flow.yaml.read(file "out.json"))
end)

t.test("json: shared tables are written twice, cycles are refused", function()
   local one = { 1 }
   t.equal(json { one, one }, "[\n  [1],\n  [1]\n]\n")
   local loop = { a = { {} } }
   loop.a[1].b = loop.a
   misuse(function() json(loop) end, "value%.a%[1%]%.b: .*itself")
end)

t.test("json: what is refused, with its path; the old file stays", function()
   json "old"
   misuse(function() json { x = { print } } end, "value%.x%[1%]: a function")
   misuse(function() json { [true] = 1 } end, "boolean as a key")
   misuse(function() json { ["1"] = 1, [1] = 2, a = 3 } end, "keys 1 and '1'")
   misuse(function() json(io.stdout) end, "userdata")
   local deep = {}
   for _ = 1, 2000 do deep = { deep } end
   misuse(function() json(deep) end, "too deep")
   misuse(function() flow.json.write(1, 2) end, "path")
   misuse(function() flow.json.write(folder, 2) end, "directory")
   misuse(function() flow.json.write(file "no/such", 2) end, "no/such: No such")
   t.equal(t.read(file "out.json"), '"old"\n')
   t.equal(#flow.glob(folder .. "/out*"), 1)
end)

t.test("json: what was written reads back", function()
   local value = { list = { 1, 2.5, "x", true, { a = {} } }, ["é \n"] = -0.5,
      big = flow.int "-9223372036854775808", empty = "" }
   json(value)
   t.same(flow.yaml.read(file "out.json"), value)
end)

t.test("json: a link is followed, a mode is kept, a device is written",
   function()
      t.write(file "real.json", "old")
      assert(os.execute("cd " .. t.quote(folder)
         .. " && chmod 640 real.json && ln -s real.json link.json"))
      flow.json.write(file "link.json", 5)
      t.equal(t.read(file "real.json"), "5\n")
      t.run { "cd " .. t.quote(folder) .. " && test -L link.json && "
         .. "stat -c %a real.json", out = "640\n" }
      flow.json.write("/dev/null", 5)
      misuse(function() flow.json.write("/dev/full", 5) end, "No space")
   end)

-- csv -----------------------------------------------------------------------

local function parse(text)
   return flow.csv.read(t.write(file "in.csv", text))
end

local function csv(rows, columns)
   flow.csv.write(file "out.csv", rows, columns)
   return t.read(file "out.csv")
end

t.test("csv: a field is a number only if it reads back", function()
   local rows = parse("f\n007\n7\n-7\n1.5\n1.50\n0.1\n1e5\n1e-05\n+1\n.5\n 1\n"
      .. "0x10\n1.0\n-0\n1e999\n9007199254740992\n1_0\n--1\n-\n")
   t.same(column(rows, "f"), { "007", 7, -7, 1.5, "1.50", 0.1, "1e5", 1e-05,
      "+1", ".5", " 1", "0x10", "1.0", -0.0, "1e999",
      9007199254740992, "1_0", "--1", "-" })
   rows = parse "f\n9223372036854775807\n9223372036854775808\n"
   t.same(column(rows, "f"), { flow.int "9223372036854775807",
      "9223372036854775808" })
end)

t.test("csv: quotes, breaks, CR LF, BOM, empty fields", function()
   local rows, columns = parse('\239\187\191name,"a ""b""",c\r\n'
      .. '"x, y","line 1\r\nline 2",\r\n,"",""""\r\n')
   t.same(columns, { "name", 'a "b"', "c" })
   t.same(rows, { { name = "x, y", ['a "b"'] = "line 1\r\nline 2" },
      { ['a "b"'] = "", c = '"' } })
   t.same(parse "a,b\r1,2\r3,4", { { a = 1, b = 2 }, { a = 3, b = 4 } })
   t.same(parse "2020,b\n1\n\n2,3", { { ["2020"] = 1 }, { ["2020"] = 2, b = 3 } })
   t.same({ parse "" }, { {}, {} })
   t.same({ parse "a,b\n" }, { {}, { "a", "b" } })
   t.same(parse 'a\n"1"\nx"y\n', { { a = 1 }, { a = 'x"y' } })
end)

t.test("csv: errors name file and line", function()
   t.raises(function() parse 'a,b\n1,"x\n2,3\n' end, "in%.csv:2: .*not closed")
   t.raises(function() parse "a,b\n1,2\n1,2,3\n" end, "in%.csv:3: 3 fields")
   t.raises(function() parse 'a,b\n"x"y,2\n' end, "in%.csv:2: text after")
   t.raises(function() parse 'a,b\n"x\n\n",2\n"' end, "in%.csv:5: ")
   t.raises(function() parse "a,a\n" end, "in%.csv:1: column 'a'")
   t.raises(function() flow.csv.read(file "none.csv") end, "none%.csv: No such")
   t.raises(function() flow.csv.read(folder) end, "directory")
   misuse(function() flow.csv.read() end, "path")
end)

t.test("csv: default columns are the sorted names", function()
   t.equal(csv { { b = 1, a = "x" }, { c = true } },
      "a,b,c\nx,1,\n,,true\n")
   t.equal(csv({ { b = 1, a = "x" } }, { "b", "z" }), "b,z\n1,\n")
   t.equal(csv { { "x", "y" }, { "z" } }, "1,2\nx,y\nz,\n")
   t.equal(csv {}, "")
   t.equal(csv({}, { "a" }), "a\n")
end)

t.test("csv: numbers in the shortest form, strings quoted at need", function()
   t.equal(csv({ { 1.0, 0.1, 1e15, flow.int "9007199254740993", 1 / 3 } }),
      "1,2,3,4,5\n1,0.1,1000000000000000,9007199254740993,0.3333333333333333\n")
   t.equal(csv({ { "a,b", 'q"q', "l\nl", "c\rc", " s", "", "=1+1" } }),
      '1,2,3,4,5,6,7\n"a,b","q""q","l\nl","c\rc"," s","",=1+1\n')
end)

t.test("csv: what was written reads back", function()
   local rows = { { a = "x,\"\r\n", b = 1.5, c = "" }, { b = -3 },
      { a = "007", b = 0 / 0, c = math.huge } }
   csv(rows)
   t.same(flow.csv.read(file "out.csv"), rows)
   rows = { { a = 1 }, {}, { a = "" }, {} }
   csv(rows)
   t.same(flow.csv.read(file "out.csv"), rows)
end)

t.test("csv: what is refused", function()
   misuse(function() csv(5) end, "rows")
   misuse(function() csv { 5 } end, "rows%[1%]")
   misuse(function() csv { { a = {} } } end, "rows%[1%], column 'a': a table")
   misuse(function() csv { { [true] = 1 } } end, "rows%[1%]: a boolean")
   misuse(function() csv({}, { "a", "a" }) end, "columns%[2%].*twice")
   misuse(function() csv({}, "a") end, "columns must")
   misuse(function() csv({}, { {} }) end, "columns%[1%]")
   misuse(function() flow.csv.write(nil, {}) end, "path")
   misuse(function() flow.csv.write("/dev/full", { { a = 1 } }) end, "No space")
end)

remove()
return t.finish()
