---@meta flowrun
-- Definitions for editors that know LuaCATS (lua-language-server). Not loaded
-- by flowrun. The meaning of each function is in docs/reference.md.

---@class flowrun
local flow = {}

---Seconds, whole or not.
---@alias flowrun.Seconds number

---@alias flowrun.Key string|number|boolean

---A 64-bit integer on both Luas.
---@alias flowrun.Int integer

---@alias flowrun.State "pending"|"running"|"done"|"failed"|"cancelled"

---@alias flowrun.ErrorKind
---| "error"       # the function raised
---| "exit"        # a command ended with a status other than 0
---| "crashed"     # the worker died under the task
---| "timeout"     # the attempt ran past its timeout
---| "cancelled"   # cancel was asked for and won
---| "unsendable"  # a value that cannot travel
---| "dependency"  # a task that it waits for failed
---| "resource"    # no worker, no memory, a cap hit, or a need above its limit
---| "unfinished"  # a wait ran out of its own seconds
---| "closed"      # the pool, or the queue, was closed
---| "deadlock"    # waits that can never end
---| "journal"     # the journal could not be written or read

---@class flowrun.Error
---@field kind flowrun.ErrorKind
---@field message string one line
---@field traceback? string
---@field task? string the task's name
---@field key? flowrun.Key
---@field attempts? integer
---@field pool? string
---@field value? any what the function raised
---@field cause? flowrun.Error
---@field signal? integer
---@field status? integer
---@field seconds? flowrun.Seconds
---@field out? string of a command, as in its result
---@field err? string
---@field files? table<string, string>
---@field cpu? flowrun.Seconds
---@field memory? integer
---@field dir? string

---@class flowrun.Command
---@field [integer] string|number|flowrun.Future the program and its words
---@field shell? boolean the first word is a line for sh, the others its $1, $2
---@field cwd? string|"temp" where it runs; made if missing
---@field keep? "failed"|"always" a temporary directory stays
---@field files? table<string, string|number|{ path: string }|flowrun.Future> written before the start
---@field collect? string[] names and patterns, read after the end
---@field env? table<string, string|number|false|flowrun.Future>
---@field stdin? string|number|{ path: string }|flowrun.Future
---@field stdout? string a path instead of capture
---@field stderr? string
---@field ok_status? integer[] statuses that are no failure
---@field capture? integer bytes kept of each stream
---@field parse? fun(result: flowrun.CommandResult): ... its values are the result

---@class flowrun.CommandResult
---@field status integer
---@field out? string
---@field err? string
---@field files table<string, string> texts with "temp", else paths
---@field seconds flowrun.Seconds
---@field cpu flowrun.Seconds
---@field memory integer bytes at the peak
---@field dir? string

---@class flowrun.PoolOptions
---@field workers? integer 1 to 1024; default: usable CPUs
---@field name? string
---@field init? fun() run once in every worker before its first task

---@class flowrun.ForkOptions: flowrun.PoolOptions
---@field max_tasks? integer a worker process is replaced after so many

---@class flowrun.Policy
---@field name? string|fun(value: any, key: any): string
---@field priority? number higher first
---@field after? flowrun.Future|table<any, flowrun.Future> must succeed first
---@field limit? flowrun.Limit|table<integer|flowrun.Limit, flowrun.Limit|integer>
---@field timeout? flowrun.Seconds that an attempt may run
---@field memory? number bytes that an attempt may take
---@field retries? integer attempts after the first
---@field backoff? flowrun.Seconds before the second attempt, then doubled
---@field retry_on? flowrun.ErrorKind|flowrun.ErrorKind[]
---@field chunk? integer|"auto" items that map hands out together
---@field journal? flowrun.Journal where finished tasks are kept, and taken from
---@field version? string in keys it stands for the source of the function
---@field durable? boolean a result comes only after it is safely written
---@field halt? "never"|"soon,fail=1"|"now,fail=1"|string when the rest is stopped: also fail, success or done with a count or N%

---@class flowrun.Stats
---@field workers integer
---@field queued integer
---@field running integer those that wait, too
---@field done integer
---@field failed integer
---@field cancelled integer
---@field retried integer
---@field crashed integer attempts
---@field lost integer threads that were given up

---@class flowrun.Info
---@field name string
---@field key? flowrun.Key
---@field pool string
---@field worker? integer
---@field attempts integer
---@field submitted flowrun.Seconds
---@field started? flowrun.Seconds
---@field finished? flowrun.Seconds
---@field seconds? flowrun.Seconds
---@field cpu? flowrun.Seconds
---@field memory? integer forks, commands: bytes at the peak; 0: not measured
---@field from_journal boolean it did not run: its result was kept

---@class flowrun.Outcome
---@field ok boolean
---@field value? any
---@field error? flowrun.Error

---@class flowrun.Range
---@field first integer
---@field last integer

---@class flowrun.Limit

-- Pools ----------------------------------------------------------------------

---@class flowrun.Pool
local pool = {}

---A pool of threads.
---@param options? integer|flowrun.PoolOptions
---@return flowrun.Pool
function flow.threads(options) end

---A pool of processes.
---@param options? integer|flowrun.ForkOptions
---@return flowrun.Pool
function flow.forks(options) end

---A pool of commands: tasks are programs.
---@param options? integer|flowrun.PoolOptions
---@return flowrun.Pool
function flow.commands(options) end

---Runs one command, here; its result, or what its parse returns. Raises.
---@param command flowrun.Command
---@return flowrun.CommandResult|any
function flow.exec(command) end

---With an argument a new pool of the default kind, without one the pool here.
---@param options? integer|flowrun.ForkOptions
---@return flowrun.Pool
function flow.pool(options) end

---Hands out fn(...). In a pool of commands fn returns a command, or is one.
---@param fn function|flowrun.Command
---@param ... any
---@return flowrun.Future
function pool:submit(fn, ...) end

---Hands out fn(value, key) for every item; futures under the keys of t.
---@generic K
---@param fn fun(value: any, key: any): ...
---@param t table<K, any>
---@return table<K, flowrun.Future>
function pool:scatter(fn, t) end

---The results of fn(value, key) under the keys of t; raises the first error.
---@generic K, V, R
---@param fn fun(value: V, key: K): R
---@param t table<K, V>
---@return table<K, R>
function pool:map(fn, t) end

---A view of the same pool with this policy.
---@param policy flowrun.Policy
---@return flowrun.Pool
function pool:with(policy) end

---Waits until nothing is pending; false when time ran out.
---@param seconds? flowrun.Seconds
---@return boolean
function pool:drain(seconds) end

---Cancels all that is pending, and stops what runs.
function pool:cancel() end

---Drains, then ends the workers.
function pool:close() end

---@return flowrun.Stats
function pool:stats() end

---An anonymous limit.
---@param count integer
---@return flowrun.Limit
function flow.limit(count) end

---A named limit, the same object wherever the name is used in this run.
---@param name string
---@param count integer
---@return flowrun.Limit
function flow.limit(name, count) end

---The same in a table; `shared`: with every run of this user on this machine.
---@param options { [1]: string, [2]: integer, shared?: boolean }
---@return flowrun.Limit
function flow.limit(options) end

-- Collecting -----------------------------------------------------------------

---The first values; raises the first error and cancels the rest.
---@generic K
---@param t table<K, flowrun.Future>
---@param seconds? flowrun.Seconds
---@return table<K, any>
function flow.gather(t, seconds) end

---The outcomes; never raises for a task.
---@generic K
---@param t table<K, flowrun.Future>
---@param seconds? flowrun.Seconds
---@return table<K, flowrun.Outcome>
function flow.settle(t, seconds) end

---Key and future in the order of completion.
---@generic K
---@param t table<K, flowrun.Future>
---@param seconds? flowrun.Seconds
---@return fun(): K, flowrun.Future
function flow.as_completed(t, seconds) end

---Done and pending futures under their keys.
---@generic K
---@param t table<K, flowrun.Future>
---@param options? { when?: "all"|"first"|"failed", timeout?: flowrun.Seconds }
---@return table<K, flowrun.Future> done
---@return table<K, flowrun.Future> pending
function flow.wait(t, options) end

-- Futures --------------------------------------------------------------------

---@class flowrun.Future
local future = {}

---All values that the function returned; raises the error.
---@param seconds? flowrun.Seconds
---@return any ...
function future:result(seconds) end

---true and the values, or false and the error.
---@param seconds? flowrun.Seconds
---@return boolean ok
---@return any ...
function future:try(seconds) end

---True when it is done, false when time ran out.
---@param seconds? flowrun.Seconds
---@return boolean
function future:wait(seconds) end

---@return flowrun.State
function future:state() end

---@return boolean
function future:done() end

---Calls fn once in the main program when it is done. Only there.
---@param fn fun(future: flowrun.Future)
function future:on_done(fn) end

---True if the outcome will be "cancelled".
---@return boolean
function future:cancel() end

---@return flowrun.Info
function future:info() end

-- The main program -----------------------------------------------------------

---Runs fn as a coroutine of the main program. Only there.
---@param fn function
---@param ... any
---@return flowrun.Future
function flow.async(fn, ...) end

---@param seconds flowrun.Seconds
function flow.sleep(seconds) end

---Seconds since the run began.
---@return flowrun.Seconds
function flow.now() end

---@class flowrun.Journal

---The journal of that path, for the policy field `journal`. Only in the main program.
---@param path string
---@return flowrun.Journal
function flow.journal(path) end

---Defaults of the command's options. Only in the main program.
---@param options { workers?: integer, pool?: "threads"|"forks", seed?: integer, timeout?: flowrun.Seconds, halt?: string, journal?: string, progress?: "auto"|"bar"|"plain"|"json"|"none", report?: string|string[] }
function flow.options(options) end

---Declares the script's own options: name = { default, "what it is" }.
---@param declarations table<string, { [1]: string|number|boolean|flowrun.Int, [2]: string }>
---@return table<string, any>
function flow.args(declarations) end

-- Inside a task --------------------------------------------------------------

---1, 2, ...
---@return integer
function flow.attempt() end

---Has somebody asked this task to stop, or has its time run out?
---@return boolean
function flow.cancelled() end

---The seats that the task holds of a named limit, from 1; nil: none.
---@param name string
---@return integer? seat
---@return integer ... more
function flow.seat(name) end

---A C function that the host program has registered, called with one value.
---@param name string
---@return fun(value: any): any
function flow.native(name) end

-- Shared things --------------------------------------------------------------

---First in, first out; the same queue for all that have its handle.
---@class flowrun.Queue
local queue = {}

---@param capacity? integer push waits while so many are in it
---@return flowrun.Queue
function flow.queue(capacity) end

---@param value any not nil
---@param seconds? flowrun.Seconds
---@return boolean pushed false: it was still full
function queue:push(value, seconds) end

---@param seconds? flowrun.Seconds
---@return any value nil: see why
---@return "closed"|"timeout"? why
function queue:pop(seconds) end

function queue:close() end

---@return integer
function queue:count() end

---Values under keys; the same dict for all that have its handle.
---@class flowrun.Dict
local dict = {}

---@return flowrun.Dict
function flow.dict() end

---@param key flowrun.Key
---@return any copy
function dict:get(key) end

---@param key flowrun.Key
---@param value any nil removes
function dict:set(key, value) end

---@param key flowrun.Key
---@param n number
---@return number sum
function dict:add(key, n) end

---@return table<flowrun.Key, any> copy
function dict:table() end

---@class flowrun.Lock
local lock = {}

---@return flowrun.Lock
function flow.lock() end

---Calls fn while the lock is held; gives what it returns.
---@param fn function
---@param ... any
---@return any ...
function lock:hold(fn, ...) end

---A value that is encoded once.
---@class flowrun.Share
local share = {}

---@param value any
---@return flowrun.Share
function flow.share(value) end

---The value, which must not be changed.
---@return any
function share:get() end

---Numbers in shared memory, from 1.
---@class flowrun.Array
---@field [integer] number
---@operator len: integer

---@param type "f64"|"f32"|"i64"|"i32"|"u8"
---@param n integer
---@return flowrun.Array
function flow.array(type, n) end

-- Cases and data -------------------------------------------------------------

---All combinations.
---@param axes table<string, any[]>
---@param options? { order?: string[], exclude?: table[]|fun(case: table): boolean, include?: table[]|function }
---@return table[]
function flow.grid(axes, options) end

---Row by row.
---@param columns table<string, any[]>
---@return table[]
function flow.zip(columns) end

---The whole numbers first .. last in n ranges, none of them empty.
---@param first integer
---@param last integer
---@param n integer
---@return flowrun.Range[]
function flow.split(first, last, n) end

---Sorted paths; ** stands for any directories.
---@param pattern string
---@return string[]
function flow.glob(pattern) end

---@param n number|string|flowrun.Int
---@return flowrun.Int
function flow.int(n) end

-- Files ----------------------------------------------------------------------

flow.yaml = {}

---@param path string
---@return any
function flow.yaml.read(path) end

---@param text string
---@return any
function flow.yaml.parse(text) end

flow.json = {}

---@param path string
---@param value any
function flow.json.write(path, value) end

flow.csv = {}

---Rows under the names of the header, and those names.
---@param path string
---@return table<string, string|number>[] rows
---@return string[] columns
function flow.csv.read(path) end

---@param path string
---@param rows table<string, any>[]
---@param columns? string[]
function flow.csv.write(path, rows, columns) end

return flow
