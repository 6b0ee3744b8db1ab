-- command.lua: a command as a script writes it, made plain: checked, numbers as
-- text, its words as `argv`. That is what the engine starts. Loaded when the
-- first command is met; the module "flowrun.command", so that `fill` travels
-- by name. core holds its half in C (engine/script/command.c).
--
-- What is wrong with a command is misuse: in a script's own call a text at its
-- line, in a task's function the task's error, at the function's line.
local core = ...
local next, type, select, rawget, tostring = next, type, select, rawget,
   tostring
local error, pcall, xpcall, getinfo = error, pcall, xpcall, debug.getinfo
local find, format, gsub, sub = string.find, string.format, string.gsub,
   string.sub
local floor = math.floor
local unpack = table.unpack or unpack
local is_future, number_text = core.is_future, core.number_text

local command = {}

-- Checks ----------------------------------------------------------------------

local place = "" -- before a refusal: where the task's function is

local function refuse(...)
   core.misuse(place .. format(...))
end

local function kind(value)
   if type(value) == "userdata" and is_future(value) then
      return "future"
   end
   return type(value)
end

-- A name of the script's in a message: short, and on one line.
local function shown(name)
   if type(name) ~= "string" then return tostring(name) end
   if #name > 60 then name = sub(name, 1, 57) .. "..." end
   return (gsub(name, "%c", "?"))
end

-- "word 2", "field 'env.PATH'"
local function label(name, key)
   if name == "word" then return "word " .. key end
   if type(key) == "number" then
      name = name .. "[" .. number_text(key) .. "]"
   elseif key then
      name = name .. "." .. shown(key)
   end
   return "field '" .. name .. "'"
end

local function bad(wanted, value, name, key)
   refuse("bad command %s (%s expected, got %s)", label(name, key), wanted,
      kind(value))
end

local function no_nul(text, name, key)
   if find(text, "\0", 1, true) then
      refuse("bad command %s (a NUL in it)", label(name, key))
   end
   return text
end

-- Any bytes: a string, or a number as text.
local function bytes(value, wanted, name, key)
   if type(value) == "string" then return value end
   return number_text(value) or bad(wanted, value, name, key)
end

-- The name of a file or directory.
local function path(value, name, key)
   if type(value) ~= "string" then bad("string", value, name, key) end
   if value == "" then
      refuse("bad command %s (it is empty)", label(name, key))
   end
   return no_nul(value, name, key)
end

-- Text, or { path= }.
local function source(value, name, key)
   if type(value) ~= "table" then
      return bytes(value, "string or { path= }", name, key)
   end
   for field in next, value do
      if field ~= "path" then
         refuse("bad command %s ('%s' beside path)", label(name, key),
            shown(field))
      end
   end
   local from = rawget(value, "path")
   if from == nil then bad("string or { path= }", value, name, key) end
   return { path = path(from, name, key) }
end

local function whole(value, most, name, key)
   if type(value) ~= "number" then bad("whole number", value, name, key) end
   if value % 1 ~= 0 or value < 0 or value > most then
      refuse("bad command %s (a whole number from 0 to %s expected, got %s)",
         label(name, key), number_text(most), number_text(value))
   end
   return floor(value)
end

-- A list of what `item` makes of each; nil when it is empty.
local function list(value, wanted, item, name)
   local made, n = {}, 0
   if type(value) ~= "table" then bad(wanted, value, name) end
   for _ in next, value do n = n + 1 end
   for i = 1, n do
      local one = rawget(value, i)
      if one == nil then bad(wanted, value, name) end
      made[i] = item(one, name, i)
   end
   return n > 0 and made or nil
end

-- Each item of a table by name, made by `item`; nil when it is empty.
local function by_name(value, item, name)
   local made
   if type(value) ~= "table" then bad("table", value, name) end
   for key, one in next, value do
      made = made or {}
      if type(key) ~= "string" then bad("a string as each name", key, name) end
      made[path(key, name)] = item(one, name, key)
   end
   return made
end

-- Fields ----------------------------------------------------------------------

local fields = {}

function fields.shell(plain, value)
   if type(value) ~= "boolean" then bad("boolean", value, "shell") end
   plain.shell = value or nil
end

function fields.cwd(plain, value)
   if value == "temp" then
      plain.temp = true
   else
      plain.cwd = path(value, "cwd")
   end
end

function fields.keep(plain, value)
   if value ~= "failed" and value ~= "always" then
      refuse("bad command field 'keep' (\"failed\" or \"always\" expected, "
         .. "got %s)", type(value) == "string" and shown(value) or kind(value))
   end
   plain.keep = value
end

function fields.files(plain, value)
   plain.files = by_name(value, source, "files")
end

function fields.collect(plain, value)
   plain.collect = list(value, "list of names", path, "collect")
end

local function variable(value, name, key)
   if find(key, "=", 1, true) then
      refuse("bad command field 'env' (\"=\" in the name %s)", shown(key))
   end
   return value
      and no_nul(bytes(value, "string, number or false", name, key), name, key)
end

function fields.env(plain, value)
   plain.env = by_name(value, variable, "env")
end

function fields.stdin(plain, value)
   plain.stdin = source(value, "stdin")
end

function fields.stdout(plain, value)
   plain.stdout = path(value, "stdout")
end

function fields.stderr(plain, value)
   plain.stderr = path(value, "stderr")
end

local function status(value, name, key)
   return whole(value, 255, name, key)
end

function fields.ok_status(plain, value)
   plain.ok_status = list(value, "list of numbers", status, "ok_status")
   if not plain.ok_status then
      refuse("bad command field 'ok_status' (it is empty)")
   end
end

function fields.capture(plain, value)
   plain.capture = whole(value, 2 ^ 40, "capture")
end

function fields.parse(_, value)
   if type(value) ~= "function" then bad("function", value, "parse") end
end

-- The words, which are items 1 to `count` of the table.
local function words(given, count)
   local argv = {}
   for i = 1, count do
      local word = rawget(given, i)
      if word == nil then refuse("bad command word %d (it is nil)", i) end
      argv[i] = no_nul(bytes(word, "string or number", "word", i), "word", i)
   end
   if count == 0 then refuse("bad command (it has no words)") end
   if argv[1] == "" then refuse("bad command word 1 (it is empty)") end
   return argv
end

-- The command as the engine takes it, and `parse`.
local function plain(given)
   local made, count = {}, 0
   for key, value in next, given do
      if type(key) == "number" then
         if key % 1 ~= 0 or key < 1 then
            refuse("unknown command field [%s]", number_text(key))
         end
         count = key > count and key or count
      elseif fields[key] then
         fields[key](made, value)
      else
         refuse("unknown command field %s", type(key) == "string"
            and "'" .. shown(key) .. "'" or "(a " .. kind(key) .. ")")
      end
   end
   made.argv = words(given, count)
   if made.keep and not made.temp then
      refuse("bad command field 'keep' (it is for cwd = \"temp\")")
   end
   return made, rawget(given, "parse")
end

-- Commands that are submitted -------------------------------------------------

-- The name of a task that has no other: its program, or its line.
local function name_of(made)
   local first = made.argv[1]
   if not made.shell then return first:match("([^/]+)/*$") or first end
   first = gsub(first, "%s+", " ")
   return #first <= 60 and first or sub(first, 1, 57) .. "..."
end

-- The tables of a command in which futures may stand, beside itself.
local nested = { files = true, env = true, stdin = true }

-- What passes the checks in the place of a future that is a field itself.
local stand_ins = { cwd = "temp", stdin = "", stdout = "?", stderr = "?" }

local function has_futures(t)
   for key, value in next, t do
      if type(value) == "userdata"
         or nested[key] and type(value) == "table" then
         return true
      end
   end
   return false
end

-- A copy of t in which something stands for each future; `found` gets
-- { future, key ... }: the futures, and where they belong.
local function aside(t, found, a, b)
   local copy = {}
   for key, value in next, t do
      if kind(value) == "future" then
         found[#found + 1] = a == nil and { value, key }
            or b == nil and { value, a, key } or { value, a, b, key }
         if a == nil and fields[key] then
            copy[key] = stand_ins[key]
         else
            copy[key] = "future"
         end
      elseif type(value) == "table" and b == nil
         and (a == "files" or a == nil and nested[key]) then
         copy[key] = aside(value, found, a or key, a and key)
      else
         copy[key] = value
      end
   end
   return copy
end

-- The function of a task that is a command with futures, or `parse`, in it.
function command.fill(t, places, ...)
   for i, place in next, places do
      local into = t
      for k = 1, #place - 1 do into = into[place[k]] end
      into[place[#place]] = (select(i, ...))
   end
   return t
end

-- A command in the place of a function: its name, itself; or, when Lua has a
-- part in it, its name, nil, the function of the task and its arguments.
function command.bare(given)
   local found, made, parse = {}
   place = ""
   if has_futures(given) then given = aside(given, found) end
   made, parse = plain(given)
   if not parse and #found == 0 then return name_of(made), made end
   local futures = {}
   for i, one in next, found do futures[i] = table.remove(one, 1) end
   return name_of(made), nil, command.fill, given, found, unpack(futures)
end

-- Running one -----------------------------------------------------------------

local function await(set, keep)
   if core.await_process(set, keep) then core.raised() end
end

-- Until its process has ended; told to stop meanwhile, ends it first.
local function wait(exec, own)
   local set = core.exec_watch(exec)
   local ok, err = pcall(await, set, not own)
   core.close_set(set)
   if ok then return end
   core.exec_end(exec, type(err) == "table" and err.kind == "timeout")
   error(err, 0)
end

-- Its result, and what core.exec_end takes; nil when it is a task's own and
-- has failed.
local function run(made, own, parse)
   local exec = core.exec_start(made, own)
   if not exec then return nil end
   wait(exec, own)
   return core.exec_result(exec, own, parse), exec
end

local function parsed(exec, own, ok, ...)
   core.exec_end(exec, not ok, own)
   if not ok then error((...), 0) end
   return ...
end

local function judge(exec, own, result, parse)
   if parse then
      return parsed(exec, own, xpcall(parse, core.note_trace, result))
   end
   core.exec_end(exec, false)
   return result
end

-- flow.exec
function command.exec(given)
   place = ""
   if type(given) ~= "table" then
      refuse("bad argument #1 to 'exec' (table expected, got %s)", kind(given))
   end
   local made, parse = plain(given)
   local result, exec = run(made, false)
   return judge(exec, false, result, parse)
end

-- "script.lua:12: " of a script's function.
local function place_of(fn)
   local at = getinfo(fn, "S")
   if at.what ~= "Lua" or sub(at.source, 1, 8) == "=flowrun" then return "" end
   return at.short_src .. ":" .. at.linedefined .. ": "
end

-- What a task comes to whose function has given this; nothing when the command
-- has failed, which is the task's outcome then.
function command.task(fn, given)
   place = place_of(fn)
   if type(given) ~= "table" then
      refuse("a command expected from the function (table expected, got %s)",
         kind(given))
   end
   local made, parse = plain(given)
   local result, exec = run(made, true, parse)
   if result then return judge(exec, true, result, parse) end
end

return command
