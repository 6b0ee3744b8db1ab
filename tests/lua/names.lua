-- names.lua: every exported name is defined for editors and has its entry in
-- the reference, and neither of them has a name that does not exist.
-- also: stock
local t = require "t"
local flow = require "flowrun"

local root = (arg[0]:match("^(.*)/") or ".") .. "/../../"
local definitions = t.read(root .. "lua/flowrun.d.lua")
local reference = t.read(root .. "docs/reference.md")

-- What is there only to say that this version does not have it.
local private = {}
if not pcall(flow.forks, 1) then private["flow.forks"] = true end

local function entries(text, pattern)
   local found = {}
   for name in text:gmatch(pattern) do found[name] = true end
   return found
end

local defined = entries(definitions, "\nfunction ([%w_.:]+)%(")
local described = entries(reference, "\n### ([%w_.:]+)%(")

local function sorted(set)
   local list = {}
   for name in pairs(set) do list[#list + 1] = name end
   table.sort(list)
   return list
end

-- The functions below a table, with parts that are loaded at first use.
local function functions(object, prefix, into)
   for name, value in pairs(object) do
      if type(name) == "string" and name:find("^%a") then
         if type(value) == "function" then
            into[prefix .. name] = true
         elseif type(value) == "table" and prefix == "flow." then
            functions(value, "flow." .. name .. ".", into)
         end
      end
   end
   return into
end

-- The value of "flow.yaml.read", "pool:submit" and the like.
local pool = flow.threads(1)
local objects = { flow = flow, pool = pool, future = pool:submit(function() end),
   queue = flow.queue(), dict = flow.dict(), lock = flow.lock(),
   share = flow.share(1) }

local function lookup(path)
   local value
   for name in path:gmatch("[%w_]+") do
      if value == nil then value = objects[name] else value = value[name] end
      if value == nil then return nil end
   end
   return value
end

local function methods(object)
   local meta = debug.getmetatable(object)
   return type(meta.__index) == "table" and meta.__index or {}
end

t.test("what is described exists", function()
   for _, name in ipairs(sorted(described)) do
      t.equal(type(lookup(name)), "function", name)
   end
end)

t.test("what is defined exists", function()
   for _, name in ipairs(sorted(defined)) do
      t.equal(type(lookup(name)), "function", name)
   end
end)

t.test("what exists is described and defined", function()
   local exported = functions(flow, "flow.", {})
   functions(methods(pool), "pool:", exported)
   for name, object in pairs(objects) do
      if name ~= "flow" and name ~= "pool" then
         functions(methods(object), name .. ":", exported)
      end
   end
   for _, name in ipairs(sorted(exported)) do
      if not private[name] then
         t.ok(described[name], name .. " is in docs/reference.md")
         t.ok(defined[name], name .. " is in lua/flowrun.d.lua")
      end
   end
   t.ok(exported["flow.threads"], "the module was walked")
end)

pool:close()
return t.finish()
