# peer.py SUBJECT: what Python's pools take for the work of bench/SUBJECT.lua.
# Figures are printed as in kit.lua. Two workers, but for grid's six and gather's.
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, wait
from multiprocessing import Pool

THREADS, PROCESSES, POOL = "ThreadPoolExecutor", "ProcessPoolExecutor", "mp.Pool"


def nothing(_):
    pass


def tiny(x):
    return x + 1


def is_prime(n):
    for d in range(2, int(n**0.5) + 1):
        if n % d == 0:
            return False
    return n > 1


def long_comp(i):
    x = i
    for y in range(5000000):
        x = (x - y) ** 2 if x % 2 == 0 else (x + y) ** 0.5
    return x


def sum_range(first):
    return sum(range(first, first + 1000000))


def same(value):
    return value


def short_sleep(_):
    time.sleep(0.01)


def report(name, value):
    print(f"{name}\t{value:.9g}")


def seconds(fn, repeats=3):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        fn()
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


# Of single calls: the median and the 99th of 100, in microseconds.
def report_trips(name, fn, n):
    times = sorted(seconds(fn, 1) * 1e6 for _ in range(n))
    report(name, times[n // 2])
    report(f"{name}_p99", times[n * 99 // 100])


def submit():
    for name, executor, n in (
        (THREADS, ThreadPoolExecutor, 10000),
        (PROCESSES, ProcessPoolExecutor, 1500),
    ):
        with executor(2) as pool:
            batch = lambda: wait([pool.submit(nothing, i) for i in range(n)])
            batch()
            report(f"submit.{name}", seconds(batch) / n * 1e6)


def map_():
    n = 100000
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(tiny, range(100)))
        few = n // 20
        report(f"map.{THREADS}", seconds(lambda: list(pool.map(tiny, range(few)))) / few * 1e6)
    with Pool(2) as pool:
        pool.map(tiny, range(100))
        report(f"map.{POOL}", seconds(lambda: pool.map(tiny, range(n))) / n * 1e6)


def primes():
    many = range(1, 100001)
    report("primes100000.python", seconds(lambda: [is_prime(n) for n in many], 1) * 1e6)
    with Pool(2) as pool:
        pool.map(is_prime, range(100))
        report(f"primes100000.{POOL}", seconds(lambda: pool.map(is_prime, many), 1) * 1e6)
    with ThreadPoolExecutor(2) as pool:
        few = range(1, 21)
        report(f"primes20.{THREADS}", seconds(lambda: list(pool.map(is_prime, few)), 50) * 1e6)


def grid():
    longest = 0.77132 * 50 * 400 / 1000 / 100
    tests = [longest * c * m / 20000 for m in (200, 400) for c in (10, 20, 50)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(time.sleep, tests))
        over = seconds(lambda: list(pool.map(time.sleep, tests))) - longest
        report(f"grid.{THREADS}", over * 1000)


def trip():
    for name, executor, n in (
        (THREADS, ThreadPoolExecutor, 2000),
        (PROCESSES, ProcessPoolExecutor, 300),
    ):
        with executor(2) as pool:
            once = lambda: pool.submit(nothing, 1).result()
            seconds(once, 100)
            report(f"trip.{name}", seconds(once, n) * 1e6)


def compute():
    with ProcessPoolExecutor(2) as pool:
        print(list(pool.map(long_comp, range(4))))


def sum_():
    with Pool(2) as pool:
        print(sum(pool.map(sum_range, range(0, 100000000, 1000000))))


def first():
    with ThreadPoolExecutor(2) as pool:
        print(pool.submit(nothing, 1).result())


def forks():
    n = 100000
    few = range(2000)
    with Pool(2) as pool:
        pool.map(tiny, range(100))
        report(f"forks.{POOL}", seconds(lambda: pool.map(tiny, range(n))) / n * 1e6)
        batch = lambda: [r.get() for r in [pool.apply_async(nothing, (i,)) for i in few]]
        report("forks.apply_async", seconds(batch) / len(few) * 1e6)
        report_trips("forks.apply", lambda: pool.apply(nothing, (1,)), 1000)
    with ProcessPoolExecutor(2) as pool:
        once = lambda: pool.submit(nothing, 1).result()
        seconds(once, 100)
        report_trips(f"forks.{PROCESSES}", once, 500)


def open_executor():
    with ProcessPoolExecutor(2) as pool:
        wait([pool.submit(nothing, i) for i in range(2)])


def open_pool():
    pool = Pool(2)
    for result in [pool.apply_async(nothing, (i,)) for i in range(2)]:
        result.get()
    pool.close()
    pool.join()


def open_():
    open_executor()
    report(f"open.{PROCESSES}", seconds(open_executor, 5) * 1000)
    report(f"open.{POOL}", seconds(open_pool, 5) * 1000)
    heap = b"x" * (1 << 30)
    report(f"open1GB.{PROCESSES}", seconds(open_executor) * 1000)
    del heap


def payload():
    numbers = [i + 0.5 for i in range(1000000)]
    text = b"x" * 100000000
    with Pool(2) as pool:
        pool.map(tiny, range(100))
        report(f"payload.{POOL}", seconds(lambda: pool.apply(same, (numbers,))) * 1000)
        report(f"payload100MB.{POOL}", seconds(lambda: pool.apply(same, (text,))) * 1000)


def gather():
    for name, executor in ((THREADS, ThreadPoolExecutor), (PROCESSES, ProcessPoolExecutor)):
        for workers in (3, 10, 100):
            ideal = -(-100 // workers) * 0.01
            with executor(workers) as pool:
                all_cases = lambda: list(pool.map(short_sleep, range(100)))
                all_cases()
                over = seconds(all_cases, 1 if workers == 3 else 3) - ideal
                report(f"gather{workers}.{name}", over * 1000)


if __name__ == "__main__":
    names = {"map": map_, "sum": sum_, "open": open_}
    names.get(sys.argv[1], globals().get(sys.argv[1]))()
