"""molrl launch: bash accepts the script, and each job resumes its run."""

import os
import subprocess

import pytest

from molrl.cli.main import main

CONFIG = "run_dir: runs/{name}\ntotal_steps: 100\ntask: {{bag: H2O}}\nenergy: gfn2\n"
STUBS = {  # what SLURM does: srun ends all ranks if one fails, scontrol shows hosts and requeues
    "srun": """shift
export SLURM_NTASKS=2 SLURM_STEP_TASKS_PER_NODE="2(x1)"
for i in 0 1; do SLURM_PROCID=$i SLURM_LOCALID=$i "$@" || exit 137; done""",
    "scontrol": '[ "$1" = show ] && echo localhost || echo "$@"',
    "python": '[ "$RANK of $LOCAL_WORLD_SIZE" = "0 of 2" ] && echo "$@"; exit "$CODE"',
}


@pytest.fixture
def script(here, capsys):
    for name in ("one", "it's two"):
        (here / f"{name}.yaml").write_text(CONFIG.format(name=name.replace("'", "")))
    options = ["--sbatch=--partition=gpu", "--sbatch=--time=4:00:00", "--seeds=3", "--ranks=2"]
    assert main(["launch", "--slurm", "one.yaml", "it's two.yaml", *options]) == 0
    assert capsys.readouterr().out == "6 jobs; submit them with: sbatch molrl.sbatch\n"
    return here / "molrl.sbatch"


def test_launch_writes_a_script_that_bash_accepts(script):
    lines = script.read_text().splitlines()
    asked = {line for line in lines if line.startswith("#SBATCH")}
    assert asked >= {
        *("#SBATCH --array=0-5", "#SBATCH --requeue", "#SBATCH --signal=USR1@120"),
        *("#SBATCH --partition=gpu", "#SBATCH --time=4:00:00", "#SBATCH --ntasks=2"),
    }
    subprocess.run(["bash", "-n", str(script)], check=True)


def test_launch_refuses_ranks_for_what_runs_in_one_process(here, capsys):
    (here / "two.yaml").write_text("run_dir: run\ntasks: [CH4O]\nmethods: [random]\n")
    compare = ["launch", "--slurm", "--command", "compare", "two.yaml"]
    assert main([*compare, "--ranks", "2"]) == 2
    assert "runs in one process; --ranks is for train and energy fit" in capsys.readouterr().err
    assert not (here / "molrl.sbatch").exists()
    assert main(compare) == 0
    assert capsys.readouterr().out == "1 job; submit it with: sbatch molrl.sbatch\n"


def job(script, number, code):
    """Run one job, with stubs for the commands of SLURM and for Python."""
    folder = script.parent / "stubs"
    folder.mkdir(exist_ok=True)
    for name, text in STUBS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    lines = [
        "' python " + line.split(maxsplit=2)[2] if line.startswith("' ") else line
        for line in script.read_text().splitlines()
    ]
    names = {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "CODE": code,
        "SLURM_ARRAY_TASK_ID": number,
        "SLURM_ARRAY_JOB_ID": 7,
        "SLURM_JOB_ID": 9,
        "SLURM_JOB_NODELIST": "localhost",
    }
    return subprocess.run(
        ["bash", "-c", "\n".join(lines)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {name: str(value) for name, value in names.items()},
    )


def test_launched_job_trains_resumes_and_requeues(script):
    stopped = job(script, 4, 75)
    train = "-m molrl.cli.main train it's two.yaml run_dir=runs/its two-seed1 seed=1\n"
    assert (stopped.returncode, stopped.stdout) == (0, train + "requeue 7_4\n")
    run = script.parent / "runs" / "its two-seed1"
    run.mkdir(parents=True)
    (run / "config.yaml").touch()
    resume = "-m molrl.cli.main resume runs/its two-seed1\n"
    assert job(script, 4, 75).stdout == resume + "requeue 7_4\n"
    assert job(script, 4, 1).returncode == 137
    (run / "summary.json").touch()
    done = job(script, 4, 0)
    assert (done.returncode, done.stdout, done.stderr) == (0, resume, "")


def test_launch_makes_a_job_for_each_combination_of_values_and_seed(script, capsys):
    varied = ["algorithm.learning_rate=1e-3,3e-4", "task={bag: H2O},{bag: CH4}", "total_steps=50"]
    assert main(["launch", "one.yaml", "--seeds", "2", *varied, "--slurm", "-o", "sweep"]) == 0
    assert capsys.readouterr().out.startswith("8 jobs")
    text = (script.parent / "sweep").read_text()
    subprocess.run(["bash", "-n", str(script.parent / "sweep")], check=True)
    run = "runs/one-learning_rate-3e-4-task-_bag_CH4_-seed1"
    words = "algorithm.learning_rate=3e-4 'task={bag: CH4}' total_steps=50"
    assert f"\n7) run={run}; command=(train one.yaml {words} run_dir={run} seed=1) ;;\n" in text
    assert len({line.split(";")[0] for line in text.splitlines() if ") run=" in line}) == 8


def test_launch_takes_a_run_folder_with_a_slash_at_its_end(script):
    assert main(["launch", "one.yaml", "--slurm", "run_dir=runs/a/", "-o", "sweep"]) == 0
    assert ") run=runs/a-seed0;" in (script.parent / "sweep").read_text()


def test_launch_takes_configs_of_other_commands(script, capsys):
    (script.parent / "fit.yaml").write_text("run_dir: fits\ndata: [data.npz]\n")
    asked = ["launch", "fit.yaml", "--slurm", "-o", "fits.sbatch"]
    assert main([*asked, "--command=energy fit"]) == 0
    text = (script.parent / "fits.sbatch").read_text()
    assert "command=(energy fit fit.yaml run_dir=fits-seed0 seed=0)" in text
    assert main(["launch", "fit.yaml", "--slurm", "-o", "x"]) == 2
    assert "unknown key 'data'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["one.yaml", "seed=1,2"], "seeds are set by --seeds N"),
        (["one.yaml", "total_steps=5,5"], "have the same run_dir runs/one-total_steps-5-seed0"),
        (["one.yaml", "total_steps=5,x"], "total_steps must be a valid integer"),
        (["total_steps=5"], "launch needs a config"),
        (["one.yaml", "run_dir=taken"], "taken-seed0 is not empty"),
        (["one.yaml", "--sbatch", "gpu"], "--sbatch 'gpu' is no option"),
        (["one.yaml", "--sbatch=--time=1\nrm"], "is no option; write --sbatch=--partition=gpu"),
        (["one.yaml", "-o", "one.yaml/x"], "one.yaml is not a writable folder"),
        (["one.yaml", "-o", "taken-seed0"], "taken-seed0 is a folder"),
    ],
)
def test_launch_refuses_invalid_words_before_writing(script, capsys, words, said):
    (script.parent / "taken-seed0").mkdir()
    (script.parent / "taken-seed0" / "notes.txt").touch()
    assert main(["launch", "--slurm", "-o", "x", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (script.parent / "x").exists()


def test_launch_refuses_shared_run_folders_and_an_existing_script(script, capsys):
    assert main(["launch", "one.yaml", "one.yaml", "--slurm", "-o", "x"]) == 2
    assert "have the same run_dir" in capsys.readouterr().err
    assert main(["launch", "one.yaml", "--slurm"]) == 2
    assert "molrl.sbatch already exists" in capsys.readouterr().err


def test_launch_gives_each_job_of_a_comparison_a_seed(here, capsys):
    (here / "compare.yaml").write_text("run_dir: c\ntasks: [CH4]\nmethods: [random-search]\n")
    options = ["--command", "compare", "--seeds=2", "tasks=[CH4],[CH4O]"]
    assert main(["launch", "--slurm", "compare.yaml", *options]) == 0
    text = (here / "molrl.sbatch").read_text()
    assert "run=c-tasks-_CH4O_-seed1; command=(compare compare.yaml 'tasks=[CH4O]'" in text
    assert "seeds=[1]" in text
