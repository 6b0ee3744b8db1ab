# reference.awk: flowrun-lua(7) from docs/reference.md, so that the two say the
# same. It knows the Markdown that the page uses: headings, paragraphs, lists,
# tables, blocks of code, and in a line `code`, *stress* and [links](to). `make`
# runs it; groff -mdoc must have nothing to say (tests/man.sh).

function escape(s) {
   gsub(/\\/, "\\e", s)
   return s
}

function guard(s) {
   if (s ~ /^[.\047]/) s = "\\&" s
   return s
}

# Fonts by escapes, since a line of text may hold anything.
function inline(s,    out, part, rest) {
   while (match(s, /\[[^]]*\]\([^)]*\)/)) {
      part = substr(s, RSTART + 1, RLENGTH - 2)
      sub(/\]\(.*/, "", part)
      s = substr(s, 1, RSTART - 1) part substr(s, RSTART + RLENGTH)
   }
   s = escape(s)
   out = ""
   while (match(s, /`[^`]*`/)) {
      part = substr(s, RSTART + 1, RLENGTH - 2)
      rest = substr(s, RSTART + RLENGTH)
      out = out stress(substr(s, 1, RSTART - 1)) "\\fB" part "\\fR"
      s = rest
   }
   return guard(out stress(s))
}

function stress(s,    out) {
   out = ""
   while (match(s, /\*[^* ][^*]*\*/)) {
      out = out substr(s, 1, RSTART - 1) "\\fI" \
         substr(s, RSTART + 1, RLENGTH - 2) "\\fR"
      s = substr(s, RSTART + RLENGTH)
   }
   return out s
}

function put_paragraph() {
   if (paragraph != "") {
      if (list != "") print ".It"
      else if (!fresh) print ".Pp"
      print inline(paragraph)
      fresh = 0
   }
   paragraph = ""
}

function end_list() {
   put_paragraph()
   if (list != "") { print ".El"; fresh = 0 }
   list = ""
}

function end_table() {
   if (table) print ".El"
   table = 0
}

function begin_list(kind) {
   if (list == kind) return
   end_list()
   list = kind
   print ".Bl -" kind " -width 3n"
}

# A macro's argument, whatever is in it.
function argument(s) {
   gsub(/"/, "\"\"", s)
   return "\"" s "\""
}

# A row: its first cell is the tag, the others follow it.
function put_row(    n, cells, i, row) {
   row = $0
   gsub(/\\\|/, "\001", row)
   n = split(row, cells, /\|/)
   for (i = 2; i < n; i++) {
      gsub(/^ +| +$/, "", cells[i])
      gsub("\001", "|", cells[i])
   }
   if (!table) {
      print ".Bl -tag -width Ds"
      table = 1
      head = $0
      for (i = 2; i < n; i++) heads[i] = cells[i]
      return
   }
   if (cells[2] ~ /^:?-+:?$/) return
   print ".It " argument(inline(cells[2]))
   print inline(cells[3])
   for (i = 4; i < n; i++)
      if (cells[i] != "")
         print "(" heads[i] ": " inline(cells[i]) ")"
}

BEGIN {
   print ".\\\" Made of docs/reference.md by man/reference.awk."
   print ".Dd " date "\n.Dt FLOWRUN-LUA 7\n.Os\n.Sh NAME\n.Nm flowrun-lua"
   print ".Nd the Lua module flowrun\n.Sh DESCRIPTION"
   fresh = 1
}

/^```/ {
   if (!block) { put_paragraph(); end_table(); print ".Bd -literal -offset indent" }
   else { print ".Ed"; fresh = 0 }
   block = !block
   next
}
block { print guard(escape($0)); next }
/^# / { next }
/^##+ / {
   end_list()
   end_table()
   level = /^## / ? ".Sh " : ".Ss "
   sub(/^##+ /, "")
   gsub(/`/, "")
   print level argument(escape(level == ".Sh " ? toupper($0) : $0))
   fresh = 1
   next
}
# The table of contents, links between dots, has no place here.
/^\[.*\]\(#.*·/ || skipping { skipping = !/^$/; next }
/^\|/ { put_paragraph(); put_row(); next }
/^$/ { put_paragraph(); end_table(); blank = 1; next }
/^- / { put_paragraph(); begin_list("bullet"); sub(/^- /, ""); item = 1 }
/^[0-9]+\. / { put_paragraph(); begin_list("enum"); sub(/^[0-9]+\. /, ""); item = 1 }
{
   # A paragraph that is not indented ends a list.
   if (list != "" && blank && !item && !/^ /) end_list()
   item = 0
   sub(/^ +/, "")
   paragraph = paragraph (paragraph == "" ? "" : " ") $0
   blank = 0
}

END {
   end_list()
   end_table()
   print ".Sh SEE ALSO\n.Xr flowrun 1 ,\n.Xr flowrun 3 ,\n.Xr lua 1"
}
