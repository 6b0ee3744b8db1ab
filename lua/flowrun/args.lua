-- args.lua: flow.args, the script's own options. Called with
--    core.argv    the script's words, a list; nil in a stock Lua: then `arg`
--    core.script  its name        core.help  true when its help was asked for
--    core.usage(message)          does not return: status 2
--    core.show_help(text)         to stdout, does not return: status 0
--    core.number_text, core.int   as in data.lua, flow.int
--
-- --name value, --name=value, --fast, --no-fast, --fast=true; - may stand for
-- the _ of a name. The last of several counts. The value of a number or string
-- is the next word, unless that begins with --.
local core = ...
local format = string.format

-- The type of an option, by its default; nil when there is none.
local function type_of(value)
   local kind = type(value)
   if kind == "cdata" and core.number_text(value) then return "integer" end
   if kind == "number" or kind == "string" or kind == "boolean" then
      return kind
   end
end

local function plain(name)
   return (name:gsub("_", "-"))
end

-- Options by name and a sorted list of them; or nil and what is wrong.
local function declare(spec)
   local options, names = {}, {}
   for name, given in next, spec do
      if type(name) ~= "string" or not name:find("^%a[%w_-]*$") then
         return nil, format("'%s' is no name for an option", tostring(name))
      elseif name == "help" then
         return nil, "'help' is taken"
      end
      if type(given) ~= "table" then given = {} end
      local kind = type_of(given[1])
      if not kind or given[2] ~= nil and type(given[2]) ~= "string" then
         return nil, format("option '%s' must be { default, description }, its "
            .. "default a number, a string or a boolean", name)
      elseif options[plain(name)] then
         return nil, format("'%s' and '%s' are the same option", name,
            options[plain(name)].name)
      end
      options[plain(name)] = { name = name, kind = kind, default = given[1],
         about = given[2] or "" }
      names[#names + 1] = plain(name)
   end
   table.sort(names)
   return options, names
end

-- Help -----------------------------------------------------------------------

local shown = { number = " N", integer = " N", string = " TEXT" }

local function help(options, names, script)
   local left, width = { "--help" }, 6
   for i, name in ipairs(names) do
      local o = options[name]
      left[i + 1] = "--" .. (o.default == true and "[no-]" or "") .. name
         .. (shown[o.kind] or "")
      width = math.min(math.max(width, #left[i + 1]), 30)
   end
   local lines = { "usage: flowrun " .. script .. " [options]", "" }
   for i, name in ipairs(names) do
      local o = options[name]
      local about = o.about
      if o.default ~= false and o.default ~= "" then
         about = about .. (about ~= "" and " " or "")
            .. format("(default: %s)", core.number_text(o.default)
            or o.default == true and "on" or o.default)
      end
      lines[#lines + 1] = format("  %-" .. width .. "s  %s", left[i + 1], about)
   end
   lines[#lines + 1] = format("  %-" .. width .. "s  %s", "--help",
      "show this and end")
   return (table.concat(lines, "\n"):gsub("[ \t]+\n", "\n")) .. "\n"
end

-- Reading --------------------------------------------------------------------

-- Changes of one character that make b of a, two neighbours swapped too.
local function distance(a, b)
   local before, last, now = nil, {}, nil
   for j = 0, #b do last[j] = j end
   for i = 1, #a do
      now = { [0] = i }
      for j = 1, #b do
         local same = a:byte(i) == b:byte(j)
         now[j] = math.min(last[j] + 1, now[j - 1] + 1,
            last[j - 1] + (same and 0 or 1))
         if before and a:byte(i) == b:byte(j - 1)
            and a:byte(i - 1) == b:byte(j) then
            now[j] = math.min(now[j], before[j - 2] + 1)
         end
      end
      before, last = last, now
   end
   return last[#b]
end

local function nearest(name, names)
   local best, least = nil, math.min(3, #name)
   for _, other in ipairs(names) do
      local d = distance(name, other)
      if #name > 1 and other:sub(1, #name) == name then d = math.min(d, 1) end
      if d < least then best, least = other, d end
   end
   return best
end

local function unknown(word, name, names)
   local near = #name <= 60 and nearest(plain(name), names)
   return format("unknown option '%s'%s", word,
      near and format(": did you mean '--%s'?", near) or "")
end

local function to_boolean(text)
   if text == "true" then return true end
   if text == "false" then return false end
   return nil, "true or false"
end

local function to_integer(text)
   local ok, n = pcall(core.int, text)
   if ok then return n end
   return nil, "a whole number of at most 64 bits"
end

-- A number is never rounded to another one when it is whole.
local function to_number(text, default)
   local n = text:find("^[+-]?%.?%d") and tonumber(text)
   if not n then return nil, "a number" end
   if text:find("^[+-]?%d+$") then
      local digits = text:gsub("^%+", ""):gsub("^(-?)0+(%d)", "%1%2")
      if digits ~= core.number_text(n) and digits ~= "-0" then
         return nil, "a number that can be held exactly"
      end
   elseif math.type and math.type(default) == "integer" then
      n = math.tointeger(n) or n
   end
   return n
end

local read = {
   number = to_number, integer = to_integer, boolean = to_boolean,
   string = function(text) return text end,
}

-- The option that a name means and, for --no-fast, its value.
local function find(options, name)
   name = plain(name)
   local o = options[name]
   if o then return o end
   o = options[name:match("^no%-(.+)$") or ""]
   if o and o.kind == "boolean" then return o, false end
end

-- Sets one option of words[i]; gives the place of the last word taken, or nil
-- and what is wrong.
local function take(options, names, words, i, values)
   local word = words[i]
   local name, equals, text = word:match("^%-%-([^=]+)(=?)(.*)$")
   if not name then
      if word:find("^%-.") and word ~= "--" then
         return nil, unknown(word, (word:gsub("^%-+", "")), names)
      end
      return nil, format("unexpected word '%s'", word)
   end
   local o, fixed = find(options, name)
   if not o then return nil, unknown("--" .. name, name, names) end
   if fixed ~= nil then
      if equals == "=" then
         return nil, format("'--%s' takes no value", name)
      end
      values[o.name] = fixed
      return i
   elseif equals == "" and o.kind == "boolean" then
      values[o.name] = true
      return i
   elseif equals == "" then
      i = i + 1
      text = words[i]
      if not text or text:find("^%-%-") then
         return nil, format("'--%s' needs a value%s", name,
            text and format(" ('--%s=%s' if that is it)", name, text) or "")
      end
   end
   local value, wanted = read[o.kind](text, o.default)
   if wanted then
      return nil, format("'--%s' must be %s, got '%s'", name, wanted, text)
   end
   values[o.name] = value
   return i
end

local function stock_words()
   local words, all = {}, rawget(_G, "arg")
   for i = 1, type(all) == "table" and #all or 0 do
      words[i] = tostring(all[i])
   end
   return words, type(all) == "table" and all[0]
end

return function(spec)
   if type(spec) ~= "table" then
      error("flow.args: spec must be a table of options, got " .. type(spec), 2)
   end
   local options, names = declare(spec)
   if not options then error("flow.args: " .. names, 2) end
   local words, script = core.argv, core.script
   if not words then words, script = stock_words() end
   local asked, wrong = core.help, nil
   local values, i = {}, 1
   for _, o in next, options do values[o.name] = o.default end
   while i <= #words and not asked do
      if words[i] == "--help" or words[i] == "-h" then
         asked = true
      elseif not wrong then
         local last
         last, wrong = take(options, names, words, i, values)
         i = last or i
      end
      i = i + 1
   end
   if asked then
      core.show_help(help(options, names, script or "script.lua"))
   end
   if wrong then core.usage(wrong, script or "script.lua") end
   return values
end
