/*
 * page.h - a run as one page of HTML that needs nothing else: --report x.html.
 *
 * The page is page/page.html with the style and the scripts that it names;
 * the run goes into it as one block of JSON.  Rules.
 *
 *  1. Nothing of a run is ever HTML or script: every text stands in the JSON
 *     and there as fri_put_json writes it, so nothing can end the block; the
 *     page shows texts as text nodes only.
 *  2. The page's policy (Content-Security-Policy) allows its own scripts and
 *     styles, by their hashes, and nothing else: no network, no other script.
 *  3. The rows are columns (columns.h), about 10 bytes a task beside its name.
 *     The names of the columns and their order are in page_rows.c and page.js.
 */
#ifndef FRI_PAGE_H
#define FRI_PAGE_H

#include "report/record.h"

/* The whole page of a record that has ended, added to `out`; out->failed: out
 * of memory. */
void fri_page_write(const struct fri_record *r, const struct fri_memory *m,
                    struct fri_buffer *out);

#endif
