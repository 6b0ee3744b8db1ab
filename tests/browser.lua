-- browser.lua: Debian's chromium, driven over its debugging pipe.
--
--    local browser = require("browser")
--    local b = browser.open(to, from)     named pipes: its descriptors 3 and 4
--    b:call(method, parameters)           -> result; events go to b.events
--    b:visit(path)  b:eval(script)        a script's value: string, number, boolean
--    b:move(x, y)  b:click(x, y)  b:drag(x, y, x2, y2)  b:wheel(x, y, dy)
--    b:key(name, code)  b:type(text)
local flow = require("flowrun")

local browser = {}
browser.__index = browser

-- JSON ----------------------------------------------------------------------
local function quote(text)
   return '"' .. text:gsub('[%c"\\]', function(c)
      return ("\\u%04x"):format(c:byte())
   end) .. '"'
end

local function encode(value)
   if type(value) == "string" then return quote(value) end
   if type(value) ~= "table" then return tostring(value) end
   local parts = {}
   if #value > 0 then
      for i, inner in ipairs(value) do parts[i] = encode(inner) end
      return "[" .. table.concat(parts, ",") .. "]"
   end
   for key, inner in pairs(value) do
      parts[#parts + 1] = quote(key) .. ":" .. encode(inner)
   end
   return "{" .. table.concat(parts, ",") .. "}"
end

-- messages ------------------------------------------------------------------
local function read(pipe)
   local bytes = {}
   while true do
      local c = pipe:read(1)
      if not c then error("the browser has ended") end
      if c == "\0" then return table.concat(bytes) end
      bytes[#bytes + 1] = c
   end
end

function browser:call(method, parameters)
   self.last = self.last + 1
   local message = { id = self.last, method = method, params = parameters or {} }
   message.sessionId = self.session
   self.to:write(encode(message), "\0")
   self.to:flush()
   while true do
      local text = read(self.from)
      local id = tonumber(text:match('^{"id":(%d+)'))
      if id == self.last then
         if self.raw then return text end
         local answer = flow.yaml.parse(text)
         if answer.error then error(method .. ": " .. answer.error.message) end
         return answer.result
      end
      self.events[#self.events + 1] = text
   end
end

-- Has an event come whose text has all of these? Asks until one has.
function browser:await(...)
   local deadline = flow.now() + 60
   repeat
      for _, text in ipairs(self.events) do
         local all = true
         for _, what in ipairs{ ... } do
            all = all and text:find(what, 1, true)
         end
         if all then return text end
      end
      self:call("Runtime.evaluate", { expression = "1" })
   until flow.now() > deadline
   error("waited in vain for " .. table.concat({ ... }, " "))
end

function browser.open(to, from)
   local b = setmetatable({ last = 0, events = {} }, browser)
   b.to = assert(io.open(to, "wb"))
   b.from = assert(io.open(from, "rb"))
   local target = b:call("Target.createTarget", { url = "about:blank" }).targetId
   b.session = b:call("Target.attachToTarget", { targetId = target, flatten = true }).sessionId
   for _, domain in ipairs{ "Page", "Runtime", "Log", "Network" } do
      b:call(domain .. ".enable")
   end
   return b
end

-- what a person does --------------------------------------------------------
function browser:visit(path)
   self.events = {}
   self:call("Page.navigate", { url = "file://" .. path })
   self:await('"Page.loadEventFired"')
   self:eval("new Promise(done => requestAnimationFrame(() => setTimeout(() => done(1), 50)))")
end

function browser:eval(script)
   local answer = self:call("Runtime.evaluate",
      { expression = script, returnByValue = true, awaitPromise = true })
   if answer.exceptionDetails then
      error(script .. ": " .. tostring(answer.exceptionDetails.exception.description))
   end
   return answer.result.value
end

-- Until what the page does in its next frame is done.
function browser:settle()
   self:eval("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")
end

local function mouse(b, kind, x, y, more)
   local event = { type = kind, x = x, y = y }
   for key, value in pairs(more or {}) do event[key] = value end
   b:call("Input.dispatchMouseEvent", event)
end

local left = { button = "left", buttons = 1, clickCount = 1 }

function browser:move(x, y) mouse(self, "mouseMoved", x, y) self:settle() end

function browser:drag(x, y, x2, y2)
   mouse(self, "mouseMoved", x, y)
   mouse(self, "mousePressed", x, y, left)
   if x2 then mouse(self, "mouseMoved", x2, y2, left) end
   mouse(self, "mouseReleased", x2 or x, y2 or y, { button = "left", clickCount = 1 })
   self:settle()
end

browser.click = browser.drag

function browser:wheel(x, y, dy)
   mouse(self, "mouseWheel", x, y, { deltaX = 0, deltaY = dy })
   self:settle()
end

-- The middle of an element, brought into sight.
function browser:place(selector)
   local text = self:eval(([[(() => {
      const e = document.querySelector(%s);
      e.scrollIntoView({ block: "center" });
      const r = e.getBoundingClientRect();
      return r.left + " " + r.top + " " + r.width + " " + r.height;
   })()]]):format(quote(selector)))
   local x, y, width, height = text:match("(%S+) (%S+) (%S+) (%S+)")
   return tonumber(x), tonumber(y), tonumber(width), tonumber(height)
end

function browser:press(selector)
   local x, y, width, height = self:place(selector)
   self:click(x + width / 2, y + height / 2)
end

function browser:key(name, code)
   self:call("Input.dispatchKeyEvent", { type = "keyDown", key = name, windowsVirtualKeyCode = code,
                                         text = #name == 1 and name or nil })
   self:call("Input.dispatchKeyEvent", { type = "keyUp", key = name, windowsVirtualKeyCode = code })
   self:settle()
end

function browser:type(text)
   self:call("Input.insertText", { text = text })
   self:settle()
end

function browser:close()
   self.raw = true
   pcall(self.call, self, "Browser.close")
end

return browser
