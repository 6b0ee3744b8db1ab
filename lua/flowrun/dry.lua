-- dry.lua: what a dry run would do: each task with its arguments, or the words
-- of its command, and what the journal has. `status` tells of a future whether
-- its task would run.
local status = ...
local type, next, tostring, select, rawget =
   type, next, tostring, select, rawget
local format, concat, sort = string.format, table.concat, table.sort

local WHOLE, PART, DEPTH = 200, 60, 3 -- bytes, and tables in tables

local show

local function number(n)
   if n ~= n or n - n ~= 0 then return tostring(n) end
   local text = format("%.14g", n)
   return tonumber(text) == n and text or format("%.17g", n)
end

local function text(s)
   if #s > PART then s = s:sub(1, PART) .. "..." end
   return '"' .. s:gsub('[\\"]', "\\%0") .. '"'
end

local function before(a, b)
   if type(a) ~= type(b) then return type(a) < type(b) end
   if type(a) == "number" or type(a) == "string" then return a < b end
   return tostring(a) < tostring(b)
end

local function sorted(t, n)
   local keys = {}
   for key in next, t do
      if type(key) ~= "number" or key < 1 or key > n or key % 1 ~= 0 then
         keys[#keys + 1] = key
      end
   end
   sort(keys, before)
   return keys
end

local function fields(t, depth)
   local parts, n = {}, 0
   while rawget(t, n + 1) ~= nil do n = n + 1 end
   for i = 1, n < 8 and n or 8 do parts[i] = show(rawget(t, i), depth + 1) end
   if n > 8 then parts[9] = "..." .. n .. " items" end
   for _, key in next, sorted(t, n) do
      local name = type(key) == "string" and key:find("^[%a_][%w_]*$") and key
         or "[" .. show(key, depth + 1) .. "]"
      parts[#parts + 1] = name .. "=" .. show(rawget(t, key), depth + 1)
      if #parts > 16 then
         parts[#parts + 1] = "..."
         break
      end
   end
   return "{" .. concat(parts, ", ") .. "}"
end

function show(value, depth)
   local kind = type(value)
   if kind == "number" then return number(value) end
   if kind == "string" then return text(value) end
   if kind == "table" then
      return depth < DEPTH and fields(value, depth) or "{...}"
   end
   if kind == "function" then return "function" end
   return tostring(value)
end

local list = {}

local function note(future, ...)
   local parts = {}
   for i = 1, select("#", ...) do parts[i] = show((select(i, ...)), 0) end
   local all = concat(parts, ", ")
   if #all > WHOLE then all = all:sub(1, WHOLE) .. "..." end
   list[#list + 1] = { future = future, arguments = all }
end

-- As a shell would take it.
local function word(value)
   local kind = type(value)
   if kind == "number" then return number(value) end
   if kind ~= "string" then return tostring(value) end
   local all = #value <= PART and value or value:sub(1, PART) .. "..."
   if all:find("^[%w_@%%+=:,./-]+$") then return all end
   return "'" .. all:gsub("'", "'\\''") .. "'"
end

-- Its future, or (flow.exec) its name; as the script has it, or made plain.
local function note_command(future, t)
   local words, shell = rawget(t, "argv") or t, rawget(t, "shell")
   local parts, i = {}, 1
   if shell then parts[1] = "sh -c" end
   while rawget(words, i) ~= nil do
      if i == 2 and shell then parts[3] = "sh" end
      parts[#parts + 1] = word(rawget(words, i))
      i = i + 1
   end
   local all = concat(parts, " ")
   if #all > WHOLE then all = all:sub(1, WHOLE) .. "..." end
   list[#list + 1] = { future = future, words = all }
end

-- One line a task, then their number.
local function lines()
   local all, count = {}, { run = 0, journal = 0, waits = 0 }
   for i, task in next, list do
      local name = type(task.future) == "string" and task.future
      local info = name and { name = name } or task.future:info()
      local what = name and "run" or status(task.future)
      local key = info.key ~= nil and " [" .. tostring(info.key) .. "]" or ""
      count[what] = count[what] + 1
      all[i] = format(task.words and "%-8s%s%s: %s" or "%-8s%s%s(%s)", what,
         info.name, key, task.words or task.arguments)
   end
   all[#all + 1] = format("dry run: %d tasks: %d to run, %d in the journal, "
      .. "%d wait for others", #list, count.run, count.journal, count.waits)
   return all
end

return note, lines, note_command
