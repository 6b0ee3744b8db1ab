-- args.lua: flow.args. Its rules are tested on the chunk itself, with a core
-- that raises where the real one ends the run; then once through the program.
local t = require "t"
local flow = require "flowrun"

local root = (arg[0]:match("^(.*)/") or ".") .. "/../../"
local chunk = assert(loadfile(root .. "lua/flowrun/args.lua"))

local function number_text(n)
   if type(n) == "cdata" then return (tostring(n):gsub("LL$", "")) end
   if type(n) ~= "number" then return nil end
   if n % 1 == 0 and n > -2 ^ 63 and n < 2 ^ 63 then return ("%d"):format(n) end
   return ("%.14g"):format(n)
end

-- What flow.args gives for these words; usage errors and help are raised.
local function args(spec, words, help)
   return chunk {
      argv = words, script = "job.lua", help = help, int = flow.int,
      number_text = number_text,
      usage = function(message) error({ usage = message }, 0) end,
      show_help = function(text) error({ help = text }, 0) end,
   }(spec)
end

local spec = {
   workers = { 4, "tests at once" }, deck = { "a.yaml", "the cases" },
   fast = { false, "coarse meshes" }, log = { true, "keep logs" },
   mesh_size = { 0.5, "in mm" },
}

local function usage(words, pattern, options)
   local ok, err = pcall(args, options or spec, words)
   t.ok(not ok and type(err) == "table", table.concat(words, " "))
   t.match(err.usage, pattern)
end

t.test("defaults", function()
   t.same(args(spec, {}), { workers = 4, deck = "a.yaml", fast = false,
      log = true, mesh_size = 0.5 })
   t.same(args({}, {}), {})
end)

t.test("values", function()
   t.same(args(spec, { "--workers", "8", "--deck=b c.yaml", "--fast", "--no-log",
      "--mesh-size", "1e-3" }), { workers = 8, deck = "b c.yaml", fast = true,
      log = false, mesh_size = 0.001 })
   t.equal(args(spec, { "--mesh_size=2" }).mesh_size, 2)
   t.equal(args(spec, { "--fast=true" }).fast, true)
   t.equal(args(spec, { "--fast", "--fast=false" }).fast, false)
   t.equal(args(spec, { "--no-fast" }).fast, false)
   t.equal(args(spec, { "--deck=" }).deck, "")
   t.equal(args(spec, { "--deck", "-x" }).deck, "-x")
   t.equal(args(spec, { "--deck=--x=y" }).deck, "--x=y")
   t.equal(args(spec, { "--deck", "007" }).deck, "007")
   t.equal(args(spec, { "--workers", "-5" }).workers, -5)
   t.equal(args(spec, { "--workers=007" }).workers, 7)
   t.equal(args(spec, { "--workers=+7" }).workers, 7)
   t.equal(args(spec, { "--workers=1e9" }).workers, 1000000000)
   t.equal(args(spec, { "--workers=2.5" }).workers, 2.5)
   t.equal(args(spec, { "--workers=0x10" }).workers, 16)
   t.equal(args(spec, { "--workers", "1", "--workers", "2" }).workers, 2)
   t.ok(args({ n = { flow.int(5) } }, { "--n=9223372036854775807" }).n
      == flow.int "9223372036854775807")
end)

t.test("wrong types", function()
   for _, text in ipairs { "x", "", "5x", "nan", "inf", "-", "1e", "0x", " 5",
      "true" } do
      usage({ "--workers=" .. text }, "'%-%-workers' must be a number, got")
   end
   usage({ "--workers=99999999999999999999" }, "exactly")
   usage({ "--fast=yes" }, "'%-%-fast' must be true or false, got 'yes'")
   usage({ "--no-fast=true" }, "takes no value")
   if jit then
      usage({ "--n=1.5" }, "whole number", { n = { flow.int(5) } })
   end
end)

t.test("missing values", function()
   usage({ "--workers" }, "'%-%-workers' needs a value")
   usage({ "--deck", "--fast" }, "needs a value .*'%-%-deck=%-%-fast'")
end)

t.test("unknown options and words", function()
   usage({ "--wrokers", "3" }, "'%-%-wrokers': did you mean '%-%-workers'%?")
   usage({ "--work=3" }, "did you mean '%-%-workers'")
   usage({ "--mesh_sise=3" }, "did you mean '%-%-mesh%-size'")
   usage({ "-workers" }, "'%-workers': did you mean '%-%-workers'")
   usage({ "--zzzzzz" }, "^unknown option '%-%-zzzzzz'$")
   usage({ "--no-deck" }, "unknown option '%-%-no%-deck'")
   usage({ "--no-" }, "unknown")
   usage({ "--" .. ("x"):rep(1e5) }, "unknown")
   usage({ "x" }, "unexpected word 'x'")
   usage({ "--fast", "true" }, "unexpected word 'true'")
   usage({ "" }, "unexpected word ''")
   usage({ "-" }, "unexpected word '%-'")
   usage({ "--" }, "unexpected word '%-%-'")
   usage({ "--=x" }, "unknown")
   usage({ "--a" }, "unknown option", {})
end)

t.test("help", function()
   local want = table.concat({
      "usage: flowrun job.lua [options]", "",
      "  --deck TEXT    the cases (default: a.yaml)",
      "  --fast         coarse meshes",
      "  --[no-]log     keep logs (default: on)",
      "  --mesh-size N  in mm (default: 0.5)",
      "  --workers N    tests at once (default: 4)",
      "  --help         show this and end", "" }, "\n")
   for _, words in ipairs { { "--help" }, { "-h" }, { "--fast", "--help" },
      { "--bad", "--help" } } do
      local ok, err = pcall(args, spec, words)
      t.equal(not ok and err.help, want)
   end
   local ok, err = pcall(args, spec, {}, true)
   t.equal(not ok and err.help, want)
   t.equal(args(spec, { "--deck", "-h" }).deck, "-h")
end)

t.test("misuse is a string at the caller's line", function()
   local here = debug.getinfo(1, "S").short_src
   local flow_args = chunk { argv = {}, number_text = number_text }
   for _, bad in ipairs { 5, { [1] = { 1 } }, { ["a b"] = { 1 } },
      { help = { true } }, { n = {} }, { n = 4 }, { n = { {} } },
      { n = { 1, 2 } }, { n = { print } }, { a_b = { 1 }, ["a-b"] = { 2 } } } do
      local err = t.raises(function() local _ = flow_args(bad) end, "flow%.args: ")
      t.equal(err:sub(1, #here + 1), here .. ":")
   end
end)

t.test("in a stock Lua the words are those of arg", function()
   local old = arg
   arg = { [0] = "job.lua", "--workers=2" }
   local ok, values = pcall(chunk { number_text = number_text }, spec)
   arg = old
   t.ok(ok, values)
   t.equal(values.workers, 2)
end)

-- The program itself ----------------------------------------------------------

local program = os.getenv "FLOWRUN"

if program then
   local folder, remove = t.directory()
   local script = t.write(folder .. "/job.lua", [[
      local flow = require "flowrun"
      print "begun"
      local opt = flow.args { workers = { 4, "tests at once" } }
      print(opt.workers)
   ]])
   local run = t.quote(program) .. " " .. t.quote(script) .. " "

   t.test("the program: values, usage errors, help", function()
      t.run { run, out = "begun\n4\n", err = "" }
      t.run { run .. "--workers 7", out = "begun\n7\n" }
      t.run { run .. "--workers x", status = 2, err_match = "'%-%-workers' must" }
      t.run { run .. "--wrokers 3", status = 2, err_match = "did you mean" }
      t.run { run .. "x", status = 2, err_match = "unexpected word 'x'" }
      local _, out = t.run { run .. "--help", err = "" }
      t.match(out, "usage: flowrun .*job%.lua %[options%]\n")
      t.match(out, "\n  %-%-workers N  tests at once %(default: 4%)\n")
   end)
   remove()
end

return t.finish()
