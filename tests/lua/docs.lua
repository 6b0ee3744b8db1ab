-- docs.lua: the pages are whole. Links lead somewhere, tables of contents have
-- every section, and fields, kinds, options and variables are the same ones in
-- the code, in the pages, in the definitions for editors and in the manual.
-- (Functions: names.lua; the manual pages made of others: man.sh; that examples
-- run: readme.sh.)
local t = require "t"
local flow = require "flowrun"

local root = (arg[0]:match("^(.*)/") or ".") .. "/../../"
local program = os.getenv("FLOWRUN")

local function read(path) return t.read(root .. path) end

local pages = { "README.md", "CHANGES.md", "workflows/dag/README.md" }
for _, path in ipairs(flow.glob(root .. "docs/*.md")) do
   pages[#pages + 1] = path:match("docs/[^/]*$")
end

-- Markdown --------------------------------------------------------------------

-- A page without its blocks of code.
local function prose(path)
   local text = "\n" .. read(path)
   text = text:gsub("\n```.-\n```", "\n")
   return text
end

-- The name under which a heading can be linked to.
local function anchor(heading)
   local text = heading:gsub("%[(.-)%]%(.-%)", "%1"):lower()
   return (text:gsub("[^%w _%-]", ""):gsub(" ", "-"))
end

local function anchors(path)
   local found, list = {}, {}
   for marks, heading in prose(path):gmatch("\n(#+) ([^\n]*)") do
      local name = anchor(heading)
      local n = found[name]
      found[name] = (n or 0) + 1
      if n then found[name .. "-" .. n] = 1 end
      if #marks == 2 then list[#list + 1] = name end
   end
   return found, list
end

local function links(path)
   local list = {}
   for target in prose(path):gmatch("%]%(([^)]*)%)") do list[#list + 1] = target end
   return list
end

-- The path of a target that is written in `page`.
local function resolve(page, target)
   local path = (page:match("^(.*/)") or "") .. target
   repeat
      local n
      path, n = path:gsub("[^/.]+/%.%./", "", 1)
   until n == 0
   return path
end

t.test("links lead to files and headings that are there", function()
   for _, page in ipairs(pages) do
      for _, link in ipairs(links(page)) do
         local target, name = link:match("^([^#]*)#?(.*)$")
         if not link:find("^%a+:") then
            local path = target == "" and page or resolve(page, target)
            t.ok(t.exists(root .. path), page .. ": " .. link)
            if name ~= "" then
               t.ok(anchors(path)[name], page .. ": no heading for " .. link)
            end
         end
      end
   end
end)

t.test("a table of contents has every section", function()
   for _, page in ipairs(pages) do
      local linked, n = {}, 0
      local _, sections = anchors(page)
      for _, link in ipairs(links(page)) do
         if link:find("^#") then linked[link:sub(2)] = true; n = n + 1 end
      end
      for _, name in ipairs(#sections > 8 and sections or {}) do
         t.ok(linked[name], page .. ": " .. name .. " is not in the contents")
      end
   end
end)

-- Sets of names ---------------------------------------------------------------

local function same(what, a, in_a, b, in_b)
   for name in pairs(a) do
      t.ok(b[name], ("%s %s of %s is not in %s"):format(what, name, in_a, in_b))
   end
   for name in pairs(b) do
      t.ok(a[name], ("%s %s of %s is not in %s"):format(what, name, in_b, in_a))
   end
   t.ok(next(a) ~= nil, what .. ": there are some in " .. in_a)
end

local function matches(text, pattern)
   local set = {}
   for name in text:gmatch(pattern) do set[name] = true end
   return set
end

local reference = read("docs/reference.md")

-- The part of the reference from a heading to the next of its kind or higher.
local function section(heading)
   local from, to = reference:find("\n" .. heading, 1, true)
   assert(from, heading)
   local marks = heading:match("^#+")
   local text = reference:sub(to + 1)
   local stop = #text
   for m = 2, #marks do
      stop = math.min(stop, (text:find("\n" .. ("#"):rep(m) .. " ", 1, true) or stop))
   end
   return text:sub(1, stop)
end

-- The names in the first cells of the tables of a part.
local function rows(text)
   local set = {}
   for cell in text:gmatch("\n| (`[^|]*) |") do
      for name in cell:gmatch("`([^`]*)`") do set[name] = true end
   end
   return set
end

local definitions = read("lua/flowrun.d.lua")

-- The fields of a class, and of those that it inherits.
local function class(name)
   local parent, body = definitions:match("\n%-%-%-@class flowrun%." .. name
      .. "(:? ?[%w.]*)\n(.-)\n\n")
   assert(body, name)
   local set = matches("\n" .. body, "\n%-%-%-@field ([%w_]+)")
   parent = parent:match("flowrun%.(%w+)")
   if parent then for field in pairs(class(parent)) do set[field] = true end end
   return set
end

local function both(a, b)
   local set = {}
   for name in pairs(a) do set[name] = true end
   for name in pairs(b) do set[name] = true end
   return set
end

-- Fields, kinds ---------------------------------------------------------------

local manual, editors = "docs/reference.md", "lua/flowrun.d.lua"

t.test("fields of policies", function()
   local code = matches(read("engine/script/policy.c"), '{ "([%w_]+)", read_')
   local table_of = rows((section("## Policies"):gsub("\n### .*", "")))
   same("field", code, "policy.c", table_of, manual)
   same("field", code, "policy.c", class("Policy"), editors)
end)

t.test("options of pools", function()
   local known = read("engine/script/lpool.c"):match("known%[%]%s*=%s*{(.-)}")
   local code = matches(known, '"([%w_]+)"')
   local table_of = both(rows(section("### flow.threads(")),
      rows(section("### flow.forks(")))
   same("option", code, "lpool.c", table_of, manual)
   same("option", code, "lpool.c", class("ForkOptions"), editors)
end)

t.test("fields of commands, and of their results", function()
   local text = section("## Commands"):gsub("\n### .*", "")
   local given, result = text:match("^(.*)\nThe result is a table(.*)$")
   local code = matches(read("lua/flowrun/command.lua"), "\nfunction fields%.([%w_]+)")
   same("field", code, "command.lua", rows(given), manual)
   same("field", code, "command.lua", class("Command"), editors)
   same("field", rows(result), manual, class("CommandResult"), editors)
end)

t.test("fields and kinds of errors", function()
   local text = section("## Errors"):gsub("\n### .*", "")
   local fields, kinds = text:match("^(.-)\n(| kind | when.*)$")
   same("field", rows(fields), manual, class("Error"), editors)
   local code = matches(read("engine/data/error.h"), 'X%(FRUN_%w+, "(%w+)"')
   same("kind", code, "error.h", rows("\n" .. kinds), manual)
   local alias = definitions:match("@alias flowrun%.ErrorKind\n(.-)\n\n")
   same("kind", code, "error.h", matches(alias, '| "(%w+)"'), editors)
end)

local function keys(value)
   local set = {}
   for name in pairs(value) do set[name] = true end
   return set
end

t.test("fields of stats and info", function()
   local pool = flow.threads(1)
   local future = pool:scatter(function() end, { case = 1 }).case
   future:wait()
   local stats, info = keys(pool:stats()), keys(future:info())
   pool:close()
   same("field", stats, "pool:stats()", class("Stats"), editors)
   same("field", info, "future:info()", class("Info"), editors)
   for name in pairs(stats) do
      t.ok(section("### pool:stats"):find("`" .. name .. "`", 1, true), name)
   end
   for name in pairs(info) do
      t.ok(section("### future:info"):find("`" .. name .. "`", 1, true), name)
   end
end)

t.test("flow.options", function()
   local code = matches(read("engine/script/options.c"), '{ "([%w_]+)", [%w_]+_option }')
   local text = section("### flow.options")
   for name in pairs(code) do
      t.ok(text:find("`" .. name .. "`", 1, true), name .. " is in " .. manual)
   end
   local types = definitions:match("@param options { (workers%?[^\n]*)}\nfunction flow.options")
   same("option", code, "options.c", matches(types, "([%w_]+)%?:"), editors)
end)

-- The command -----------------------------------------------------------------

local function command(words)
   local status, out = t.command(t.quote(program) .. " " .. words)
   t.equal(status, 0, words)
   return out
end

t.test("options of the command", function()
   local help = matches(command("--help"), "\n +[%-%w, ]*%-%-([%w%-]+)")
   local of_show = matches(command("show --help"), "%-%-([%w%-]+)")
   local page = read("docs/command.md")
   same("option", help, "--help",
      matches(page:match("## Options\n(.-)\n## "),
         "`%-%-([%w%-]+)"), "docs/command.md")
   local man = matches(read("man/flowrun.1"), "Fl %-([%w%-]+)")
   same("option", both(help, of_show), "--help", man, "man/flowrun.1")
   for name in pairs(of_show) do
      t.ok(page:find("--" .. name, 1, true), name .. " is in docs/command.md")
   end
   local bash = matches(command("--completion bash"), "%-%-(%w[%w%-]*)")
   same("option", both(help, of_show), "--help", bash, "the completion")
end)

t.test("exit statuses", function()
   local page = read("docs/command.md"):match("## Exit status\n(.-)\n## ")
   local listed = matches(page, "\n| (%d+) |")
   local man = read("man/flowrun.1"):match("%.Sh EXIT STATUS\n(.-)\n%.El")
   same("status", listed, "docs/command.md", matches(man, "%.It (%d+)"),
      "man/flowrun.1")
end)

t.test("variables of the environment", function()
   local read_here = {}
   for _, path in ipairs(flow.glob(root .. "engine/**/*.c")) do
      local text = t.read(path)
      for name in text:gmatch('getenv%("([%w_]+)"%)') do read_here[name] = true end
      for name in text:gmatch('is_set%("([%w_]+)"%)') do read_here[name] = true end
   end
   local page = read("docs/command.md"):match("## Environment\n(.*)$")
   local man = read("man/flowrun.1"):match("%.Sh ENVIRONMENT\n(.-)\n%.Sh ")
   t.ok(next(read_here))
   for name in pairs(read_here) do
      t.ok(page:find(name, 1, true), name .. " is in docs/command.md")
      t.ok(man:find(name, 1, true), name .. " is in man/flowrun.1")
   end
end)

-- The C library ---------------------------------------------------------------

t.test("names of the C library that the pages use", function()
   local header = read("engine/flowrun.h")
   local known = both(matches(header, "%f[%w_](frun_[%w_]+)"),
      matches(header, "%f[%w_](FRUN_[%w_]+)"))
   for _, page in ipairs(pages) do
      local text = read(page)
      for name in text:gmatch("%f[%w_](%a+_[%w_]+)") do
         if name:find("^frun_") or name:find("^FRUN_") then
            t.ok(known[name] or name:find("_$"), page .. ": " .. name)
         end
      end
   end
end)

return t.finish()
