"Queues against formulas and a simulation, timing of calls of known length, options and advice that follow from the numbers."
import gc
import math
import time
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlmine.core.errors import DataError
from dlmine.core.files import canonical_json
from dlmine.framing.latency import Need, advise, make_options, measure_options, read_need
from dlmine.framing.queueing import analyse_queue, plan_micro_batch, processes_for, safe_rate, simulate_queue
from dlmine.framing.timing import Latency, make_batches, time_calls

TABLE = pa.table({"x": np.arange(300.0)})


def exponential(mean, points=100_000): return -mean * np.log(1 - (np.arange(points) + .5) / points)


@settings(max_examples=15, deadline=None)
@given(st.floats(.05, .9), st.floats(1e-4, 10))
def test_mm1_has_a_formula(busy, mean):
    found = analyse_queue(exponential(mean), busy / mean)
    free = (1 - busy) / mean
    assert found.utilisation == pytest.approx(busy, rel=1e-3) and found.wait_mean == pytest.approx(busy * mean / (1 - busy), rel=.01)
    for share, value in ((.5, found.response_p50), (.95, found.response_p95), (.99, found.response_p99)): assert value == pytest.approx(-math.log(1 - share) / free, rel=.02)


def test_md1_agrees_with_its_series():
    "Erlang's series for M/D/1: P(W <= t) = (1 - rho) * sum over k <= t/d of exp(rate * (t - k d)) * (rate * (k d - t)) ** k / k!"
    rate, seconds = 70.0, .01
    def below(t): return (1 - rate * seconds) * sum((rate * (k * seconds - t)) ** k / math.factorial(k) * math.exp(-rate * (k * seconds - t)) for k in range(int(t / seconds) + 1))
    found = analyse_queue(np.full(10, seconds), rate)
    assert below(found.wait_p99) == pytest.approx(.99, abs=1e-3)
    assert found.wait_mean == pytest.approx(rate * seconds ** 2 / (2 * (1 - rate * seconds)))


@pytest.mark.parametrize("busy", [.3, .7, .9])
def test_a_simulation_of_measured_times_agrees(busy):
    service = np.random.default_rng(0).gamma(.7, .01, 500)
    rate = busy / service.mean()
    response, found = simulate_queue(service, rate, 200_000, seed=1), analyse_queue(service, rate)
    assert response.mean() == pytest.approx(found.wait_mean + found.mean, rel=.08)
    for share, value in ((.5, found.response_p50), (.95, found.response_p95), (.99, found.response_p99)): assert np.quantile(response, share) == pytest.approx(value, rel=.1)
    shared = simulate_queue(service, 3 * rate, 200_000, processes=3, seed=2)
    assert np.quantile(shared, .99) == pytest.approx(found.response_p99, rel=.12)       # three processes with a third of the stream each


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.floats(1.5, 30))
def test_the_safe_rate_is_just_safe(seed, slack):
    service = np.random.default_rng(seed).gamma(2, .005, 200)
    deadline = slack * float(np.quantile(service, .99))
    rate = safe_rate(service, deadline)
    assert analyse_queue(service, .99 * rate).in_time(deadline) and not analyse_queue(service, min(1.03 * rate, .9999 / service.mean())).in_time(deadline) or rate * service.mean() > .98
    assert safe_rate(service, deadline, 3) == pytest.approx(3 * rate) and processes_for(service, 2.5 * rate, deadline) == 3
    assert np.quantile(simulate_queue(service, rate, 100_000), .99) < (1.25 if rate * service.mean() < .85 else 2) * deadline   # near its limit a queue's length hangs together for thousands of requests


def test_queues_without_end_and_bad_times():
    assert analyse_queue([.01], 100).response_p99 == math.inf and analyse_queue([.01], 0).response_p99 == pytest.approx(.01, rel=.01)
    assert safe_rate([.01], .005) == 0 and processes_for([.01], 10, .005) is None
    for bad in ([], [0.1, 0], [np.nan], [[.1]]):
        with pytest.raises(DataError, match="service times"): analyse_queue(bad, 1)
    with pytest.raises(DataError, match="rate is"): analyse_queue([.1], -1)


def test_micro_batches_are_done_in_time():
    "Simulated: Poisson requests, a window at a time."
    sizes, seconds, rate, deadline = [1, 16, 256], [.01, .012, .02], 300, .1
    plan = plan_micro_batch(sizes, seconds, rate, deadline)
    random, arrivals = np.random.default_rng(0), None
    arrivals = np.cumsum(random.exponential(1 / rate, 100_000))
    window = np.floor(arrivals / plan.window).astype(int)
    rows = np.bincount(window)
    free, done = 0.0, np.zeros(len(rows))
    for place, count in enumerate(rows):
        free = max(free, (place + 1) * plan.window) + np.interp(count, sizes, seconds)
        done[place] = free
    response = done[window] - arrivals
    assert np.quantile(response, .99) <= plan.response_p99 * 1.02 <= deadline * 1.02 and (rows > plan.rows_high).mean() < .004
    assert np.median(response) == pytest.approx(plan.response_p50, rel=.1)
    assert plan_micro_batch(sizes, seconds, 1e6, .05) is None


def test_timing_finds_known_times_and_leaves_the_collector_alone():
    measured = time_calls(lambda table: (time.sleep(.004), np.zeros(table.num_rows))[1], TABLE, 16, seconds=.15)
    assert .004 <= measured.quantiles[0] < .03 and measured.quantiles == tuple(sorted(measured.quantiles)) and len(measured.seconds) >= 20
    assert measured.throughput == pytest.approx(16 / measured.seconds.mean()) and gc.isenabled()
    calls = []
    time_calls(lambda table: calls.append(table) or np.zeros(1), TABLE, 1, seconds=.01, warm_up=3)
    assert len({id(one) for one in calls}) > 5 and len(calls) > 100      # different rows; short calls are timed together
    with pytest.raises(DataError, match="2 scores for 16 rows"): time_calls(lambda table: [1, 2], TABLE, 16)
    with pytest.raises(ZeroDivisionError): time_calls(lambda table: 1 / 0 if calls.append(1) is None and len(calls) > 200 else np.zeros(1), TABLE, 1)
    assert gc.isenabled()
    assert [one.num_rows for one in make_batches(TABLE.slice(0, 3), 10, 2)] == [10, 10]


def fake(one, many):
    "Measured times, made up: exactly `one` seconds for a row and `many` for 4,096."
    return {1: Latency(1, np.full(200, one), 300), 256: Latency(256, np.full(200, (one + many) / 2), 300), 4096: Latency(4096, np.full(200, many), 300)}


def need(**more): return Need(**{"rate": 10.0, "deadline": .2, "fresh": 86_400.0, "price": .36, "currency": "EUR", **more})


def test_options_and_prices_by_hand():
    options = {one.name: one for one in make_options(fake(.01, .1), need())}
    night, live = options["nightly batch"], options["real time, 1 process"]
    assert night.possible and night.cost == pytest.approx(.36 / 3600 * 1000 / 40_960) and night.utilisation == pytest.approx(864_000 / 40_960 / 86_400)
    assert live.possible and live.cost == pytest.approx(.36 / 3600 / 10 * 1000) and live.utilisation == pytest.approx(.1)
    assert advise(tuple(options.values()), need())[0] == "nightly batch"
    assert advise(tuple(options.values()), need(asked="realtime"))[0] == "real time, 1 process"


def test_stale_features_rule_out_batches_and_load_asks_for_processes():
    options = {one.name: one for one in make_options(fake(.01, .1), need(fresh=21_600.0, rate=500.0))}
    assert not options["nightly batch"].possible and "too old" in options["nightly batch"].reason and options["batch every 3 hours"].possible
    assert not options["real time, 1 process"].possible and "too many" in options["real time, 1 process"].reason
    many = next(one for name, one in options.items() if name.startswith("real time") and name != "real time, 1 process")
    assert many.possible and many.processes == math.ceil(500 / .8 / safe_rate(np.full(10, .01), .2)) and many.cost == pytest.approx(many.processes * .36 / 3600 / 500 * 1000)
    assert options["micro-batches"].possible and advise(tuple(options.values()), need(asked="interactive"))[0] == "micro-batches"
    slow = {one.name: one for one in make_options(fake(.5, 40.0), need(rate=2000.0))}
    assert not slow["nightly batch"].possible and "longer than half" in slow["nightly batch"].reason and slow["real time, more processes"].processes is None
    assert advise(tuple(slow.values()), need())[0] is None


def test_measured_options_advice_choice_and_record():
    predict = lambda table: np.zeros(table.num_rows)
    serving = {"requests_per_second": 5, "deadline_milliseconds": 500, "fresh_within": "24 hours", "cost_per_hour": .1}
    found = measure_options(predict, TABLE, serving, currency="EUR", sizes=(1, 16, 1024), seconds=.03, name="zeros")
    assert found.advised == found.chosen == "nightly batch" and found.overruled is None and set(found.latencies) == {1, 16, 1024}
    assert "repeat rows" in " ".join(found.notes) and "EUR for 1,000" in found._repr_html_() and len(found.table()) == len(found.options)
    other = found.choose("real time, 1 process", who="Ada", why="new rows all day")
    assert other.chosen == "real time, 1 process" and other.evidence().figures["overruled"] == {"from": "nightly batch", "to": "real time, 1 process", "who": "Ada", "why": "new rows all day"} and "Ada chose" in other.sentence()
    assert found.choose("nightly batch", who="Ada", why="yes").overruled is None
    canonical_json(other.evidence().figures)
    assert len(found.plot().svg) < 100_000

    bare = measure_options(SimpleNamespace(predict=predict), TABLE, None, sizes=(1,), seconds=.02)
    assert len(bare.need.assumed) == 4 and bare.evidence().figures["requests_per_second"] is None and bare._repr_html_()
    live = measure_options(predict, TABLE, None, latency="realtime", sizes=(1,), seconds=.02)
    assert live.advised == "real time, 1 process" and live.need.deadline == .1
    canonical_json(live.evidence().figures)


def test_refusals():
    predict = lambda table: np.zeros(table.num_rows)
    for message, arguments in (("no rows to score", dict(table=TABLE.slice(0, 0))), ("batch sizes", dict(sizes=(0,))), ("latency is", dict(latency="soon")), ("above 0", dict(serving={"deadline_milliseconds": 0})), ("no length of time", dict(serving={"fresh_within": "1 fortnight"})),
                               ("Did you mean 'cost_per_hour'", dict(serving={"cost_per_our": 1}))):
        with pytest.raises(DataError, match=message): measure_options(predict, **{"table": TABLE, "seconds": .01, **arguments})
    found = measure_options(predict, TABLE, sizes=(1,), seconds=.01)
    with pytest.raises(DataError, match="Did you mean 'nightly batch'"): found.choose("nightly batches", who="a", why="b")
    with pytest.raises(DataError, match="who= and why="): found.choose("nightly batch", who=" ", why="b")


def test_the_card_is_read():
    from dlmine.framing.card import parse_card
    card = parse_card("name: a\nsources: [{location: adult}]\ntarget: income\ntask: classification\nsplit: {kind: random}\nserving: {requests_per_second: 3, deadline_milliseconds: 250, fresh_within: 2 hours, cost_per_hour: 0.2}\n")
    asked = read_need(card.serving, card.latency, card.kpi.currency)
    assert (asked.rate, asked.deadline, asked.fresh, asked.price, asked.currency, asked.assumed) == (3, .25, 7200, .2, "EUR", ())
