# header.awk: flowrun(3) from flowrun.h, so that the page says what the header
# says. What stands between two blank lines is one piece: a comment and the
# declarations below it. `make` runs it; groff -mdoc must have nothing to say.

function escape(s) {
   gsub(/\\/, "\\e", s)
   sub(/^[.\047]/, "\\\\\\&&", s)
   return s
}

# Text of comments: paragraphs are separated by an empty line.
function put_text(text,    n, i, lines) {
   n = split(text, lines, "\n")
   for (i = 1; i <= n; i++)
      print lines[i] == "" ? ".Pp" : escape(lines[i])
}

function put_piece() {
   if (code != "") {
      print ".Bd -literal"
      printf "%s", code
      print ".Ed"
   }
   if (text != "") {
      if (code != "") print ".Pp"
      put_text(text)
   }
   if (code != "" || text != "") print ".Pp"
   code = text = ""
}

function heading(name) {
   put_piece()
   print ".Sh " toupper(name)
}

BEGIN {
   print ".\\\" Made of flowrun.h by man/header.awk."
   print ".Dd " date "\n.Dt FLOWRUN 3\n.Os\n.Sh NAME\n.Nm flowrun"
   print ".Nd parallel workflows for C\n.Sh LIBRARY"
   print "cc $(pkg-config --cflags flowrun) ... $(pkg-config --libs flowrun)"
   print ".Sh SYNOPSIS\n.In flowrun.h\n.Sh DESCRIPTION"
}

# The note at the head, without its first line.
NR == 1 { head = 1; next }
head == 1 && /^ \*\// { head = 2; put_text(text); text = ""; next }
head == 1 {
   sub(/^ \* ?/, "")
   if (/^flowrun\.h - /) next
   text = text (text == "" ? "" : "\n") $0
   next
}

/^\/\* ---- .* -+ \*\/$/ {
   name = $0
   gsub(/^\/\* -+ | -+ \*\/$/, "", name)
   heading(name)
   started = 1
   next
}
!started || /^#/ || /^extern "C"/ || /^}$/ { next }
/^$/ { put_piece(); next }

# A comment above a declaration is text; within one it stays where it is.
code == "" && /^\/\*/ { inside = 1 }
inside {
   line = $0
   inside = !sub(/ *\*\/$/, "", line)
   sub(/^(\/\*| \*) ?/, "", line)
   text = text (text == "" ? "" : "\n") line
   next
}
{
   sub(/FRUN_(API|CHECKED) /, "")
   code = code escape($0) "\n"
}

END {
   put_piece()
   print ".Sh SEE ALSO\n.Xr flowrun 1 ,\n.Xr flowrun-lua 7"
}
