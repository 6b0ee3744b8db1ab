-- t.lua: the runner of the Lua tests.
--
--    local t = require "t"
--    t.test("name", function() t.equal(1 + 1, 2) end)
--    return t.finish()
--
-- One line for each failed test, then 'N passed, N failed'. finish() gives
-- true, or raises when a test has failed: so the exit status is right in any
-- interpreter.
-- A test that leaves new globals behind has failed.

local t = { passed = 0, failed = 0 }

-- Text of a value, for messages: strings quoted, tables by sorted keys.
local function show(v, depth)
   depth = depth or 0
   if type(v) == "string" then
      return (("%q"):format(v):gsub("\\\n", "\\n"):gsub("[%c\127-\255]",
         function(c) return ("\\%d"):format(c:byte()) end))
   elseif type(v) == "number" then
      local text = ("%.17g"):format(v)
      if math.type and math.type(v) == "integer" then return tostring(v) end
      if math.type and not text:find("[%.eni]") then text = text .. ".0" end
      return text
   elseif type(v) ~= "table" then
      return tostring(v)
   elseif depth > 4 then
      return "{...}"
   end
   local keys, parts = {}, {}
   for k in pairs(v) do keys[#keys + 1] = k end
   table.sort(keys, function(a, b)
      local ta, tb = type(a), type(b)
      if ta ~= tb then return ta < tb end
      if ta == "number" or ta == "string" then return a < b end
      return tostring(a) < tostring(b)
   end)
   for i, k in ipairs(keys) do
      if i > 40 then parts[i] = "..." break end
      parts[i] = "[" .. show(k, depth + 1) .. "]=" .. show(v[k], depth + 1)
   end
   return "{" .. table.concat(parts, ", ") .. "}"
end
t.show = show

-- Equal, and of the same type and numeric subtype; NaN is the same as NaN.
local function same(a, b, path, seen)
   if type(a) == "table" and type(b) == "table" then
      if seen[a] == b then return true end
      seen[a] = b
      for k, v in pairs(a) do
         local ok, where = same(v, b[k], path .. "[" .. show(k) .. "]", seen)
         if not ok then return false, where end
      end
      for k in pairs(b) do
         if a[k] == nil then return false, path .. "[" .. show(k) .. "]" end
      end
      return true
   end
   if a ~= a and b ~= b then return true end
   if type(a) ~= type(b) or a ~= b then return false, path end
   if math.type and math.type(a) ~= math.type(b) then return false, path end
   return true
end

local function fail(text, note)
   error((note and note .. ": " or "") .. text, 3)
end

function t.ok(value, note)
   if not value then fail("got " .. show(value), note) end
   return value
end

function t.equal(got, want, note)
   if not same(got, want, "", { }) or type(got) == "table" and got ~= want then
      fail("got " .. show(got) .. ", wanted " .. show(want), note)
   end
end

-- Deep comparison.
function t.same(got, want, note)
   local ok, where = same(got, want, "", {})
   if not ok then
      fail("differs at '" .. where .. "': got " .. show(got)
         .. ", wanted " .. show(want), note)
   end
end

function t.match(text, pattern, note)
   if type(text) ~= "string" or not text:find(pattern) then
      fail(show(text) .. " does not match " .. show(pattern), note)
   end
end

-- fn raises something whose tostring matches the pattern; gives it back.
function t.raises(fn, pattern, note)
   local ok, err = pcall(fn)
   if ok then fail("nothing was raised", note) end
   local text = tostring(err)
   if pattern and not text:find(pattern) then
      fail("raised " .. show(text) .. ", wanted " .. show(pattern), note)
   end
   return err
end

-- The line at which t.here was called: for tests of error positions.
function t.here(level)
   return debug.getinfo((level or 1) + 1, "l").currentline
end

local function new_globals(before)
   for k in pairs(_G) do
      if before[k] == nil then return tostring(k) end
   end
end

function t.test(name, fn)
   local before = {}
   for k in pairs(_G) do before[k] = true end
   local ok, err = pcall(fn)
   local leaked = new_globals(before)
   if ok and leaked then
      ok, err, _G[leaked] = false, "left the global " .. leaked, nil
   end
   if ok then
      t.passed = t.passed + 1
   else
      t.failed = t.failed + 1
      print("FAILED " .. name .. ": " .. tostring(err))
   end
end

function t.finish()
   print(("%d passed, %d failed"):format(t.passed, t.failed))
   if t.failed > 0 then error("tests failed", 0) end
   return true
end

-- Files and commands ---------------------------------------------------------

function t.read(path)
   local f = assert(io.open(path, "rb"))
   local text = f:read("*a")
   f:close()
   return text
end

function t.write(path, text)
   local f = assert(io.open(path, "wb"))
   assert(f:write(text))
   assert(f:close())
   return path
end

function t.exists(path)
   local f = io.open(path)
   if f then f:close() end
   return f ~= nil
end

-- A word for the shell.
function t.quote(word)
   return "'" .. tostring(word):gsub("'", "'\\''") .. "'"
end

-- Runs a shell command; gives exit status (128 + n after signal n), stdout and
-- stderr whole. The input text, if any, is its stdin, else that is empty.
function t.command(cmdline, input)
   local base = os.tmpname()
   local names = { ".sh", ".in", ".out", ".err" }
   for i = 1, 4 do names[i] = base .. names[i] end
   t.write(names[1], cmdline .. "\n")
   t.write(names[2], input or "")
   local quoted = {}
   for i, name in ipairs(names) do quoted[i] = t.quote(name) end
   local p = assert(io.popen(("sh %s <%s >%s 2>%s; echo $?"):format(
      quoted[1], quoted[2], quoted[3], quoted[4])))
   local status = tonumber(p:read("*a"):match("(%d+)%s*$"))
   p:close()
   local out, err = t.read(names[3]), t.read(names[4])
   for _, name in ipairs(names) do os.remove(name) end
   os.remove(base)
   return status, out, err
end

-- Runs a command and checks what is named: t.run{ "cmd", status=0, out=
-- "exact text", err="exact", out_match="pattern", err_match=, stdin="text" }.
-- The status must be 0 unless another is named. Gives status, out, err.
function t.run(spec)
   local status, out, err = t.command(spec[1], spec.stdin)
   local got = { out = out, err = err }
   local wanted = spec.status or 0
   if status ~= wanted then
      fail(("status %s, wanted %s; stderr %s"):format(status, wanted,
         show(err)), spec[1])
   end
   for _, name in ipairs { "out", "err" } do
      local exact, pattern = spec[name], spec[name .. "_match"]
      if exact and got[name] ~= exact then
         fail(("%s %s, wanted %s"):format(name, show(got[name]), show(exact)),
            spec[1])
      elseif pattern and not got[name]:find(pattern) then
         fail(("%s %s does not match %s"):format(name, show(got[name]),
            show(pattern)), spec[1])
      end
   end
   return status, out, err
end

-- A fresh directory, removed by the function that comes with it.
function t.directory()
   local path = os.tmpname()
   os.remove(path)
   assert(os.execute("mkdir -m 700 " .. t.quote(path)))
   return path, function() os.execute("rm -rf " .. t.quote(path)) end
end

return t
