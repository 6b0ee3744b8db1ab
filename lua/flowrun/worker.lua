-- worker.lua: how a worker's state calls a task. What is in C below runs
-- inside the task's coroutine, so an error in it is the task's.
local core = ...
local require = require
local fetch, arguments, finish = core.fetch, core.arguments, core.finish
local setup, finish_items = core.setup, core.finish_items

local function task()
   return finish(fetch()(arguments()))
end

-- The items of one slice of a map. ctl.n moves down when one of them waits:
-- the others go to other workers.
local function items()
   local fn, args, keys, first, ctl, out, seed = setup()
   local i = 0
   while i < ctl.n do
      local key
      i = i + 1
      ctl.i = i
      if seed then seed(i) end
      if keys then key = keys[i] else key = first + i end
      out[i] = fn(args[i], key)
   end
   return finish_items(out, i)
end

-- A task of a pool of commands: the function gives the command.
local function command()
   local fn = fetch()
   return finish(require("flowrun.command").task(fn, fn(arguments())))
end

return task, items, command
