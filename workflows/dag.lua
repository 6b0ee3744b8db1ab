#!/usr/bin/env flowrun
-- dag.lua: a workflow as somebody recorded it, run as a graph of futures. A
-- task's argument holds its parents' futures, so it starts when they are done;
-- at most `workers` run at once; every edge is checked afterwards.
local flow = require("flowrun")

local montage = (arg[0]:match("^.*/") or "") .. "dag/montage-chameleon-2mass-005d-001.json"
local opt = flow.args {
   trace   = { montage, "a WfFormat 1.5 file" },
   divide  = { 1000, "run times are divided by this" },
   workers = { 4, "tasks running at once" },
}

local workflow = flow.yaml.read(opt.trace).workflow
local pool, task, futures = flow.threads(opt.workers), {}, {}
for _, t in ipairs(workflow.specification.tasks) do task[t.id] = t end
for _, t in ipairs(workflow.execution.tasks) do task[t.id].seconds = t.runtimeInSeconds / opt.divide end

local function work(t)                       -- t[parent] is what the parent returned
   local started = flow.now()
   flow.sleep(t.seconds)
   return { started = started, finished = flow.now() }
end

local function future(id)
   local argument = { seconds = task[id].seconds }
   for _, parent in ipairs(task[id].parents) do argument[parent] = futures[parent] or future(parent) end
   futures[id] = pool:with { name = id }:submit(work, argument)
   return futures[id]
end
for id in pairs(task) do if not futures[id] then future(id) end end

local spans, edges, peak, seconds = flow.gather(futures), 0, 0, 0
for id, span in pairs(spans) do
   local running = 0
   for _, other in pairs(spans) do
      if other.started <= span.started and span.started < other.finished then running = running + 1 end
   end
   for _, parent in ipairs(task[id].parents) do
      assert(spans[parent].finished <= span.started, id .. " began before " .. parent .. " ended")
      edges = edges + 1
   end
   peak, seconds = math.max(peak, running), seconds + task[id].seconds
end
assert(peak <= opt.workers, "too many at once")
print(("%d tasks, %d edges, at most %d at once: %.3f s for %.3f s of work"):format(
   #workflow.specification.tasks, edges, peak, flow.now(), seconds))
