/*
 * completion.c - what a shell offers after `flowrun`, from the same table as
 * the reading and the help.
 *
 * Options are ours until the script; behind it files are offered, and the
 * script's own options are its own business.  In its place, as the first word,
 * may stand show or why, with options of their own.
 */
#include "command/show.h"

/* What stands for a value: words, or NULL: files. */
static const struct {
    const char *name, *words;
} values[] = {
    { "pool", "threads forks" },
    { "progress", "auto bar plain json none" },
    { "color", "auto always never" },
    { "completion", "bash zsh fish" },
    { "halt", "never soon,fail=1 now,fail=1 soon,fail=10%" },
    { "workers", "1 2 4 8 16 32" },
    { "seed", "0 1 2" },
    { "timeout", "60 600 3600" },
    { "slowest", "5 10 20 50" },
};

static const char *words_of(const char *name)
{
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(values[i].name, name) == 0)
            return values[i].words;
    return NULL;
}

/* The words in the place of the script. */
static void put_verbs(struct fri_buffer *out, const char *between)
{
    for (size_t i = 0; fri_verb(i); i++)
        fri_buffer_printf(out, "%s%s", i > 0 ? between : "",
                          fri_verb(i)->name);
}

/* ---- bash ------------------------------------------------------------- */

static void put_spellings(struct fri_buffer *out,
                          const struct fri_option_text *o, const char *between)
{
    if (o->letter)
        fri_buffer_printf(out, "-%c%s", o->letter, between);
    fri_buffer_printf(out, "--%s", o->name);
}

static void put_bash_case(struct fri_buffer *out,
                          const struct fri_option_text *o)
{
    const char *words = words_of(o->name);

    if (!o->value)
        return;
    fri_buffer_text(out, "   ");
    put_spellings(out, o, "|");
    if (words)
        fri_buffer_printf(out, ") COMPREPLY=($(compgen -W '%s' -- "
                               "\"$word\")); return ;;\n",
                          words);
    else
        fri_buffer_text(out, ") _flowrun_files; return ;;\n");
}

static void put_all(struct fri_buffer *out, const char *between, bool taking)
{
    struct fri_option_text o;
    bool first = true;

    for (size_t i = 0; fri_options_text(i, &o); i++) {
        if (taking && !o.value)
            continue;
        fri_buffer_text(out, first ? "" : between);
        put_spellings(out, &o, between);
        first = false;
    }
}

static void put_bash_verb(struct fri_buffer *out, const struct fri_verb *v)
{
    fri_buffer_printf(out, "   %s)\n   case $before in\n", v->name);
    for (size_t i = 0; i < v->count; i++)
        put_bash_case(out, &v->options[i]);
    fri_buffer_text(out, "   esac\n"
                         "   if [[ $word = -* ]]; then\n"
                         "      COMPREPLY=($(compgen -W '");
    for (size_t i = 0; i < v->count; i++) {
        fri_buffer_text(out, i > 0 ? " " : "");
        put_spellings(out, &v->options[i], " ");
    }
    fri_buffer_text(out, "' -- \"$word\"))\n"
                         "   else\n"
                         "      _flowrun_files\n"
                         "   fi\n"
                         "   return ;;\n");
}

static void put_bash_verbs(struct fri_buffer *out)
{
    fri_buffer_text(out,
                    "   local before=${COMP_WORDS[COMP_CWORD - 1]}\n"
                    "   [[ $before = '=' ]] && "
                    "before=${COMP_WORDS[COMP_CWORD - 2]}\n"
                    "   [[ $word = '=' ]] && "
                    "before=${COMP_WORDS[COMP_CWORD - 1]} word=\n"
                    "   ((COMP_CWORD > 1)) && case ${COMP_WORDS[1]} in\n");
    for (size_t i = 0; fri_verb(i); i++)
        put_bash_verb(out, fri_verb(i));
    fri_buffer_text(out, "   esac\n");
}

static void put_bash(struct fri_buffer *out)
{
    struct fri_option_text o;

    fri_buffer_text(out,
                    "# bash completion of flowrun; made by: "
                    "flowrun --completion bash\n"
                    "_flowrun_files() { # one a line: names have spaces\n"
                    "   mapfile -t COMPREPLY < <(compgen -f -- \"$word\")\n"
                    "}\n"
                    "_flowrun() {\n"
                    "   local word=${COMP_WORDS[COMP_CWORD]} i\n");
    put_bash_verbs(out);
    fri_buffer_text(out,
                    "   for ((i = 1; i < COMP_CWORD; i++)); do\n"
                    "      case ${COMP_WORDS[i]} in\n"
                    "      ");
    put_all(out, "|", true);
    fri_buffer_text(out,
                    ") ((++i)); [[ ${COMP_WORDS[i]} = '=' ]] && ((++i)) ;;\n"
                    "      -*) ;;\n"
                    "      *) _flowrun_files; return ;;\n"
                    "      esac\n"
                    "   done\n"
                    "   case $before in\n");
    for (size_t i = 0; fri_options_text(i, &o); i++)
        put_bash_case(out, &o);
    fri_buffer_text(out, "   esac\n"
                         "   if [[ $word = -* ]]; then\n"
                         "      COMPREPLY=($(compgen -W '");
    put_all(out, " ", false);
    fri_buffer_text(out, "' -- \"$word\"))\n"
                         "   else\n"
                         "      _flowrun_files\n"
                         "      ((COMP_CWORD > 1)) || "
                         "COMPREPLY+=($(compgen -W '");
    put_verbs(out, " ");
    fri_buffer_text(out, "' -- \"$word\"))\n"
                         "   fi\n"
                         "}\n"
                         "complete -o filenames -o default -F _flowrun "
                         "flowrun flowrun-luajit\n");
}

/* ---- zsh -------------------------------------------------------------- */

/* Help within '...[...]...': what ends it there is escaped. */
static void put_zsh_text(struct fri_buffer *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fri_buffer_text(out, "'\\'");
        else if (strchr("[]:\\", *text))
            fri_buffer_byte(out, '\\');
        fri_buffer_byte(out, (uint8_t)*text);
    }
}

static void put_zsh_option(struct fri_buffer *out,
                           const struct fri_option_text *o)
{
    const char *words = words_of(o->name);

    fri_buffer_text(out, "   ");
    if (o->letter)
        fri_buffer_printf(out, "{-%c%s,--%s%s}", o->letter,
                          o->value ? "+" : "", o->name, o->value ? "=" : "");
    else
        fri_buffer_printf(out, "'*'--%s%s", o->name, o->value ? "=" : "");
    fri_buffer_text(out, "'[");
    put_zsh_text(out, o->help);
    fri_buffer_byte(out, ']');
    if (o->value && words)
        fri_buffer_printf(out, ":%s:(%s)", o->value, words);
    else if (o->value)
        fri_buffer_printf(out, ":%s:_files", o->value);
    fri_buffer_text(out, "' \\\n");
}

static void put_zsh_verb(struct fri_buffer *out, const struct fri_verb *v)
{
    fri_buffer_printf(out, "   %s)\n"
                           "      shift words; (( CURRENT-- ))\n"
                           "      _arguments -s -S \\\n", v->name);
    for (size_t i = 0; i < v->count; i++) {
        fri_buffer_text(out, "   ");
        put_zsh_option(out, &v->options[i]);
    }
    fri_buffer_text(out, "      '1:journal:_files' '*:task:'\n"
                         "      return ;;\n");
}

static void put_zsh_verbs(struct fri_buffer *out)
{
    fri_buffer_text(out, "   (( CURRENT > 2 )) && case $words[2] in\n");
    for (size_t i = 0; fri_verb(i); i++)
        put_zsh_verb(out, fri_verb(i));
    fri_buffer_text(out, "   esac\n");
}

static void put_zsh(struct fri_buffer *out)
{
    struct fri_option_text o;

    fri_buffer_text(out, "#compdef flowrun flowrun-luajit\n"
                         "# zsh completion of flowrun; made by: "
                         "flowrun --completion zsh\n"
                         "_flowrun() {\n");
    put_zsh_verbs(out);
    fri_buffer_text(out, "   _arguments -s -S \\\n");
    for (size_t i = 0; fri_options_text(i, &o); i++) {
        fri_buffer_text(out, "   ");
        put_zsh_option(out, &o);
    }
    fri_buffer_text(out, "      '1:script:{ if (( CURRENT == 2 )); then "
                         "compadd ");
    put_verbs(out, " ");
    fri_buffer_text(out, "; fi; _files }' '*::file:_files'\n"
                         "}\n"
                         "if [ \"$funcstack[1]\" = _flowrun ]; then\n"
                         "   _flowrun \"$@\"\n"
                         "else\n"
                         "   compdef _flowrun flowrun flowrun-luajit\n"
                         "fi\n");
}

/* ---- fish ------------------------------------------------------------- */

static void put_fish_text(struct fri_buffer *out, const char *text)
{
    fri_buffer_byte(out, '\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\')
            fri_buffer_byte(out, '\\');
        fri_buffer_byte(out, (uint8_t)*text);
    }
    fri_buffer_byte(out, '\'');
}

/* when: a condition in fish, that is of the word, or of each (NULL). */
static void put_fish_option(struct fri_buffer *out,
                            const struct fri_option_text *o, const char *when,
                            const char *verb)
{
    const char *words = o->value ? words_of(o->name) : NULL;

    fri_buffer_printf(out, "complete -c flowrun -n '%s", when);
    if (verb)
        fri_buffer_text(out, verb);
    else
        put_verbs(out, " ");
    fri_buffer_byte(out, '\'');
    if (o->letter)
        fri_buffer_printf(out, " -s %c", o->letter);
    fri_buffer_printf(out, " -l %s", o->name);
    if (words)
        fri_buffer_printf(out, " -x -a '%s'", words);
    else if (o->value)
        fri_buffer_text(out, " -r -F");
    fri_buffer_text(out, " -d ");
    put_fish_text(out, o->help);
    fri_buffer_byte(out, '\n');
}

static void put_fish_verb(struct fri_buffer *out, const struct fri_verb *v)
{
    fri_buffer_printf(out, "complete -c flowrun -n __fish_use_subcommand "
                           "-a %s -d ", v->name);
    put_fish_text(out, v->help);
    fri_buffer_byte(out, '\n');
    for (size_t i = 0; i < v->count; i++)
        put_fish_option(out, &v->options[i], "__fish_seen_subcommand_from ",
                        v->name);
}

static void put_fish(struct fri_buffer *out)
{
    struct fri_option_text o;

    fri_buffer_text(out, "# fish completion of flowrun; made by: "
                         "flowrun --completion fish\n");
    for (size_t i = 0; fri_options_text(i, &o); i++)
        put_fish_option(out, &o, "not __fish_seen_subcommand_from ", NULL);
    for (size_t i = 0; fri_verb(i); i++)
        put_fish_verb(out, fri_verb(i));
    fri_buffer_text(out, "complete -c flowrun-luajit -w flowrun\n");
}

bool fri_options_completion(const char *shell, struct fri_buffer *out)
{
    if (strcmp(shell, "bash") == 0)
        put_bash(out);
    else if (strcmp(shell, "zsh") == 0)
        put_zsh(out);
    else if (strcmp(shell, "fish") == 0)
        put_fish(out);
    else
        return false;
    return true;
}
