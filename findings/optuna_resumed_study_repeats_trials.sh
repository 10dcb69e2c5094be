#!/usr/bin/env bash
# Optuna: a study that is resumed from its storage with the same seeded sampler tries the same points once more.
#
# One would expect that running a search's script again, with `load_if_exists=True` and a seed for reproducible results,
# goes on where it stopped: six trials now and six later are the twelve of one run, or at least twelve trials.
# What happens (optuna 5.0.0): finished trials are in the storage, the state of the sampler's generator isn't. It starts
# from the seed again, so that a random search and the first generation of NSGA-II repeat all their points, and TPE
# repeats the random points that its ten start-up trials still lack. With an expensive objective (a network to be
# trained) half of the budget goes.
#
# Output seen:
#   sampler           distinct of 6 + 6   distinct of 12
#   RandomSampler                     6               12
#   TPESampler                        8               12
#   NSGAIISampler                     6               12
#
# Exits with 0 while this is so, with 1 when it changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check numpy==2.4.0 optuna==5.0.0 2>/dev/null
"$work/venv/bin/python" - <<'PYTHON'
import sys
import tempfile

import optuna

optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(trial):
    return trial.suggest_int("width", 4, 64) + trial.suggest_int("depth", 1, 8)


def distinct(sampler, parts):
    with tempfile.TemporaryDirectory() as folder:
        for trials in parts:
            study = optuna.create_study(
                study_name="search",
                storage=f"sqlite:///{folder}/study.db",
                load_if_exists=True,
                sampler=sampler(seed=7),
            )
            study.optimize(objective, n_trials=trials)
        return len({tuple(trial.params.values()) for trial in study.trials})


table = {}
print("sampler           distinct of 6 + 6   distinct of 12")
for name in ("RandomSampler", "TPESampler", "NSGAIISampler"):
    sampler = getattr(optuna.samplers, name)
    table[name] = distinct(sampler, (6, 6)), distinct(sampler, (12,))
    print(f"{name:18}{table[name][0]:17}{table[name][1]:17}")
repeats = all(table[name][0] == 6 < table[name][1] for name in ("RandomSampler", "NSGAIISampler"))
sys.exit(not (repeats and table["TPESampler"][0] < table["TPESampler"][1]))
PYTHON
