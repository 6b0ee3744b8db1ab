-- flow.lua: the half of the module that is in Lua: what waits, and what is
-- loaded when it is first used. core holds the half in C; what is in core.flow
-- already is part of the module as it stands.
local core, flow = ...
local error, type, next, select, setmetatable, pcall, xpcall, tostring =
   error, type, next, select, setmetatable, pcall, xpcall, tostring
local require = require
local format = string.format
local now, is_done, values, outcome =
   core.now, core.is_done, core.values, core.outcome

-- A task that is told to stop while it waits is resumed with true.
local function await(set, left, failure, at)
   if core.await(set, left, failure, at) then core.raised() end
end

-- When `seconds` from now is, or nil for never; errors are the caller's.
local function deadline(seconds, name)
   if seconds == nil then return nil end
   if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
      error(format("%s: seconds from 0 expected, got %s", name,
         type(seconds) == "number" and seconds or type(seconds)), 3)
   end
   return now() + seconds
end

-- What a wait says that ran out: how many, and the first of them in t.
local function late(left, count, seconds, t)
   local text = format("%d of %d futures unfinished after %g s", left, count,
      seconds)
   for _, f in next, t do
      if is_done(f) == false then
         return format("%s: %s%s", text, tostring(f), left > 1 and ", ..." or "")
      end
   end
   return text
end

local function unfinished(set, seconds, t)
   local left, count, timed_out = core.left(set)
   core.close_set(set)
   if timed_out then
      core.raise_unfinished(late(left, count, seconds, t), seconds)
   end
end

local function expect_future(self, name)
   local done = is_done(self)
   if done == nil then
      error(format("bad argument #1 to '%s' (future expected, got %s)", name,
         type(self)), 3)
   end
   return done
end

-- Futures ---------------------------------------------------------------------

local future = {}

local function wait_one(self, at)
   local set = core.watch_one(self)
   await(set, 0, false, at)
   return set
end

function future.result(self, seconds)
   local done, at = expect_future(self, "result"), deadline(seconds, "result")
   if not done then unfinished(wait_one(self, at), seconds, { self }) end
   return values(self)
end

function future.try(self, seconds)
   local done, at = expect_future(self, "try"), deadline(seconds, "try")
   if not done then
      local set = wait_one(self, at)
      local left, count, timed_out = core.left(set)
      core.close_set(set)
      if timed_out then
         return false, core.unfinished_error(late(left, count, seconds,
            { self }), seconds)
      end
   end
   return outcome(self)
end

function future.wait(self, seconds)
   local done, at = expect_future(self, "wait"), deadline(seconds, "wait")
   if done then return true end
   core.close_set(wait_one(self, at))
   return is_done(self)
end

function future.on_done(self, fn)
   expect_future(self, "on_done")
   if type(fn) ~= "function" then
      error(format("bad argument #1 to 'on_done' (function expected, got %s)",
         type(fn)), 2)
   end
   core.on_done(self, fn)
end

-- Collecting ------------------------------------------------------------------

local function expect_table(t, name)
   if type(t) ~= "table" then
      error(format("bad argument #1 to '%s' (table of futures expected, got %s)",
         name, type(t)), 3)
   end
end

local function watch(t, name)
   local set, why = core.watch(t)
   if not set then error(format("%s: %s", name, why), 3) end
   return set
end

function flow.gather(t, seconds)
   expect_table(t, "gather")
   local at = deadline(seconds, "gather")
   local set = watch(t, "gather")
   await(set, 0, true, at)
   core.fail_first(set)
   unfinished(set, seconds, t)
   return core.firsts(t)
end

function flow.settle(t, seconds)
   expect_table(t, "settle")
   local at = deadline(seconds, "settle")
   local set = watch(t, "settle")
   await(set, 0, false, at)
   unfinished(set, seconds, t)
   local results = {}
   for key, f in next, t do
      local ok, value = outcome(f)
      if ok then results[key] = { ok = true, value = value }
      else results[key] = { ok = false, error = value } end
   end
   return results
end

-- The futures of t once each, in the order of keys 1..#t, then the others.
local function distinct(t, name)
   local keys, futures, seen = {}, {}, {}
   local function add(key, f)
      if is_done(f) == nil then
         error(format("%s: a table of futures expected, got a %s at [%s]",
            name, type(f), tostring(key)), 4)
      end
      local id = core.id(f)
      if seen[id] then return end
      seen[id] = true
      keys[#keys + 1], futures[#futures + 1] = key, f
   end
   local n = #t
   for i = 1, n do if t[i] ~= nil then add(i, t[i]) end end
   for key, f in next, t do
      if type(key) ~= "number" or key < 1 or key > n or key % 1 ~= 0 then
         add(key, f)
      end
   end
   return keys, futures
end

function flow.as_completed(t, seconds)
   expect_table(t, "as_completed")
   local at = deadline(seconds, "as_completed")
   local keys, futures = distinct(t, "as_completed")
   local set = core.watch_list(futures)
   local left = #futures
   return function()
      if left == 0 then return nil end
      local i = core.pop(set)
      if not i then
         await(set, left - 1, false, at)
         i = core.pop(set)
         if not i then return unfinished(set, seconds, t) end
      end
      left = left - 1
      local key, f = keys[i], futures[i]
      keys[i], futures[i] = nil, nil
      core.look(f)
      return key, f
   end
end

local whens = { all = true, first = true, failed = true }

function flow.wait(t, options)
   expect_table(t, "wait")
   if options ~= nil and type(options) ~= "table" then
      error(format("bad argument #2 to 'wait' (table expected, got %s)",
         type(options)), 2)
   end
   for name in next, options or {} do
      if name ~= "when" and name ~= "timeout" then
         error(format("wait: unknown option '%s'", tostring(name)), 2)
      end
   end
   local when = options and options.when or "all"
   if not whens[when] then
      error("wait: when: \"all\", \"first\" or \"failed\" expected", 2)
   end
   local at = deadline(options and options.timeout, "wait: timeout")
   local keys, futures = distinct(t, "wait")
   local set = core.watch_list(futures)
   await(set, when == "first" and #futures - 1 or 0, when == "failed", at)
   core.close_set(set)
   local done, pending = {}, {}
   for key, f in next, t do
      if is_done(f) then done[key] = f else pending[key] = f end
   end
   return done, pending
end

-- Pools -----------------------------------------------------------------------

local pool = {}

function pool.map(self, fn, t)
   local how, a, keys = core.map(self, fn, t)
   if how == "done" then return a end
   if how == "futures" then
      if keys then
         flow.wait(a)
         for _, f in next, a do core.look(f) end
      end
      return flow.gather(a)
   end
   local set = core.watch_one(a)
   await(set, 0, false, nil)
   core.close_set(set)
   return core.map_results(a, keys)
end

function pool.drain(self, seconds)
   local at = deadline(seconds, "drain")
   local set = core.watch_pool(self)
   if not set then return true end
   await(set, 0, false, at)
   local left = core.left(set)
   core.close_set(set)
   return left == 0
end

function pool.close(self)
   core.closing(self)
   local set = core.watch_pool(self)
   if set then
      await(set, 0, false, nil)
      core.close_set(set)
   end
   core.join(self)
end

-- Shared things --------------------------------------------------------------

-- Waits for an operation that could not be done at once: true and what it
-- gives, or false when time ran out. Whoever stops waiting takes it back: undo
-- is called of what was done already.
local function finish(ask, at, undo, self)
   local set = core.watch_ask(ask)
   local ok, err = pcall(await, set, 0, false, at)
   core.close_set(set)
   if ok then return core.answer(ask) end
   if core.withdraw(ask) and undo then undo(self) end
   error(err, 0)
end

-- What start gives, of an operation without seconds.
local function value_of(ask, value)
   if not ask then return value end
   local _, late = finish(ask)
   return late
end

local queue, dict, lock, share = {}, {}, {}, {}

function queue.push(self, value, seconds)
   local at = deadline(seconds, "push")
   local ask = core.queue_push(self, value)
   return not ask or (finish(ask, at))
end

function queue.pop(self, seconds)
   local at = deadline(seconds, "pop")
   local ask, value = core.queue_pop(self)
   if ask then
      local ok
      ok, value = finish(ask, at)
      if not ok then return nil, "timeout" end
   end
   if value == nil then return nil, "closed" end
   return value
end

function queue.close(self) value_of(core.queue_close(self)) end
function queue.count(self) return value_of(core.queue_count(self)) end

function dict.get(self, key) return value_of(core.dict_get(self, key)) end
function dict.set(self, key, value)
   value_of(core.dict_set(self, key, value))
end
function dict.add(self, key, n) return value_of(core.dict_add(self, key, n)) end
function dict.table(self) return value_of(core.dict_table(self)) end

local function released(self, ok, ...)
   value_of(core.lock_release(self))
   if not ok then error((...), 0) end
   return ...
end

function lock.hold(self, fn, ...)
   if type(fn) ~= "function" then
      error(format("bad argument #1 to 'hold' (function expected, got %s)",
         type(fn)), 2)
   end
   local ask = core.lock_hold(self)
   if ask then finish(ask, nil, core.lock_release, self) end
   return released(self, xpcall(fn, core.note_trace, ...))
end

function share.get(self)
   local found, value = core.share_find(self)
   if found then return value end
   return core.share_keep(self, value_of(core.share_read(self)))
end

-- Functions of the host -----------------------------------------------------

-- A Lua function, so it goes wherever one does; the handle in it travels.  Its
-- tasks are named as it is.
local native_source = "local native = ... return function(value) "
   .. "return native(value) end"

function flow.native(name)
   if type(name) ~= "string" then
      error(format("bad argument #1 to 'native' (string expected, got %s)",
         type(name)), 2)
   end
   local chunk = (loadstring or load)(native_source, "=native " .. name)
   return chunk(core.native(name))
end

-- Time ------------------------------------------------------------------------

function flow.sleep(seconds)
   if type(seconds) ~= "number" or seconds ~= seconds or seconds < 0 then
      error(format("bad argument #1 to 'sleep' (seconds from 0 expected, got %s)",
         type(seconds) == "number" and seconds or type(seconds)), 2)
   end
   local at = now() + seconds
   if core.nap(seconds) then return end
   local set = core.watch_nothing()
   await(set, 0, false, at)
   core.close_set(set)
end

-- Loaded when they are first used ---------------------------------------------

local function lazily(into, name, load)
   into[name] = function(...)
      load()
      return into[name](...)
   end
end

local function load_data()
   local data = core.load("data", core.files())
   for _, name in next, { "grid", "zip" } do flow[name] = data[name] end
   flow.json.write = data.json.write
   flow.csv.read, flow.csv.write = data.csv.read, data.csv.write
end

flow.json, flow.csv, flow.yaml = {}, {}, {}
for _, name in next, { "grid", "zip" } do lazily(flow, name, load_data) end
lazily(flow.json, "write", load_data)
lazily(flow.csv, "read", load_data)
lazily(flow.csv, "write", load_data)

local function load_yaml()
   local yaml = core.yaml()
   flow.yaml.read, flow.yaml.parse = yaml.read, yaml.parse
end
lazily(flow.yaml, "read", load_yaml)
lazily(flow.yaml, "parse", load_yaml)

lazily(flow, "args", function()
   local env = core.files()
   for name, value in next, core.args_core() do env[name] = value end
   flow.args = core.load("args", env)
end)

lazily(flow, "exec", function()
   flow.exec = require("flowrun.command").exec
end)

-- The methods, under the metatables' __index.
local function extend(meta, methods)
   for name, method in next, methods do meta.__index[name] = method end
end
extend(core.future_meta, future)
extend(core.pool_meta, pool)
extend(core.queue_meta, queue)
extend(core.dict_meta, dict)
extend(core.lock_meta, lock)
extend(core.share_meta, share)
core.pool_meta.__close = pool.close
return flow
