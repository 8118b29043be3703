#!/usr/bin/env python3
"""Times confvault beside git, restic and borg on the same fleet, in the same run.

    cargo build --release --bin confvault --example fleet
    python3 tests/bench/peers.py [--devices 1000] [--rounds 30] [--every 50] [--repeat 3] [--only git] [--sealing]

Needs git; restic and borg are left out where they are not installed. Figures are CPU seconds (user and
system, of the process and all its children) and peak memory of the largest process, as the kernel counts them;
a figure that was repeated is the median. Everything is written below a temporary folder and removed.
"""
import argparse, json, os, shutil, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
OURS = os.path.join(TARGET, "release", "confvault")
FLEET = os.path.join(TARGET, "release", "examples", "fleet")


def run(command, cwd=None, env=None, accept=(0,)):
    """Runs a command (a list, or a string for the shell); gives (CPU s, wall s, peak MiB)."""
    if isinstance(command, str):
        command = ["sh", "-c", command]
    with tempfile.TemporaryFile() as err:
        start = time.monotonic()
        child = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - start
        if child.returncode not in accept:
            err.seek(0)
            sys.exit(f"{' '.join(command)}: exit {child.returncode}\n{err.read().decode(errors='replace')[-2000:]}")
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def size_of(path):
    count = total = 0
    for folder, _, names in os.walk(path):
        for name in names:
            count += 1
            total += os.lstat(os.path.join(folder, name)).st_size
    return total, count


class Git:
    name = "git"

    def __init__(self, base, fleet):
        self.dir, self.fleet = os.path.join(base, "git"), fleet
        self.env = {**os.environ, "GIT_DIR": self.dir, "GIT_WORK_TREE": fleet, "GIT_CONFIG_GLOBAL": "/dev/null",
                    "GIT_AUTHOR_NAME": "b", "GIT_AUTHOR_EMAIL": "b@b", "GIT_COMMITTER_NAME": "b", "GIT_COMMITTER_EMAIL": "b@b"}
        subprocess.run(["git", "init", "-q"], env=self.env, check=True)
        subprocess.run(["git", "config", "gc.auto", "0"], env=self.env, check=True)

    def snapshot(self):
        return run("git add -A && git commit -q --allow-empty -m s", cwd=self.fleet, env=self.env)

    def one(self, target, back, device):
        return run(f"git archive HEAD~{back} {device} | tar x -C {target}", cwd=self.fleet, env=self.env)

    def all(self, target):
        return run(f"git archive HEAD | tar x -C {target}", cwd=self.fleet, env=self.env)

    def tidy(self):
        return run("git gc -q", cwd=self.fleet, env=self.env)


class Confvault:
    name = "confvault"

    def __init__(self, base, fleet, sealing=False):
        self.dir = os.path.join(base, "sealing" if sealing else "confvault")
        self.env = {**os.environ, "HOME": base}
        if sealing:
            self.name = "confvault, sealing"
        extra = [] if sealing else ["--no-sealing"]
        subprocess.run([OURS, "init", self.dir, *extra], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self.env)
        add = ["device", "add", "--from", fleet, "--profile", "asterisk", "--release", "20.9.1"]
        subprocess.run([OURS, "-C", self.dir, *add], check=True, stdout=subprocess.DEVNULL, env=self.env)
        self.dir_store = os.path.join(self.dir, "store.git")
        # A store with sealing is restored by its administrator.
        self.identity = ["--identity", f"{self.dir}-admin/identity.txt"] if sealing else []

    def call(self, *args, accept=(0,)):
        return run([OURS, "-C", self.dir, *args], env=self.env, accept=accept)

    def snapshot(self):
        return self.call("snapshot")

    def one(self, target, back, device):
        newest = json.loads(subprocess.run([OURS, "-C", self.dir, "log", device, "--json"], env=self.env, check=True, stdout=subprocess.PIPE).stdout)
        generations = newest["generations"] if isinstance(newest, dict) else newest
        return self.call("restore", f"{device}@{max(g['number'] for g in generations) - back}", "--to", os.path.join(target, device), *self.identity)

    def all(self, target):
        return self.call("restore", "--all", "--to", os.path.join(target, "all"), *self.identity)

    def tidy(self):
        return self.call("maintain")


class Restic:
    name = "restic"

    def __init__(self, base, fleet):
        self.fleet = fleet
        self.dir = os.path.join(base, "restic")
        self.env = {**os.environ, "RESTIC_REPOSITORY": self.dir, "RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": os.path.join(base, "restic-cache")}
        subprocess.run(["restic", "init", "-q"], env=self.env, check=True, stdout=subprocess.DEVNULL)

    def snapshot(self):
        return run(["restic", "backup", "-q", "."], cwd=self.fleet, env=self.env)

    def one(self, target, back, device):
        out = subprocess.run(["restic", "snapshots", "--json"], env=self.env, check=True, stdout=subprocess.PIPE).stdout
        ids = [s["id"] for s in json.loads(out)]
        return run(["restic", "restore", "-q", ids[-1 - back], "--include", f"/{device}", "--target", target], env=self.env)

    def all(self, target):
        return run(["restic", "restore", "-q", "latest", "--target", target], env=self.env)

    def tidy(self):
        return run(["restic", "prune", "-q"], env=self.env)


class Borg:
    name = "borg"

    def __init__(self, base, fleet):
        self.fleet, self.count = fleet, 0
        self.dir = os.path.join(base, "borg")
        self.env = {**os.environ, "BORG_REPO": self.dir, "BORG_PASSPHRASE": "bench", "BORG_BASE_DIR": os.path.join(base, "borg-base")}
        subprocess.run(["borg", "init", "-e", "repokey-blake2"], env=self.env, check=True, stderr=subprocess.DEVNULL)

    def snapshot(self):
        self.count += 1
        return run(["borg", "create", f"::s{self.count}", "."], cwd=self.fleet, env=self.env)

    def one(self, target, back, device):
        return run(["borg", "extract", f"::s{self.count - back}", device], cwd=target, env=self.env)

    def all(self, target):
        return run(["borg", "extract", f"::s{self.count}"], cwd=target, env=self.env)

    def tidy(self):
        return run(["borg", "compact"], env=self.env)


def report(figures, args):
    """Prints the medians as a Markdown table."""
    names = list(dict.fromkeys(who for row in figures.values() for who in row))
    middle = {what: {who: statistics.median(v) for who, v in row.items()} for what, row in figures.items()}
    print(f"\n{args.devices} devices; CPU seconds unless said otherwise; medians")
    pairs = [("confvault", "git"), ("confvault, sealing", "confvault")]
    pairs = [(a, b) for a, b in pairs if a in names and b in names]
    print("| what | " + " | ".join(names) + " | " + " | ".join(f"{a} / {b}" for a, b in pairs) + " |")
    print("|---|" + "---|" * (len(names) + len(pairs)))
    for what, row in middle.items():
        ratios = [f"{row[a] / row[b]:.2f}" if row.get(b) and a in row else "" for a, b in pairs]
        print(f"| {what} | " + " | ".join([f"{row[n]:.3f}" if n in row else "" for n in names] + ratios) + " |")
    if args.json:
        with open(args.json, "w") as out:
            json.dump({"devices": args.devices, "figures": figures}, out, indent=1)



def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=30, help="generations in all (default 30)")
    parser.add_argument("--every", type=int, default=50, help="in each round every N-th device changes (default 50)")
    parser.add_argument("--repeat", type=int, default=3, help="repeats of what can be repeated (default 3)")
    parser.add_argument("--only", default="git,restic,borg", help="peers to run beside confvault")
    parser.add_argument("--sealing", action="store_true", help="also run a confvault store with sealing")
    parser.add_argument("--json", help="write the figures to this file too")
    args = parser.parse_args()
    base = tempfile.mkdtemp(prefix="confvault-bench-")
    fleet = os.path.join(base, "fleet")
    count = ["--devices", str(args.devices)]
    figures = {}

    def note(what, who, value):
        figures.setdefault(what, {}).setdefault(who, []).append(value)

    def measured(what, tool, call):
        cpu, wall, peak = call()
        note(what, tool.name, cpu)
        note(what + " (wall s)", tool.name, wall)
        note(what + " (peak MiB)", tool.name, peak)

    try:
        subprocess.run([FLEET, fleet, *count], check=True)
        subprocess.run([FLEET, fleet, "--touch"], check=True)
        time.sleep(1.1)  # the stamps are old enough to be trusted by every tool
        kinds = {"git": Git, "restic": Restic, "borg": Borg}
        tools = [Confvault(base, fleet)]
        if args.sealing:
            tools.append(Confvault(base, fleet, sealing=True))
        tools += [kinds[name](base, fleet) for name in args.only.split(",") if name and shutil.which(name)]
        for tool in tools:
            measured("first run", tool, tool.snapshot)
        for _ in range(args.repeat):
            for tool in tools:
                measured("nothing changed", tool, tool.snapshot)
        for _ in range(args.repeat):
            subprocess.run([FLEET, fleet, "--touch"], check=True)
            time.sleep(1.1)
            for tool in tools:
                measured("every time stamp new", tool, tool.snapshot)
        for number in range(1, args.rounds):
            change = ["--change", str(number), "--every", str(args.every)]
            subprocess.run([FLEET, fleet, *count, *change], check=True, stdout=subprocess.DEVNULL)
            time.sleep(0.1)
            for tool in tools:
                measured(f"{100 / args.every:g} % changed", tool, tool.snapshot)
        for tool in tools:
            total, files = size_of(getattr(tool, "dir_store", tool.dir))
            note("store MB", tool.name, total / 1e6)
            note("store files", tool.name, files)
        for _ in range(args.repeat):
            for what in ("one device, 20 generations back", "all devices to disk"):
                for tool in tools:
                    target = tempfile.mkdtemp(dir=base)
                    if what.startswith("one"):
                        measured(what, tool, lambda: tool.one(target, min(20, args.rounds - 1), "d00000"))
                    else:
                        measured(what, tool, lambda: tool.all(target))
                    shutil.rmtree(target)
        def logs(what):
            for _ in range(args.repeat):
                for tool in tools:
                    if isinstance(tool, Confvault):
                        measured(what, tool, lambda: tool.call("log", "d00000"))

        logs("log of one device")
        for tool in tools:
            measured("tidy", tool, tool.tidy)
            total, files = size_of(getattr(tool, "dir_store", tool.dir))
            note("store MB, tidied", tool.name, total / 1e6)
            note("store files, tidied", tool.name, files)
        for tool in tools:
            target = tempfile.mkdtemp(dir=base)
            measured("all devices to disk, tidied", tool, lambda: tool.all(target))
            target_one = tempfile.mkdtemp(dir=base)
            measured("one device, tidied", tool, lambda: tool.one(target_one, min(20, args.rounds - 1), "d00000"))
            shutil.rmtree(target)
            shutil.rmtree(target_one)
        logs("log of one device, tidied")
    except BaseException:
        report(figures, args)  # what was measured before the trouble
        raise
    finally:
        shutil.rmtree(base, ignore_errors=True)

    report(figures, args)


if __name__ == "__main__":
    main()
