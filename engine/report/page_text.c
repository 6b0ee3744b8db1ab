/*
 * page_text.c - what stands around a run's JSON: page/page.html, in which
 * `@name@` stands for the file of that name.
 */
#include "report/page_private.h"

#include "base/embed.h"

FRI_EMBED(fri_page_html, "engine/report/page/page.html");
FRI_EMBED(fri_page_css, "engine/report/page/page.css");
FRI_EMBED(fri_page_data, "engine/report/page/data.js");
FRI_EMBED(fri_page_charts, "engine/report/page/charts.js");
FRI_EMBED(fri_page_timeline, "engine/report/page/timeline.js");
FRI_EMBED(fri_page_table, "engine/report/page/table.js");
FRI_EMBED(fri_page_js, "engine/report/page/page.js");
FRI_EMBED(fri_plot_css, "engine/report/page/vendor/uPlot.min.css");
FRI_EMBED(fri_plot_js, "engine/report/page/vendor/uPlot.iife.min.js");
FRI_EMBED(fri_plot_licence, "engine/report/page/vendor/uPlot.LICENSE");

static const struct {
    const char *name;
    const struct fri_embedded *file;
} files[] = {
    { "page.css", &fri_page_css },
    { "data.js", &fri_page_data },
    { "charts.js", &fri_page_charts },
    { "timeline.js", &fri_page_timeline },
    { "table.js", &fri_page_table },
    { "page.js", &fri_page_js },
    { "uPlot.min.css", &fri_plot_css },
    { "uPlot.iife.min.js", &fri_plot_js },
    { "uPlot.LICENSE", &fri_plot_licence },
};

static const struct fri_embedded *find_file(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        if (strlen(files[i].name) == length
            && memcmp(files[i].name, name, length) == 0)
            return files[i].file;
    return NULL;
}

const char *fri_page_text(struct fri_buffer *out, const char *from)
{
    const struct fri_embedded *file;
    const char *mark, *end;

    from = from ? from : fri_page_html.text;
    while ((mark = strchr(from, '@')) && (end = strchr(mark + 1, '@'))) {
        fri_buffer_add(out, from, (size_t)(mark - from));
        file = find_file(mark + 1, (size_t)(end - mark - 1));
        from = end + 1;
        if (!file)
            return from;
        fri_buffer_add(out, file->text, fri_embedded_length(file));
    }
    fri_buffer_text(out, from);
    return NULL;
}
