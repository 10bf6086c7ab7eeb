"""e3nn and mace-torch are imported without side effects on the process."""

import json
import os
import subprocess
import sys

# Python reports its imports, the files it opens and much more: at each of these events the standard
# output must be what it was, and at the imports that take long safe loading must be on.
WATCHED = """
import io, json, os, pickle, sys
import gymnasium, torch  # gymnasium sets a variable for pygame

output, before = sys.stdout, dict(os.environ)
redirected, unsafe = set(), set()

def watch(event, arguments):
    if sys.stdout is not output:
        redirected.add(event)
    if event == "import" and arguments[0].startswith("mace.modules"):
        unsafe.add(os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"))

sys.addaudithook(watch)
import molrl.energy
molrl.energy.load_energy("mace", "cpu")
import molrl.agents.networks.covariant
import molrl.energy.mace_torch.batching, molrl.energy.mace_torch.foundations
import mace.tools.cg

pickled = io.BytesIO()
torch.save({"x": object}, pickled)
pickled.seek(0)
try:
    torch.load(pickled)
except pickle.UnpicklingError:
    safe = True
else:
    safe = False
same = dict(os.environ) == before
whole = hasattr(mace.tools.cg, "U_matrix_real")
print(json.dumps([sorted(redirected), list(unsafe), same, safe, whole]))
"""


def test_contained_keeps_output_environment_and_safe_loading():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TORCH")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WATCHED],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stderr == ""
    # and nothing else is printed
    assert json.loads(done.stdout) == [[], [None], True, True, True]


TWO_THREADS = """
import os, sys, threading, warnings
import molrl.safe_e3nn
from molrl.safe_e3nn import NO_WEIGHTS_ONLY, contained

filters, inside, entered = list(warnings.filters), threading.Event(), threading.Event()

def first():
    with contained():
        os.environ[NO_WEIGHTS_ONLY] = "1"  # as the import of mace.calculators does
        inside.set()
        entered.wait(1)  # if the second comes in, it does so before the first has left

def second():
    inside.wait()
    with contained():
        entered.set()

threads = [threading.Thread(target=work) for work in (first, second)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(os.environ.get(NO_WEIGHTS_ONLY), warnings.filters == filters)
"""


def test_contained_keeps_environment_and_warnings_with_two_threads():
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TORCH")}
    done = subprocess.run(
        [sys.executable, "-c", TWO_THREADS],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.stdout == "None True\n", done.stderr
