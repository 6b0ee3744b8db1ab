-- commands.lua: what a command is: words, files, streams, results, and how
-- tasks make them.

local flow = require "flowrun"
local t = require "t"
local kit = require "kit"

local on, sh, exists = kit.commands, kit.sh, t.exists

-- Words and the result --------------------------------------------------------

on("words arrive as they are", 1, function(pool)
   local words = { "", " ", "two words", "'", '"', "$HOME", "`id`", "a\nb", "*",
      "\\", ";", "&& false", "-n", "--", "é", "\1\255", "~", "{a,b}", "#" }
   local command = { "perl", "-e", 'print join "\\0", @ARGV', "--" }
   for _, word in ipairs(words) do command[#command + 1] = word end
   local result = pool:submit(command):result()
   t.equal(result.out, table.concat(words, "\0"))
   t.equal(result.err, "")
   t.equal(result.status, 0)
end)

on("numbers as words are short", 1, function(pool)
   local result = pool:submit{ "printf", "%s\n", 0.1, 3, 1e15, 2 ^ 53, -0.5,
      flow.int(2 ^ 53) + flow.int(1) }:result()
   t.equal(result.out,
      "0.1\n3\n1000000000000000\n9007199254740992\n-0.5\n9007199254740993\n")
end)

on("a long word, and many", 1, function(pool)
   local long = ("x"):rep(100000)
   t.equal(pool:submit{ "printf", "%s", long }:result().out, long)
   local many = { "sh", "-c", "echo $#", "sh" }
   for i = 1, 5000 do many[i + 4] = i end
   t.equal(pool:submit(many):result().out, "5000\n")
end)

on("the result", 1, function(pool, dir)
   local result = pool:submit{ "sh", "-c", "echo out; echo err >&2; exit 0",
      cwd = dir }:result()
   t.equal(result.status, 0)
   t.equal(result.out, "out\n")
   t.equal(result.err, "err\n")
   t.ok(result.seconds > 0 and result.seconds < 60)
   t.ok(result.cpu >= 0 and result.cpu < 60)
   t.ok(result.memory > 100000, "peak memory in bytes")
   t.equal(result.dir, dir)
   for name in pairs(result) do
      t.ok(("status out err files seconds cpu memory dir"):find(name), name)
   end
end)

on("no shell unless asked for", 1, function(pool)
   t.equal(pool:submit{ "echo", "a; echo b" }:result().out, "a; echo b\n")
   t.equal(pool:submit{ "echo a; echo b", shell = true }:result().out,
      "a\nb\n")
   t.equal(pool:submit{ 'echo "$2" "$1"', "one", "two  words", shell = true }
      :result().out, "two  words one\n")
   local err = kit.fails("exit", pool:submit{ "echo a; echo b" })
   t.equal(err.status, 127)
end)

-- Directories and files -------------------------------------------------------

on("cwd is made, with parents", 1, function(pool, dir)
   local inner = dir .. "/a/b c"
   local result = pool:submit{ "sh", "-c", "pwd; echo here >file",
      cwd = inner }:result()
   t.equal(result.out, inner .. "\n")
   t.equal(result.dir, inner)
   t.equal(t.read(inner .. "/file"), "here\n")
end)

on("a temporary directory is private, and goes", 1, function(pool)
   local result = pool:submit{ "sh", "-c",
      "pwd; stat -c %a .; mkdir -p deep/er; echo x >deep/er/f; chmod 500 deep/er",
      cwd = "temp" }:result()
   local path, mode = result.out:match("^(/.-)\n(%d+)\n$")
   t.equal(mode, "700")
   t.ok(not exists(path), path .. " is removed")
   local other = pool:submit{ "pwd", cwd = "temp" }:result()
   t.ok(other.out ~= path .. "\n", "each has its own")
end)

on("keep", 1, function(pool)
   local function run(keep, status)
      local future = pool:submit{ "sh", "-c", "pwd; exit " .. status,
         cwd = "temp", keep = keep, files = { note = "kept" } }
      local ok, value = future:try()
      t.equal(ok, status == 0)
      local there = exists(value.dir .. "/note")
      if there then os.execute("rm -rf " .. t.quote(value.dir)) end
      return there
   end
   t.equal(run("failed", 0), false)
   t.equal(run("failed", 3), true)
   t.equal(run("always", 0), true)
   t.equal(run("always", 3), true)
   t.equal(run(nil, 3), false)
end)

on("keep when parse raises", 1, function(pool, dir)
   local name = "keeper" .. dir:match("%w+$")
   local future = pool:with{ name = name }:submit{ "sh", "-c",
      "pwd >" .. t.quote(dir .. "/where") .. "; echo odd",
      cwd = "temp", keep = "failed",
      parse = function(result) error("no good") end }
   local err = kit.fails("error", future, "no good")
   local kept = flow.glob((os.getenv("TMPDIR") or "/tmp")
      .. "/flowrun-kept-" .. name .. "*")
   t.equal(#kept, 1)
   t.equal(err.dir, kept[1])
   t.equal(err.out, "odd\n")
   t.equal(err.status, 0)
   os.execute("rm -rf " .. t.quote(kept[1]))
   t.ok(not exists(t.read(dir .. "/where"):gsub("\n", "")))
end)

on("files: texts and copies", 1, function(pool, dir)
   local text = "line\n\0\255" .. ("y"):rep(200000)
   t.write(dir .. "/mesh", "the mesh")
   local result = pool:submit{ "sh", "-c", "cat job.inp; cat sub/mesh; ls -a",
      cwd = "temp",
      files = { ["job.inp"] = text, ["sub/mesh"] = { path = dir .. "/mesh" },
         number = 42 } }:result()
   t.equal(result.out, text .. "the mesh.\n..\njob.inp\nnumber\nsub\n")
   kit.fails("error", pool:submit{ "true", cwd = "temp",
      files = { a = { path = dir .. "/none" } } }, "none")
end)

for _, name in ipairs { "../evil", "a/../../evil", "/tmp/evil-flowrun", "..",
      "sub/../../evil" } do
   on("a file " .. name .. " leaves the directory", 1, function(pool, dir)
      local inner = dir .. "/in"
      local err = kit.fails("error", pool:submit{ "true", cwd = inner,
         files = { [name] = "evil", fine = "fine" } })
      t.ok(err.message:find(name, 1, true), err.message)
      t.ok(not exists(inner .. "/fine"), "nothing was written")
      t.ok(not exists(dir .. "/evil"))
      t.ok(not exists("/tmp/evil-flowrun"))
   end)
end

on("a link does not lead out", 1, function(pool, dir)
   os.execute("mkdir -p " .. dir .. "/in " .. dir .. "/out && ln -s ../out "
      .. dir .. "/in/link")
   kit.fails("error", pool:submit{ "true", cwd = dir .. "/in",
      files = { ["link/evil"] = "evil" } })
   t.ok(not exists(dir .. "/out/evil"))
end)

on("collect: names and patterns", 1, function(pool, dir)
   local command = { "sh", "-c",
      "printf A >a.dat; printf B >b.dat; mkdir s; printf C >s/c.dat; printf D >d",
      collect = { "*.dat", "d", "s/c.dat" } }
   command.cwd = "temp"
   t.same(pool:submit(command):result().files,
      { ["a.dat"] = "A", ["b.dat"] = "B", d = "D", ["s/c.dat"] = "C" })
   command.cwd = dir
   local files = pool:submit(command):result().files
   t.equal(t.read(files["a.dat"]), "A", "without temp: its path")
   t.equal(t.read(files["s/c.dat"]), "C")
end)

on("collect: what was there before does not count", 1, function(pool, dir)
   t.write(dir .. "/old.dat", "of the run before")
   local err = kit.fails("error", pool:submit{ "true", cwd = dir,
      collect = { "old.dat" } }, "old.dat")
   t.ok(not exists(dir .. "/old.dat"))
   t.same(pool:submit{ "true", cwd = dir, collect = { "*.dat" } }:result().files,
      {})
end)

-- Environment and streams -----------------------------------------------------

on("env", 1, function(pool)
   local result = pool:submit{ "sh", "-c",
      'echo "$A|$B|${HOME-none}|${PATH:+path}|$C"',
      env = { A = "a b", B = 7, HOME = false, C = "é\n" } }:result()
   t.equal(result.out, "a b|7|none|path|é\n\n")
   t.ok(os.getenv("HOME"), "the run's own is as it was")
end)

on("what the engine tells a command", 1, function(pool)
   local solver = flow.limit("commands-solver", 2)
   local view = pool:with{ name = "job 1", limit = solver }
   local out = view:submit{ "sh", "-c", "env | grep ^FLOWRUN_ | sort" }:result()
      .out
   t.match(out, "FLOWRUN_ATTEMPT=1\n")
   t.match(out, "FLOWRUN_NAME=job 1\n")
   t.match(out, "FLOWRUN_SEAT_COMMANDS_SOLVER=[12]\n")
   t.match(out, "FLOWRUN_SEED=%d+\n")
   t.match(out, "FLOWRUN_TASK=%d+\n")
end)

on("stdin", 1, function(pool, dir)
   local text = ("0123456789"):rep(100000)
   t.equal(pool:submit{ "cat" }:result().out, "", "nothing by itself")
   t.equal(pool:submit{ "cat", stdin = text }:result().out, text)
   t.equal(pool:submit{ "cat", stdin = "\0a" }:result().out, "\0a")
   t.write(dir .. "/in", "from a file")
   t.equal(pool:submit{ "cat", stdin = { path = dir .. "/in" } }:result().out,
      "from a file")
   t.equal(pool:submit{ "true", stdin = text }:result().status, 0,
      "not reading it is no error")
end)

on("stdout and stderr to a path", 1, function(pool, dir)
   local result = pool:submit{ "sh", "-c", "echo out; echo err >&2", cwd = dir,
      stdout = "log", stderr = dir .. "/errors" }:result()
   t.equal(result.out, nil)
   t.equal(result.err, nil)
   t.equal(t.read(dir .. "/log"), "out\n")
   t.equal(t.read(dir .. "/errors"), "err\n")
   local both = pool:submit{ "sh", "-c", "echo out; echo err >&2",
      cwd = "temp", stdout = "log", collect = { "log" } }:result()
   t.equal(both.files.log, "out\n")
   t.equal(both.err, "err\n")
end)

on("capture is bounded, and says what was cut", 1, function(pool)
   local result = pool:submit{ "sh", "-c",
      "printf BEGIN; head -c 100000 /dev/zero | tr '\\0' x; printf END",
      capture = 1000 }:result()
   t.ok(#result.out <= 1200, #result.out)
   t.match(result.out, "^BEGINx+")
   t.match(result.out, "x+END$")
   t.match(result.out, "99008", "how much is missing")
   local whole = pool:submit{ "printf", ("x"):rep(1000), capture = 1000 }
      :result()
   t.equal(whole.out, ("x"):rep(1000), "nothing is cut where it fits")
end)

-- parse and ok_status ---------------------------------------------------------

on("parse", 1, function(pool)
   local factor = 3
   local future = pool:submit{ "echo", "force 14",
      parse = function(result)
         return tonumber(result.out:match("force (%d+)")) * factor, result.status
      end }
   local value, second = future:result()
   t.equal(value, 42)
   t.equal(second, 0)
   t.equal(pool:submit{ "true", parse = function() end }:result(), nil)
   local err = kit.fails("error", pool:submit{ "true",
      parse = function(result) error({ code = 5 }) end })
   t.equal(err.value.code, 5)
   kit.fails("exit", pool:submit{ "false",
      parse = function() return "not reached" end })
end)

on("parse runs beside the next command", 1, function(pool, dir)
   local limit = flow.limit(1)
   local view = pool:with{ limit = limit }
   local gate = t.write(dir .. "/gate", "")
   local first = view:submit{ "true", parse = function()
      local late = os.time() + 20
      while true do
         local f = io.open(gate)
         if not f then return "parsed" end
         f:close()
         if os.time() > late then error "the next command did not run" end
      end
   end }
   local second = view:submit{ "rm", gate }
   t.equal(second:result().status, 0)
   t.equal(first:result(), "parsed")
end)

on("ok_status", 1, function(pool)
   local result = pool:submit{ "sh", "-c", "exit 3", ok_status = { 0, 3 } }
      :result()
   t.equal(result.status, 3)
   kit.fails("exit", pool:submit{ "true", ok_status = { 3 } })
end)

-- Tasks that make their command -----------------------------------------------

local function case(mesh, key)
   return { "echo", "mesh", mesh, key or "none" }
end

on("a function returns the command", 2, function(pool)
   t.equal(pool:submit(case, 200):result().out, "mesh 200 none\n")
   local results = pool:map(case, { a = 1, b = 2, "x" })
   t.equal(results.a.out, "mesh 1 a\n")
   t.equal(results.b.out, "mesh 2 b\n")
   t.equal(results[1].out, "mesh x 1\n")
   local futures = pool:scatter(case, { 10, 20, 30 })
   local seen = {}
   for key, future in flow.as_completed(futures) do
      seen[key] = future:result().out
   end
   t.same(seen, { "mesh 10 1\n", "mesh 20 2\n", "mesh 30 3\n" })
   local settled = flow.settle(pool:scatter(function(word)
      return { word }
   end, { good = "true", bad = "false" }))
   t.equal(settled.good.value.status, 0)
   t.equal(settled.bad.error.kind, "exit")
   t.equal(settled.bad.error.key, "bad")
end)

on("what such a function sees", 1, function(pool)
   local count = flow.dict()
   local view = pool:with{ retries = 2, backoff = 0, name = "grower",
      limit = flow.limit("commands-seat", 1) }
   local result = view:submit(function()
      count:add("calls", 1)
      return { "sh", "-c", "echo $FLOWRUN_ATTEMPT; exit $1", "sh",
         flow.attempt() < 3 and 1 or 0,
         env = { SEAT = flow.seat("commands-seat") },
         parse = function(r)
            return { out = r.out, attempt = flow.attempt(),
               own = tostring(flow.pool()), cancelled = flow.cancelled() }
         end }
   end):result()
   t.equal(count:get("calls"), 3)
   t.equal(result.out, "3\n")
   t.equal(result.attempt, 3)
   t.equal(result.own, tostring(pool))
   t.equal(result.cancelled, false)
end)

on("what else such a function does", 2, function(pool)
   local result = pool:submit(function()
      local inner = flow.pool():submit{ "echo", "inner" }
      local lua = flow.threads(1):submit(function() return "lua" end)
      return { "echo", inner:result().out:match("%S+"), lua:result() }
   end):result()
   t.equal(result.out, "inner lua\n")
   local err = kit.fails("error", pool:submit(function() error "no deck" end),
      "no deck")
   t.match(err.message, "^[^:]*commands.lua:%d+: no deck$")
end)

-- Futures ---------------------------------------------------------------------

on("futures in a command are dependencies", 2, function(pool, dir)
   local lua = flow.threads(1)
   local function make(text, seconds)
      flow.sleep(seconds or 0)
      return text
   end
   local deck = lua:submit(make, "the deck", 0.02)
   local word = lua:submit(make, "a word")
   local path = lua:submit(make, t.write(dir .. "/f", "a file"))
   local where = lua:submit(make, dir .. "/made")
   local result = pool:submit{ "sh", "-c", 'cat job; cat; echo "$1" "$E"', "sh",
      word, cwd = where, files = { job = deck, copy = { path = path } },
      stdin = { path = path }, env = { E = lua:submit(make, 5) } }:result()
   t.equal(result.out, "the decka filea word 5\n")
   t.equal(t.read(dir .. "/made/copy"), "a file")
   local mesh = pool:submit{ "echo", "mesh", parse = function(r)
      return r.out
   end }
   t.equal(pool:submit{ "cat", stdin = mesh }:result().out, "mesh\n")
   local argument = pool:submit(function(result)
      return { "echo", result.status }
   end, pool:submit{ "true" })
   t.equal(argument:result().out, "0\n")
   local after = lua:submit(function(result) return result.out end,
      pool:submit{ "printf", "direct" })
   t.equal(after:result(), "direct")
   local err = kit.fails("dependency", pool:submit{ "cat",
      stdin = lua:submit(function() error "no mesh" end) })
   t.match(err.cause.message, "no mesh")
   kit.fails("error", pool:submit{ "echo",
      lua:submit(function() return {} end) }, "bad command word 2")
   lua:close()
end)

on("a result of a command in forks", 1, function(pool)
   local forks = flow.forks(1)
   local result = forks:submit(function(r) return r.out .. r.status end,
      pool:submit{ "echo", "x" }):result()
   t.equal(result, "x\n0")
   forks:close()
end)

on("an error of a command has its result, in forks too", 1, function(pool)
   local forks = flow.forks(1)
   local task = forks:submit(function(commands)
      local line = "echo out; echo err >&2; exit 3"
      local ok, e = commands:submit{ "sh", "-c", line }:try()
      return ok, e.kind, e.out, e.err, e.status, type(e.seconds)
   end, pool)
   t.same({ task:result() }, { false, "exit", "out\n", "err\n", 3, "number" })
   forks:close()
end)

on("after", 2, function(pool, dir)
   local first = pool:submit{ "sh", "-c", "sleep 0.05; echo 1 >" .. dir .. "/f" }
   local second = pool:with{ after = { first } }:submit{ "cat", dir .. "/f" }
   t.equal(second:result().out, "1\n")
end)

-- Misuse ----------------------------------------------------------------------

t.test("a command that is none", function()
   local pool = flow.commands(1)
   local function refused(command, ...)
      for i = 1, select("#", ...) do
         local text = select(i, ...)
         kit.misuse(function() pool:submit(command) end, text)
         kit.misuse(function() flow.exec(command) end, text)
         local err = kit.fails("error",
            pool:submit(function() return command end), text)
         t.match(err.message, "commands.lua:%d+: ")
      end
   end
   refused({}, "bad command (it has no words)")
   refused({ "" }, "bad command word 1 (it is empty)")
   refused({ "a", nil, "c" }, "bad command word 2 (it is nil)")
   refused({ "a", true },
      "bad command word 2 (string or number expected, got boolean)")
   refused({ "a\0b" }, "bad command word 1 (a NUL in it)")
   refused({ "a", directory = "x" }, "unknown command field 'directory'")
   refused({ "a", [0] = "x" }, "unknown command field [0]")
   refused({ "a", cwd = 5 },
      "bad command field 'cwd' (string expected, got number)")
   refused({ "a", cwd = "" }, "bad command field 'cwd' (it is empty)")
   refused({ "a", cwd = "x\0" }, "bad command field 'cwd' (a NUL in it)")
   refused({ "a", keep = "failed" }, "'keep' (it is for cwd = \"temp\")")
   refused({ "a", cwd = "temp", keep = true }, "'keep' (\"failed\" or \"always\"")
   refused({ "a", files = "x" },
      "bad command field 'files' (table expected, got string)")
   refused({ "a", files = { "x" } },
      "'files' (a string as each name expected, got number)")
   refused({ "a", files = { x = true } },
      "'files.x' (string or { path= } expected, got boolean)")
   refused({ "a", files = { x = { path = "f", mode = 1 } } },
      "'files.x' ('mode' beside path)")
   refused({ "a", files = { ["x\0"] = "" } }, "a NUL in it")
   refused({ "a", collect = "x" },
      "'collect' (list of names expected, got string)")
   refused({ "a", collect = { 1 } },
      "'collect[1]' (string expected, got number)")
   refused({ "a", env = { A = true } },
      "'env.A' (string, number or false expected, got boolean)")
   refused({ "a", env = { ["A=B"] = "" } }, "\"=\" in the name A=B")
   refused({ "a", env = { A = "\0" } }, "'env.A' (a NUL in it)")
   refused({ "a", stdin = true },
      "'stdin' (string or { path= } expected, got boolean)")
   refused({ "a", stdout = 1 }, "'stdout' (string expected, got number)")
   refused({ "a", stderr = "" }, "'stderr' (it is empty)")
   refused({ "a", ok_status = 1 }, "'ok_status' (list of numbers expected")
   refused({ "a", ok_status = {} }, "'ok_status' (it is empty)")
   refused({ "a", ok_status = { 256 } },
      "'ok_status[1]' (a whole number from 0 to 255 expected, got 256)")
   refused({ "a", capture = -1 }, "'capture' (a whole number from 0")
   refused({ "a", parse = 1 }, "'parse' (function expected, got number)")
   refused({ "a", shell = 1 }, "'shell' (boolean expected, got number)")
   t.equal(pool:stats().queued, 0)
   pool:close()
end)

t.test("other misuse", function()
   local pool = flow.commands(1)
   kit.misuse(function() flow.exec("ls") end,
      "bad argument #1 to 'exec' (table expected, got string)")
   kit.misuse(function() flow.exec() end, "got nil")
   kit.misuse(function() pool:submit("ls") end,
      "bad argument #1 to 'submit' (function expected, got string)")
   kit.misuse(function() pool:submit({ "ls" }, 1) end,
      "bad argument #2 to 'submit'")
   kit.misuse(function() pool:map({ "ls" }, {}) end,
      "bad argument #1 to 'map' (function expected, got table)")
   kit.misuse(function() flow.threads(1):submit { "ls" } end,
      "a command needs a pool of commands")
   kit.misuse(function() flow.commands(0) end, "workers")
   kit.misuse(function() flow.commands { words = 1 } end, "words")
   kit.misuse(function()
      flow.exec { "echo", pool:submit { "true" } }
   end, "bad command word 2 (string or number expected, got future)")
   kit.fails("error", pool:submit(function() end),
      "a command expected from the function (table expected, got nil)")
   kit.refused("unsendable", function()
      pool:submit { "true", parse = function() return io.stdout:seek() end }
      local file = io.tmpfile()
      pool:submit { "true", parse = function() return file end }
   end, "argument 1 .parse upvalue file: userdata (FILE*)")
   pool:close()
   kit.refused("closed", function() pool:submit { "true" } end)
end)

t.test("names", function()
   local pool = flow.commands { workers = 1, name = "solvers" }
   t.match(tostring(pool), "solvers")
   local future = pool:submit { "/bin/true" }
   t.match(tostring(future), "^future %(true%)")
   future:result()
   t.equal(future:info().name, "true")
   t.equal(future:info().pool, "solvers")
   t.equal(pool:submit({ "true  |\n cat", shell = true }):info().name,
      "true | cat")
   t.equal(pool:submit({ "true", parse = function() end }):info().name, "true")
   t.match(pool:submit(case, 1):info().name, "^commands.lua:%d+$")
   t.equal(pool:with { name = "mine" }:submit({ "true" }):info().name, "mine")
   local view = pool:with { name = function(c) return "run " .. c[1] end }
   t.equal(view:submit({ "true" }):info().name, "run true")
   local err = kit.fails("exit", pool:submit { "false" })
   t.match(tostring(err), "^false: exit: ")
   t.equal(err.task, "false")
   t.equal(err.pool, "solvers")
   pool:close()
end)

return t.finish()
