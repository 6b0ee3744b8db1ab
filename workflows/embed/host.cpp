// host.cpp - a C++ host: values and handles in owners that free them.
//
//     c++ -std=c++17 -o host host.cpp $(pkg-config --cflags --libs flowrun)
#include <flowrun.h>
#include <cstdio>
#include <memory>
#include <stdexcept>

struct Free {
    void operator()(frun_engine *e) const { frun_engine_close(e); }
    void operator()(frun_pool *p) const { frun_pool_close(p); }
    void operator()(frun_value *v) const { frun_value_free(v); }
};
template <class T> using Owner = std::unique_ptr<T, Free>;

static void check(frun_status status)
{
    if (status != FRUN_OK)
        throw std::runtime_error(frun_status_text(status));
}

// No exception may leave a task: it becomes the task's failure.
static frun_status root(frun_task *task, const frun_value *argument,
                        frun_value **result) noexcept
try {
    double x = frun_value_as_num(argument);

    if (x < 0)
        throw std::domain_error("no root");
    double r = x;
    for (int i = 0; i < 60 && r > 0; i++)
        r = (r + x / r) / 2;
    *result = frun_value_num(r);
    return *result ? FRUN_OK : FRUN_ENOMEM;
} catch (const std::exception &e) {
    return frun_task_fail(task, "%s of %g", e.what(),
                          frun_value_as_num(argument));
}

int main()
try {
    frun_engine *e;
    check(frun_engine_open(nullptr, &e));
    Owner<frun_engine> engine(e);
    frun_pool *p;
    frun_pool_options options{};
    options.workers = 2;
    check(frun_pool_open(e, FRUN_THREADS, &options, &p));
    Owner<frun_pool> pool(p);

    Owner<frun_value> list(frun_value_list());
    for (double x : { 1.0, 4.0, 9.0 })
        check(frun_value_push(list.get(), frun_value_num(x)));
    frun_value *r;
    check(frun_pool_map(p, root, list.get(), nullptr, &r));
    Owner<frun_value> roots(r);
    for (size_t i = 0; i < frun_value_length(r); i++)
        std::printf("%g\n", frun_value_as_num(frun_value_at(r, i)));

    check(frun_value_push(list.get(), frun_value_num(-1)));
    if (frun_pool_map(p, root, list.get(), nullptr, &r) != FRUN_OK)
        std::printf("%s\n", frun_engine_message(e));
} catch (const std::exception &e) {
    std::fprintf(stderr, "host: %s\n", e.what());
    return 1;
}
