-- amalgamate.lua HEADER SOURCE... : the sources of the C library as one file on
-- stdout. All headers of our own come first, each once, then the sources. A
-- name that a source keeps to itself, and that others have or use too, gets the
-- name of its file behind it. (Not by macros: a member of a struct may have the
-- same name.)
--
-- What a source declares for itself is found by how the house writes it: at
-- the beginning of a line, `static` (or _Noreturn, or an attribute) before a
-- function or an object, `enum {`, `struct name {`, `#define`.
local headers, seen, system, out = {}, {}, {}, {}

local function read(path)
   local file = assert(io.open(path, "rb"))
   local text = file:read("a") or ""
   file:close()
   return text
end

-- What a build without the journal has no use for.
local function journal(text)
   return "#ifndef FRUN_NO_JOURNAL\n" .. text .. "\n#endif"
end

-- The text without its includes; these are noted, our own ones by their text.
local function body(path)
   local lines = {}
   local function include(line)
      local own = line:match('^#include "(.-)"')
      if own and not seen[own] then
         seen[own] = true
         local text = body("engine/" .. own)
         if own:find("journal_private", 1, true) then text = journal(text) end
         headers[#headers + 1] = "/* ---- " .. own .. " */\n" .. text
      elseif line:find("^#include <") and not system[line] then
         system[line] = true
         system[#system + 1] = line
      end
   end
   for line in (read(path) .. "\n"):gmatch("(.-)\n") do
      if line:find("^#include") then
         include(line)
      elseif not line:find("^#define _GNU_SOURCE") then
         lines[#lines + 1] = line
      end
   end
   return table.concat(lines, "\n")
end

local function without_comments(text)
   return (text:gsub("/%*.-%*/", " "))
end

-- Names that the source keeps to itself.
local function own_names(text)
   local names, plain = {}, "\n" .. without_comments(text)
   local function add(name)
      if name and name ~= "struct" and not name:find("^fri_")
         and not name:find("^__") then
         names[name] = true
      end
   end
   for head in plain:gmatch("\nstatic ([^\n=;{]*)") do
      add(head:match("([%a_][%w_]*)%s*%("))
      if not head:find("%(") then
         add(head:gsub("%b[]", ""):match("([%a_][%w_]*)%s*$"))
      end
   end
   for head in plain:gmatch("\nstatic [^\n(=;{]*\n([^\n=;{]*)") do
      add(head:match("^([%a_][%w_]*)%s*%("))
   end
   for head in plain:gmatch("\n_Noreturn static ([^\n]*)") do
      add(head:match("([%a_][%w_]*)%s*%("))
   end
   for list in plain:gmatch("\nenum[%w_ ]*(%b{})") do
      for name in list:gmatch("[{,]%s*([%a_][%w_]*)") do add(name) end
   end
   for tag in plain:gmatch("\nstruct ([%a_][%w_]*) {") do add(tag) end
   for tag in plain:gmatch("\nunion ([%a_][%w_]*) {") do add(tag) end
   for tag in plain:gmatch("\nenum ([%a_][%w_]*) {") do add(tag) end
   return names
end

local function sorted(set)
   local list = {}
   for name in pairs(set) do list[#list + 1] = name end
   table.sort(list)
   return list
end

-- In which bytes the bodies of structs stand, whose members keep their names.
local function struct_bodies(text)
   local inside, at = {}, 1
   while true do
      local from, to = text:find("struct[%w_ ]*%b{}", at)
      if not from then return inside end
      for i = from, to do inside[i] = true end
      at = to + 1
   end
end

-- Calls fn(name, is_member) for each name outside of comments and texts, and
-- puts what it gives in its place.
local function each_name(text, fn)
   local parts, at, inside = {}, 1, struct_bodies(text)
   local function keep(to)
      parts[#parts + 1] = text:sub(at, to)
      at = to + 1
   end
   while at <= #text do
      local from = text:find("[%a_/\"']", at)
      if not from then break end
      if from > at then keep(from - 1) end
      local head = text:sub(from, from + 1)
      local _, to
      if head == "/*" then
         _, to = text:find("*/", from + 2, true)
         keep(to)
      elseif head:find("^[\"']") then
         to = from + 1
         while text:sub(to, to) ~= head:sub(1, 1) do
            to = to + (text:sub(to, to) == "\\" and 2 or 1)
         end
         keep(to)
      elseif head:sub(1, 1) == "/" then
         keep(from)
      else
         local name = text:match("^[%w_]+", from)
         local before = text:sub(math.max(1, from - 80), from - 1)
         local is_member = before:find("%.%s*$") or before:find("->%s*$")
            or inside[from] and not before:find("struct $")
               and not before:find("%[[^%]\n]*$")
         parts[#parts + 1] = fn(name, is_member) or name
         at = from + #name
      end
   end
   keep(#text)
   return table.concat(parts)
end

local sources, users = {}, {}
for i = 2, #arg do
   local path = arg[i]
   local source = { path = path, text = body(path), uses = {} }
   source.tag = path:gsub("^engine/", ""):gsub("%.c$", ""):gsub("[^%w]", "_")
   source.names = own_names(source.text)
   source.macros = {}
   for name in source.text:gmatch("\n#define ([%a_][%w_]*)") do
      source.macros[name] = true
   end
   each_name(source.text, function(name, is_member)
      if not is_member then source.uses[name] = true end
   end)
   for name in pairs(source.uses) do
      users[name] = (users[name] or 0) + 1
   end
   sources[#sources + 1] = source
end

-- What the C library has, too.
for _, name in ipairs{ "kill", "raise" } do users[name] = 2 end

local function say(text) out[#out + 1] = text end
local version = read(arg[1]):match('#define FRUN_VERSION "(.-)"')
say("/*\n * flowrun-all.c - flowrun " .. version .. ", the C library in one file,"
   .. " made from its\n * sources; licence: see LICENSE. With flowrun.h beside"
   .. " it:\n *\n *     cc -c -pthread flowrun-all.c      (and -ldl -lm"
   .. " -lsqlite3 at the end)\n *\n * -DFRUN_NO_JOURNAL leaves the journal, and"
   .. " SQLite, out.\n */")
say("#define _GNU_SOURCE")
table.sort(system)
for _, line in ipairs(system) do
   say(line:find("sqlite3", 1, true) and journal(line) or line)
end
say("#pragma GCC visibility push(hidden)")
say("#pragma GCC diagnostic ignored \"-Wunused-function\"")
for _, text in ipairs(headers) do say(text) end
for _, s in ipairs(sources) do
   say("\n/* ==== " .. s.path .. " */")
   say(each_name(s.text, function(name, is_member)
      if s.names[name] and users[name] > 1 and not is_member then
         return name .. "_" .. s.tag
      end
   end))
   for _, name in ipairs(sorted(s.macros)) do say("#undef " .. name) end
end
io.write(table.concat(out, "\n"), "\n")
