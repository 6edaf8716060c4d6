"""Several tasks through one trunk against a network for each, on planned flights of 2013: cancelled (AUC), departure and arrival delay in minutes (R², clipped to −60 … 180).

30,000 flights drawn over the year: January to August learn, September chooses, October to December judge; schedule and the weather of the hour are the inputs. A cancelled flight has no delays and teaches only the first task.
Five seeds, six epochs for every network alike; intervals resample days, pooled over the seeds. All five ways of training together run. The row's value is the smallest gain over tasks of the plain sum (`equal`); `rows` has every gain with its interval.
"""


def main() -> dict:
    "One row, and the table."
    import torch
    from dlmine.training.task_gain import WAYS, compare_tasks, flight_tasks
    torch.set_num_threads(1)
    tasks, *sides = flight_tasks(30_000)
    gain = compare_tasks(tasks, *sides, ways=tuple(WAYS), seeds=range(5), epochs=6, batch_size=512, facts={'cardinalities': [110, 110, 110]})
    print(gain.table().to_string())
    print(gain.sentence)
    return {'name': 'multi_task_gain', 'value': min(row['gain'] for row in gain.rows if row['way'] == 'equal'), 'unit': 'AUC or R², the least of three tasks', 'better': 'higher', 'goal': -0.03, 'flights': 30_000, 'seeds': 5, 'epochs': 6,
            'cpu_seconds': {name: round(value, 1) for name, value in gain.seconds.items()}, 'rows': [{key: round(value, 4) if isinstance(value, float) else value for key, value in row.items()} for row in gain.rows],
            'cosines': gain.conflicts[0].pairs, 'sentence': gain.sentence}


if __name__ == '__main__':
    row = main()
    print(f"{row['name']}: value {row['value']:.4f} {row['unit']} (goal {row['goal']})")
