-- data.lua: grids, lists and files of data. Loaded at the first use of one of
-- flow.grid, zip, split, glob, json, csv; called with the helpers in C:
--    read_file(path) -> text | nil, message     number_text(n) -> text | nil
--    write_file(path, text) -> true | nil, message (whole or not at all)
--    number_read(text) -> number | the text     json_text(s) -> "s"
--    split, glob: as they are
-- Functions that can be called by scripts check their arguments themselves, so
-- that level 2 (3 in `misuse`) is the script's line.
local core = ...
local concat, sort = table.concat, table.sort
local format = string.format

local MOST_ROWS = 10000000

local function misuse(...)
   error(format(...), 3)
end

-- n of a list 1..n without holes; nil when the value is none.
local function length(list)
   if type(list) ~= "table" then return nil end
   local n = 0
   for _ in next, list do n = n + 1 end
   for i = 1, n do
      if rawget(list, i) == nil then return nil end
   end
   return n
end

-- The names of columns, sorted; or nil and what is wrong with one.
local function sorted_names(columns)
   local names = {}
   for name in next, columns do
      if type(name) ~= "string" then
         return nil, "a name must be a string, got " .. type(name)
      end
      names[#names + 1] = name
   end
   sort(names)
   return names
end

-- grid and zip --------------------------------------------------------------

-- A row matches when every field of the pattern is in it; a table in a pattern
-- is matched in the same way, field by field.
local function matches(row, pattern)
   if row == pattern then return true end
   if type(row) ~= "table" or type(pattern) ~= "table" then return false end
   for key, value in next, pattern do
      if not matches(row[key], value) then return false end
   end
   return true
end

-- The function for an `include` or `exclude`, or nil and what is wrong.
local function filter(what, name, axes)
   if type(what) == "function" then return what end
   local n = length(what)
   if not n then return nil, name .. " must be a list or a function" end
   for i, pattern in ipairs(what) do
      if type(pattern) ~= "table" or next(pattern) == nil then
         return nil, format("%s[%d] must be a table of fields", name, i)
      end
      for axis in next, pattern do
         if axes[axis] == nil then
            return nil, format("%s[%d] names '%s', which is no axis", name, i,
               tostring(axis))
         end
      end
   end
   return function(row)
      for i = 1, n do
         if matches(row, what[i]) then return true end
      end
      return false
   end
end

-- `order` first, then the other names.
local function ordered(names, order)
   local known, placed, result = {}, {}, {}
   if not length(order) then return nil, "order must be a list of names" end
   for _, name in ipairs(names) do known[name] = true end
   for i, name in ipairs(order) do
      if not known[name] or placed[name] then
         return nil, format("order[%d] is '%s', which is %s", i, tostring(name),
            placed[name] and "there twice" or "no axis")
      end
      placed[name] = true
      result[i] = name
   end
   for _, name in ipairs(names) do
      if not placed[name] then result[#result + 1] = name end
   end
   return result
end

local function count_rows(axes, names)
   local rows = 1
   for _, name in ipairs(names) do
      local n = length(axes[name])
      if not n then return nil, format("axis '%s' must be a list", name) end
      if n == 0 then return nil, format("axis '%s' is empty", name) end
      if n > MOST_ROWS / rows then
         return nil, format("axis '%s' takes it beyond %d rows", name,
            MOST_ROWS)
      end
      rows = rows * n
   end
   return rows
end

-- All rows that `wanted` and not `unwanted`, the last name turning fastest.
local function product(axes, names, wanted, unwanted)
   local rows, turn, lists, n = {}, {}, {}, #names
   for i = 1, n do turn[i], lists[i] = 1, axes[names[i]] end
   while true do
      local row = {}
      for i = 1, n do row[names[i]] = lists[i][turn[i]] end
      if (not wanted or wanted(row)) and not (unwanted and unwanted(row)) then
         rows[#rows + 1] = row
      end
      local i = n
      while turn[i] == #lists[i] do
         turn[i] = 1
         i = i - 1
         if i == 0 then return rows end
      end
      turn[i] = turn[i] + 1
   end
end

local grid_options = { order = true, include = true, exclude = true }

local function grid(axes, options)
   options = options == nil and {} or options
   if type(axes) ~= "table" then
      misuse("flow.grid: axes must be a table of lists, got %s", type(axes))
   elseif type(options) ~= "table" then
      misuse("flow.grid: options must be a table, got %s", type(options))
   elseif next(axes) == nil then
      misuse("flow.grid: axes is empty")
   end
   for name in next, options do
      if not grid_options[name] then
         misuse("flow.grid: unknown option '%s'", tostring(name))
      end
   end
   local names, rows, wanted, unwanted, wrong
   names, wrong = sorted_names(axes)
   if names and options.order ~= nil then
      names, wrong = ordered(names, options.order)
   end
   if names then rows, wrong = count_rows(axes, names) end
   if rows and options.include ~= nil then
      wanted, wrong = filter(options.include, "include", axes)
   end
   if not wrong and options.exclude ~= nil then
      unwanted, wrong = filter(options.exclude, "exclude", axes)
   end
   if wrong then misuse("flow.grid: %s", wrong) end
   return product(axes, names, wanted, unwanted)
end

local function zip(columns)
   if type(columns) ~= "table" then
      misuse("flow.zip: columns must be a table, got %s", type(columns))
   end
   local names, wrong = sorted_names(columns)
   if not names then misuse("flow.zip: %s", wrong) end
   local n
   for _, name in ipairs(names) do
      local count = length(columns[name])
      if not count then
         misuse("flow.zip: column '%s' must be a list", name)
      elseif n and count ~= n then
         misuse("flow.zip: column '%s' has %d items, '%s' has %d", name, count,
            names[1], n)
      end
      n = count
   end
   local rows = {}
   for i = 1, n or 0 do
      local row = {}
      for _, name in ipairs(names) do row[name] = columns[name][i] end
      rows[i] = row
   end
   return rows
end

-- json -----------------------------------------------------------------------
-- A table with the keys 1..n is an array, the empty table too; any other is an
-- object, its number keys as text: numbers first, in order, then names. NaN and
-- the infinities are null. Bytes that are no UTF-8 become U+FFFD. Metamethods
-- are not called. A table without tables in it stands on one line.

local DEEPEST = 1000

local function key_order(a, b)
   local na, nb = type(a) == "number", type(b) == "number"
   if na ~= nb then return na end
   return a < b
end

-- What the writers below share: parts of the text, and the tables that are
-- being written, outermost first, with the key that led to the next.
local function refuse(state, what)
   local path = "value"
   for i = 1, math.min(state.depth, 20) do
      local key = state.keys[i]
      path = path .. format(type(key) == "string" and ".%s" or "[%s]", key)
   end
   error({ wrong = path .. ": " .. what }, 0)
end

local function add(state, text)
   state.n = state.n + 1
   state[state.n] = text
end

local write_value

local function has_table(t)
   for _, v in next, t do
      if type(v) == "table" then return true end
   end
   return false
end

local function object_keys(state, t)
   local keys = {}
   for key in next, t do
      if type(key) ~= "string" and type(key) ~= "number" then
         refuse(state, format("a %s as a key cannot be written", type(key)))
      elseif type(key) == "number" then
         local text = core.number_text(key)
         if rawget(t, text) ~= nil then
            refuse(state, format("has the keys %s and '%s'", text, text))
         end
      end
      keys[#keys + 1] = key
   end
   sort(keys, key_order)
   return keys
end

-- The fields of an object, or, without keys, the n items of an array.
local function write_fields(state, t, keys, n, between)
   for i = 1, n do
      local key = i
      if i > 1 then add(state, between) end
      if keys then
         key = keys[i]
         add(state, core.json_text(core.number_text(key) or key))
         add(state, ": ")
      end
      state.keys[state.depth] = key
      write_value(state, rawget(t, key))
   end
end

local function write_table(state, t)
   if state.open[t] then refuse(state, "a table that holds itself") end
   if state.depth == DEEPEST then refuse(state, "nested too deep") end
   local n = length(t)
   local keys = not n and object_keys(state, t)
   local indent = ("  "):rep(state.depth)
   local apart = has_table(t)
   local between = apart and ",\n" .. indent .. "  " or ", "
   state.open[t] = true
   state.depth = state.depth + 1
   add(state, n and "[" or "{")
   if apart then add(state, "\n" .. indent .. "  ") end
   write_fields(state, t, keys, n or #keys, between)
   if apart then add(state, "\n" .. indent) end
   add(state, n and "]" or "}")
   state.depth = state.depth - 1
   state.open[t] = nil
end

function write_value(state, value)
   local kind = type(value)
   local number = core.number_text(value)
   if number then
      add(state, number:find("n", 1, true) and "null" or number)
   elseif kind == "string" then
      add(state, core.json_text(value))
   elseif kind == "table" then
      write_table(state, value)
   elseif kind == "boolean" or kind == "nil" then
      add(state, value == nil and "null" or tostring(value))
   else
      refuse(state, format("a %s cannot be written", kind))
   end
end

local function json_write(path, value)
   if type(path) ~= "string" then
      misuse("flow.json.write: path must be a string, got %s", type(path))
   end
   local state = { n = 0, depth = 0, keys = {}, open = {} }
   local ok, err = pcall(write_value, state, value)
   if not ok and type(err) ~= "table" then error(err, 0) end
   if not ok then misuse("flow.json.write: %s", err.wrong) end
   add(state, "\n")
   ok, err = core.write_file(path, concat(state, "", 1, state.n))
   if not ok then misuse("flow.json.write: %s: %s", path, err) end
end

-- csv ------------------------------------------------------------------------
-- As RFC 4180, but lines end in LF (CR LF and CR are read too). A nil is an
-- empty field, the empty string a quoted one. Cells that begin with = + - or @
-- are written as they are: what a spreadsheet makes of them is its affair, and
-- any change would not read back.

local function at_line(path, line, ...)
   error(format("%s:%d: ", path, line) .. format(...), 0)
end

-- A quoted field: its text, the place after it, the line on which it ends.
local function quoted(path, text, from, line)
   local parts, i = {}, from + 1
   while true do
      local q = text:find('"', i, true)
      if not q then at_line(path, line, "a quoted field is not closed") end
      parts[#parts + 1] = text:sub(i, q - 1)
      i = q + 1
      if text:byte(i) ~= 34 then break end
      i = i + 1
   end
   local field = concat(parts, '"')
   local after = text:sub(i, i)
   if after ~= "" and not after:find("[,\r\n]") then
      at_line(path, line, "text after a quoted field")
   end
   local _, breaks = text:sub(from, i - 1):gsub("\r?\n", "")
   return field, i, line + breaks
end

-- Reads one record from place i. Gives its fields (false where one is empty),
-- their number, the place after its line end (nil at the end of the text) and
-- the next line. Numbers are told unless it is the header.
local function record(path, text, i, line, header)
   local fields, n = {}, 0
   while true do
      local field, stop
      if text:byte(i) == 34 then
         field, stop, line = quoted(path, text, i, line)
         if not header then field = core.number_read(field) end
      else
         stop = text:find("[,\r\n]", i) or #text + 1
         field = text:sub(i, stop - 1)
         if not header then field = field ~= "" and core.number_read(field) end
      end
      n = n + 1
      fields[n] = field
      local byte = text:byte(stop)
      if byte ~= 44 then
         if byte == 13 and text:byte(stop + 1) == 10 then stop = stop + 1 end
         return fields, n, byte and stop + 1, line + 1
      end
      i = stop + 1
   end
end

local function check_header(path, columns, line)
   local seen = {}
   for _, name in ipairs(columns) do
      if seen[name] then at_line(path, line, "column '%s' twice", name) end
      seen[name] = true
   end
end

local function csv_parse(path, text)
   local rows, columns, width = {}, nil, nil
   local i, line = text:sub(1, 3) == "\239\187\191" and 4 or 1, 1
   while i and i <= #text do
      local fields, n, after, below = record(path, text, i, line, not columns)
      local blank = n == 1 and (fields[1] == false or fields[1] == "")
         and text:byte(i) ~= 34
      if not columns then
         if not blank then
            columns, width = fields, n
            check_header(path, columns, line)
         end
      elseif n > width then
         at_line(path, line, "%d fields, but the header has %d", n, width)
      elseif not blank or width == 1 then
         local row = {}
         for c = 1, n do
            if fields[c] ~= false then row[columns[c]] = fields[c] end
         end
         rows[#rows + 1] = row
      end
      i, line = after, below
   end
   return rows, columns or {}
end

local function csv_read(path)
   if type(path) ~= "string" then
      misuse("flow.csv.read: path must be a string, got %s", type(path))
   end
   local text, err = core.read_file(path)
   if not text then error(path .. ": " .. err, 0) end
   return csv_parse(path, text)
end

-- The text of a cell; nil when its value has none.
local function cell(value)
   if value == nil then return "" end
   local number = core.number_text(value)
   if number then return number end
   if type(value) == "boolean" then return tostring(value) end
   if type(value) ~= "string" then return nil end
   if value == "" or value:find('[",\r\n]') or value:find("^%s")
      or value:find("%s$") then
      return '"' .. value:gsub('"', '""') .. '"'
   end
   return value
end

local function column_order(rows)
   local seen, names = {}, {}
   for i = 1, #rows do
      for name in next, rows[i] do
         if not seen[name] then
            if type(name) ~= "string" and type(name) ~= "number" then
               return nil, format("rows[%d]: a %s as a key", i, type(name))
            end
            seen[name] = true
            names[#names + 1] = name
         end
      end
   end
   sort(names, key_order)
   return names
end

local function check_columns(columns)
   local seen = {}
   if not length(columns) then return "columns must be a list of names" end
   for i, name in ipairs(columns) do
      if type(name) ~= "string" and type(name) ~= "number" then
         return format("columns[%d] must be a name, got %s", i, type(name))
      elseif seen[cell(name)] then
         return format("columns[%d]: '%s' is there twice", i, cell(name))
      end
      seen[cell(name)] = true
   end
end

-- The text of all rows, or nil and what is wrong.
local function csv_text(rows, columns)
   local lines, line, width = {}, {}, #columns
   for c = 1, width do line[c] = cell(columns[c]) end
   lines[1] = concat(line, ",")
   for i = 1, #rows do
      for c = 1, width do
         local value = rows[i][columns[c]]
         line[c] = cell(value)
         if not line[c] then
            return nil, format("rows[%d], column '%s': a %s cannot be written",
               i, cell(columns[c]), type(value))
         end
      end
      lines[i + 1] = concat(line, ",")
   end
   lines[#lines + 1] = ""
   return width > 0 and concat(lines, "\n") or ""
end

local function csv_write(path, rows, columns)
   if type(path) ~= "string" then
      misuse("flow.csv.write: path must be a string, got %s", type(path))
   elseif not length(rows) then
      misuse("flow.csv.write: rows must be a list of tables")
   end
   for i = 1, #rows do
      if type(rows[i]) ~= "table" then
         misuse("flow.csv.write: rows[%d] must be a table", i)
      end
   end
   local text, wrong
   if columns == nil then columns, wrong = column_order(rows) end
   wrong = wrong or check_columns(columns)
   if not wrong then text, wrong = csv_text(rows, columns) end
   if wrong then misuse("flow.csv.write: %s", wrong) end
   local ok, err = core.write_file(path, text)
   if not ok then misuse("flow.csv.write: %s: %s", path, err) end
end

return {
   grid = grid, zip = zip, split = core.split, glob = core.glob,
   json = { write = json_write },
   csv = { read = csv_read, write = csv_write },
}
